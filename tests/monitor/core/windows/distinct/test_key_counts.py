"""Keys of one pane: distinct keys with counts, against a Counter, and the sample that is kept of too many."""

from collections import Counter
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.shard_samples import counted_keys, key_counts, tries
from helpers.thorough import examples
from monitor.core.windows.distinct.key_counts import EXACT_KEYS, KeyCounts, level_for, sampled

MOST = 2**64 - 1
keys_of_tenant = st.integers(0, 2**10) | st.integers(MOST - 300, MOST)


def as_dict(keys: KeyCounts) -> dict[tuple[int, int], int]:
    return {(k, t): n for k, t, n in zip(keys.key.tolist(), keys.tenant.tolist(), keys.count.tolist(), strict=True)}


@examples(st.lists(st.tuples(keys_of_tenant, st.integers(0, 3)), max_size=60), fast=25, most=100)
def test_attempts_are_counted_by_key(attempts: list[tuple[int, int]]) -> None:
    """A key belongs to one tenant, as the tenant's salt makes it."""
    rows = [(key * 4 + tenant & MOST, tenant, bool(key % 2)) for key, tenant in attempts]
    keys = key_counts(rows)
    assert as_dict(keys) == Counter((key, tenant) for key, tenant, _ in rows)
    numeric = {key: number for key, _, number in rows}
    assert keys.numeric.tolist() == [numeric[key] for key in keys.key.tolist()]
    assert keys.key.tolist() == sorted(set(numeric))
    assert keys.levels == {}


def test_as_many_as_are_promised_are_kept_whole_and_one_more_is_a_sample() -> None:
    seed = 4
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(0, 2**63, EXACT_KEYS + 200).astype(np.uint64))[: EXACT_KEYS + 1]
    one, other = np.zeros(len(keys), np.int32), np.arange(5, dtype=np.uint64)
    whole = counted_keys(keys[1:], one[1:], np.ones(EXACT_KEYS, np.bool_))
    assert len(whole) == EXACT_KEYS
    assert whole.levels == {}
    both = np.concatenate([keys, other])
    thinned = counted_keys(both, np.concatenate([one, np.ones(5, np.int32)]), np.ones(len(both), np.bool_))
    assert thinned.levels == {0: 1}
    assert 0.4 * EXACT_KEYS < np.count_nonzero(thinned.tenant == 0) < 0.6 * EXACT_KEYS
    assert np.count_nonzero(thinned.tenant == 1) == 5  # the neighbour of a busy tenant is counted exactly


@pytest.mark.parametrize("level", [1, 2, 3, 6])
def test_a_sample_of_a_level_holds_its_share_and_lies_in_those_of_lower_levels(level: int) -> None:
    """Random keys: 2^-level of them, within 5 standard errors; a pane that leaves can therefore be subtracted."""
    seed = level
    print(f"seed {seed}")
    keys = np.random.default_rng(seed).integers(0, MOST, 200_000, dtype=np.uint64)
    levels = [np.full(len(keys), n, np.uint64) for n in (level, level - 1)]
    kept, lower = sampled(keys, levels[0]), sampled(keys, levels[1])
    share = 2.0**-level
    assert abs(kept.mean() - share) < 5 * (share * (1 - share) / len(keys)) ** 0.5
    assert not (kept & ~lower).any()


def test_neighbours_are_sampled_together() -> None:
    """A sample of single numbers would lose sequences."""
    first = np.uint64(64 * 12_345)
    for level in range(1, 5):
        for block in range(40):
            keys = first + np.uint64(64 * block) + np.arange(64, dtype=np.uint64)
            kept = sampled(keys, np.full(64, level, np.uint64))
            assert kept.all() or not kept.any()


@examples(
    st.lists(st.tuples(st.integers(0, MOST), st.integers(0, 3)), max_size=60),
    st.lists(st.integers(0, 3), max_size=3),
    fast=15,
    most=60,
)
def test_thinning_takes_from_the_tenants_named_alone(attempts: list[tuple[int, int]], busy: list[int]) -> None:
    keys = key_counts([(key, tenant, True) for key, tenant in attempts])
    thinned = keys.thinned(dict.fromkeys(busy, 2))
    assert thinned.levels == dict.fromkeys(busy, 2)
    kept = as_dict(thinned)
    for (key, tenant), count in as_dict(keys).items():
        if tenant not in busy:
            assert kept[key, tenant] == count
        else:
            stays = bool(sampled(np.array([key], np.uint64), np.array([2], np.uint64))[0])
            assert kept.get((key, tenant)) == (count if stays else None)


@tries(40)
@given(st.sets(st.integers(0, MOST), max_size=200), st.integers(0, 3), st.integers(1, 60))
def test_the_level_is_the_lowest_that_keeps_few_enough(keys: set[int], at_least: int, limit: int) -> None:
    column = np.array(sorted(keys), np.uint64)
    with patch("monitor.core.windows.distinct.key_counts.EXACT_KEYS", limit):
        level = level_for(column, at_least)

    def kept(at: int) -> int:
        return int(np.count_nonzero(sampled(column, np.full(len(column), at, np.uint64))))

    assert level >= at_least
    assert kept(level) <= limit
    assert level == at_least or kept(level - 1) > limit


@examples(
    st.lists(st.lists(st.tuples(keys_of_tenant, st.integers(0, 3)), max_size=20), max_size=4),
    st.sets(st.integers(0, 5)),
    fast=15,
    most=60,
)
def test_parts_joined_are_all_attempts_counted_once_more(parts: list[list[tuple[int, int]]], asked: set[int]) -> None:
    rows = [[(key & ~3 | tenant, tenant, True) for key, tenant in attempts] for attempts in parts]
    joined = KeyCounts.joined([key_counts(attempts) for attempts in rows]).distinct()
    whole = key_counts([row for attempts in rows for row in attempts])
    assert as_dict(joined) == as_dict(whole)
    assert np.all(joined.key[1:] > joined.key[:-1])
    marked = np.zeros(3, np.bool_)
    marked[[tenant for tenant in asked if tenant < 3]] = True
    mine = {who: count for who, count in as_dict(whole).items() if who[1] in asked and who[1] < 3}
    assert as_dict(whole.of_tenants(marked)) == mine
    assert as_dict(KeyCounts.joined([whole, whole.negated()]).distinct()) == dict.fromkeys(as_dict(whole), 0)


def test_parts_of_different_levels_are_joined_at_the_highest() -> None:
    keys = np.arange(64 * 200, dtype=np.uint64)
    whole = KeyCounts(keys, np.zeros(len(keys), np.int32), np.ones(len(keys), np.int32), np.ones(len(keys), np.bool_))
    joined = KeyCounts.joined([whole, whole.thinned({0: 2})])
    assert joined.levels == {0: 2}
    assert set(joined.key.tolist()) == set(whole.thinned({0: 2}).key.tolist())


def test_the_keys_of_some_tenants_have_their_levels_alone() -> None:
    """The level of another tenant may be beyond the end of the arrays of the tenants that are counted."""
    keys = np.arange(64 * 200, dtype=np.uint64)
    tenant = np.repeat(np.array([0, 7], np.int32), len(keys) // 2)
    every = KeyCounts(keys, tenant, np.ones(len(keys), np.int32), np.ones(len(keys), np.bool_)).thinned({0: 1, 7: 2})
    assert every.of_tenants(np.array([True])).levels == {0: 1}
    assert every.of_tenants(np.arange(8) == 7).levels == {7: 2}
    assert every.of_tenants(np.arange(8) == 5).levels == {}
    none = every.select(slice(0))  # of tenants of whose keys the samples keep none
    assert none.of_tenants(np.arange(8) == 7).levels == {7: 2}
