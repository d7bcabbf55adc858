"""Times as text: the one formatter and the one parser, for people and for machines.

`monitor.adapters` has a parser of its own, for the time formats of other systems.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal, NamedTuple

from monitor.text.bilingual import Bilingual, BilingualError
from schemas.inputs import END_MS, MIN_MS

Precision = Literal["minutes", "seconds", "milliseconds", "shortest"]
"""How much of a time is shown. The rest is cut off; ``shortest``: milliseconds only if they are not zero."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)

_FIRST_MS: Final = -62_135_596_800_000  # of the years 1 to 9999, those of `datetime`
_AFTER_MS: Final = 253_402_300_800_000
_INSTANT: Final = re.compile(r"(?<![0-9])(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC(?![A-Za-z0-9+-])", re.ASCII)

_NO_SUCH_TIME: Final = Bilingual(
    "没有这个时间：`{text}`；请检查日期、小时和时差",
    "expected a time of the calendar, got `{text}`: check day, hour and offset",
)
_NO_ZONE: Final = Bilingual(
    "`{text}` 缺少时区：请加上 `Z` 或时差，例如 `+08:00`",
    "expected a time zone in `{text}`: add `Z` or an offset such as `+08:00`",
)
_NOT_A_TIME: Final = Bilingual(
    "应为日期（例如 `2027-01-01`，即 00:00 UTC）或时间（例如 `2027-01-01T08:00:00+08:00`），实际值：`{text}`",
    "expected a date such as `2027-01-01` (00:00 UTC) or `2027-01-01T08:00:00+08:00`, got `{text}`",
)
_TOO_FAR: Final = Bilingual(
    "时间应在 1990 至 2099 年之间，实际值：`{text}`", "expected a time in the years 1990 to 2099, got `{text}`"
)

# Formats ------------------------------------------------------------------------------------------------------------


def rfc3339(at_ms: int, precision: Precision = "milliseconds") -> str:
    """Epoch ms as RFC 3339 in UTC: ``2026-03-02T08:00:00.000Z``. For machines, and for people who compare with them."""
    if precision == "milliseconds":  # a third of the time of formats: thousands of rejected rows may come at once
        return f"{_at(at_ms).isoformat()[:19]}.{at_ms % 1000:03d}Z"
    return f"{_at(at_ms):%Y-%m-%dT}{_clock(at_ms, UTC, precision)}Z"


def any_time(at_ms: int) -> str:
    """`rfc3339`, or the number itself if it is no time of the calendar: for times that producers choose."""
    return rfc3339(at_ms) if _FIRST_MS <= at_ms < _AFTER_MS else str(at_ms)


def instant(at_ms: int) -> str:
    """Epoch ms in a sentence: ``2026-03-02 08:00 UTC``; seconds only if not zero, never fractions of a second."""
    at = _at(at_ms)
    return f"{at.isoformat(' ')[: 19 if at.second else 16]} UTC"


def in_zone(text: str, zone: tzinfo) -> str:
    """``text`` with each time that `instant` wrote shown in ``zone``, as `date_time` does: a page has one clock."""
    return _INSTANT.sub(lambda found: _moved(found, zone), text)


def date_time(at_ms: int, zone: tzinfo = UTC, precision: Precision = "seconds") -> str:
    """Epoch ms in a table: ``2026-03-02 08:00:00``, in the zone, which the table names."""
    return f"{_at(at_ms, zone):%Y-%m-%d} {_clock(at_ms, zone, precision)}"


def month_day_time(at_ms: int, precision: Precision = "seconds") -> str:
    """Epoch ms in a list that scrolls: ``03-02 08:00:00``, UTC."""
    return f"{_at(at_ms):%m-%d} {_clock(at_ms, UTC, precision)}"


def day(at_ms: int) -> str:
    """The day of a time, UTC: ``2026-03-02``."""
    return f"{_at(at_ms):%Y-%m-%d}"


def file_stamp(at_ms: int) -> str:
    """Epoch ms as a part of a file name: ``20260302T080000Z``."""
    return f"{_at(at_ms):%Y%m%dT%H%M%SZ}"


def _moved(found: re.Match[str], zone: tzinfo) -> str:
    try:
        at_ms = parse_moment(f"{found[1]}T{found[2]}Z")
    except ValueError:  # no time of the calendar: a text that only looks like one
        return found[0]
    return date_time(at_ms, zone, "minutes" if len(found[2]) == 5 else "seconds")


def _at(at_ms: int, zone: tzinfo = UTC) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, zone)


def _clock(at_ms: int, zone: tzinfo, precision: Precision) -> str:
    at, ms = _at(at_ms, zone), at_ms % 1000
    if precision == "minutes":
        return f"{at:%H:%M}"
    if precision == "seconds" or (precision == "shortest" and not ms):
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M:%S}.{ms:03d}"


# Parsers ------------------------------------------------------------------------------------------------------------


class _Parsed(NamedTuple):
    local: datetime
    ms: int
    zone: tzinfo | None
    has_clock: bool
    has_seconds: bool

    def epoch_ms(self, zone: tzinfo) -> int:
        """The time in epoch ms, truncated to whole ms."""
        delta = self.local.replace(tzinfo=zone) - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000 + self.ms


def parse_moment(text: str) -> int:
    """A time of the command line or of a setting, RFC 3339 or epoch milliseconds, as epoch ms. Seconds may be absent.

    Raises ValueError, whose message says what is expected, also if the time has no zone, which is ambiguous.
    """
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    try:
        parsed = _parse(text)
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError("expected RFC 3339 (2026-03-02T08:00:00Z) or epoch milliseconds")
    if parsed.zone is None:
        whole = parsed.local.isoformat() + (f".{parsed.ms:03d}" if parsed.ms else "")
        raise ValueError(f"expected a time zone, such as {whole}Z or {whole}+08:00")
    return parsed.epoch_ms(parsed.zone)


def parse_instant(text: str) -> int:
    """A time of a policy file, a date (00:00 UTC) or RFC 3339, as epoch ms. Raises BilingualError."""
    try:
        parsed = _parse(text)
    except ValueError:
        raise BilingualError(_NO_SUCH_TIME.fill(text=text)) from None
    if parsed is not None and parsed.has_clock and parsed.zone is None:
        raise BilingualError(_NO_ZONE.fill(text=text))
    if parsed is None or (parsed.has_clock and not parsed.has_seconds):
        raise BilingualError(_NOT_A_TIME.fill(text=text))
    ms = parsed.epoch_ms(parsed.zone or UTC)
    if not MIN_MS <= ms < END_MS:
        raise BilingualError(_TOO_FAR.fill(text=text))
    return ms


def _parse(text: str) -> _Parsed | None:
    """The parts of a time; None if the text has another form. Raises ValueError if there is no such time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day_, hour, minute, second, fraction, offset = match.groups()
    local = datetime(int(year), int(month), int(day_), int(hour or 0), int(minute or 0), int(second or 0))
    zone = _zone(offset) if offset else None
    return _Parsed(local, int((fraction or "").ljust(3, "0")[:3]), zone, hour is not None, second is not None)


def _zone(offset: str) -> tzinfo:
    if offset in ("Z", "z"):
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if minutes > 59:
        raise ValueError
    east = timedelta(hours=hours, minutes=minutes)
    return timezone(-east if offset[0] == "-" else east)
