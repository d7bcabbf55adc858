"""The distances of tenants from thresholds: against a plain loop on random traffic, and consistent with breaches."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from helpers.shard_harness import ShardHarness, rule
from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from monitor.core.rules.conditions import evaluate_view
from monitor.core.rules.conditions import rule_view as view_of
from monitor.core.rules.rule_state import RuleState
from monitor.core.shard import Shard
from monitor.core.threshold_distance import (
    BUCKETS,
    FAR_OVER,
    DistanceOptions,
    NearTenant,
    ThresholdDistances,
    measure_distances,
    merge_distances,
    pairs,
)
from monitor.policy.load import loads
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule
from monitor.replay.run import ReplayOptions, replay
from monitor.replay.sharding import LocalShards
from oracle.measures import wilson
from oracle.scenario_generator import scenario

EVERYTHING = DistanceOptions(near=0.0, busiest=1_000, most=100_000)


def ruled(shard: Shard, rule_state: RuleState, tenant: str) -> Rule | None:
    """The rule that applies to a tenant, looked up independently; None where it is exempt or not judged."""
    policy, now_ms = shard.policy, shard.at_ms
    until = [e.expires_ms for e in policy.exemptions if e.tenant == tenant and rule_state.rule.id in e.rules]
    until += [p.expires_ms for p in policy.profiles if tenant in p.tenants and rule_state.rule.id in p.exempt]
    if any(now_ms < expires_ms for expires_ms in until):
        return None
    overrides = [o for o in policy.overrides if o.tenant == tenant and o.rule.id == rule_state.rule.id]
    found = next((o.rule for o in overrides if now_ms < o.expires_ms), rule_state.rule)
    number = np.array([shard.tenant_numbers.by_name[tenant]])
    return found if shard.tenant_records.first_calls.within(number, found.first_ms, now_ms)[0] else None


def number(
    rule_state: RuleState, name: str, rule_: Rule, tenant: int, tenants: int
) -> tuple[int, int | None, float | None]:
    """Numerator, denominator, value."""
    of, out_of = rule_state.window.measure(name, rule_, tenants)
    top, bottom = int(of[tenant]), None if out_of is None else int(out_of[tenant])
    if bottom is None:
        return top, None, float(top)
    divisor = METRICS[name].scale * (1 if name == "median_talk_s" else bottom)
    return top, bottom, top / divisor if bottom else None


def way(op: str, value: float | None, limit: float) -> float:
    """The distance of one condition, computed by hand."""
    if value is None:
        return 0.0
    top, bottom = (value, limit) if op in ("above", "at_least") else (limit, value)
    if top == bottom == 0:
        return FAR_OVER if op.startswith("at_") else 0.0
    if not bottom:
        return FAR_OVER if top > 0 else 0.0  # rounding can make a bound slightly negative
    return min(top / bottom, FAR_OVER)


def by_hand(rule_state: RuleState, rule_: Rule, tenant: int, tenants: int) -> float:
    top, bottom, value = number(rule_state, rule_.metric, rule_, tenant, tenants)
    if bottom is not None and bottom < max(rule_.min_denominator, 1):
        return 0.0
    if rule_.confidence is not None and bottom is not None:
        value = wilson(top, bottom, rule_.confidence, rule_.direction)
    ways = [way(rule_.direction, value, rule_.threshold)]
    for condition in rule_.also:
        ways.append(way(condition.op, number(rule_state, condition.metric, rule_, tenant, tenants)[2], condition.value))
    return min(ways)


def check(shard: Shard) -> int:
    """Compare all distances of a shard; return how many pairs were near."""
    seen, tenants = measure_distances(shard, EVERYTHING), shard.tenants
    reported = {(near.tenant_id, near.rule.id): near for near in seen.near}
    wanted = set()
    for rule_state in shard.evaluator.rule_states:
        present = rule_state.window.present(tenants)
        shares = []
        for tenant, name in enumerate(shard.tenant_numbers.names):
            rule_ = ruled(shard, rule_state, name)
            if rule_ is None or not present[tenant]:
                continue
            wanted.add((name, rule_state.rule.id))
            near, share = reported[name, rule_state.rule.id], by_hand(rule_state, rule_, tenant, tenants)
            shares.append(share)
            assert near.share == pytest.approx(share, rel=1e-9), (name, rule_)
            assert near.rule == rule_
            assert near.calls == docket_calls(shard)[tenant]
            value = number(rule_state, rule_.metric, rule_, tenant, tenants)[2]
            assert math.isnan(near.value) if value is None else near.value == value
            breach = evaluate_view(
                rule_state.window, rule_, view_of(rule_state.window, rule_, tenants, np.array([tenant])), tenants
            ).breach
            assert near.share >= 1 if len(breach.tenants) else near.share <= 1
        upto = (*BUCKETS, math.inf)
        counts = [sum(low < s <= high for s in shares) for low, high in zip((-1.0, *upto), upto, strict=False)]
        assert seen.spread[rule_state.rule.id].counts.tolist() == counts
        assert seen.spread[rule_state.rule.id].total == pytest.approx(sum(shares))
    assert reported.keys() == wanted
    return sum(near.share >= 1 for near in seen.near)


def docket_calls(shard: Shard) -> list[int]:
    windows = sorted(
        {rule_state.window.window_ms: rule_state.window for rule_state in shard.evaluator.rule_states}.items()
    )
    within = [window for length, window in windows if length <= 86_400_000] or [windows[0][1]]
    return within[-1].running_sums.field(0, shard.tenants).tolist()


@pytest.mark.parametrize("seeds", thorough([range(3), range(9)], 1), ids=str)
def test_no_share_differs_from_a_plain_loop_nor_contradicts_the_judge(
    seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, advance = [], LocalShards.advance

    def checked(self: LocalShards, watermark_ms: int) -> None:
        advance(self, watermark_ms)
        looked.extend(check(relay.shard) for relay in self.chains if relay.shard.evaluator.rule_states)

    monkeypatch.setattr(LocalShards, "advance", checked)
    for seed in seeds:
        print(f"seed {seed}")
        made = scenario(seed, size=100)
        paths = []
        for place, lines in enumerate(made.files):
            raw = [line.encode() if isinstance(line, str) else line for line in lines]
            paths.append(tmp_path / f"{seed}-{place}.jsonl")
            paths[-1].write_bytes(b"\n".join(raw) + b"\n")
        policy = loads(json.dumps(made.policy), "policy.json")
        replay(paths, policy, ReplayOptions(not_after_ms=made.not_after_ms, piece_lines=15, shards=1 + seed % 2))
    assert len(looked) > 10 * len(seeds)
    assert sum(looked) > 5 * len(seeds)


# How many are reported ---------------------------------------------------------------------------------------------


def crowd(count: int) -> Shard:
    """That many tenants: of tenant n, n of 20 answered calls are short; the threshold is half of them."""
    harness = ShardHarness(rules=[rule("half", above=0.5, mode="shadow"), rule("most", above=0.9, mode="shadow")])
    for tenant in range(count):
        for call in range(20):
            short = call < tenant
            harness.short_calls(1 + call / 10, tenant=f"t{tenant:02}", talk_ms=1_000 if short else 60_000)
    harness.short_calls(*(2 + n / 100 for n in range(30)), tenant="busy", talk_ms=60_000)
    harness.until(5)
    return harness.shard


def names(nears: list[NearTenant]) -> list[tuple[str, str]]:
    return [(near.tenant_id, near.rule.id) for near in nears]


def test_those_near_a_threshold_are_reported_the_nearest_first() -> None:
    seen = measure_distances(crowd(15), DistanceOptions(near=0.9, busiest=0))
    assert names(seen.near) == [(f"t{n:02}", "half") for n in (14, 13, 12, 11, 10, 9)]
    assert [near.share for near in seen.near] == pytest.approx([1.4, 1.3, 1.2, 1.1, 1.0, 0.9])
    assert (seen.left_out, seen.tenants) == (0, 16)


def test_however_many_are_near_no_more_are_reported_and_the_others_are_counted() -> None:
    seen = measure_distances(crowd(15), DistanceOptions(near=0.9, busiest=0, most=2))
    assert names(seen.near) == [("t14", "half"), ("t13", "half")]
    assert seen.left_out == 4
    assert sum(seen.spread["half"].counts) == 16


def test_the_busiest_are_reported_however_far_they_are_as_long_as_there_is_room() -> None:
    distance_options = DistanceOptions(near=2.0, busiest=1)
    seen = measure_distances(crowd(3), distance_options)
    assert seen.busiest == [(30, "busy")]
    assert set(names(pairs(seen, distance_options))) == {("busy", "half"), ("busy", "most")}
    tight = DistanceOptions(near=0.9, busiest=1, most=2)
    assert names(pairs(measure_distances(crowd(15), tight), tight)) == [("t14", "half"), ("t13", "half")]


def test_a_tenant_with_a_firing_alert_is_reported_at_any_distance() -> None:
    harness = ShardHarness(rules=[rule("half", above=0.5, recover=0.1, mode="shadow")])
    harness.short_calls(1, 2)
    harness.until(5)
    harness.short_calls(*(6 + n / 10 for n in range(6)), talk_ms=60_000)
    harness.until(10)
    seen = measure_distances(harness.shard, DistanceOptions(near=0.8, busiest=0))
    assert [(near.tenant_id, near.share) for near in seen.near] == [("acme", 0.5)]
    assert seen.firing == {"half": 1}
    harness.until(25)
    assert measure_distances(harness.shard, DistanceOptions(near=0.8, busiest=0)).near == []


def test_several_shards_are_one_within_the_same_bounds() -> None:
    distance_options = DistanceOptions(near=0.9, busiest=1, most=3)
    seen = merge_distances(
        [measure_distances(crowd(13), distance_options), measure_distances(crowd(15), distance_options)],
        distance_options,
    )
    assert names(seen.near) == [("t14", "half"), ("t13", "half"), ("t12", "half")]
    assert seen.left_out == 10 - 3
    assert (seen.tenants, seen.busiest) == (14 + 16, [(30, "busy")])
    assert sum(seen.spread["half"].counts) == 30


def test_no_tenant_at_all_is_no_fault() -> None:
    assert measure_distances(ShardHarness(rules=[rule("half")]).shard, EVERYTHING).near == []
    assert measure_distances(ShardHarness().shard, EVERYTHING).busiest == []
    assert merge_distances([], EVERYTHING) == ThresholdDistances()


# Pending reviews -----------------------------------------------------------------------------------------------------


def test_pending_decisions_are_counted_by_rule_with_the_first_to_lapse() -> None:
    harness = ShardHarness(rules=[rule("some", mode="review")])
    harness.likely_ban(1, "f1")
    harness.likely_ban(3, "f2")
    harness.short_calls(1)
    banned = harness.until(5)
    week = 7 * 24 * 60
    wanted = {"some": (1, T0 + (5 + week) * MINUTE), "undeclared_prohibited_business": (2, T0 + (1 + week) * MINUTE)}
    assert measure_distances(harness.shard, EVERYTHING).pending == wanted
    harness.review(6, "uphold", banned[0])
    harness.until(7)
    assert harness.shard.decisions.reviews.by_rule()["undeclared_prohibited_business"] == (1, T0 + (3 + week) * MINUTE)
    harness.until(8 + week)
    assert harness.shard.decisions.reviews.by_rule() == {}


def test_of_several_shards_the_first_to_lapse_of_any_is_reported() -> None:
    harnesses = [ShardHarness(), ShardHarness()]
    for harness, minute in zip(harnesses, (1, 3), strict=True):
        harness.likely_ban(minute)
        harness.until(5)
    week = 7 * 24 * 60
    for order in (harnesses, harnesses[::-1]):
        seen = merge_distances([measure_distances(harness.shard, EVERYTHING) for harness in order], EVERYTHING)
        assert seen.pending == {"undeclared_prohibited_business": (2, T0 + (1 + week) * MINUTE)}
