"""The local time of day equals that of the time zone database, in every zone, on both sides of every clock change."""

import importlib.resources
import random
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from helpers.shard_samples import DAY, HOUR, MINUTE
from monitor.core.calls.columns import set_hours
from monitor.core.calls.fields import BIT, FieldLayout
from monitor.core.calls.local_hours import minute_of_day, zone
from schemas.inputs import END_MS, MIN_MS

ZONES = sorted(importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
WITH_CHANGES = ("Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "America/St_Johns", "Antarctica/Troll")


@cache
def plain_zone(name: str) -> ZoneInfo:
    """The zone from the tzdata package, independent of the machine's own folder."""
    with importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data)


def plain_minute(at_ms: int, name: str) -> int:
    local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(plain_zone(name))
    return local.hour * 60 + local.minute


def offset(at_ms: int, name: str) -> float:
    shift = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(plain_zone(name)).utcoffset()
    assert shift is not None
    return shift.total_seconds()


def changes(name: str, first_ms: int, last_ms: int) -> list[int]:
    """The instants in between at which the zone's clocks change, to the second."""
    found = []
    for start in range(first_ms, last_ms, 10 * DAY):
        low, high = start, start + 10 * DAY
        if offset(low, name) == offset(high, name):
            continue
        while high - low > 1_000:
            middle = (low + high) // 2_000 * 1_000
            low, high = (low, middle) if offset(middle, name) != offset(low, name) else (middle, high)
        found.append(high)
    return found


def check(name: str, instants: list[int]) -> None:
    minutes = minute_of_day(np.array(instants, np.int64), name)
    assert minutes.tolist() == [plain_minute(at_ms, name) for at_ms in instants]


def around(instant: int) -> list[int]:
    steps = (0, 1, 59_999, MINUTE, 30 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR)
    return [instant + sign * step for step in steps for sign in (1, -1)]


def test_no_zone_has_another_time_of_day_than_the_database() -> None:
    seed = 20
    print(f"seed {seed}")
    rng = random.Random(seed)
    for name in ZONES:
        check(name, [rng.randrange(MIN_MS, END_MS) for _ in range(15)] + [MIN_MS, END_MS - 1])


@pytest.mark.parametrize("name", WITH_CHANGES)
def test_nothing_is_off_around_a_change_of_clocks(name: str) -> None:
    """Changes by half an hour, in Ramadan, by three hours, at odd offsets; each year until the rules stay the same."""
    found = [at_ms for at_ms in changes(name, MIN_MS, MIN_MS + 50 * 365 * DAY) if at_ms < END_MS]
    assert len(found) >= 10
    check(name, [near for at_ms in found for near in around(at_ms)])


def test_a_change_in_every_zone_that_has_any_is_kept_to_the_minute() -> None:
    seed = 21
    print(f"seed {seed}")
    rng = random.Random(seed)
    changed = 0
    for name in ZONES:
        year_ms = MIN_MS + rng.randrange(0, 45) * 365 * DAY
        for at_ms in changes(name, year_ms, year_ms + 365 * DAY):
            changed += 1
            check(name, around(at_ms))
    assert changed > 200


@pytest.mark.soak
@pytest.mark.parametrize("name", ZONES)
def test_every_change_of_every_zone_is_kept_to_the_minute(name: str) -> None:
    found = changes(name, MIN_MS, END_MS - 20 * DAY)
    check(name, [near for at_ms in found for near in around(at_ms) if MIN_MS <= near < END_MS] or [MIN_MS])


def test_the_hours_of_one_column_do_not_mix() -> None:
    """Two zones, a change in between, rows in any order, one instant many times."""
    seed = 22
    print(f"seed {seed}")
    rng = random.Random(seed)
    spring = 1_774_746_000_000  # 2026-03-29T01:00:00Z: Europe/London goes forward
    instants = [spring + rng.randrange(-3 * HOUR, 3 * HOUR) for _ in range(500)] * 2
    for name in ("Europe/London", "Asia/Shanghai"):
        check(name, instants)
    assert plain_minute(spring - 1, "Europe/London") == 59
    assert minute_of_day(np.array([spring]), "Europe/London").tolist() == [120]
    assert minute_of_day(np.empty(0, np.int64), "Europe/London").tolist() == []


@pytest.mark.parametrize("name", ["Nowhere/Else", "Asia/Shanghai ", "asia/nowhere"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises((FileNotFoundError, ModuleNotFoundError)):
        zone(name)


@pytest.mark.parametrize("name", [*WITH_CHANGES, "Asia/Shanghai", "Asia/Kathmandu", "America/New_York"])
def test_calls_of_one_hour_are_outside_the_permitted_hours_as_each_of_them_is(name: str) -> None:
    """A batch of calls that start in one hour needs one lookup; so does each hour around a change of clocks."""
    seed = 22
    print(f"seed {seed}")
    rng = random.Random(seed)
    layout = FieldLayout((), (name,))
    days = [rng.randrange(MIN_MS, END_MS - DAY) // DAY for _ in range(20)]
    hours = {day * 24 + hour for day in days for hour in range(24)}
    found = changes(name, MIN_MS + 30 * 365 * DAY, MIN_MS + 36 * 365 * DAY)
    hours |= {at_ms // HOUR + near for at_ms in found for near in range(-3, 4)}
    outside = 0
    for hour in sorted(hours):
        start = np.array([hour * HOUR + at for at in (0, 1, 29 * MINUTE, 30 * MINUTE, HOUR - 1)], np.int64)
        word = np.full(len(start), 1 << BIT["attempts"], np.uint64)
        set_hours(word, [(0, layout)], start, start)
        marked = [bool(one >> layout.hours_bit(name) & 1) for one in word.tolist()]
        assert marked == [not 8 * 60 <= plain_minute(int(at_ms), name) < 21 * 60 for at_ms in start], hour
        outside += sum(marked)
    assert 0 < outside < 5 * len(hours)
