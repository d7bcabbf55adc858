"""A moment as people write it, as epoch ms, and epoch ms as people read them."""

from datetime import UTC, datetime


def parse_moment(text: str) -> int:
    """RFC 3339 or epoch milliseconds, as epoch ms.

    ValueError says what would be right; a time without its zone could be any of a day's.
    """
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text.upper())  # RFC 3339 has t and z, too
    except ValueError:
        raise ValueError("expected RFC 3339 (2026-03-02T08:00:00Z) or epoch milliseconds") from None
    if when.tzinfo is None:
        whole = when.isoformat()
        raise ValueError(f"expected a time zone, such as {whole}Z or {whole}+08:00")
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def instant(ms: int) -> str:
    """Epoch ms as ``2026-03-02 08:00 UTC``; seconds only where there are some, parts of a second never."""
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at.second else f"{at:%Y-%m-%d %H:%M} UTC"
