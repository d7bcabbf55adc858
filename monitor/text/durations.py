"""Durations and times as a policy writes them: `90s`, `5m`, `24h`, `30d`; `2027-01-01` and RFC 3339."""

import re
from datetime import UTC, datetime, timedelta, timezone

from schemas.inputs import END_MS, MIN_MS

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_MAX = 36_500 * DAY
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d)))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> int:
    """A duration in ms. Raises ValueError, whose message says what is expected."""
    match = _DURATION.fullmatch(text)
    if match is None:
        near = re.fullmatch(r"\s*([0-9]+)\s*([a-zA-Z]*)\s*", text)
        hint = ""
        if near and near[2]:
            unit = near[2][0].lower()
            hint = f"; did you mean `{int(near[1]) * 7}d`?" if unit == "w" else ""
            hint = f"; did you mean `{near[1]}{unit}`?" if unit in _UNITS and near[2] not in ("ms", "M") else hint
        elif near:
            hint = f"; did you mean `{near[1]}s`?"
        raise ValueError(
            f"`{text}` is no duration: a whole number and s, m, h or d, like `90s`, `5m`, `24h`, `30d`{hint}"
        )
    value = int(match[1]) * _UNITS[match[2]]
    if value > _MAX:
        raise ValueError(f"`{text}` is longer than 100 years")
    return value


def format_duration(ms: int) -> str:
    """The shortest form of a duration: days if more than two, hours, minutes, seconds, else milliseconds."""
    if ms % SECOND:
        return f"{ms}ms"
    if ms % DAY == 0 and ms > 2 * DAY:
        return f"{ms // DAY}d"
    for unit, size in (("h", HOUR), ("m", MINUTE)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms // SECOND}s"


def parse_instant(text: str) -> int:
    """A date (00:00 UTC) or an RFC 3339 time in epoch ms, truncated to whole ms. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ][\d:.]+", text):
            raise ValueError(f"`{text}` says no zone: add `Z` or an offset like `+08:00`")
        raise ValueError(f"`{text}` is no time: a date like `2027-01-01` (00:00 UTC) or `2027-01-01T08:00:00+08:00`")
    year, month, day, hour, minute, second, fraction, _, sign, off_hour, off_minute = match.groups()
    try:
        zone = UTC
        if sign:
            if int(off_minute) > 59:
                raise ValueError
            offset = timedelta(hours=int(off_hour), minutes=int(off_minute))
            zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
    except ValueError:
        raise ValueError(f"`{text}` is not in the calendar: check day, hour and offset") from None
    delta = moment - _EPOCH
    ms = (delta.days * 86_400 + delta.seconds) * 1_000 + int((fraction or "").ljust(3, "0")[:3])
    if not MIN_MS <= ms < END_MS:
        raise ValueError(f"`{text}` lies outside the years 1990 to 2099")
    return ms


def format_instant(ms: int) -> str:
    """Epoch ms as RFC 3339 in UTC, with ms only if they are not zero."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
