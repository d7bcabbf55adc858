"""Screens find all who are in breach, and nobody else where no rule asks how often one number called."""

import random
from typing import Any

import numpy as np
import pytest
from shard_samples import HOUR, MINUTE, OUTCOMES, T0, cdr, columns, policy_of

from monitor.metrics import METRICS
from monitor.shard.breach import find, look
from monitor.shard.complaints import ComplaintEntry
from monitor.shard.docket import Docket
from monitor.shard.fields import Layout
from monitor.shard.firing import Firing
from monitor.shard.pane import seal
from monitor.shard.screen import Screen
from monitor.shard.span import Span
from schemas.inputs import Complaint

TENANTS = 12
KNOWN = TENANTS + 2  # the last have no call
_OPS = ("above", "below", "at_least", "at_most")


def some_rule(rng: random.Random, name: str) -> dict[str, Any]:
    def limit(metric: str) -> float:
        return rng.randint(0, 9) if METRICS[metric].unit == "count" else rng.choice((0, 0.1, 0.2, 0.5, 1.0))

    metric, op = rng.choice(sorted(METRICS)), rng.choice(_OPS[:2])
    threshold = limit(metric)
    recover = max(threshold - 0.1, 0) if op == "above" else threshold + 0.1
    beside = [rng.choice(sorted(METRICS)) for _ in range(rng.randint(0, 2))]
    rule = {
        "id": name,
        "behaviour": "blind_calling",
        "metric": metric,
        op: threshold,
        "recover": recover,
        "window": "1h",
        "step": "5m",
        "min_denominator": rng.choice((1, 2, 7)),
        "also": [{"metric": other, rng.choice(_OPS): limit(other)} for other in beside],
        "mode": "shadow",
    }
    if METRICS[metric].proportion and rng.random() < 0.5:
        rule["confidence"] = rng.choice((0.6, 0.9))
    return rule


def some_span(rng: random.Random, layout: Layout, rules: Any) -> Span:
    span = Span(HOUR, 5 * MINUTE, 0, rules, layout)
    cdrs = []
    for number in range(400):
        outcome, start = rng.choice(OUTCOMES), T0 + rng.randrange(HOUR - MINUTE)
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
    for pane in seal(calls.counted(), 5 * MINUTE, layout, [], parties=True):
        span.enter(pane, KNOWN)
    for number in range(12):
        tenant = rng.randrange(KNOWN)
        record = Complaint(
            complaint_id=str(number),
            tenant_id=str(tenant),
            category="other",
            status="received",
            reported_ms=T0,
            updated_ms=T0,
        )
        entry = ComplaintEntry.of(record, tenant, T0)
        entry.take(record, T0)
        span.complaints.record(T0, tenant)
        span.complaints.first(entry)
        if rng.random() < 0.5:
            span.complaints.verified(entry)
    return span


@pytest.mark.parametrize("seed", range(40))
def test_those_in_breach_pass_and_alerts_that_end_are_told(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    policy = policy_of(rules=[some_rule(rng, f"r{n}") for n in range(rng.randint(1, 6))])
    layout = Layout.of(policy.params, policy.rules)
    span = some_span(rng, layout, policy.rules)
    dockets = [Docket(rule, span) for rule in policy.rules]
    for docket in dockets:
        docket.firing = {tenant: Firing(T0) for tenant in rng.sample(range(KNOWN), rng.randint(0, 3))}
    due = sorted(rng.sample(range(len(dockets)), rng.randint(1, len(dockets))))
    seen = Screen(span, dockets).look(due, KNOWN)
    assert seen.breach.keys() <= set(due)
    for place in due:
        rule, firing = dockets[place].rule, dockets[place].firing
        found = find(span, rule, look(span, rule, KNOWN), KNOWN)
        passed = seen.breach.get(place, np.empty(0, np.intp)).tolist()
        breach = found.breach.tenants.tolist()
        if "caller_peak" in (rule.metric, *(condition.metric for condition in rule.also)):
            assert set(breach) <= set(passed), rule
        else:
            assert passed == breach, rule
        ends = not all(found.standing[tenant] for tenant in firing)
        if rule.metric != "caller_peak":
            assert (place in seen.ending) == ends, rule
        else:
            assert (place in seen.ending) == bool(firing)
