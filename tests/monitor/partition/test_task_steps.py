"""A burst is decided in steps, each stored separately, even if all of it has one instant."""

import json
from typing import Any

import pytest
from burst import DAY, T0, decided_in_steps, feed, new_task

from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from schemas import codec
from streams.worker.running.running_partition import _LARGE as LARGE
from streams.worker.running.work_estimate import early_work, transaction_work

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
    """Records decided at one instant, or raised to it; their lapses, also at one instant; and records that advance
    time.
    """
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


def decided(one: StreamTask) -> list[bytes]:
    return [codec.encode(event) for event in one.take().output.enforcement]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_burst_of_one_instant_is_decided_in_steps_that_a_restart_may_part(restarts: bool) -> None:
    values = lines()
    at_once = new_task(POLICY)
    feed(at_once, values)
    at_once.advance()
    expected = decided(at_once)
    assert len(expected) > 40 + 2 * 40, "warnings and escalations, pending rejections and their lapses"

    steps = decided_in_steps(POLICY, values, MOST, decided, restarts)
    assert [event for step in steps for event in step] == expected
    assert max(map(len, steps)) <= 3 * MOST, (
        "of a record come at most its decision and an escalation, and as many lapses"
    )
    assert len(steps) > len(expected) / (3 * MOST)


def test_finding_due_records_does_not_iterate_over_all_waiting_ones() -> None:
    one = new_task(POLICY)
    feed(one, lines())
    assert transaction_work(one, MOST) == 100 * MOST, "no more is counted than is decided at once"


def test_texts_that_take_long_to_be_compared_are_decided_a_few_at_a_time() -> None:
    """One of their characters expands to 18: two texts of 4,096 take a tenth of a second."""
    one = new_task(POLICY)
    slow = {"type": "application", "tenant_id": "acme", "declared_business": "\ufdfa" * 4_096}
    values = [json.dumps({**slow, "application_id": f"n{n}", "updated_ms": T0}).encode() for n in range(5)]
    tenant = {"type": "tenant", "tenant_id": "acme", "declared_businesses": [], "numbers": []}
    feed(one, [*values, json.dumps({**tenant, "updated_ms": T0 + DAY}).encode()])
    assert transaction_work(one, 1_000) >= 50_000, "not in the event loop"
    steps = 0
    while one.due:
        one.advance(1_000)
        steps += 1
    assert steps == 3, "two at a time"


ALERTING = loads(
    json.dumps(
        {
            "id": "alerting",
            "version": "1",
            "extends": "access-rules",
            "defaults": {"lateness": "1m"},
            "rules": [
                {
                    "id": "short",
                    "behaviour": "blind_calling",
                    "metric": "short_call_ratio",
                    "above": 0.5,
                    "window": "5m",
                    "step": "5m",
                    "mode": "shadow",
                }
            ],
            "escalations": [],
        }
    ),
    "policy.json",
)
TENANTS = 600  # each in breach, 0.3 ms of work


def call(tenant: str, at_ms: int, talk_ms: int = 1_000) -> bytes:
    times = {"start_ms": at_ms - talk_ms - 1_000, "answer_ms": at_ms - talk_ms, "end_ms": at_ms}
    who = {"call_id": f"{tenant}-{at_ms}", "tenant_id": tenant, "caller": "+8613800000000", "callee": "+8613800000001"}
    return json.dumps({"type": "cdr", "direction": "outbound", "outcome": "answered", **who, **times}).encode()


def test_calls_of_many_tenants_that_reach_no_threshold_are_evaluated_at_once() -> None:
    """A thread costs more than such an evaluation, and the partition takes nothing meanwhile."""
    one = new_task(ALERTING)
    begin = T0 // 300_000 * 300_000 + 100_000  # no call can reach the window before
    values = [call(f"t{n}", begin + at_ms, talk_ms=60_000) for n in range(TENANTS) for at_ms in range(4)]
    feed(one, values)
    one.early()
    values += [call(f"t{n}", begin + 4) for n in range(TENANTS)]
    feed(one, values)
    assert early_work(one) < LARGE, "one of five calls is short"
    values += [call(f"t{n}", begin + at_ms) for n in range(TENANTS) for at_ms in range(5, 9)]
    feed(one, values)
    assert early_work(one) > LARGE
    one.early()
    assert len(one.take().output.alerts) == TENANTS


def test_many_window_ends_are_evaluated_by_a_thread_however_few_calls_there_are() -> None:
    """A backlog of a thousand tenants held the event loop for 0.17 s."""
    one = new_task(ALERTING)
    begin, pane_ms = T0 // 300_000 * 300_000, 300_000
    values = [call("acme", begin + number * pane_ms + 1_000, talk_ms=60_000) for number in range(3)]
    feed(one, values)
    assert one.due
    assert transaction_work(one, MOST) < LARGE
    values += [call("acme", begin + number * pane_ms + 1_000, talk_ms=60_000) for number in range(3, 100)]
    feed(one, values)
    assert transaction_work(one, MOST) > LARGE


def test_tenants_with_many_possible_alerts_are_evaluated_by_a_thread() -> None:
    """An early evaluation of 20,000 tenants in breach blocked the event loop for 2 s, even without a new call."""
    one = new_task(ALERTING)
    begin = T0 // 300_000 * 300_000
    values = [call(f"t{n}", begin + 1_000) for n in range(TENANTS)]
    feed(one, values)
    assert early_work(one) > LARGE
    one.early()
    assert len(one.take().output.alerts) == TENANTS
    assert early_work(one) < LARGE, "nothing has come since"
    feed(one, [*values, call("t0", begin + 2_000)])
    assert early_work(one) < LARGE, "one call, of one tenant"
    feed(one, [*values, call("t0", begin + 2_000), call("other", begin + 400_000)])
    assert one.due
    assert transaction_work(one, MOST) > LARGE
    one.advance(MOST)
    one.take()
    one.sources.move(0, begin + 700_000)  # the calls leave the window, and no record arrives
    assert one.due
    assert transaction_work(one, MOST) > LARGE
    one.advance(MOST)
    assert len(one.take().output.alerts) >= TENANTS
    assert transaction_work(one, MOST) < LARGE
