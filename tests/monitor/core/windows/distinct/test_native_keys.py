"""The extension changes the counts of a window as numpy does, and refuses arguments that do not fit."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from helpers.shard_samples import MINUTE, T0, key_counts
from helpers.thorough import thorough
from monitor.core.calls.hash_table import NativeTable
from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct import native_keys
from monitor.core.windows.distinct.count_names import PEAK, SEQUENTIAL, TOP, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.distinct.key_table import KeyTable

pytestmark = pytest.mark.skipif(not native_keys.built(), reason="the extension is not built")

TENANTS = 5
KEYS = 1 << 64
NAMES: tuple[tuple[Name, ...], ...] = ((), (SEQUENTIAL,), (1, 3), (1, 2, 5, SEQUENTIAL, PEAK, TOP))


@contextmanager
def native(enabled: bool) -> Iterator[None]:
    with patch.object(native_keys, "enabled", enabled):
        yield


def random_keys(rng: random.Random) -> KeyCounts:
    """Keys in runs, each of one tenant, also across the largest number; some are no numbers."""
    rows: list[tuple[int, int, bool]] = []
    for _ in range(rng.randrange(5)):
        tenant, step = rng.randrange(TENANTS), rng.choice((1, 1, 2))
        first = (tenant << 40) - rng.choice((0, 3, 7))
        count = rng.choice((1, 4, 30, 200))
        numbers = range(first, first + count * step, step)
        rows += [(key % KEYS, tenant, rng.random() < 0.9) for key in numbers for _ in range(rng.choice((1, 1, 3)))]
    kind: dict[int, tuple[int, int, bool]] = {}
    return key_counts([kind.setdefault(row[0], row) for row in rows])


def read(counts: DistinctCounts) -> list[list[int]]:
    return [counts.read(name, TENANTS).tolist() for name in counts.names]


@pytest.mark.parametrize("seed", thorough(range(120), 20))
def test_a_window_has_the_counts_that_numpy_makes(seed: int) -> None:
    """Panes enter and leave; the table is rehashed, tenants are sampled and recounted; both may take turns."""
    rng = random.Random(seed)
    names, length, often = rng.choice(NAMES), rng.randrange(1, 6), rng.random() < 0.3
    exact_keys = rng.choice((64, 1 << 15))
    patches = [
        patch(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", exact_keys)
        for module in ("distinct_counts", "key_counts")
    ]
    with patch("monitor.core.calls.hash_table._SMALLEST_TABLE", 4), patches[0], patches[1]:
        windows = [DistinctCounts(length * MINUTE, names) for _ in range(2)]
        for number in range(rng.randrange(1, 12)):
            keys, start_ms = random_keys(rng), T0 + number * MINUTE
            for enabled, counts in enumerate(windows):
                with native(rng.random() < 0.5 if often else bool(enabled)):
                    counts.enter(start_ms, keys, TENANTS, start_ms - (length - 1) * MINUTE)
            expected, found = windows
            assert found.levels == expected.levels
            assert read(found) == read(expected)
            came, who = random_keys(rng), np.arange(TENANTS)
            ahead = []
            for enabled, counts in enumerate(windows):
                with native(bool(enabled)):
                    ahead.append(counts.ahead(who, [came], start_ms))
            assert {name: one.tolist() for name, one in ahead[0].items()} == {
                name: one.tolist() for name, one in ahead[1].items()
            }


def test_a_key_that_changes_its_kind_counts_as_numpy_counts_it() -> None:
    """Only the hash of a text can be the key of a number; then both paths must agree all the same."""
    for kinds in ((True, False), (False, True)):
        readings = []
        for enabled in (False, True):
            with native(enabled):
                counts = DistinctCounts(9 * MINUTE, (SEQUENTIAL,))
                for number, numeric in enumerate(kinds):
                    counts.enter(T0 + number * MINUTE, key_counts([(7, 0, True), (8, 0, numeric), (9, 0, True)]), 1)
                counts.leave(T0 + MINUTE)
                readings.append(read(counts))
        assert readings[0] == readings[1]


@pytest.mark.parametrize("bits", [2, 10, 17])
def test_a_slot_is_that_of_the_placement(bits: int) -> None:
    rng = random.Random(bits)
    for _ in range(50):
        placement, key = Placement(rng.randbytes(24)), np.array([rng.getrandbits(64)], np.uint64)
        table = np.zeros(1 << bits, KeyTable(placement).native.slots.dtype)
        table["whose"] = np.iinfo(np.int32).min
        one = KeyCounts(key, np.zeros(1, np.int32), np.ones(1, np.int32), np.ones(1, np.bool_))
        at, new = native_keys.claim(NativeTable(table, placement.words), one, 1)
        assert new == 1
        assert at.tolist() == placement.slots(key, bits).tolist()


def test_no_key_gets_a_slot_if_they_are_more_than_there_is_room_for() -> None:
    table = KeyTable(Placement())
    keys = key_counts([(1, 0, True), (2, 0, True)])
    _, new = native_keys.claim(table.native, keys, 1)
    assert new == 2
    assert (native_keys.find(table.native, keys.key) < 0).all()


def arguments() -> dict[str, Any]:
    """The arguments of a change of two keys, by name."""
    table = KeyTable(Placement())
    keys = key_counts([(1, 0, True), (2, 1, True)])
    return {
        "slots": table.native.slots,
        "words": table.native.words,
        "key": keys.key,
        "tenant": keys.tenant,
        "count": keys.count,
        "numeric": keys.numeric,
        "at": table.claim(keys),
        "limits": np.array([3], np.int32),
        "sequences": True,
        "counts": np.zeros((4, 2), np.int64),
        "before": np.empty(2, np.int32),
        "after": np.empty(2, np.int32),
    }


WRONG: dict[str, tuple[str, Any]] = {
    "a table without a power of two": ("slots", lambda slots: slots[:1000]),
    "two words": ("words", lambda words: words[:2]),
    "narrow keys": ("key", lambda key: key.astype(np.uint32)),
    "fewer tenants": ("tenant", lambda tenant: tenant[:1]),
    "wide tenants": ("tenant", lambda tenant: tenant.astype(np.int64)),
    "a tenant beyond the counts": ("tenant", lambda tenant: tenant + 1),
    "a negative tenant": ("tenant", lambda tenant: tenant - 1),
    "fewer counts": ("count", lambda count: count[:1]),
    "fewer kinds": ("numeric", lambda numeric: numeric[:1]),
    "a slot beyond the table": ("at", lambda at: at + (1 << 10)),
    "no slot": ("at", lambda at: np.full_like(at, -1)),
    "counts of another number of limits": ("counts", lambda counts: np.zeros(9, np.int64)),
    "counts that are not aligned": ("counts", lambda counts: np.zeros(65, np.uint8)[1:].view(np.int64)),
    "less room for attempts": ("before", lambda before: before[:1]),
    "wide attempts": ("after", lambda after: after.astype(np.int64)),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    given, (name, change) = arguments(), WRONG[which]
    native_keys._keys.change(*given.values())
    given[name] = change(given[name])
    before = given["slots"].copy(), given["counts"].copy()
    with pytest.raises(ValueError, match=r"fit|such|power of two"):
        native_keys._keys.change(*given.values())
    assert (before[0] == given["slots"]).all()
    assert (before[1] == given["counts"]).all()


@pytest.mark.parametrize("which", ["claim", "find"])
def test_columns_that_do_not_fit_are_refused_by_a_search(which: str) -> None:
    given = arguments()
    columns = given["slots"], given["words"], given["key"]
    columns += (given["tenant"], given["numeric"], 9) if which == "claim" else ()
    with pytest.raises(ValueError, match="do not fit each other"):
        getattr(native_keys._keys, which)(*columns, np.empty(1, np.int64))


def random_runs(rng: random.Random) -> KeyCounts:
    """Keys in ascending runs or in any order, which may repeat within a run and in several."""
    keys: list[int] = []
    for _ in range(rng.choice((0, 1, 2, 3, 13))):
        run = [
            rng.choice((0, 1, KEYS - 1, rng.randrange(20), rng.randrange(KEYS)))
            for _ in range(rng.choice((0, 1, 40, 700)))
        ]
        keys += run if rng.random() < 0.2 else sorted(run)
    counts = [rng.choice((-1, 1, 3, 2**31 - 1)) for _ in keys]
    rows = np.arange(len(keys), dtype=np.int32)  # says which of several rows was taken
    return KeyCounts(
        np.array(keys, np.uint64), rows, np.array(counts, np.int32), rows % 2 == 0, group=rows.astype(np.uint64)
    )


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_keys_that_repeat_are_added_up_as_by_numpy(seed: int) -> None:
    keys, found = random_runs(random.Random(seed)), []
    for enabled in (True, False):
        with native(enabled):
            one = keys.distinct()
        columns = one.key, one.tenant, one.count, one.numeric, one.group
        found.append([(column.dtype, column.tolist()) for column in columns])
    assert found[0] == found[1]


@pytest.mark.parametrize("which", range(5))
def test_columns_that_do_not_fit_are_refused_by_adding_up(which: int) -> None:
    columns: list[Any] = [np.zeros(2, dtype) for dtype in (np.uint64, np.int32, np.int64, np.int64, np.int32)]
    assert native_keys._keys.distinct(*columns) == 1
    for wrong in (columns[which][:1], columns[which].astype(np.int16)):
        with pytest.raises(ValueError, match="fit"):
            native_keys._keys.distinct(*columns[:which], wrong, *columns[which + 1 :])
