"""Converts user-written times to epoch ms, and epoch ms to readable times."""

from datetime import UTC, datetime


def parse_moment(text: str) -> int:
    """RFC 3339 or epoch milliseconds, as epoch ms.

    Raises ValueError, whose message says what is expected, also if the time has no zone, which is ambiguous.
    """
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text.upper())  # RFC 3339 allows t and z
    except ValueError:
        raise ValueError("expected RFC 3339 (2026-03-02T08:00:00Z) or epoch milliseconds") from None
    if when.tzinfo is None:
        whole = when.isoformat()
        raise ValueError(f"expected a time zone, such as {whole}Z or {whole}+08:00")
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def instant(ms: int) -> str:
    """Epoch ms as ``2026-03-02 08:00 UTC``; seconds only if not zero, never fractions of a second."""
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at.second else f"{at:%Y-%m-%d %H:%M} UTC"
