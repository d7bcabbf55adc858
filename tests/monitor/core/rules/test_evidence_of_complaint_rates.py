"""Section 6 of the contract: a rule `below` a metric of complaints names no calls, and no complaints, as evidence."""

import json
from typing import Any

import pytest

from oracle import judge
from oracle.compare import as_output, differences
from oracle.product import run
from oracle.scenario_generator import MARCH_2

RATES = ("complaint_rate", "verified_complaint_rate")


def made(metric: str, direction: str) -> dict[str, Any]:
    rule = {"id": f"{metric}-{direction}", "behaviour": "no_consent", "metric": metric, direction: 0.5}
    return rule | {"window": "1h", "step": "1h", "mode": "shadow", "min_denominator": 1}


def lines() -> list[str]:
    call = {"type": "cdr", "direction": "outbound", "caller": "1001", "callee": "1002", "outcome": "answered"}
    calls = [
        call | {"tenant_id": tenant, "call_id": f"c{n}", "start_ms": end - 9, "answer_ms": end - 7, "end_ms": end}
        for tenant in ("few", "many")
        for n, end in enumerate(range(MARCH_2 + 60_000, MARCH_2 + 64_000, 1_000))
    ]
    complaint = {"type": "complaint", "tenant_id": "many", "category": "other", "status": "verified"}
    complaints = [
        complaint | {"complaint_id": f"p{n}", "reported_ms": MARCH_2, "updated_ms": MARCH_2 + 64_000} for n in range(3)
    ]
    return [json.dumps(one) for one in calls + complaints]


@pytest.mark.parametrize("metric", RATES)
def test_a_rate_of_complaints_below_its_threshold_names_no_calls(metric: str) -> None:
    policy = {"id": "test", "version": "1", "escalations": [], "rules": [made(metric, "below"), made(metric, "above")]}
    actual = run([lines()], policy)
    named = {(event["tenant_id"], event["rule_id"]): event["evidence"] for event in actual["shadow"]}
    few, many = named["few", f"{metric}-below"], named["many", f"{metric}-above"]
    assert few["call_ids"] == few["complaint_ids"] == []
    assert many["call_ids"] == []
    assert many["complaint_ids"] == ["p0", "p1", "p2"]
    assert differences(as_output(judge([lines()], policy)), actual) == []
