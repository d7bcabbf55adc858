"""Evaluating only the tenants that may cross gives the alerts that evaluating all of them gives, at the same time."""

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from helpers.early_runs import EarlyRun, hovering_calls, hovering_run, pieces
from helpers.shard_harness import rule
from helpers.shard_samples import MINUTE, T0, cdr, policy_of
from helpers.thorough import thorough
from monitor.core.alerts.early_window import _FEWEST_FIRST
from monitor.core.alerts.suspects import Suspects
from monitor.core.rules.conditions import evaluate_view
from monitor.core.talk.running_medians import RunningMedians
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from monitor.policy.metrics import DISTINCT_COUNTS
from oracle.scenario_generator import lines_of, scenario
from schemas import codec

# The seeds of the fast suite are those that fire many alerts for the time that they take.


@pytest.mark.parametrize("seed", thorough(range(100, 115), [102, 108], soak=range(115, 200)))
def test_alerts_of_random_policies_are_those_of_full_evaluations(seed: int) -> None:
    print(f"seed {seed}")
    made = scenario(seed, size=150)
    files = lines_of(made)
    policy = loads(json.dumps(made.policy), "policy.json")
    run = EarlyRun(policy, list(pieces(files, random.Random(seed))), seed, len(files), made.not_after_ms)
    assert run.alerts() == run.alerts_of_everyone()


DIFFERENT = [{"metric": "distinct_callee_ratio", "above": 0.3}]
MEDIAN = {"metric": "median_talk_s", "min_denominator": 10, "window": "1h"}
BRIEF = [{"metric": "median_talk_s", "at_most": 30.0}]
HOVERING = (
    rule("ratio", above=0.5, min_denominator=10, window="1h", step="5m"),
    rule("sure", above=0.3, min_denominator=10, confidence=0.95, window="1h", step="5m"),
    rule("again", metric="callee_over_limit", above=1, window="5m", step="5m", **{"with": {"callee_limit": 3}}),
    rule("peak", metric="callee_peak", above=5, window="1h", step="15m"),
    rule("sequence", metric="sequential_ratio", above=0.4, min_denominator=5, window="1h", step="15m"),
    rule("blocks", metric="block_ratio", above=0.4, min_denominator=5, window="1h", step="15m"),
    rule("consent", metric="consent_peak", above=4, window="1h", step="15m"),
    rule("few", metric="distinct_callee_ratio", window="1h", step="15m", min_denominator=10, below=0.5),
    rule("callers", metric="callers", above=6, window="1h", step="15m"),
    rule("pool", metric="calls_per_caller", window="1h", step="15m", min_denominator=3, below=6, also=DIFFERENT),
    rule("short", **MEDIAN, step="5m", below=10),
    rule("long", **MEDIAN, step="15m", above=50),
    rule("brief", above=0.3, min_denominator=10, window="1h", step="15m", also=BRIEF),
)


@pytest.mark.parametrize("seed", thorough(range(6), [1], soak=range(6, 40)))
def test_tenants_that_hover_at_thresholds_alert_as_in_full_evaluations(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr("monitor.core.alerts.recent_calls._MOST", 100)
    rules = [{key: value for key, value in one.items() if not (key == "above" and "below" in one)} for one in HOVERING]
    policy = policy_of(rules=rules)
    run = EarlyRun(policy, list(pieces([hovering_calls(random.Random(seed), 1_200)], random.Random(seed))), seed)
    found = run.alerts()
    assert found == run.alerts_of_everyone()
    assert sum(map(bool, found)) > 3


@pytest.mark.parametrize("seed", thorough([2, 3, 4, 5, 7], [2, 7], soak=[0, 1, 6, *range(8, 60)]))
def test_alerts_near_the_thresholds_of_random_rules_are_those_of_comparing_everyone(seed: int) -> None:
    print(f"seed {seed}")
    run = hovering_run(seed)
    assert run.alerts() == run.alerts_of_everyone()


@pytest.mark.parametrize("seed", thorough(range(102, 107), [104, 106], soak=[100, 101, *range(107, 140)]))
def test_sampled_tenants_alert_as_if_everyone_were_compared(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    for module in ("distinct_counts", "key_counts"):
        monkeypatch.setattr(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", 60)
    monkeypatch.setattr("monitor.core.alerts.recent_calls._MOST", 60)
    run = hovering_run(seed)
    assert run.alerts() == run.alerts_of_everyone(afresh=False)


@pytest.mark.parametrize("seed", thorough(range(200, 205), [200, 203], soak=range(205, 240)))
def test_postponed_alerts_are_those_of_comparing_everyone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr("monitor.core.alerts.early_alerts.MOST_ALERTS", 3)
    run = hovering_run(seed)
    assert run.alerts() == run.alerts_of_everyone(afresh=False)


def test_a_tenant_far_from_each_threshold_is_not_compared_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = Suspects._compare
    monkeypatch.setattr(
        Suspects, "_compare", lambda self, bounds, who, found: compared.extend(who) or compare(self, bounds, who, found)
    )
    task = StreamTask(policy_of(rules=[rule("ratio", min_denominator=50, window="1h", step="1h")]), sources=1)
    lines = [
        codec.encode(cdr(call_id=f"{n}", start_ms=T0 + n, end_ms=T0 + n + MINUTE, answer_ms=T0 + n, outcome="answered"))
        for n in range(120)
    ]
    for number, line in enumerate(lines):
        task.feed(0, RecordBatch(number, number + 1, np.array([number]), np.array([2**41]), [line]))
        task.early()
    assert len(compared) < 12, "at the first call, at the fiftieth, and then ever more rarely"


SIGNED = {"owner": "ops", "reason": "for the test", "expires": "2027-01-01"}
OVERRIDE = {"tenant": "acme", "rule": "blocks", "min_denominator": 40, **SIGNED}


@pytest.mark.parametrize("overridden", [False, True])
def test_a_tenant_far_from_each_threshold_of_blocks_is_rarely_compared_or_counted(
    overridden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three numbers are in a block at most: seven calls make ten numbers more.

    Tenants with an override are compared and evaluated at each call, others are evaluated only if they may still break
    the rule once they are counted.
    """
    counted: list[int] = []
    evaluated: list[int] = []
    compared: list[int] = []
    ahead, compare = DistinctCounts.ahead, Suspects._compare
    monkeypatch.setattr(
        DistinctCounts, "ahead", lambda self, who, *args: counted.extend(who) or ahead(self, who, *args)
    )
    monkeypatch.setattr(
        Suspects, "_compare", lambda self, bounds, who, found: compared.extend(who) or compare(self, bounds, who, found)
    )
    monkeypatch.setattr(
        "monitor.core.alerts.early_alerts.evaluate_view",
        lambda sight, ruled, view, tenants: (
            evaluated.extend(view.tenants) or evaluate_view(sight, ruled, view, tenants)
        ),
    )
    blocks = rule("blocks", metric="block_ratio", above=0.5, window="3h", step="1h", min_denominator=40)
    task = StreamTask(policy_of(rules=[blocks], overrides=[OVERRIDE] if overridden else []), sources=1)
    for number in range(240):
        line = codec.encode(
            cdr(call_id=f"{number}", callee=f"+8613{number // 3:06}{37 * number % 100:03}", end_ms=T0 + number)
        )
        task.feed(0, RecordBatch(number, number + 1, np.array([number]), np.array([2**41]), [line]))
        task.early()
    assert len(counted) < (30 if overridden else 12)
    assert overridden or len(compared) < 40
    assert counted
    assert bool(evaluated) == overridden


def task_of_medians(limit: Mapping[str, float]) -> StreamTask:
    ruled = rule("median", **MEDIAN, step="1h")
    return StreamTask(
        policy_of(rules=[{k: value for k, value in ruled.items() if k != "above"} | {**limit}]), sources=1
    )


def call_of(number: int, talk_ms: int) -> RecordBatch:
    at_ms = T0 + number + 100_000 - talk_ms
    times = {"start_ms": at_ms, "answer_ms": at_ms, "end_ms": at_ms + talk_ms}
    line = codec.encode(cdr(call_id=f"{number}", outcome="answered", **times))
    return RecordBatch(number, number + 1, np.array([number]), np.array([2**41]), [line])


@pytest.mark.parametrize(
    ("limit", "before_ms", "after_ms", "needed"),
    [({"below": 10}, 10_240, 10_239, 30), ({"above": 50}, 51_199, 51_200, 31)],
    ids=["below", "above"],
)
def test_a_median_alerts_at_the_first_call_after_which_it_may(
    limit: Mapping[str, float], before_ms: int, after_ms: int, needed: int
) -> None:
    """The talk times are at the edge of a bucket: one is in the last that meets the threshold, or the first.

    The fortieth call leads to a count. Other ends need forty more before they are compared.
    """
    task = task_of_medians({**limit, "min_denominator": 40})
    for number in range(30):
        task.feed(0, call_of(number, before_ms))
    task.early()
    for number in range(30, 30 + needed):
        assert not task.take().output.alerts, number
        task.feed(0, call_of(number, after_ms))
        task.early()
    assert [alert.state for alert in task.take().output.alerts] == ["firing"]


@pytest.mark.parametrize(("limit", "usual_s", "rest_s"), [({"below": 10}, 60, 1), ({"above": 50}, 1, 100)])
def test_the_medians_of_a_tenant_far_from_each_threshold_of_medians_are_rarely_counted(
    limit: Mapping[str, float], usual_s: int, rest_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven of ten calls are not beyond the threshold: it takes four more for each ten before the median may be."""
    counted: list[int] = []
    ahead = RunningMedians.medians_ahead
    monkeypatch.setattr(
        RunningMedians, "medians_ahead", lambda self, who, *args: counted.extend(who) or ahead(self, who, *args)
    )
    task = task_of_medians(limit)
    for number in range(400):
        task.feed(0, call_of(number, 1_000 * (usual_s if number * 3 % 10 < 7 else rest_s)))
        task.early()
    assert 0 < len(counted) < 14
    assert not task.take().output.alerts


def test_each_set_of_keys_has_its_place_in_the_order_of_counting() -> None:
    assert sorted(_FEWEST_FIRST) == sorted({keys for keys, _ in DISTINCT_COUNTS.values()})


def test_callees_are_not_counted_of_a_tenant_whose_callers_rule_a_breach_out(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    count = EarlyDistinctCounts.count

    def recorded(self: EarlyDistinctCounts, *args: Any) -> None:
        counted.append(self._which)
        count(self, *args)

    monkeypatch.setattr(EarlyDistinctCounts, "count", recorded)
    pool = rule("pool", metric="calls_per_caller", window="1h", step="1h", min_denominator=2, below=5, also=DIFFERENT)
    for callers, sets in ((1, ["callers"]), (4, ["callers", "callees"])):
        task = StreamTask(policy_of(rules=[{key: value for key, value in pool.items() if key != "above"}]), sources=1)
        lines = [
            codec.encode(cdr(call_id=f"{n}", caller=f"+8610{n % callers:08}", callee=f"+8613{n:09}", end_ms=T0 + n))
            for n in range(12)
        ]
        task.feed(0, RecordBatch(0, 12, np.arange(12), np.full(12, 2**41), lines))
        counted.clear()
        task.early()
        assert list(dict.fromkeys(counted)) == sets
        assert len(task.take().output.alerts) == len(sets) - 1


def test_a_tenant_with_too_many_callees_to_count_exactly_does_not_stop_the_evaluation_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.core.windows.distinct.key_counts.EXACT_KEYS", 20)
    over = rule("again", metric="callee_over_limit", above=0, window="5m", step="5m", **{"with": {"callee_limit": 2}})
    task = StreamTask(policy_of(rules=[over]), sources=1)
    calls = [("acme", 7)] * 2 + [("bravo", 64 * number) for number in range(60)] + [("acme", 7)]
    for number, (tenant, callee) in enumerate(calls):
        if tenant == "acme":
            task.shard.open_panes.sum_up()
            task.early()
        made = cdr(call_id=f"{number}", tenant_id=tenant, callee=f"+86138{callee:08}", start_ms=T0, end_ms=T0 + number)
        stamp = np.array([2**41])
        task.feed(0, RecordBatch(number, number + 1, np.array([number]), stamp, [codec.encode(made)]))
    task.early()
    assert [(alert.tenant_id, alert.state) for alert in task.take().output.alerts] == [("acme", "firing")]
