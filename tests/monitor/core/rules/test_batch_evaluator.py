"""The batch evaluator finds at every end all tenants in breach, and others only where a rule counts
calls per number.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from helpers.shard_samples import HOUR, MINUTE, OUTCOMES, T0, cdr, columns, policy_of
from helpers.thorough import thorough
from monitor.core.calls.fields import FieldLayout
from monitor.core.rules import native_pairs
from monitor.core.rules.batch_evaluator import BatchEvaluator
from monitor.core.rules.conditions import evaluate_view, rule_view
from monitor.core.rules.rule_state import RuleState
from monitor.core.tenants.active_alert import ActiveAlert
from monitor.core.tenants.complaints import ComplaintEntry
from monitor.core.windows.pane import Pane, to_panes
from monitor.core.windows.window import SlidingWindow, WindowView
from monitor.policy.metrics import METRICS, Metric
from schemas.inputs import Complaint

TENANTS = 12
KNOWN = TENANTS + 2  # the last ones have no call
_OPS = ("above", "below", "at_least", "at_most")


def some_rule(rng: random.Random, name: str) -> dict[str, Any]:
    def limit(metric: str) -> float:
        return rng.randint(0, 9) if METRICS[metric].unit == "count" else rng.choice((0, 0.1, 0.2, 0.5, 1.0))

    metric, op = rng.choice(sorted(METRICS)), rng.choice(_OPS[:2])
    threshold = limit(metric)
    if METRICS[metric].proportion:  # at the limit of a ratio, a threshold would be an error
        threshold = min(threshold, 0.9) if op == "above" else max(threshold, 0.05)
    recover = max(threshold - 0.1, 0) if op == "above" else threshold + 0.1
    beside = [rng.choice(sorted(METRICS)) for _ in range(rng.randint(0, 2))]
    rule = {
        "id": name,
        "behaviour": "blind_calling",
        "metric": metric,
        op: threshold,
        "recover": recover,
        "window": "1h",
        "step": rng.choice(("5m", "15m")),
        "min_denominator": rng.choice((1, 2, 7)),
        "also": [{"metric": other, rng.choice(_OPS): limit(other)} for other in beside],
        "mode": "shadow",
    }
    if METRICS[metric].proportion and rng.random() < 0.5:
        rule["confidence"] = rng.choice((0.6, 0.9))
    return rule


def some_panes(rng: random.Random, layout: FieldLayout) -> Sequence[Pane]:
    """Two hours of calls."""
    cdrs = []
    for number in range(800):
        outcome, start = rng.choice(OUTCOMES), T0 + rng.randrange(2 * HOUR - MINUTE)
        answered = start + 1000 if outcome == "answered" else None
        end = start + 1000 + rng.choice((0, 2_000, 8_000, 59_999)) if answered else start + 1_000
        callee = f"+86138000000{rng.randrange(40):02}"
        tenant = min(rng.randrange(TENANTS), rng.randrange(TENANTS))
        times = {"start_ms": start, "ring_ms": start + 500, "answer_ms": answered, "end_ms": end}
        made = {"tenant_id": str(tenant), "call_id": str(number), "callee": callee, "outcome": outcome}
        cdrs.append(cdr(direction=rng.choice(("outbound", "outbound", "inbound")), **times, **made))
    names, calls, valid = columns(cdrs, layout)
    assert valid.all()
    calls.tenant = np.array([int(name) for name in names], np.int32)[calls.tenant]
    quiet = T0 + HOUR, T0 + HOUR + 30 * MINUTE  # when there is hardly a call
    kept = (calls.tenant == 0) | (calls.end_ms < quiet[0]) | (calls.end_ms >= quiet[1])
    return to_panes(calls.take(kept).counted(), 5 * MINUTE, layout, [])


class Complaints:
    """Complaints that are received, verified and dismissed."""

    def __init__(self, rng: random.Random, windows: Sequence[SlidingWindow]) -> None:
        self._rng, self._windows = rng, windows
        self._entries: list[ComplaintEntry] = []

    def go_on(self, at_ms: int) -> None:
        tenant = self._rng.randrange(KNOWN)
        for window in self._windows:
            window.complaints.record(at_ms, tenant)
        if self._entries and self._rng.random() < 0.4:
            entry = self._entries.pop()
            entry.dismissed_ms = at_ms
            for window in self._windows:
                window.complaints.dismissed(entry)
            return
        record = Complaint(
            complaint_id=str(at_ms),
            tenant_id=str(tenant),
            category="other",
            status="received",
            complainant=self._rng.choice("abc"),
            reported_ms=at_ms,
            updated_ms=at_ms,
        )
        entry = ComplaintEntry.of(record, tenant, at_ms)
        entry.take(record, at_ms)
        for window in self._windows:
            window.complaints.first(entry)
        if self._rng.random() < 0.5:
            entry.verified_ms = at_ms
            for window in self._windows:
                window.complaints.verified(entry)
        self._entries.append(entry)


@pytest.mark.parametrize("seed", thorough(range(60), 15))
def test_those_in_breach_pass_and_alerts_that_end_are_reported(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each end of a step, for any earlier evaluations; the result of one evaluation is the state of the next."""
    print(f"seed {seed}")
    monkeypatch.setattr(native_pairs, "enabled", native_pairs.built() and seed % 2 == 0)
    rng = random.Random(seed)
    policy = policy_of(rules=[some_rule(rng, f"r{n}") for n in range(rng.randint(1, 6))])
    layout = FieldLayout.of(policy.params, policy.rules)
    # Windows of several lengths: where calls leave one, a tenant changes for some rules and not for others.
    parts = [[rule for rule in policy.rules if (rule.step_ms > 5 * MINUTE) == seldom] for seldom in (False, True)]
    windows = [
        SlidingWindow(hours * HOUR, 5 * MINUTE, 0, some, layout) for hours, some in zip((1, 3), parts, strict=True)
    ]
    rule_states = [RuleState(rule, windows[rule.step_ms > 5 * MINUTE]) for rule in policy.rules]
    later = rng.choice(range(len(rule_states)))  # a rule that is evaluated from a later time on
    screen, complaints = BatchEvaluator(rule_states), Complaints(rng, windows)
    panes = list(some_panes(rng, layout))
    for end in range(T0 + 5 * MINUTE, T0 + 6 * HOUR, 5 * MINUTE):
        pane = panes.pop(0) if panes and panes[0].start_ms < end else None
        for window in windows:
            if pane is not None:
                window.enter(pane, KNOWN)
            window.leave(end - window.window_ms)
        if rng.random() < 0.3:
            complaints.go_on(end - 1)
        due = [place for place, rule_state in enumerate(rule_states) if end % rule_state.rule.step_ms == 0]
        due = [place for place in due if place != later or end >= T0 + HOUR]
        if due:
            check(screen, rule_states, due)
            for place in due:
                keep_up(rng, rule_states[place])


def test_what_a_rule_found_stays_when_a_tenant_changes_for_rules_of_another_step() -> None:
    rule = {"behaviour": "blind_calling", "metric": "attempts", "above": 0, "recover": 0, "mode": "shadow"}
    often, seldom = (rule | {"id": step, "window": "1h", "step": step} for step in ("5m", "15m"))
    policy = policy_of(rules=[often, seldom])
    layout = FieldLayout.of(policy.params, policy.rules)
    windows = [
        SlidingWindow(length, 5 * MINUTE, 0, [rule], layout)
        for length, rule in zip((HOUR, 3 * HOUR), policy.rules, strict=True)
    ]
    screen = BatchEvaluator([RuleState(rule, window) for rule, window in zip(policy.rules, windows, strict=True)])
    pane = some_panes(random.Random(0), layout)[0]
    found = {}
    for end in range(T0 + 5 * MINUTE, T0 + 80 * MINUTE, 5 * MINUTE):
        for window in windows:
            if end == T0 + 5 * MINUTE:
                window.enter(pane, KNOWN)
            window.leave(end - window.window_ms)
        due = [0, 1] if end % (15 * MINUTE) == 0 else [0]
        found = screen.evaluate(due, KNOWN).breach
    assert found.keys() == {1}, "the calls left the window of the other rule ten minutes ago"
    assert len(found[1]) > 5


def check(screen: BatchEvaluator, rule_states: Sequence[RuleState], due: Sequence[int]) -> None:
    """The result equals what each rule, alone and over all tenants, finds."""
    before = {place: set(rule_states[place].firing) for place in due}
    seen = screen.evaluate(due, KNOWN)
    assert seen.breach.keys() <= set(due)
    for place in due:
        rule, window = rule_states[place].rule, rule_states[place].window
        found = evaluate_view(window, rule, rule_view(window, rule, KNOWN), KNOWN)
        passed = seen.breach.get(place, np.empty(0, np.intp)).tolist()
        breach = found.breach.tenants.tolist()
        assert passed == breach, rule
        assert (place in seen.ending) == (not all(found.keeps_firing[tenant] for tenant in before[place])), rule


def keep_up(rng: random.Random, rule_state: RuleState) -> None:
    """Alerts as the evaluator keeps them: of tenants in breach, until the value is within ``recover`` again."""
    found = evaluate_view(
        rule_state.window, rule_state.rule, rule_view(rule_state.window, rule_state.rule, KNOWN), KNOWN
    )
    active = {tenant for tenant in rule_state.firing if found.keeps_firing[tenant]}
    active |= {tenant for tenant in found.breach.tenants.tolist() if rng.random() < 0.7}
    rule_state.firing.load({tenant: ActiveAlert(T0) for tenant in active})


@pytest.mark.parametrize("native", [True, False])
def test_counts_that_cost_more_are_read_only_where_a_tenant_has_enough_attempts(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_pairs, "enabled", native_pairs.built() and native)
    rule = {"id": "peak", "behaviour": "blind_calling", "metric": "caller_peak", "mode": "shadow"}
    rule |= {"window": "1h", "step": "5m", "recover": 1}
    policy = policy_of(rules=[rule | {"above": 100_000}, rule | {"id": "low", "above": 2}])
    layout = FieldLayout.of(policy.params, policy.rules)
    window = SlidingWindow(HOUR, 5 * MINUTE, 0, policy.rules, layout)
    rule_states = [RuleState(rule, window) for rule in policy.rules]
    read: list[str] = []

    def numerator(self: SlidingWindow, metric: Metric, *arguments: Any) -> Any:
        read.append(metric.name)
        return WindowView.numerator(self, metric, *arguments)

    monkeypatch.setattr(SlidingWindow, "numerator", numerator)
    high, low = (BatchEvaluator([one]) for one in rule_states)
    for pane in list(some_panes(random.Random(7), layout))[:3]:
        window.enter(pane, KNOWN)
    assert high.evaluate([0], KNOWN).breach == {}
    assert read == []
    assert low.evaluate([0], KNOWN).breach
    assert read == ["caller_peak"]
