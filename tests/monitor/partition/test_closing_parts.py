"""The alerts that end with a policy are resolved in parts, and so is what is forgotten, however much there is."""

import json
import random
from typing import Any

import numpy as np
import pytest

from helpers.single_records import each_record
from helpers.thorough import thorough
from monitor.core.rules import window_end
from monitor.core.tenants.active_alert import ActiveAlert
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from schemas import codec
from streams.kafka.topic_names import TopicNames
from streams.topics import transaction_records as emit
from streams.worker.running.transaction import MOST_AT_ONCE
from streams.worker.running.work_estimate import transaction_work

MINUTE, DAY = 60_000, 86_400_000
T0 = 1_790_000_100_000 // 3_600_000 * 3_600_000
FROM = T0 + 30 * MINUTE
TENANTS = 40
RULE = {"behaviour": "blind_calling", "metric": "attempts", "above": 0, "min_denominator": 1, "step": "5m"}
NAMES = ("first", "second", "kept")


def policy_of(version: str, names: tuple[str, ...], **defaults: Any) -> Policy:
    rules = [RULE | {"id": name, "window": "15m", "mode": "shadow"} for name in names]
    written = {"id": "parts", "version": version, "defaults": {"lateness": "1m"} | defaults, "rules": rules}
    return loads(json.dumps(written), "policy.json")


def call(at_ms: int, name: str, tenant: str) -> dict[str, Any]:
    record = {"type": "cdr", "call_id": name, "direction": "outbound", "outcome": "answered", "tenant_id": tenant}
    record |= {"caller": "+8613800000000", "callee": "+8613800000001", "end_ms": at_ms}
    return record | dict.fromkeys(("start_ms", "answer_ms"), at_ms - 30_000)


def complaint(at_ms: int, name: str, tenant: str) -> dict[str, Any]:
    record = {"type": "complaint", "complaint_id": name, "category": "harassment", "status": "verified"}
    return record | {"reported_ms": at_ms, "updated_ms": at_ms, "tenant_id": tenant}


def encoded(records: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(one).encode() for one in records]


def calls(rng: random.Random) -> list[bytes]:
    """Calls of many tenants until the policy changes and after it, and complaints right before that."""
    tenants = [f"t{n:02}" for n in range(TENANTS)]
    rng.shuffle(tenants)
    found = [call(T0 + rng.randrange(45 * MINUTE), f"c{n}", rng.choice(tenants)) for n in range(200)]
    found += [call(FROM - 7 * MINUTE, f"d{n}", tenant) for n, tenant in enumerate(tenants)]
    found += [complaint(FROM - 1, f"k{n:02}", rng.choice(tenants)) for n in range(20)]
    found.sort(key=lambda one: one.get("end_ms") or one["updated_ms"])
    return encoded([*found, call(T0 + 60 * MINUTE, "last", "last")])


def partition(policy: Policy) -> StreamTask:
    return StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)


def change(one: StreamTask, later: Policy) -> None:
    assert one.policy_changes.apply(to_plain(later), later.sha256, FROM, "", "", 0) is None


def feed(one: StreamTask, values: list[bytes], stop: int) -> None:
    start = one.sources.offsets[0]
    if rows := values[start:stop]:
        one.feed(0, RecordBatch(start, stop, np.arange(start, stop), np.full(len(rows), T0 + 400 * DAY), rows))


def output_of(one: StreamTask) -> list[list[bytes]]:
    output = one.take().output
    return [[codec.encode(event) for event in some] for some in (output.enforcement, output.shadow, output.alerts)]


def store(one: StreamTask, stored: dict[str, bytes], hand_over: bool = False) -> None:
    for key, value in one.snapshot(hand_over):
        stored.pop(key, None)
        if value is not None:
            stored[key] = value


def judged(
    values: list[bytes], first: Policy, later: Policy, most: int | None, rng: random.Random, restarts: float
) -> tuple[list[list[bytes]], list[int]]:
    """The output of all steps together, and how much each step had."""
    one, stored, steps = partition(first), dict[str, bytes](), list[list[list[bytes]]]()
    change(one, later)
    feed(one, values, len(values))
    while one.due or one.switching:
        ending = one.policy_changes.ending
        if ending and not one.switching:
            one.early()
            assert not one.alerting, "no alert of a policy that ends fires early"
            assert transaction_work(one, most or 1) >= one.shard.tenants
        one.advance(most)
        steps.append(output_of(one))
        store(one, stored, hand_over=rng.random() < 0.3)
        if one.watermark.closing_ms:
            wrong = one.policy_changes.withdraw((later.sha256,), "", "", 0)
            assert wrong is not None
            assert "already judged" in wrong
        if one.switching or rng.random() < restarts:
            one = partition(first)
            one.restore(stored)
            if rng.random() < 0.5:
                one.take_over()
            if one.watermark.closing_ms:
                one.early()
                assert not one.alerting
            feed(one, values, len(values))
    together = [[event for step in steps for event in step[kind]] for kind in range(3)]
    return together, [sum(map(len, step)) for step in steps]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 3)
    monkeypatch.setattr(window_end, "_SORTED_AT_ONCE", 10)


@pytest.mark.parametrize(
    ("seed", "restarts", "most"),
    thorough(
        [(seed, restarts, most) for seed in range(2) for restarts in (0.0, 0.7) for most in (1, 7)],
        [(0, 0.0, 1), (0, 0.7, 7)],
    ),
)
def test_alerts_of_removed_rules_are_resolved_in_parts_that_a_restart_may_separate(
    seed: int, restarts: float, most: int
) -> None:
    """The parts give the same decisions and alerts as one step, in the same order."""
    print("seed", seed)
    rng = random.Random(seed)
    values, first, later = calls(rng), policy_of("1", NAMES), policy_of("2", NAMES[2:])
    expected, _ = judged(values, first, later, None, rng, 0.0)
    ended = [alert for alert in map(json.loads, expected[2]) if alert["updated_ms"] == FROM]
    assert len([alert for alert in ended if alert["rule_id"] != "kept" and alert["state"] == "resolved"]) == 2 * TENANTS
    together, sizes = judged(values, first, later, most, rng, restarts)
    assert together == expected
    assert max(sizes) <= 3 * most + 6
    if restarts:  # restored panes do not say more about removed rules than they did
        assert len(sizes) > 2 * TENANTS // most


def test_early_alerts_end_with_the_policy_in_parts() -> None:
    values = encoded([call(FROM - MINUTE, f"c{n}", f"t{n:02}") for n in range(TENANTS)])
    later = policy_of("2", NAMES, lateness="2m")
    one = partition(policy_of("1", NAMES))
    change(one, later)
    feed(one, values, len(values))
    assert one.early() is False
    assert len(one.take().output.alerts) == 3 * TENANTS
    feed(one, [*values, *encoded([call(FROM + 10 * MINUTE, "last", "last")])], TENANTS + 1)
    ended: list[int] = []
    while not one.switching:
        one.advance(7)
        ended.append(sum(alert.state == "resolved" for alert in one.take().output.alerts))
    assert sum(ended) + sum(map(len, (rule_state.firing for rule_state in one.shard.evaluator.rule_states))) == (
        3 * TENANTS
    )
    assert max(ended) <= 14


@pytest.mark.thorough
def test_a_hundred_thousand_alerts_end_in_transactions_of_bounded_size() -> None:
    count = 100_000
    one = partition(policy_of("1", NAMES))
    times = (T0, FROM + MINUTE, FROM + 10 * MINUTE)
    values = encoded([call(at_ms, f"c{at_ms}", "t") for at_ms in times])
    feed(one, values, 1)
    rule_state = one.shard.evaluator.rule_states[0]
    for n in range(count):
        rule_state.firing[one.shard.tenant_numbers.of(f"tenant-{n:06}")] = ActiveAlert(T0)
    written: dict[str, bytes | None] = dict(one.snapshot())
    change(one, policy_of("2", NAMES[1:]))
    feed(one, values, len(values))
    sizes: list[int] = []
    resolved = 0
    while not one.switching:
        one.advance(MOST_AT_ONCE)
        taken, state = one.take(), one.snapshot()
        written |= dict(state)
        resolved += len(taken.output.alerts)
        records = emit.records(TopicNames(), 0, taken, state)
        sizes.append(sum(len(record.value or b"") for record in each_record(records)))
    assert resolved >= count
    assert len(sizes) >= count // MOST_AT_ONCE
    assert max(sizes) < 8 << 20
    # What is left of the removed rule is also deleted in parts, each with its page.
    later = partition(policy_of("1", NAMES))
    later.restore({key: value for key, value in written.items() if value is not None})
    feed(later, values, len(values))
    pages: list[int] = []
    while later.due:
        later.advance(MOST_AT_ONCE)
        later.take()
        pages.append(sum(key.startswith("a") and key[1:2].isdigit() for key, _ in later.snapshot()))
    assert 0 < max(pages) <= 2 * MOST_AT_ONCE


@pytest.mark.parametrize("restarts", [False, True])
def test_what_retention_ends_is_forgotten_in_parts(restarts: bool) -> None:
    """A complaint after a quiet time ends the retention of many tenants' records."""
    most, policy = 5, policy_of("1", NAMES, retention="200d")
    records = [complaint(T0 + n * 1_000, f"k{n:02}", f"t{n:02}") for n in range(TENANTS)]
    again = T0 + 201 * DAY
    records += [complaint(again + n, f"k{n:02}", f"t{n:02}") for n in range(3)]  # new complaints: the ids are forgotten
    values = encoded([*records, call(again + DAY, "last", "last")])
    at_once = partition(policy)
    feed(at_once, values, len(values))
    at_once.advance()
    expected = output_of(at_once)
    assert len(expected[0]) >= TENANTS + 3
    one, stored, steps, changed = partition(policy), dict[str, bytes](), list[list[list[bytes]]](), list[int]()
    feed(one, values, len(values))
    while one.due:
        one.advance(most)
        steps.append(output_of(one))
        changed.append(len(one.shard.tenant_records._changed))
        store(one, stored)
        if restarts:
            one = partition(policy)
            one.restore(stored)
            feed(one, values, len(values))
    assert [[event for step in steps for event in step[kind]] for kind in range(3)] == expected
    assert max(changed) <= 4 * most
    final = {key: value for key, value in stored.items() if key[:1] in "ct"}
    whole = dict[str, bytes]()
    store(at_once, whole)
    assert final == {key: value for key, value in whole.items() if key[:1] in "ct"}
