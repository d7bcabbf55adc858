"""An early alert is checked again before calls can end it, and not at every call."""

import random
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from helpers.shard_samples import MINUTE, T0, cdr, policy_of
from monitor.core.alerts.early_firing import EarlyFiring, calls_to_recover
from monitor.core.rules.conditions import OPS
from monitor.core.windows.distinct.count_names import count_of
from monitor.core.windows.distinct.early_distinct_counts import most_step
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, Metric
from monitor.policy.model import Rule
from schemas import codec


def effects_of(metric: Metric, of_rule: Rule) -> list[tuple[int, int]]:
    """By how much a call raises the numerator and the denominator of a metric, at most."""
    if metric.family == "complaints":
        return [(0, 1)]
    if metric.unit == "seconds":
        return [(0, 1), (86_400_000, 1)]
    if metric.unit == "quotient":
        return [(1, 0), (1, 1)]
    step = 1
    if metric.numerator in DISTINCT_COUNTS:
        step = most_step(count_of(metric.numerator, of_rule.params)[1])
    return [(0, 1), (step, 1)]


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.denominator is not None])
@pytest.mark.parametrize("direction", ["above", "below"])
def test_fewer_calls_than_to_recover_leave_the_value_beyond(name: str, direction: str) -> None:
    rng, metric = random.Random(f"{name} {direction}"), METRICS[name]
    ruled = policy_of(rules=[_bare(name, **{direction: 0.5})]).rules[0]
    beyond, waited = OPS[direction], 0
    for _ in range(300):
        limit = rng.choice((0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0) if metric.unit == "ratio" else (1.0, 2.5, 30.0))
        made = replace(ruled, recover=limit)
        numerator, denominator = rng.randrange(60), rng.randrange(1, 60)
        if metric.unit == "ratio":
            numerator = min(numerator, denominator)
        scaled = metric.scale if metric.divided else 1
        numerator *= metric.scale
        if not beyond(np.array([numerator / (scaled * denominator)]), limit)[0]:
            continue
        calls = calls_to_recover(made, numerator, denominator)
        waited += calls > 1
        for some in product(range(min(calls, 14)), repeat=2):
            if sum(some) < calls and metric.divided:
                effects = effects_of(metric, made)
                over = numerator + sum(count * effect[0] for count, effect in zip(some, effects, strict=False))
                under = denominator + sum(count * effect[1] for count, effect in zip(some, effects, strict=False))
                assert beyond(np.array([over / (scaled * under)]), limit)[0], (numerator, denominator, limit, some)
    assert waited > 5 or not metric.divided or (metric.unit, direction) == ("seconds", "below")


def _bare(name: str, **fields: Any) -> dict[str, Any]:
    hours = {"window": "1h", "step": "1h", "mode": "shadow", "behaviour": "blind_calling", "cooldown": "1h"}
    return {"id": "rule", "metric": name, **hours, **fields}


def test_a_block_of_numbers_ends_an_early_alert_at_the_call_that_completes_it() -> None:
    """One call makes ten numbers part of a block, so few calls end an alert below a share of them."""
    rules = [_bare("block_ratio", below=0.5, min_denominator=5)]
    task = StreamTask(policy_of(rules=rules, defaults={"lateness": "2h"}), sources=1)
    numbers = [1_000 * block + number for block in range(10) for number in range(9)]
    at = 0

    def feed(minute: float, number: int) -> list[str]:
        nonlocal at
        end_ms = T0 + round(minute * MINUTE)
        call = cdr(call_id=f"{at}", start_ms=end_ms, end_ms=end_ms, callee=f"+86138{number:08}")
        task.feed(0, RecordBatch(at, at + 1, np.array([at]), np.array([2**41]), [codec.encode(call)]))
        at += 1
        task.early()
        return [alert.state for alert in task.take().output.alerts]

    found = [state for number in numbers for state in feed(1, number)]
    assert found == ["firing"]
    assert feed(62, 77_000_000) == [], "the alert may end now"
    assert [feed(5, 1_000 * block + 50) for block in range(5)] == [[], [], [], [], ["resolved"]]


def test_alerts_are_due_by_calls_or_by_a_complaint() -> None:
    firing = EarlyFiring()
    firing.add("a", [1, 2])
    calls = np.array([0, 5, 5])
    assert firing.due([1], calls, set()) == {"a": {1}}
    firing.check_at("a", 1, 7)
    assert firing.due([1, 2], calls, set()) == {"a": {2}}
    assert firing.due([], calls, {1}) == {"a": {1}}
    firing.discard("a", [1])
    assert firing.due([1], np.array([0, 9, 9]), {1}) == {}
    assert firing.of("a") == {2}
