"""Durations as a policy writes them: `90s`, `5m`, `24h`, `30d`."""

import re
from typing import Final

from monitor.text.bilingual import Bilingual, BilingualError

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"0*([0-9]+)([smhd])")
_MAX = 36_500 * DAY
_MOST_DIGITS = len(str(_MAX // SECOND))
_NOT_ONE: Final = Bilingual(
    "应为时长，例如 `90s`、`5m`、`24h` 或 `30d`，实际值：`{text}`{hint}",
    "expected a duration such as `90s`, `5m`, `24h` or `30d`, got `{text}`{hint}",
)
_TOO_LONG: Final = Bilingual("应不超过 100 年，实际值：`{text}`", "expected at most 100 years, got `{text}`")
_HINT: Final = Bilingual("；是否应为 `{guess}`？", "; did you mean `{guess}`?")
_NO_HINT: Final = Bilingual("", "")


def parse_duration(text: str) -> int:
    """A duration in ms. Raises BilingualError, which says what is expected."""
    match = _DURATION.fullmatch(text)
    if match is None:
        near = re.fullmatch(r"\s*([0-9]+)\s*([a-zA-Z]*)\s*", text)
        guess = _guess(near[1], near[2]) if near else None
        raise BilingualError(_NOT_ONE.fill(text=text, hint=_HINT.fill(guess=guess) if guess else _NO_HINT))
    if len(match[1]) <= _MOST_DIGITS and (value := int(match[1]) * _UNITS[match[2]]) <= _MAX:
        return value
    raise BilingualError(_TOO_LONG.fill(text=text))


def _guess(number: str, word: str) -> str | None:
    """What was probably meant by a number and a word."""
    unit = word[:1].lower() or "s"
    if unit in _UNITS and word not in ("ms", "M") and not word.lower().startswith("mo"):  # a month is no minute
        return f"{number}{unit}"
    return f"{int(number) * 7}d" if unit == "w" else None


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
