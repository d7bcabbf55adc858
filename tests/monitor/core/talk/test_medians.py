"""Medians of talk times against a plain sort of all calls, at every step."""

from collections import defaultdict
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import examples
from monitor.core.talk.buckets import BUCKETS, buckets_of, lowest_ms
from monitor.core.talk.early_medians import EarlyMedians
from monitor.core.talk.running_medians import RunningMedians
from monitor.core.talk.talk_counts import TalkCounts
from oracle.measures import median_talk_ms

LONGEST_MS = 4_102_444_799_999 - 631_152_000_000
TENANTS = 12
EDGES = [0, 1, 15, 16, 31, 32, 33, 63, 64, 65, LONGEST_MS, *(2**k + by for k in range(6, 42) for by in (-1, 0, 1))]
EDGE_BUCKETS = [0, 17, 200, BUCKETS]
_TALKS = st.one_of(st.sampled_from(EDGES), st.integers(0, 100_000), st.integers(0, LONGEST_MS))
PaneCalls = dict[int, list[int]]  # tenant: talk times


def counts_of(pane: PaneCalls) -> TalkCounts:
    calls = [(tenant, talk) for tenant, talks in pane.items() for talk in talks]
    tenants, talks = (np.array([call[k] for call in calls], np.int64) for k in range(2))
    tenant, bucket, count = TalkCounts.of_groups(tenants, talks)
    return TalkCounts(tenant.astype(np.int32), bucket, count)


def panes(most: int) -> st.SearchStrategy[list[PaneCalls]]:
    pane = st.dictionaries(st.integers(0, TENANTS - 1), st.lists(_TALKS, min_size=1, max_size=9), max_size=4)
    return st.lists(pane, min_size=1, max_size=most)


def medians_of(inside: list[PaneCalls]) -> list[int]:
    talks: dict[int, list[int]] = defaultdict(list)
    for pane in inside:
        for tenant, some in pane.items():
            talks[tenant] += some
    return [median_talk_ms(talks[tenant]) for tenant in range(TENANTS)]


def below_edges(inside: list[PaneCalls], tenant: int) -> list[int]:
    talks = [talk for pane in inside for talk in pane.get(tenant, ())]
    buckets = buckets_of(np.array(talks, np.int64)).tolist() if talks else []
    return [sum(bucket < edge for bucket in buckets) for edge in EDGE_BUCKETS]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_bucket_keeps_the_five_highest_digits(dtype: type[np.signedinteger]) -> None:
    rng = np.random.default_rng(1)
    talks = np.array([*EDGES, *range(5_000), *rng.integers(0, LONGEST_MS, 5_000).tolist()], np.int64)
    talks = talks[talks <= np.iinfo(dtype).max]
    buckets = buckets_of(talks.astype(dtype))
    assert int(buckets.max()) < BUCKETS
    assert lowest_ms(buckets).tolist() == [median_talk_ms([talk]) for talk in talks.tolist()]


@examples(panes(14), st.integers(1, 6), st.integers(1, 4), fast=37, most=150)
def test_medians_are_those_of_all_calls_in_the_window(some: list[PaneCalls], length: int, every: int) -> None:
    """Calls come and go, tenants fall silent and return; some medians are not asked for between two panes."""
    running = RunningMedians(length * MINUTE)
    for number, pane in enumerate(some):
        start_ms = T0 + number * MINUTE
        first = max(0, number - length + 1)
        running.leave(T0 + first * MINUTE)
        running.enter(start_ms, counts_of(pane), TENANTS)
        if number % every == 0:
            with patch("monitor.core.talk.running_medians._AT_ONCE", 2):
                assert running.medians(TENANTS).tolist() == medians_of(some[first : number + 1])
    running.leave(T0 + len(some) * MINUTE)
    assert not running.medians(TENANTS).any()


@examples(panes(6), panes(4), st.integers(0, 6), st.sets(st.integers(0, TENANTS - 1), min_size=1), fast=37, most=150)
def test_early_medians_are_those_of_the_calls_to_come(
    closed: list[PaneCalls], opened: list[PaneCalls], gone: int, asked: set[int]
) -> None:
    running = RunningMedians(100 * MINUTE)
    for number, pane in enumerate(closed):
        running.enter(T0 + number * MINUTE, counts_of(pane), TENANTS)
    before = running.medians(TENANTS).copy()
    pieces: list[PaneCalls] = []

    def came(who: NDArray[np.intp]) -> TalkCounts:
        return TalkCounts.joined([counts_of(piece).of_tenants(who) for piece in pieces])

    early = EarlyMedians(running, T0 + gone * MINUTE, came, np.array(EDGE_BUCKETS), 0)
    early.reach(TENANTS)
    who = np.array(sorted(asked))
    with patch("monitor.core.talk.running_medians._AT_ONCE", 2):
        for piece in opened:
            pieces.append(piece)
            inside = closed[gone:] + pieces
            answered = np.array([sum(len(pane.get(tenant, ())) for pane in inside) for tenant in who.tolist()])
            counted, below = early.count(who, answered)
            expected = medians_of(inside)
            assert below.tolist() == [below_edges(inside, tenant) for tenant in counted.tolist()]
            assert asked & piece.keys() <= {*counted.tolist()}
            assert early.medians(TENANTS)[who].tolist() == [expected[tenant] for tenant in who.tolist()]
    assert running.medians(TENANTS).tolist() == before.tolist()


@examples(panes(1), st.sets(st.integers(0, TENANTS + 2)), fast=15, most=50)
def test_the_counts_of_some_tenants_are_those_of_their_calls(some: list[PaneCalls], asked: set[int]) -> None:
    whole = some[0] if some else {}
    found = counts_of(whole).of_tenants(np.array(sorted(asked), np.intp))
    expected = counts_of({tenant: talks for tenant, talks in whole.items() if tenant in asked})
    for column in ("tenant", "bucket", "count"):
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()


@examples(panes(8), fast=25, most=100)
def test_merged_counts_are_those_of_all_calls(some: list[PaneCalls]) -> None:
    whole: PaneCalls = defaultdict(list)
    for pane in some:
        for tenant, talks in pane.items():
            whole[tenant] += talks
    merged = TalkCounts.joined([counts_of(pane) for pane in some]).distinct()
    for column in ("tenant", "bucket", "count"):
        assert getattr(merged, column).tolist() == getattr(counts_of(whole), column).tolist()


def test_memory_does_not_grow_with_calls_or_time() -> None:
    """A tenant has at most one count a bucket, and the blocks of a tenant that left are used again."""
    running = RunningMedians(2 * MINUTE)
    sizes = []
    for number in range(40):
        running.leave(T0 + (number - 1) * MINUTE)
        running.enter(T0 + number * MINUTE, counts_of({number % TENANTS: EDGES * 20}), TENANTS)
        sizes.append(running._used)
    assert max(sizes) == sizes[2] <= 1 + 3 * BUCKETS // 16
    running.leave(T0 + 100 * MINUTE)
    assert len(running._free) == running._used - 1 == len(set(running._free.tolist()))
