"""Bans by windows of owners with several tenants: steps are as long as what they decide and visit allows."""

import json
import random
from typing import Any

import pytest
from burst import SHORT_CALLS, T0, decided_in_steps, feed, new_task

from helpers.thorough import thorough
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from schemas import codec

MINUTE = 60_000
HOURS = 3
MOST = 60
WRITTEN: dict[str, Any] = {
    "id": "bans",
    "version": "1",
    "extends": "access-rules",
    "defaults": {"lateness": "1m"},
    "rules": [SHORT_CALLS | {"id": "short", "window": "5m", "cooldown": "10m"}],
    "escalations": [
        {"id": "again", "count": "violations", "at_least": 2, "window": "30d", "tier": "severe", "mode": "enforce"}
    ],
}
POLICY = loads(json.dumps(WRITTEN), "policy.json")


def call(number: int, tenant: int, end_ms: int, talk_ms: int) -> dict[str, Any]:
    record = {"type": "cdr", "call_id": f"c{number}", "direction": "outbound", "outcome": "answered", "end_ms": end_ms}
    record |= {"caller": "+8613800000000", "callee": f"+86138{number:08}", "tenant_id": f"t{tenant:02}"}
    return record | dict.fromkeys(("start_ms", "answer_ms"), end_ms - talk_ms)


def lines(rng: random.Random, tenants_of_owner: int, tenants: int, short_from: int) -> list[bytes]:
    """Calls of tenants with an owner for every few of them. Those with numbers from ``short_from`` end calls early."""
    found: list[tuple[int, dict[str, Any]]] = []
    for n in range(tenants):
        own = {"type": "tenant", "owner_id": f"o{n // tenants_of_owner}", "declared_businesses": [], "numbers": []}
        found.append((T0, own | {"tenant_id": f"t{n:02}", "updated_ms": T0}))
    for n in range(60 * HOURS * tenants // 3):
        tenant = rng.randrange(tenants)
        end_ms = T0 + MINUTE + rng.randrange(60 * HOURS * MINUTE)
        talk_ms = 2_000 if tenant >= short_from and rng.random() < 0.8 else 30_000
        found.append((end_ms, call(n, tenant, end_ms, talk_ms)))
    found.sort(key=lambda one: one[0])
    last = {"type": "tenant", "tenant_id": "last", "declared_businesses": [], "numbers": []}
    return [json.dumps(one).encode() for _, one in [*found, (0, last | {"updated_ms": T0 + 300 * MINUTE})]]


def decided(one: StreamTask) -> list[bytes]:
    output = one.take().output
    return [codec.encode(event) for event in [*output.enforcement, *output.owner_bans]]


@pytest.mark.parametrize(
    ("seed", "restarts"),
    thorough([(seed, restarts) for seed in range(2) for restarts in (False, True)], [(0, True)]),
)
def test_bans_by_windows_of_an_owner_with_many_tenants_are_decided_in_steps(seed: int, restarts: bool) -> None:
    print("seed", seed)
    values = lines(random.Random(seed), 40, 40, 10)
    at_once = new_task(POLICY)
    feed(at_once, values)
    at_once.advance()
    expected = decided(at_once)
    assert sum(b'"owner_banned"' in event for event in expected) > 5 * MOST

    steps = decided_in_steps(POLICY, values, MOST, decided, restarts)
    every = [event for step in steps for event in step]
    assert [event for event in every if b"lifted_ms" not in event] == [
        event for event in expected if b"lifted_ms" not in event
    ]
    assert sorted(every) == sorted(expected)
    assert max(map(len, steps)) <= 4 * MOST, "records, decisions of windows, and tenants of owners, and no more of each"


@pytest.mark.parametrize("apart", [12, 0], ids=["one after the other", "at one window end"])
def test_bans_by_windows_visit_in_a_step_no_more_tenants_than_fit(apart: int) -> None:
    """Few decisions of windows ban the owner of many tenants, who are visited in the same transaction or later ones."""
    some: list[dict[str, Any]] = []
    tenants, bad = 40, 10
    own = {"type": "tenant", "owner_id": "o", "updated_ms": T0, "declared_businesses": [], "numbers": []}
    some += [own | {"tenant_id": f"t{n:02}"} for n in range(tenants)]
    calls = [(T0 + (apart * n + minute) * MINUTE, n) for n in range(bad) for minute in range(1, 15)]
    for number, (end_ms, tenant) in enumerate(sorted(calls)):
        some.append(call(number, tenant, end_ms, 2_000))
    some.append(own | {"tenant_id": "last", "updated_ms": T0 + 300 * MINUTE})
    values = [json.dumps(one).encode() for one in some]
    at_once = new_task(POLICY)
    feed(at_once, values)
    at_once.advance()
    expected = decided(at_once)
    assert sum(b'"owner_banned"' in event for event in expected) >= (bad - 1) * (tenants - bad)
    steps = decided_in_steps(POLICY, values, MOST, decided)
    assert sorted(event for step in steps for event in step) == sorted(expected)
    assert max(sum(b'"owner_banned"' in event for event in step) for step in steps) <= MOST


def test_window_ends_take_no_step_each_because_an_owner_has_several_tenants() -> None:
    """A worker that read a backlog committed a transaction for each window end, since any of them might ban."""
    values, most = lines(random.Random(7), 2, 20, 20), 2_000
    one, steps = new_task(POLICY), 0
    feed(one, values)
    while one.due:
        one.advance(most)
        steps += 1
    assert decided(one) == []
    assert steps <= -(-len(values) // most) + 1
