"""Durations as a policy writes them: `90s`, `5m`, `24h`, `30d`."""

import re

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_MAX = 36_500 * DAY


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
        raise ValueError(f"expected a duration such as `90s`, `5m`, `24h` or `30d`, got `{text}`{hint}")
    value = int(match[1]) * _UNITS[match[2]]
    if value > _MAX:
        raise ValueError(f"expected at most 100 years, got `{text}`")
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
