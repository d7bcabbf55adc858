"""Local time of day for a column of instants, from the tzdata package, so that all machines agree."""

import importlib.resources
from datetime import UTC, datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
# Cached lookups, about 10 MB: enough for years of hours, but not for random times over a century.
_REMEMBERED = 1 << 16
_FEW_HOURS = 1_000


@cache
def zone(name: str) -> ZoneInfo:
    """The IANA zone with that name from the tzdata package. Raises FileNotFoundError if there is none."""
    *folders, file = name.split("/")
    package = ".".join(["tzdata", "zoneinfo", *folders])
    with importlib.resources.files(package).joinpath(file).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache(_REMEMBERED)
def _offset_minutes(name: str, minute: int) -> int:
    local = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone(name))
    offset = local.utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) // 60


def common_hour(at_ms: NDArray[np.int64]) -> int | None:
    """The UTC hour, counted from 1970, of all of these instants (at least one); None if they are of several."""
    first, last = int(at_ms.min()) // _HOUR_MS, int(at_ms.max()) // _HOUR_MS
    return first if first == last else None


@lru_cache(_REMEMBERED)
def _offset_in(name: str, hour: int) -> int | None:
    """The offset of a zone in a UTC hour, in minutes; None if the zone changes within it."""
    first, last = _offset_minutes(name, 60 * hour), _offset_minutes(name, 60 * hour + 60)
    return first if first == last else None


def minute_at(hour: int, timezone: str) -> int | None:
    """The local minute of the day, 0 to 1439, at the start of a UTC hour; None if the zone changes within the hour."""
    offset = _offset_in(timezone, hour)
    return None if offset is None else (60 * hour + offset) % 1440


def minute_of_day(at_ms: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """The local minute of the day, 0 to 1439, of each instant ``[n]``.

    Since 1990, zones change at whole minutes and by whole minutes, so one lookup serves a minute of instants. If an
    hour has no change in it, one lookup serves the hour.
    """
    minutes = at_ms // _MINUTE_MS
    known, where = _distinct(minutes // 60)
    found = [_offset_in(timezone, hour) for hour in known.tolist()]
    offsets = np.array([offset or 0 for offset in found], np.int64)[where]
    for row in np.flatnonzero(np.array([offset is None for offset in found], np.bool_)[where]):
        offsets[row] = _offset_minutes(timezone, int(minutes[row]))
    return (minutes + offsets) % 1440


def _distinct(hours: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The distinct hours, ascending, and the place of each hour among them."""
    if len(hours) and hours.max() - (first := hours.min()) < len(hours) + _FEW_HOURS:  # faster than sorting
        present = np.bincount(hours - first) > 0
        return first + np.flatnonzero(present), (np.cumsum(present) - 1)[hours - first]
    return np.unique(hours, return_inverse=True)
