"""The decisions of one window end are made in parts, each stored separately, if there are too many tenants."""

import json
import random
from typing import Any

import numpy as np
import pytest
from burst import SHORT_CALLS

from helpers.thorough import thorough
from monitor.core.rules import window_end
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from schemas import codec
from streams.worker.running.work_estimate import transaction_work

MINUTE = 60_000
T0 = 1_790_000_100_000 // 3_600_000 * 3_600_000
MOST = 7
TENANTS = 40
WRITTEN: dict[str, Any] = {
    "id": "parts",
    "version": "1",
    "extends": "access-rules",
    "defaults": {"lateness": "1m"},
    "rules": [
        SHORT_CALLS | {"id": "short", "window": "5m", "cooldown": "10m"},
        SHORT_CALLS | {"id": "shadow", "window": "10m", "mode": "shadow"},
        SHORT_CALLS | {"id": "review", "window": "15m", "mode": "review", "above": 0.6, "cooldown": "15m"},
        SHORT_CALLS
        | {"id": "many", "behaviour": "no_consent", "metric": "attempts", "above": 3, "window": "15m"}
        | {"min_denominator": 1},
    ],
    "escalations": [
        {"id": "again", "count": "violations", "at_least": 3, "window": "30d", "tier": "major", "mode": "enforce"}
    ],
    "overrides": [
        {"tenant": f"t{n:02}", "rule": "short", "above": 0.9, "owner": "o", "reason": "r", "expires": "2099-01-01"}
        for n in (3, 17, 30)
    ],
    "exemptions": [
        {"tenant": "t05", "rules": ["short"], "owner": "o", "reason": "r", "expires": "2099-01-01"},
        {"tenant": "t21", "rules": ["many"], "owner": "o", "reason": "r", "expires": "2099-01-01"},
    ],
}
POLICY = loads(json.dumps(WRITTEN), "policy.json")


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 3)
    monkeypatch.setattr(window_end, "_SORTED_AT_ONCE", 10)


def lines(rng: random.Random) -> list[bytes]:
    """Calls of many tenants, most of them short at one time and long at another; and some complaints, all in order."""
    found: list[tuple[int, dict[str, Any]]] = []
    tenants = [f"t{n:02}" for n in range(TENANTS)]
    rng.shuffle(tenants)  # their numbers are not in the order of their ids
    for n in range(900):
        at_ms = T0 + rng.randrange(60) * MINUTE + rng.randrange(MINUTE)
        if rng.random() < 0.1:
            at_ms = at_ms // (5 * MINUTE) * 5 * MINUTE  # at the instant at which a window ends
        tenant = rng.choice(tenants)
        if rng.random() < 0.05:
            record = {"type": "complaint", "complaint_id": f"k{n}", "category": "no_consent", "status": "verified"}
            record |= {"reported_ms": at_ms, "updated_ms": at_ms}
        else:
            short = rng.random() < (0.9 if at_ms // (20 * MINUTE) % 2 else 0.3)
            record = {"type": "cdr", "call_id": f"c{n}", "direction": "outbound", "outcome": "answered"}
            record |= {"caller": "+8613800000000", "callee": f"+86138{rng.randrange(99):08}", "end_ms": at_ms}
            record |= dict.fromkeys(("start_ms", "answer_ms"), at_ms - (3_000 if short else 30_000))
        found.append((at_ms, record | {"tenant_id": tenant}))
    found.sort(key=lambda one: one[0])
    last = {"type": "tenant", "tenant_id": "last", "declared_businesses": [], "numbers": []}
    return [json.dumps(one).encode() for _, one in [*found, (0, last | {"updated_ms": T0 + 120 * MINUTE})]]


def partition() -> StreamTask:
    task = StreamTask(POLICY, live=DecidingSettings(max_ahead_ms=0), sources=1)
    task.write_measures()
    return task


def feed(one: StreamTask, values: list[bytes], stop: int) -> None:
    start = one.sources.offsets[0]
    rows = values[start:stop]
    if rows:
        stamps = np.full(len(rows), T0 + 500 * MINUTE)
        one.feed(0, RecordBatch(start, stop, np.arange(start, stop), stamps, rows))


def decided(one: StreamTask) -> list[list[bytes]]:
    output = one.take().output
    measures = [value for hour in output.measures for _, value in hour.rows()]
    events = [
        [codec.encode(event) for event in events] for events in (output.enforcement, output.shadow, output.alerts)
    ]
    return [*events, measures]


def together(steps: list[list[list[bytes]]]) -> list[list[bytes]]:
    return [[event for step in steps for event in step[kind]] for kind in range(4)]


@pytest.mark.parametrize(
    ("seed", "restarts"),
    thorough([(seed, restarts) for seed in range(4) for restarts in (False, True)], [(0, True)]),
)
def test_decisions_of_a_window_end_are_made_in_parts_that_a_restart_may_separate(seed: int, restarts: bool) -> None:
    """The parts make the same decisions and alerts as one step, in the same order."""
    print("seed", seed)
    rng = random.Random(seed)
    values = lines(rng)
    at_once = partition()
    feed(at_once, values, len(values))
    at_once.advance()
    expected = decided(at_once)
    assert min(map(len, expected)) > 3 * MOST

    one, stored, steps, parts = partition(), dict[str, bytes](), list[list[list[bytes]]](), 0
    while one.sources.offsets[0] < len(values) or one.due:
        feed(one, values, min(one.sources.offsets[0] + rng.choice((0, 20, 100)), len(values)))
        if rng.random() < 0.3:
            one.due  # noqa: B018 - asking changes nothing
        if not one.due:
            continue
        assert transaction_work(one, MOST) > 0
        one.advance(MOST)
        parts += one.shard.partial
        steps.append(decided(one))
        for key, value in one.snapshot(hand_over=len(steps) % 3 == 0):
            stored.pop(key, None)
            if value is not None:
                stored[key] = value
        if restarts and rng.random() < 0.7:
            one = partition()
            one.restore(stored)
            if rng.random() < 0.5:
                one.take_over()
    assert parts > 10
    assert together(steps) == expected
    assert max(sum(map(len, step)) for step in steps) <= 8 * MOST


def test_what_is_left_of_a_window_end_is_decided_by_a_replay_of_the_state() -> None:
    """As an audit from an export does it, and a move of the state."""
    values = lines(random.Random(9))
    at_once = partition()
    feed(at_once, values, len(values))
    at_once.advance()
    one, steps = partition(), list[list[list[bytes]]]()
    feed(one, values, len(values))
    while not one.shard.partial:
        one.advance(MOST)
        steps.append(decided(one))
    again = StreamTask(POLICY, live=DecidingSettings(max_ahead_ms=0), sources=1, replaying=True)
    again.write_measures()
    again.restore({key: value for key, value in one.snapshot() if value is not None})
    feed(again, values, len(values))
    again.advance()
    steps.append(decided(again))
    assert together(steps) == decided(at_once)


def test_few_tenants_are_decided_at_once() -> None:
    """Where no more tenants are known than fit, a backlog takes no transaction for each window end."""
    values = lines(random.Random(1))
    one = partition()
    feed(one, values, len(values))
    one.advance(1_000)
    assert not one.due
