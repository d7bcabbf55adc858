"""Which call ids count as used before, against a dictionary of all accepted calls."""

import random
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.colliding_numbers import KNOWN_SECRET, unmix, unplace
from helpers.shard_samples import T0
from helpers.thorough import examples, thorough
from monitor.core.calls import native_ids
from monitor.core.calls.dedup import Deduplicator
from monitor.core.calls.key_placement import SECRET_BYTES, Placement

Row = tuple[int, int, int]  # key, event time, late line of its source
LAST_KEY = 2**64 - 1


@pytest.fixture(params=["extension", "numpy"], autouse=True, scope="module")
def remembering(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test of the module runs on both; hypothesis accepts no fixture of a single test."""
    if request.param == "extension" and not native_ids.built():
        pytest.skip("the extension is not built")
    with patch.object(native_ids, "enabled", request.param == "extension"):
        yield


class PlainSeen:
    """The contract's rule: an id is remembered while its event time is not below the new record's late line."""

    def __init__(self) -> None:
        self.taken: dict[int, list[int]] = {}

    def is_duplicate(self, key: int, event_ms: int, line_ms: int) -> bool:
        times = self.taken.setdefault(key, [])
        if any(taken_ms >= line_ms for taken_ms in times):
            return True
        times.append(event_ms)
        return False


def admit(seen: Deduplicator, rows: list[Row], watermark_ms: int, known: list[bool] | None = None) -> list[bool]:
    keys = np.array([key for key, _, _ in rows], np.uint64)
    times = np.array([event_ms for _, event_ms, _ in rows], np.int64)
    lines = np.array([line_ms for _, _, line_ms in rows], np.int64)
    reported = None if known is None else np.array(known, np.bool_)
    duplicates: list[bool] = seen.admit(keys, times, lines, watermark_ms, reported).tolist()
    return duplicates


class Reader:
    """Sources with clocks, from which rows arrive that are not late; the watermark is the least clock less lateness."""

    def __init__(self, rng: random.Random, sources: int, lateness: int, ids: int) -> None:
        self.rng, self.lateness, self.ids = rng, lateness, ids
        self.clocks = [T0] * sources

    @property
    def watermark_ms(self) -> int:
        return min(self.clocks) - self.lateness

    def batch(self, size: int) -> list[Row]:
        rows = []
        for _ in range(size):
            source = self.rng.randrange(len(self.clocks))
            event_ms = self.clocks[source] + self.rng.randint(-self.lateness, max(1, self.lateness // 3))
            self.clocks[source] = max(self.clocks[source], event_ms)
            rows.append((self.rng.randrange(self.ids), event_ms, self.clocks[source] - self.lateness))
        return rows


@examples(
    st.integers(0, 2**32),
    st.integers(1, 3),
    st.sampled_from((0, 1, 5, 60)),
    st.sampled_from((3, 40, 400)),
    st.booleans(),
    fast=50,
    most=200,
)
def test_ids_are_remembered_as_long_as_the_contract_says(
    seed: int, sources: int, lateness: int, ids: int, small: bool
) -> None:
    """Repeated within a batch and across many, forgotten, accepted again, forgotten again; the table is rebuilt."""
    rng = random.Random(seed)
    with patch("monitor.core.calls.hash_table._SMALLEST_TABLE", 4 if small else 1 << 10):
        seen, plain, reader = Deduplicator(), PlainSeen(), Reader(rng, sources, lateness, ids)
        for _ in range(rng.randint(1, 25)):
            watermark_ms = reader.watermark_ms
            rows = reader.batch(rng.choice((1, 2, 7, 30)))
            assert admit(seen, rows, watermark_ms) == [plain.is_duplicate(*row) for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_the_table_is_rebuilt_without_losing_or_inventing_an_id(seed: int) -> None:
    """Tens of thousands of ids, enough for the table to grow several times."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    seen, plain, reader = Deduplicator(), PlainSeen(), Reader(rng, 2, 3_000, 30_000)
    for _ in range(12):
        watermark_ms = reader.watermark_ms
        rows = reader.batch(3_000)
        assert admit(seen, rows, watermark_ms) == [plain.is_duplicate(*row) for row in rows]


def test_ids_that_are_forgotten_are_let_go() -> None:
    """Memory holds the ids of about the last lateness, for any length of the input."""
    seed = 5
    print(f"seed {seed}")
    rng = random.Random(seed)
    seen, largest = Deduplicator(), 0
    for step in range(300):
        line_ms = T0 + 1_000 * step
        rows = [(rng.randrange(2**63), line_ms + rng.randrange(1_000), line_ms) for _ in range(500)]
        assert not any(admit(seen, rows, line_ms))
        largest = max(largest, len(seen._table.key))
    assert largest == 1 << 10  # slots: room for one batch, because no id of an earlier one must be kept


def test_a_duplicate_before_a_restart_is_one_afterwards_and_is_not_remembered() -> None:
    """It duplicates an id that is no longer remembered; its own time prolongs nothing."""
    seen = Deduplicator()
    assert admit(seen, [(7, T0, T0 - 10), (7, T0 + 50, T0 + 40)], T0 - 10, [True, False]) == [True, False]
    assert admit(seen, [(7, T0 + 51, T0 + 51)], T0 + 40) == [False]
    assert admit(seen, [(8, T0 + 60, T0 + 50)], T0 + 40, [True]) == [True]
    assert admit(seen, [(8, T0 + 60, T0 + 50)], T0 + 40) == [False]


def test_an_id_that_is_admitted_again_and_again_is_remembered_once() -> None:
    """A tenant whose calls move the late line by a millisecond each has every second use of an id admitted."""
    seen, plain = Deduplicator(), PlainSeen()
    for step in range(8):  # then small runs merge
        rows = [(7, T0 + at, T0 + at) for at in range(200 * step, 200 * step + 200)]
        rows += [(9, T0 + at, T0 + at + 1) for at in range(200 * step, 200 * step + 200)]
        assert admit(seen, rows, T0) == [plain.is_duplicate(*row) for row in rows]
    assert len(seen) == 2


def test_the_end_of_remembering_is_to_the_millisecond() -> None:
    for known_ms, line_ms, duplicate in ((T0, T0, True), (T0, T0 + 1, False), (T0, T0 - 1, True)):
        seen = Deduplicator()
        admit(seen, [(1, known_ms, known_ms)], T0 - 100)
        assert admit(seen, [(1, T0 + 5, line_ms)], T0 - 100) == [duplicate]


class Model:
    """The newest event time of each id, none of which is ever forgotten."""

    def __init__(self) -> None:
        self.newest_ms: dict[int, int] = {}

    def admit(self, rows: list[Row], known: list[bool]) -> list[bool]:
        found = []
        for (key, event_ms, line_ms), known_duplicate in zip(rows, known, strict=True):
            newest_ms = self.newest_ms.get(key)
            found.append(known_duplicate or (newest_ms is not None and newest_ms >= line_ms))
            if not found[-1]:
                self.newest_ms[key] = event_ms if newest_ms is None else max(newest_ms, event_ms)
        return found

    def remembered(self, since_ms: int) -> list[list[int]]:
        ids = sorted((key, newest_ms) for key, newest_ms in self.newest_ms.items() if newest_ms >= since_ms)
        return [[key for key, _ in ids], [newest_ms for _, newest_ms in ids]]


def random_keys(rng: random.Random) -> list[int]:
    """Among them those at either end of what is possible, and many whose home is one slot, the first or the last."""
    keys = [0, 1, LAST_KEY, *(rng.randrange(LAST_KEY) for _ in range(rng.choice((0, 3, 2_000))))]
    for first in rng.choice(((), (0,), (0, LAST_KEY - 100))):
        keys += [unplace(first + number, KNOWN_SECRET) for number in range(100)]
    return keys


@pytest.mark.parametrize("seed", thorough(range(120), 25))
def test_ids_are_remembered_with_their_newest_time(seed: int) -> None:
    """Any times; batches of one row and of thousands, forgetting, restarts, and tables that are full of collisions."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    keys, step_ms = random_keys(rng), rng.choice((0, 1, 20, 2**55))
    watermark_ms = rng.choice((T0, 0, -10, -(2**63) + 2))
    placement = Placement(KNOWN_SECRET)
    with patch("monitor.core.calls.hash_table._SMALLEST_TABLE", rng.choice((4, 16, 1 << 10))):
        seen, model, largest = Deduplicator(placement), Model(), 0
        for _ in range(rng.randrange(1, 30)):
            rows = []
            for _ in range(rng.choice((0, 1, 1, 2, 40, 40, 3_000))):
                line_ms = watermark_ms + rng.choice((0, 0, 1, step_ms))
                rows.append((rng.choice(keys), line_ms + rng.choice((-1, 0, 0, 1, 2 * step_ms)), line_ms))
            known = [rng.random() < 0.1 for _ in rows]
            assert admit(seen, rows, watermark_ms, known if any(known) else None) == model.admit(rows, known)
            largest = max(largest, len(rows))
            assert len(seen) <= len(model.newest_ms)
            assert len(seen._table.key) <= max(1 << 10, 4 * (len(model.newest_ms) + largest))
            watermark_ms += rng.choice((0, step_ms))
            found = seen.remembered(watermark_ms)
            assert [column.tolist() for column in found] == model.remembered(watermark_ms)
            if rng.random() < 0.1:
                seen = Deduplicator(placement)
                seen.restore(*found)
                assert len(seen) == len(found[0])


def test_nothing_that_is_stored_depends_on_the_secret_of_the_process() -> None:
    rng = random.Random(1)
    rows = [(rng.randrange(LAST_KEY), T0 + number, T0) for number in range(2_000)]
    stored = set()
    for seed in range(3):
        seen = Deduplicator(Placement(random.Random(seed).randbytes(SECRET_BYTES)))
        admit(seen, rows, T0)
        keys, times = seen.remembered(T0 + 500)
        assert len(keys) == 1_500
        stored.add((keys.tobytes(), times.tobytes()))
    assert len(stored) == 1


@pytest.mark.parametrize("public", ["low bits", "high bits", "mixed"])
def test_ids_picked_to_collide_do_not_crowd_in_the_table(public: str) -> None:
    """A tenant knows the keys of its ids. With a public placement each of these ids would visit all before it."""
    of = {"low bits": lambda n: n << 40, "high bits": lambda n: n, "mixed": lambda n: unmix(n << 40)}[public]
    seen = Deduplicator(Placement(random.Random(4).randbytes(SECRET_BYTES)))
    assert not any(admit(seen, [(of(number), T0, T0) for number in range(1_500)], T0))
    free = np.flatnonzero(seen._table.mark == np.iinfo(np.int64).min)
    assert np.diff(free).max() < 100


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_rebuild_that_forgets_enough_does_not_enlarge_the_table(forgotten: bool) -> None:
    seen = Deduplicator()
    admit(seen, [(key, T0, T0) for key in range(700)], T0)
    assert len(seen._table.key) == 1 << 10
    for first in (1_000, 1_400, 1_800):
        admit(seen, [(key, T0 + first, T0) for key in range(first, first + 400)], T0 + first if forgotten else T0)
    assert len(seen) == (400 if forgotten else 1_900)
    assert len(seen._table.key) == (1 << 10 if forgotten else 1 << 12)


def test_no_rows_change_nothing() -> None:
    seen = Deduplicator()
    assert admit(seen, [], T0) == []
    assert len(seen) == 0


def test_a_table_grows_before_any_id_may_be_forgotten() -> None:
    """A free slot is not taken for an id of the earliest time."""
    seen, never = Deduplicator(), int(np.iinfo(np.int64).min)
    for first in range(0, 5_000, 500):
        assert not any(admit(seen, [(key, T0, T0) for key in range(first, first + 500)], never))
    assert len(seen) == 5_000
    assert all(admit(seen, [(key, T0, T0) for key in range(5_000)], never))
