"""A moment as people write it, RFC 3339 or epoch milliseconds, as epoch ms."""

from datetime import UTC, datetime


def parse_moment(text: str) -> int:
    """ValueError says what would be right; a time without its zone could be any of a day's."""
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
