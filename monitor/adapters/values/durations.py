"""Parses durations as files write them: a number of a unit, or hours, minutes and seconds."""

import re
from typing import Final

HMS: Final = "hh:mm:ss"
UNITS: Final = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, HMS: 1}
"""The units of durations, in ms."""

_HMS: Final = re.compile(r"([0-9]{1,4}):([0-5]?[0-9]):([0-5]?[0-9])(?:[.,]([0-9]{1,9}))?")


def duration_ms(text: str, unit: str) -> int:
    """The milliseconds of a duration. Raises ValueError or OverflowError if it is not one."""
    if unit != HMS:
        return round(float(text) * UNITS[unit])
    found = _HMS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hours, minutes, seconds, part = found.groups()
    whole = int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    return whole * 1_000 + int((part or "").ljust(3, "0")[:3])
