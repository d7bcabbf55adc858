"""Prefilters pass every tenant that a rule would find in breach, and hold back all that running sums rule out."""

import random
import sys
from typing import Any, ClassVar

import numpy as np
import pytest

from helpers.shard_samples import policy_of
from monitor.core.calls.fields import FieldLayout
from monitor.core.rules.conditions import evaluate_view, rule_view
from monitor.core.rules.prefilter import Prefilter
from monitor.core.tenants.complaints import ComplaintForecast, ComplaintWindow
from monitor.core.windows.tenant_sums import TenantSums
from monitor.core.windows.window import WindowView
from monitor.policy.metrics import METRICS

TENANTS = 40
_SHARES = (0, 0.2, 0.5, 1.0, 1.5, 5e-324, sys.float_info.max, -sys.float_info.max)
_OPS = ("above", "below", "at_least", "at_most")
_OF_SUMS = sorted(name for name, metric in METRICS.items() if metric.family == "calls")


class Sums(WindowView):
    """Running sums only."""

    distinct: ClassVar[dict[Any, Any]] = {}

    def __init__(self, layout: FieldLayout, running_sums: TenantSums) -> None:
        self.layout = layout
        self.running_sums = running_sums
        self.complaints = ComplaintForecast(ComplaintWindow(1, 0, False, False), 1, TENANTS)


def some_rule(rng: random.Random, name: str) -> dict[str, Any]:
    def limit(metric: str) -> float:
        if METRICS[metric].unit == "count":
            return rng.randint(0, 9)
        value = rng.choice(_SHARES)
        return min(max(value, 0), 1) if METRICS[metric].proportion else value  # beyond that is an error

    metric, op = rng.choice(_OF_SUMS), rng.choice(_OPS[:2])
    threshold = limit(metric)
    if METRICS[metric].proportion:  # at the limit of a ratio, a threshold would be an error
        threshold = min(threshold, 0.9) if op == "above" else max(threshold, 0.05)
    beside = [rng.choice(_OF_SUMS) for _ in range(rng.randint(0, 3))]
    return {
        "id": name,
        "behaviour": "blind_calling",
        "metric": metric,
        op: threshold,
        "window": "1h",
        "step": "5m",
        "min_denominator": rng.choice((1, 2, 7)),
        "also": [{"metric": other, rng.choice(_OPS): limit(other)} for other in beside],
        "with": {"short_call_s": rng.choice((3, 6)), "timezone": rng.choice(("Asia/Shanghai", "UTC"))},
    }


@pytest.mark.parametrize("seed", range(60))
def test_tenants_that_pass_are_those_in_breach_where_sums_decide(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    policy = policy_of(rules=[some_rule(rng, f"r{n}") for n in range(rng.randint(1, 6))])
    layout = FieldLayout.of(policy.params, policy.rules)
    fields = list(range(layout.width))
    rng.shuffle(fields)
    sums = TenantSums(fields)
    sums.reach(TENANTS)
    counts = np.random.default_rng(seed).integers(0, 10, (TENANTS, layout.width)) * rng.choice((1, 1000))
    counts[:, 0] = counts.max(axis=1)  # no count exceeds the number of records
    sums.add(np.arange(TENANTS, dtype=np.int32), sums.pick(counts))
    who = np.array(sorted(rng.sample(range(TENANTS), 25)))
    passed = Prefilter(policy.rules, layout, fields).matches(sums, who)
    sight = Sums(layout, sums)
    for row, rule in enumerate(policy.rules):
        found = evaluate_view(sight, rule, rule_view(sight, rule, TENANTS, who), TENANTS)
        present = counts[who, 0] > 0
        assert who[passed[:, row] & present].tolist() == found.breach.tenants.tolist(), rule
