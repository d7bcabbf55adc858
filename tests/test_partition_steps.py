"""A burst is decided in steps, each stored by itself: also where all of it is of one instant."""

import json
from typing import Any

import numpy as np
import pytest

from monitor.head import Live
from monitor.partition import Partition
from monitor.policy.load import loads
from monitor.rows import Rows
from schemas import codec

T0 = 1_790_000_000_000
DAY = 86_400_000
MOST = 7
POLICY = loads(
    json.dumps(
        {
            "id": "steps",
            "version": "1",
            "extends": "access-rules",
            "defaults": {"review_within": "7d"},
            "rules": [],
            "prohibited_businesses": [{"key": "loans", "zh": "贷款", "en": "loans", "terms": ["贷款"], "unless": []}],
        }
    ),
    "policy.json",
)


def lines() -> list[bytes]:
    """What is decided at one instant, or raised to one; its lapses, at one instant too; and what lets time pass."""
    some: list[dict[str, Any]] = [
        {"type": "tenant", "tenant_id": "acme", "declared_businesses": [], "numbers": [], "updated_ms": T0}
    ]
    for n in range(40):
        complaint = {"complaint_id": f"p{n * 37 % 40:02}", "category": "number_leak", "status": "verified"}
        some.append({"type": "complaint", "tenant_id": "acme", **complaint, "reported_ms": T0, "updated_ms": T0 - DAY})
        application = {"application_id": f"n{n * 23 % 40:02}", "declared_business": "小额贷款中介"}
        some.append({"type": "application", "tenant_id": f"t{n % 3}", **application, "updated_ms": T0 - DAY})
    last = {"type": "tenant", "tenant_id": "acme", "declared_businesses": [], "numbers": []}
    some.append({**last, "updated_ms": T0 + 8 * DAY})
    return [json.dumps(one).encode() for one in some]


def partition() -> Partition:
    return Partition(POLICY, live=Live(max_ahead_ms=0), sources=1)


def feed(one: Partition, values: list[bytes]) -> None:
    start = one.sources.offsets[0]
    rows = values[start:]
    one.feed(0, Rows(start, len(values), np.arange(start, len(values)), np.full(len(rows), T0 + 30 * DAY), rows))


def decided(one: Partition) -> list[bytes]:
    return [codec.encode(event) for event in one.take().sink.enforcement]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_burst_of_one_instant_is_decided_in_steps_that_a_restart_may_part(restarts: bool) -> None:
    values = lines()
    at_once = partition()
    feed(at_once, values)
    at_once.advance()
    expected = decided(at_once)
    assert len(expected) > 40 + 2 * 40, "warnings and escalations, pending rejections and their lapses"

    one, stored, steps = partition(), dict[str, bytes](), list[list[bytes]]()
    feed(one, values)
    while one.due:
        one.advance(MOST)
        steps.append(decided(one))
        for key, value in one.snapshot(hand_over=len(steps) % 3 == 0):
            stored.pop(key, None)
            if value is not None:
                stored[key] = value
        if restarts:
            one = partition()
            one.restore(stored)
            one.take_over()
            feed(one, values)
    assert [event for step in steps for event in step] == expected
    assert max(map(len, steps)) <= 3 * MOST, (
        "of a record come at most its decision and an escalation, and as many lapses"
    )
    assert len(steps) > len(expected) / (3 * MOST)


def test_what_waits_undecided_is_not_walked_through_to_find_what_is_due() -> None:
    one = partition()
    feed(one, lines())
    assert one.work(MOST) == 100 * MOST, "no more is counted than is decided at once"


def test_texts_that_take_long_to_be_compared_are_decided_a_few_at_a_time() -> None:
    """One character of them becomes 18: two texts of 4,096 take a tenth of a second."""
    one = partition()
    slow = {"type": "application", "tenant_id": "acme", "declared_business": "\ufdfa" * 4_096}
    values = [json.dumps({**slow, "application_id": f"n{n}", "updated_ms": T0}).encode() for n in range(5)]
    tenant = {"type": "tenant", "tenant_id": "acme", "declared_businesses": [], "numbers": []}
    feed(one, [*values, json.dumps({**tenant, "updated_ms": T0 + DAY}).encode()])
    assert one.work(1_000) >= 50_000, "not in the event loop"
    steps = 0
    while one.due:
        one.advance(1_000)
        steps += 1
    assert steps == 3, "two at a time"
