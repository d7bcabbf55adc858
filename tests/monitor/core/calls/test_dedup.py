"""Which call ids count as used before, against a dictionary of all accepted calls."""

import random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import T0
from helpers.thorough import examples
from monitor.core.calls.dedup import Deduplicator

Row = tuple[int, int, int]  # key, event time, late line of its source


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
    """Repeated within a batch and across many, forgotten, accepted again, forgotten again; the filter is rebuilt."""
    rng = random.Random(seed)
    with patch("monitor.core.calls.dedup._SMALLEST_FILTER", 16 if small else 1 << 16):
        seen, plain, reader = Deduplicator(), PlainSeen(), Reader(rng, sources, lateness, ids)
        for _ in range(rng.randint(1, 25)):
            watermark_ms = reader.watermark_ms
            rows = reader.batch(rng.choice((1, 2, 7, 30)))
            assert admit(seen, rows, watermark_ms) == [plain.is_duplicate(*row) for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_the_filter_is_rebuilt_without_losing_or_inventing_an_id(seed: int) -> None:
    """Tens of thousands of ids, enough for the filter to grow."""
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
        largest = max(largest, len(seen))
    assert largest < 40 * 500


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


@pytest.mark.parametrize("low", [0, 16, 1 << 16])
def test_keys_that_share_the_filters_slot_are_distinguished(low: int) -> None:
    seen = Deduplicator()
    keys = [low + (n << 40) for n in range(50)]
    assert not any(admit(seen, [(key, T0, T0 - 1) for key in keys[:25]], T0 - 1))
    assert admit(seen, [(key, T0, T0 - 1) for key in keys], T0 - 1) == [True] * 25 + [False] * 25


def test_no_rows_change_nothing() -> None:
    seen = Deduplicator()
    assert admit(seen, [], T0) == []
    assert len(seen) == 0
