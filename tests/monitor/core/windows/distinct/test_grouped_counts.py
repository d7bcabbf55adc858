"""Counts by group: numbers in blocks of a hundred, and the most callees of one consent, against sets and Counters."""

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import examples, thorough
from monitor.core.calls.key_placement import SECRET_BYTES, Placement
from monitor.core.calls.keys import BLOCK_BITS, Texts, block_keys, mix, number_keys, pair_keys, salt_of, text_keys
from monitor.core.windows.distinct.count_names import IN_BLOCKS, UNFINISHED, WIDEST, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.early_distinct_counts import keys_to_finish, rise_of_blocks
from monitor.core.windows.distinct.key_counts import EXACT_KEYS, KeyCounts
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts

TENANTS = 3
BLOCKS: Final = "blocks"
Calls = list[tuple[int, int, int]]  # tenant, group, which key of the group
COUNT: dict[str, Name] = {"blocks": IN_BLOCKS, "consents": WIDEST}


def keys_of(kind: str, calls: Calls) -> KeyCounts:
    """The keys of a pane: numbers of blocks, or pairs of a consent and a callee, who may have several consents."""
    tenant, group, one = (np.array([call[i] for call in calls], np.int64) for i in range(3))
    own = mix((tenant * 1_000_003 + group).astype(np.uint64) + np.uint64(1))
    tenant, numeric = tenant.astype(np.int32), np.ones(len(calls), np.bool_)
    if kind == BLOCKS:
        keys = (own << BLOCK_BITS) | one.astype(np.uint64)
        return KeyCounts.of_each(1, np.zeros(len(calls), np.intp), keys, tenant, numeric, unit_bits=BLOCK_BITS)[0]
    keys = pair_keys(mix((tenant * 1_000 + one).astype(np.uint64)), own)
    return KeyCounts.of_each(1, np.zeros(len(calls), np.intp), keys, tenant, numeric, own)[0]


def plain(kind: str, calls: Calls) -> list[int]:
    found = []
    for tenant in range(TENANTS):
        sizes = Counter(group for _, group, _ in {call for call in calls if call[0] == tenant}).values()
        found.append(sum(n for n in sizes if n >= 10) if kind == BLOCKS else max(sizes, default=0))
    return found


def assert_unfinished(found: Sequence[int], calls: Calls) -> None:
    """No group that is no block has more numbers than ``found`` says of its tenant."""
    for (tenant, _), size in Counter((tenant, group) for tenant, group, _ in set(calls)).items():
        assert size >= 10 or size <= found[tenant] < 10


some_calls = st.lists(st.tuples(st.integers(0, TENANTS - 1), st.integers(0, 2), st.integers(0, 14)), max_size=60)
kinds = st.sampled_from(("blocks", "consents"))


def cramped(exact_keys: int = EXACT_KEYS, table: int = 4) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(patch("monitor.core.calls.hash_table._SMALLEST_TABLE", table))
    for module in ("distinct_counts", "key_counts"):
        stack.enter_context(patch(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", exact_keys))
    return stack


@examples(kinds, st.lists(some_calls, min_size=1, max_size=10), st.integers(1, 5), st.integers(1, 3), fast=30, most=120)
def test_a_window_counts_what_a_loop_over_its_calls_counts(
    kind: str, panes: list[Calls], length: int, every: int
) -> None:
    with cramped():
        counts = DistinctCounts(length * MINUTE, (COUNT[kind],))
        for number, calls in enumerate(panes):
            counts.enter(T0 + number * MINUTE, keys_of(kind, calls), TENANTS)
            if number % every == 0:
                first = max(0, number + 1 - length)
                counts.leave(T0 + first * MINUTE)
                inside = [call for pane in panes[first : number + 1] for call in pane]
                assert counts.read(COUNT[kind], TENANTS).tolist() == plain(kind, inside)
                if kind == BLOCKS:
                    assert_unfinished(counts.read(UNFINISHED, TENANTS).tolist(), inside)


@examples(
    kinds, st.lists(some_calls, min_size=1, max_size=6), some_calls, st.integers(0, 6), st.booleans(), fast=30, most=120
)
def test_counts_ahead_of_time_are_correct_and_change_nothing(
    kind: str, panes: list[Calls], to_come: Calls, leaving: int, one_pane: bool
) -> None:
    name = COUNT[kind]
    panes = panes[:1] if one_pane else panes
    counts = PaneDistinctCounts(MINUTE, (name,)) if one_pane else DistinctCounts(20 * MINUTE, (name,))
    with cramped():
        for number, calls in enumerate(panes):
            counts.enter(T0 + number * MINUTE, keys_of(kind, calls), TENANTS)
        before = counts.read(name, TENANTS).tolist()
        start_ms = T0 + (len(panes) if one_pane else leaving) * MINUTE
        ahead = counts.ahead(np.arange(TENANTS), [keys_of(kind, to_come)], start_ms)
        assert counts.read(name, TENANTS).tolist() == before
    left = [call for calls in panes[len(panes) if one_pane else leaving :] for call in calls]
    assert ahead[name].tolist() == plain(kind, [*left, *to_come])
    if kind == BLOCKS:
        assert_unfinished(ahead[UNFINISHED].tolist(), [*left, *to_come])
    if one_pane:
        assert before == plain(kind, panes[0])


@examples(st.lists(st.integers(1, 12), max_size=6), st.integers(0, 30), fast=60, most=500)
def test_no_calls_raise_the_numbers_in_blocks_by_more_than_the_bound(sizes: list[int], calls: int) -> None:
    most = [0] + [-1] * calls  # that so many calls add at most
    for size in [*sizes, *[0] * (calls // 10)]:  # calls may begin a block
        gain = [n if size >= 10 else (size + n if size + n >= 10 else 0) for n in range(calls + 1)]
        most = [max(most[n - m] + gain[m] for m in range(n + 1) if most[n - m] >= 0) for n in range(calls + 1)]
    unfinished = np.array([max((size for size in sizes if size < 10), default=0)])
    to_finish = keys_to_finish(unfinished, np.zeros(1, np.int64), np.ones(1, np.int64))
    assert most[calls] <= rise_of_blocks(np.array([calls]), to_finish).item() <= 10 * calls
    assert most[calls] * to_finish.item() <= 10 * calls, "so many calls each step of ten needs (`calls_a_step`)"
    assert keys_to_finish(unfinished, np.ones(1, np.int64), np.ones(1, np.int64)).tolist() == [1], (
        "one may fall to nine"
    )
    assert keys_to_finish(unfinished, np.zeros(1, np.int64), np.array([4])).tolist() == [1], "a sample"


def some_days(rng: random.Random, panes: int) -> list[Calls]:
    """Quiet and busy stretches of two tenants, around the limit of exact counting where that is 100."""
    out = []
    for _ in range(panes):
        most, groups = rng.choice((5, 5, 150, 600)), rng.choice((2, 12, 200))
        out.append([(rng.randrange(2), rng.randrange(groups), rng.randrange(100)) for _ in range(rng.randint(0, most))])
    return out


@examples(kinds, st.integers(0, 2**32), st.integers(1, 6), fast=15, most=60)
def test_neither_a_restart_nor_the_placement_of_keys_changes_a_sample(kind: str, seed: int, length: int) -> None:
    """Levels rise and fall; what has emptied is empty; a lower bound is one."""
    name, rng = COUNT[kind], random.Random(seed)
    with cramped(exact_keys=100):
        days = some_days(rng, 20)
        keys = [keys_of(kind, calls) for calls in days]
        restart = rng.randrange(20)
        counts = DistinctCounts(length * MINUTE, (name,))
        others = [DistinctCounts(length * MINUTE, (name,), Placement(rng.randbytes(SECRET_BYTES)))]
        for number, pane in enumerate(keys):
            for one in (counts, *others):
                one.enter(T0 + number * MINUTE, pane, TENANTS)
                one.leave(T0 + (number + 1 - length) * MINUTE)
            if number == restart:
                restarted = DistinctCounts(length * MINUTE, (name,))
                restarted.levels = dict(counts.levels)
                for before in range(max(0, number + 1 - length), number + 1):
                    restarted.enter(T0 + before * MINUTE, keys[before], TENANTS)
                others.append(restarted)
            found = counts.read(name, TENANTS).tolist()
            true = plain(kind, [call for calls in days[max(0, number + 1 - length) : number + 1] for call in calls])
            for one in others:
                assert one.levels == counts.levels
                assert one.read(name, TENANTS).tolist() == found
            for tenant in range(TENANTS):
                if tenant not in counts.levels:
                    assert found[tenant] == true[tenant]
                elif kind == "consents":
                    assert found[tenant] <= true[tenant]
        counts.leave(T0 + 30 * MINUTE)
        assert counts.read(name, TENANTS).tolist() == [0] * TENANTS
        assert counts.levels == {}


@pytest.mark.parametrize("seed", thorough(range(3), 1))
@pytest.mark.parametrize("panes", [1, 6])
def test_the_share_in_blocks_is_estimated_without_bias(seed: int, panes: int) -> None:
    """Two fifths of the numbers stand in blocks of 30 to 100, the others in blocks of 1 to 9."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    sizes = [rng.choice((30, 60, 100)) if rng.random() < 0.06 else rng.randint(1, 9) for _ in range(40_000)]
    calls = [(0, group, one) for group, size in enumerate(sizes) for one in range(size)]
    rng.shuffle(calls)
    counts = DistinctCounts(10 * MINUTE, (IN_BLOCKS,)) if panes > 1 else PaneDistinctCounts(MINUTE, (IN_BLOCKS,))
    for number in range(panes):
        counts.enter(T0 + number * MINUTE, keys_of(BLOCKS, calls[number::panes]), 1)
    level = counts.levels[0]
    assert level >= 2
    share = counts.read(IN_BLOCKS, 1)[0] / counts.read("distinct", 1)[0]
    true = sum(size for size in sizes if size >= 10) / len(calls)
    # The variance of a sum over blocks that are kept with a probability of 2^-level.
    error = (sum((size * ((size >= 10) - true)) ** 2 for size in sizes) * (2**level - 1)) ** 0.5 / len(calls)
    assert abs(share - true) < 5 * error
    assert error < 0.03


@pytest.mark.parametrize("callees", thorough([200_000, 1_000_000], 1))
def test_one_consent_for_everybody_is_seen_in_a_sample(callees: int) -> None:
    counts = DistinctCounts(10 * MINUTE, (WIDEST,))
    for number in range(5):
        counts.enter(T0 + number * MINUTE, keys_of("consents", [(0, 7, i) for i in range(number, callees, 5)]), 1)
    assert counts.levels[0] >= 2
    found = int(counts.read(WIDEST, 1)[0])
    assert 0.9 * callees < found <= callees


NUMBERS = (
    *("+8613800000099", "+8613800000100", "+8613800000101", "8613800000101"),
    *("100", "099", "199", "+100", "99", "+99", "7"),
    *("1234567890123456789000", "1234567890123456789099", "1234567890123456789100", "9" * 64),
)


@pytest.mark.parametrize("secret", [b"", b"secret"])
def test_numbers_share_a_block_if_they_differ_in_their_last_two_digits_alone(secret: bytes) -> None:
    salts = text_keys(["acme"], np.array([salt_of(secret)], np.uint64))
    texts = Texts(NUMBERS)
    keys, numeric = number_keys(texts, np.repeat(salts, len(NUMBERS)))
    assert numeric.all()
    found = block_keys(keys, texts)
    assert len(set(found.tolist())) == len(NUMBERS)
    for a, one in zip(NUMBERS, found.tolist(), strict=True):
        for b, other in zip(NUMBERS, found.tolist(), strict=True):
            short = min(len(a.lstrip("+")), len(b.lstrip("+"))) < 3
            assert (one >> 7 == other >> 7) == (a == b or (a[:-2] == b[:-2] and not short)), (a, b)
