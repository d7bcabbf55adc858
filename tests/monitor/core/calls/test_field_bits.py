"""Counting bits of words in groups, and which bit is which field, against plain loops."""

import itertools

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import policy_of
from helpers.thorough import examples
from monitor.core.calls.fields import BIT, FIXED, SUMS, FieldLayout, count_bits
from monitor.policy.metrics import METRICS
from monitor.policy.model import MAX_VARIANTS, Params

ALL_BITS = 2**64 - 1
words = st.one_of(st.integers(0, ALL_BITS), st.sampled_from((0, 1, 2**63, ALL_BITS)))


def plain_counts(groups: list[list[int]], bits: int) -> list[list[int]]:
    return [[sum(word >> bit & 1 for word in group) for bit in range(bits)] for group in groups]


def counted(groups: list[list[int]], bits: int) -> list[list[int]]:
    flat = np.array(list(itertools.chain.from_iterable(groups)), np.uint64)
    starts = np.cumsum([0, *map(len, groups[:-1])]).astype(np.intp)
    counts: list[list[int]] = count_bits(flat, starts, bits).tolist()
    return counts


@examples(
    st.lists(st.lists(words, min_size=1, max_size=12), min_size=1, max_size=10), st.integers(1, 64), fast=37, most=150
)
def test_groups_are_counted_as_a_loop_counts_them(groups: list[list[int]], bits: int) -> None:
    assert counted(groups, bits) == plain_counts(groups, bits)


@pytest.mark.parametrize("sizes", [(254,), (255,), (256,), (510,), (511,), (1, 255, 1), (256, 1, 256), (1_000, 3, 700)])
def test_groups_over_255_rows_do_not_run_over_into_the_next_field(sizes: tuple[int, ...]) -> None:
    """A lane of a byte holds 255."""
    for word in (ALL_BITS, 1, 1 << 63, 0x5555_5555_5555_5555):
        groups = [[word] * size for size in sizes]
        assert counted(groups, 64) == plain_counts(groups, 64)


@pytest.mark.parametrize("seed", range(3))
def test_long_groups_of_random_words_are_counted_as_a_loop_counts_them(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    groups = [
        rng.integers(0, ALL_BITS, size, dtype=np.uint64, endpoint=True).tolist() for size in rng.integers(1, 900, 8)
    ]
    assert counted(groups, 37) == plain_counts(groups, 37)


def params(short_call_ms: int = 6_000, timezone: str = "UTC", short_ring_ms: int = 3_000) -> Params:
    return Params(short_call_ms, 5, timezone, short_ring_ms)


def test_no_two_fields_share_a_number() -> None:
    layout = FieldLayout(
        (1_000, 6_000), ("Asia/Shanghai", "UTC"), short_ring_ms=(500, 3_000, 9_000), refused_zones=("UTC",)
    )
    names = [*FIXED, *SUMS]
    numbers = [layout.field(name, params()) for name in names]
    numbers += [layout.field("short", params(ms)) for ms in layout.short_call_ms]
    numbers += [layout.field("out_of_hours", params(timezone=zone)) for zone in layout.timezones]
    numbers += [layout.field("short_cancelled", params(short_ring_ms=ms)) for ms in layout.short_ring_ms]
    numbers += [layout.field("out_of_hours_refused", params(timezone=zone)) for zone in layout.refused_zones]
    assert sorted(numbers) == list(range(layout.width)) == [layout.names.index(name) for name in layout.names]


def test_every_field_of_the_metric_table_is_there() -> None:
    layout = FieldLayout((6_000,), ("UTC",), short_ring_ms=(3_000,), refused_zones=("UTC",))
    for metric in METRICS.values():
        names = (metric.numerator, metric.denominator) if metric.family == "calls" else ()
        for name in names:
            assert name is None or 0 <= layout.field(name, params()) < layout.width


def test_the_calls_behind_a_sum_are_those_whose_ms_it_adds() -> None:
    layout = FieldLayout((6_000,), ("UTC",))
    assert layout.evidence_bit("talk_ms", params()) == BIT["answered"]
    assert layout.evidence_bit("ring_delay_ms", params()) == BIT["rang"]
    assert layout.evidence_bit("short", params()) == layout.short_bit(6_000)


def test_the_layout_has_what_rules_and_their_overrides_ask_for() -> None:
    rule = {
        "id": "r1",
        "behaviour": "blind_calling",
        "metric": "short_call_ratio",
        "above": 0.5,
        "window": "1h",
        "step": "1h",
        "with": {"short_call_s": 2.5},
    }
    override = {"tenant": "t", "rule": "r1", "owner": "o", "reason": "r", "expires": "2027-01-01"}
    policy = policy_of(rules=[rule], overrides=[{**override, "with": {"timezone": "Europe/London"}}])
    layout = FieldLayout.of(policy.params, [*policy.rules, *(one.rule for one in policy.overrides)])
    assert layout == FieldLayout((2_500, 6_000), ("Asia/Shanghai", "Europe/London"))


def test_a_policy_that_names_no_new_metric_keeps_its_layout() -> None:
    """The limits of rings and the refused calls are counted for the rules that use them alone, in `also`, too."""
    rule = {"behaviour": "blind_calling", "window": "1h", "step": "1h", "above": 0.5}
    policy = policy_of(
        rules=[
            rule | {"id": "r1", "metric": "asr", "with": {"short_ring_s": 1, "timezone": "UTC"}},
            rule | {"id": "r2", "metric": "short_cancel_ratio", "with": {"short_ring_s": 2, "timezone": "UTC"}},
            rule
            | {"id": "r3", "metric": "asr", "also": [{"metric": "out_of_hours_reject_ratio", "above": 0.1}]}
            | {"with": {"timezone": "Europe/London"}},
        ]
    )
    old, new = FieldLayout.of(policy.params, policy.rules[:1]), FieldLayout.of(policy.params, policy.rules)
    assert old == FieldLayout((6_000,), ("Asia/Shanghai", "UTC"))
    assert (new.short_ring_ms, new.refused_zones) == ((2_000,), ("Europe/London",))


def test_as_many_variants_as_a_policy_may_have_fill_the_word() -> None:
    layout = FieldLayout(tuple(range(1, MAX_VARIANTS)), ("UTC",))
    assert layout.bits == 64
    assert layout.field("out_of_hours", params()) == 63
    some, rings = tuple(range(1, 16)), tuple(range(1, MAX_VARIANTS - 16))
    layout = FieldLayout(some, ("UTC",), short_ring_ms=rings, refused_zones=("UTC",))
    assert layout.bits == 64
    assert layout.field("out_of_hours_refused", params()) == 63
