"""Distinct counts: distinct, sequential, over-limit and busiest keys of a window, against sets and Counters."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.shard_samples import MINUTE, T0, counted_keys, key_counts
from helpers.thorough import examples, thorough
from monitor.core.windows.distinct.count_names import DISTINCT, NUMBERS, PEAK, SEQUENTIAL, TOP
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import EXACT_KEYS, KeyCounts
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts

TENANTS = 4
LIMITS = (1, 3)
NAMES = (*LIMITS, SEQUENTIAL, PEAK, TOP)
Attempts = list[tuple[int, int]]  # tenant, which of its keys
Reading = tuple[list[int], ...]


def key_of(tenant: int, callee: int) -> int:
    """Keys of a tenant are adjacent, as those of consecutive numbers are."""
    return (tenant + 1 << 40) + callee


def is_number(callee: int) -> bool:
    """Some keys between numbers are not numbers; they interrupt a sequence."""
    return callee % 7 != 3


def counted(attempts: Attempts) -> KeyCounts:
    return key_counts([(key_of(tenant, callee), tenant, is_number(callee)) for tenant, callee in attempts])


def reading(counts: DistinctCounts | PaneDistinctCounts, tenants: int = TENANTS) -> Reading:
    return tuple(counts.read(name, tenants).tolist() for name in (DISTINCT, NUMBERS, SEQUENTIAL, PEAK, TOP, *LIMITS))


def plain_reading(attempts: Attempts, tenants: int = TENANTS) -> Reading:
    callees = [Counter(callee for who, callee in attempts if who == tenant) for tenant in range(tenants)]
    numbers = [{callee for callee in own if is_number(callee)} for own in callees]
    return (
        [len(own) for own in callees],
        [len(own) for own in numbers],
        [len({n for n in own if n - 1 in own}) for own in numbers],
        [max(own.values(), default=0) for own in callees],
        [sum(sorted(own.values())[-10:]) for own in callees],
        *([sum(n > limit for n in own.values()) for own in callees] for limit in LIMITS),
    )


some_attempts = st.lists(st.tuples(st.integers(0, TENANTS - 1), st.integers(0, 25)), max_size=30)


@contextmanager
def cramped(exact_keys: int = EXACT_KEYS, table: int = 4) -> Iterator[None]:
    """A table that is rehashed all the time, with sampling from fewer keys on."""
    with ExitStack() as stack:
        stack.enter_context(patch("monitor.core.calls.hash_table._SMALLEST_TABLE", table))
        for module in ("distinct_counts", "key_counts"):
            stack.enter_context(patch(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", exact_keys))
        yield


@examples(
    st.lists(some_attempts, min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 3),
    st.booleans(),
    fast=37,
    most=150,
)
def test_a_window_counts_what_a_loop_over_its_attempts_counts(
    panes: list[Attempts], length: int, every: int, small: bool
) -> None:
    """Panes enter one by one and leave one or several at a time; keys drop to zero and return."""
    with cramped(table=4 if small else 1 << 10):
        counts = DistinctCounts(length * MINUTE, NAMES)
        for number, attempts in enumerate(panes):
            counts.enter(T0 + number * MINUTE, counted(attempts), TENANTS)
            if number % every == 0:
                first = max(0, number + 1 - length)
                counts.leave(T0 + first * MINUTE)
                assert reading(counts) == plain_reading([one for pane in panes[first : number + 1] for one in pane])


@examples(st.lists(some_attempts, min_size=1, max_size=6), fast=20, most=80)
def test_a_window_of_one_pane_counts_what_a_loop_counts(panes: list[Attempts]) -> None:
    counts = PaneDistinctCounts(MINUTE)
    assert reading(counts) == plain_reading([])
    for number, attempts in enumerate(panes):
        if attempts:
            counts.enter(T0 + number * MINUTE, counted(attempts), TENANTS)
        counts.leave(T0 + number * MINUTE)
        assert reading(counts) == plain_reading(attempts)
    counts.leave(T0 + len(panes) * MINUTE)
    assert reading(counts) == plain_reading([])


@examples(
    st.lists(some_attempts, min_size=1, max_size=8),
    some_attempts,
    st.integers(0, 8),
    st.sets(st.integers(0, TENANTS), min_size=1),
    st.booleans(),
    fast=50,
    most=200,
)
def test_counts_ahead_of_time_are_correct_and_change_nothing(
    panes: list[Attempts], to_come: Attempts, leaving: int, asked: set[int], one_pane: bool
) -> None:
    """The counts of the requested tenants; one of them may be new."""
    who = np.array(sorted(asked))
    panes = panes[:1] if one_pane else panes
    counts = PaneDistinctCounts(MINUTE, NAMES) if one_pane else DistinctCounts(20 * MINUTE, NAMES)
    with cramped():
        for number, attempts in enumerate(panes):
            counts.enter(T0 + number * MINUTE, counted(attempts), TENANTS)
        before = reading(counts)
        start_ms = T0 + (len(panes) if one_pane else leaving) * MINUTE
        came = counted([attempt for attempt in to_come if attempt[0] in asked])
        ahead = counts.ahead(who, [came], start_ms)
        assert reading(counts) == before
    left = [attempt for attempts in panes[len(panes) if one_pane else leaving :] for attempt in attempts]
    expected = plain_reading([*left, *to_come], TENANTS + 1)
    reported = [ahead[name] for name in (DISTINCT, NUMBERS, SEQUENTIAL, PEAK, TOP, *LIMITS)]
    for name, found, each in zip(range(7), reported, expected, strict=True):
        assert found.tolist() == [each[tenant] for tenant in who], name


@pytest.mark.parametrize("seed", range(2))
def test_thousands_of_keys_are_found_again_after_the_table_has_grown_and_shrunk(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    counts = DistinctCounts(4 * MINUTE, NAMES)
    inside: list[Attempts] = []
    for number in range(14):
        size = rng.choice((10, 500, 4_000))
        inside.append([(rng.randrange(TENANTS), rng.randrange(6_000)) for _ in range(size)])
        counts.enter(T0 + number * MINUTE, counted(inside[-1]), TENANTS)
        counts.leave(T0 + (number - 3) * MINUTE)
        inside = inside[-4:]
        assert reading(counts) == plain_reading([one for pane in inside for one in pane])


def test_tenants_that_come_later_find_nothing_of_others() -> None:
    counts = DistinctCounts(5 * MINUTE, NAMES)
    assert reading(counts, 3) == plain_reading([], 3)
    counts.enter(T0, counted([(0, 1)]), 1)
    counts.enter(T0 + MINUTE, counted([(200, 1), (200, 2)]), 201)
    assert reading(counts, 201) == plain_reading([(0, 1), (200, 1), (200, 2)], 201)
    assert reading(counts, 300) == plain_reading([(0, 1), (200, 1), (200, 2)], 300)


# Above the number of keys that are counted exactly


def random_keys(rng: np.random.Generator, count: int, owner: int = 0) -> KeyCounts:
    keys = np.unique(rng.integers(0, 2**63, count).astype(np.uint64))
    return counted_keys(keys, np.full(len(keys), owner, np.int32), np.ones(len(keys), np.bool_))


def standard_error(count: int, level: int, together: int = 1) -> float:
    """Of an estimated count whose keys are sampled ``together`` at a time with a probability of 2^-level."""
    share = 2.0**-level
    return float((count * together * (1 - share) / share) ** 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_the_level_rises_and_falls_with_the_keys_and_estimates_stay_within_five_errors(seed: int) -> None:
    """Random numbers, each called once; every fourth pane's are called repeatedly."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    counts = DistinctCounts(8 * MINUTE, NAMES)
    inside: list[NDArray[np.uint64]] = []
    seen_levels = set()
    sizes = [2_000] * 8 + [40_000] * 8 + [2_000] * 12 + [300] * 9
    for number, size in enumerate(sizes):
        keys = np.unique(rng.integers(0, 2**63, size).astype(np.uint64))
        times = 5 if number % 4 == 0 else 1
        keys = np.repeat(keys, times)
        inside = [*inside[-7:], keys]
        counts.leave(T0 + (number - 7) * MINUTE)
        owner, numbers = np.zeros(len(keys), np.int32), np.ones(len(keys), np.bool_)
        counts.enter(T0 + number * MINUTE, counted_keys(keys, owner, numbers), 1)
        level = counts.levels.get(0, 0)
        seen_levels.add(level)
        callees, times_each = np.unique(np.concatenate(inside), return_counts=True)
        over = int((times_each > 3).sum())
        for estimate, true in ((counts.distinct(1)[0], len(callees)), (counts.over(3, 1)[0], over)):
            assert abs(estimate - true) <= 5 * standard_error(true, level)
        assert counts.numbers(1)[0] == counts.distinct(1)[0]
        assert counts.read(PEAK, 1)[0] <= times_each.max()
        assert counts.read(TOP, 1)[0] <= np.sort(times_each)[-10:].sum()
    assert 0 in seen_levels
    assert len(seen_levels) >= 3
    assert counts.levels == {}
    assert counts.distinct(1)[0] == len(callees)


@pytest.mark.parametrize("seed", range(2))
def test_sequential_dialling_is_still_seen_in_a_sample(seed: int) -> None:
    """Half of the numbers consecutive, half random; neighbours are sampled 64 at a time."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    counts, run = DistinctCounts(10 * MINUTE, NAMES), 0
    for number in range(5):
        in_a_row = np.arange(run, run + 20_000).astype(np.uint64) + np.uint64(2**40 + 17)
        run += 20_000
        keys = np.unique(np.concatenate([in_a_row, rng.integers(0, 2**63, 20_000).astype(np.uint64)]))
        counts.enter(T0 + number * MINUTE, counted_keys(keys, np.zeros(len(keys), np.int32), keys < 2**64 - 1), 1)
        level = counts.levels.get(0, 0)
        assert abs(counts.sequential(1)[0] - (run - 1)) <= 5 * standard_error(run, level, 64) + run // 64
        assert counts.sequential(1)[0] <= counts.numbers(1)[0]
    assert level >= 2


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_share_of_sequential_numbers_is_not_biased_by_the_edges_of_what_is_sampled(share: float) -> None:
    """One of 64 neighbours has its predecessor outside; both counts come from one sample, which makes this visible."""
    seed = 8
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    counts = DistinctCounts(9 * MINUTE, NAMES)
    for number in range(8):
        in_a_row = np.arange(30_000, dtype=np.uint64) + np.uint64(2**40 + 30_000 * number)
        others = rng.integers(0, 2**62, int(30_000 * (1 - share) / share)).astype(np.uint64) * np.uint64(2)
        keys = np.unique(np.concatenate([in_a_row, others]))
        counts.enter(T0 + number * MINUTE, counted_keys(keys, np.zeros(len(keys), np.int32), keys < 2**64 - 1), 1)
    assert counts.levels[0] >= 2
    spread = 0.0 if share == 1 else 0.3
    assert abs(counts.sequential(1)[0] / counts.numbers(1)[0] - share) < 0.005 + 5 * spread * 8 / 16_384**0.5


def test_a_busy_tenants_sample_leaves_others_exact() -> None:
    seed = 6
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    counts = DistinctCounts(5 * MINUTE, NAMES)
    for number in range(4):
        busy, quiet = random_keys(rng, 20_000, 0), counted([(1, 10 * number + i) for i in range(5)])
        counts.enter(T0 + number * MINUTE, busy, 2)
        counts.enter(T0 + number * MINUTE, quiet, 2)
    assert list(counts.levels) == [0]
    assert counts.distinct(2)[1] == 20


def some_days(rng: random.Random, panes: int) -> list[Attempts]:
    """Quiet and busy stretches of two tenants, around the limit of exact counting where that is 100."""
    out = []
    for _ in range(panes):
        most = rng.choice((5, 5, 150, 600))
        out.append(
            [(rng.randrange(2), 64 * rng.randrange(1_000) + rng.randrange(3)) for _ in range(rng.randint(0, most))]
        )
    return out


@examples(st.integers(0, 2**32), st.integers(1, 6), fast=15, most=60)
def test_the_sample_depends_on_nothing_but_the_panes_and_a_restart_changes_nothing(seed: int, length: int) -> None:
    """The restarted counts have the levels of the head and the panes inside the window; both read the
    same afterwards.
    """
    rng = random.Random(seed)
    with cramped(exact_keys=100):
        days = [counted(attempts) for attempts in some_days(rng, 20)]
        restart = rng.randrange(20)
        counts = DistinctCounts(length * MINUTE, NAMES)
        other: DistinctCounts | None = None
        for number, keys in enumerate(days):
            for one in (counts, other):
                if one is not None:
                    one.enter(T0 + number * MINUTE, keys, 2)
                    one.leave(T0 + (number + 1 - length) * MINUTE)
            if number == restart:
                other = DistinctCounts(length * MINUTE, NAMES)
                other.levels = dict(counts.levels)
                for before in range(max(0, number + 1 - length), number + 1):
                    other.enter(T0 + before * MINUTE, days[before], 2)
            if other is not None:
                assert other.levels == counts.levels
                assert reading(other, 2) == reading(counts, 2)


@examples(st.integers(0, 2**32), st.integers(1, 6), fast=15, most=60)
def test_nothing_is_left_over_when_a_sampled_window_has_emptied(seed: int, length: int) -> None:
    """A pane that was sampled when it entered is subtracted as sampled when it leaves, at whatever
    level applies then.
    """
    rng = random.Random(seed)
    with cramped(exact_keys=100):
        counts = DistinctCounts(length * MINUTE, NAMES)
        for number, attempts in enumerate(some_days(rng, 15)):
            counts.enter(T0 + number * MINUTE, counted(attempts), 2)
            counts.leave(T0 + (number + 1 - length) * MINUTE)
            assert all(value >= 0 for column in reading(counts, 2) for value in column)
        counts.leave(T0 + 15 * MINUTE)
        assert reading(counts, 2) == plain_reading([], 2)
        assert counts.levels == {}
        few = [(0, 1), (0, 2), (1, 9), (0, 1)]
        counts.enter(T0 + 20 * MINUTE, counted(few), 2)
        assert reading(counts, 2) == plain_reading(few, 2)


def test_a_window_of_few_enough_keys_is_exact_however_busy_it_was_before() -> None:
    """Section 4 of the contract: exact up to 32,768 distinct keys a tenant and window."""
    with cramped(exact_keys=100):
        counts = DistinctCounts(2 * MINUTE, NAMES)
        for number, size in enumerate((90, 90, 40, 40)):
            counts.enter(T0 + number * MINUTE, counted([(0, 640 * (100 * number + i)) for i in range(size)]), 1)
            counts.leave(T0 + (number - 1) * MINUTE)
        assert counts.distinct(1)[0] == 80


@pytest.mark.parametrize("seed", thorough(range(60), 12))
def test_counts_ahead_of_sampled_keys_are_those_when_they_have_entered(seed: int) -> None:
    """The pane to come may be sampled, and the window not, or less, or more; others are exact."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    compared = 0
    with cramped(exact_keys=64):
        for _ in range(30):
            window, then = DistinctCounts(9 * MINUTE, NAMES), DistinctCounts(9 * MINUTE, NAMES)
            count = int(rng.integers(1, 4))
            for number in range(count):
                keys = sampled_keys(rng, int(rng.choice((10, 60, 300))))
                for one in (window, then):
                    one.enter(T0 + number * MINUTE, keys, 2)
            coming, start_ms = (
                sampled_keys(rng, int(rng.choice((10, 60, 300, 1_000)))),
                T0 + int(rng.integers(count)) * MINUTE,
            )
            ahead = window.ahead(np.arange(2), [coming], start_ms)
            levels = {who: max(window.levels.get(who, 0), coming.levels.get(who, 0)) for who in range(2)}
            then.enter(T0 + count * MINUTE, coming, 2, start_ms)
            for who, level in levels.items():
                if then.levels.get(who, 0) == level:  # it has not been counted again from its panes
                    compared += 1
                    assert [ahead[name][who] for name in then.names] == [then.read(name, 2)[who] for name in then.names]
    assert compared > 20


def sampled_keys(rng: np.random.Generator, count: int) -> KeyCounts:
    """Runs of numbers of two tenants, some called twice, sampled as in a closed pane."""
    runs = np.unique(rng.integers(0, 5_000, -(-count // 3)))
    callees = (runs[:, None] * 8 + np.arange(3)).ravel()
    owner = (callees % 5 == 0).astype(np.int64)
    keys = np.array([key_of(int(who), int(callee)) for who, callee in zip(owner, callees, strict=True)], np.uint64)
    twice = np.repeat(np.arange(len(keys)), 1 + (callees % 4 == 0))
    return counted_keys(keys[twice], owner[twice].astype(np.int32), np.ones(len(twice), np.bool_))
