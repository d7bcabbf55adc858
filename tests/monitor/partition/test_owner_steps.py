"""A ban of an owner with many tenants takes effect in steps, each stored separately, and so does its lifting."""

import json
from typing import Any

import pytest
from burst import T0, decided_in_steps, feed, new_task

from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from schemas import codec

MINUTE = 60_000
MOST = 7
TENANTS = 50
POLICY = loads(json.dumps({"id": "owners", "version": "1", "extends": "access-rules", "rules": []}), "policy.json")


def lines(bans: int) -> list[bytes]:
    """Tenants of one owner; ``bans`` of them are banned at almost one time, and the first ban is dismissed later."""
    some: list[dict[str, Any]] = []

    def add(kind: str, tenant: str, minute: float, **fields: Any) -> None:
        some.append({"type": kind, "tenant_id": tenant, "updated_ms": T0 + round(minute * MINUTE), **fields})

    fraud = {"complaint_id": "p1", "category": "fraud", "reported_ms": T0}
    for n in range(TENANTS):
        add("tenant", f"t{n * 37 % TENANTS:02}", 0, owner_id="o1", declared_businesses=[], numbers=[])
    for n in range(bans):
        add("complaint", f"t{n:02}", 2, status="verified", **fraud)
    for n in range(20):
        add("application", f"t{40 + n % 10}", 5 + n % 2, application_id=f"n{n}", declared_business="delivery")
    add("complaint", "t00", 62, status="dismissed", **fraud)
    add("tenant", "acme", 30 * 1_440, declared_businesses=[], numbers=[])
    return [json.dumps(one).encode() for one in some]


def decided(one: StreamTask) -> list[bytes]:
    output = one.take().output
    return [codec.encode(event) for event in [*output.enforcement, *output.owner_bans]]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("bans", [1, 3])
def test_a_ban_of_many_tenants_is_decided_in_steps_that_a_restart_may_part(bans: int, restarts: bool) -> None:
    values = lines(bans)
    at_once = new_task(POLICY)
    feed(at_once, values)
    at_once.advance()
    expected = decided(at_once)
    assert sum(b'"owner_banned"' in event for event in expected) >= 2 * bans * (TENANTS - 3)

    steps = decided_in_steps(POLICY, values, MOST, decided, restarts)
    both = [sorted(event for step in steps for event in step), sorted(expected)]
    assert both[0] == both[1]
    assert [event for step in steps for event in step if b"lifted_ms" not in event] == [
        event for event in expected if b"lifted_ms" not in event
    ]
    assert max(map(len, steps)) <= 5 * MOST, "records, lapses, and tenants of owners, and no more of each"


def test_bans_of_owners_with_few_tenants_do_not_shorten_the_steps_because_another_owner_has_many() -> None:
    values, most = [line for line in lines(0) if b"complaint" not in line], 60
    fraud = {"type": "complaint", "complaint_id": "p1", "category": "fraud", "reported_ms": T0, "status": "verified"}
    for n in range(20):
        own = {"type": "tenant", "declared_businesses": [], "numbers": [], "updated_ms": T0, "owner_id": f"p{n}"}
        values.insert(0, json.dumps(own | {"tenant_id": f"s{n}"}).encode())
        banned = fraud | {"tenant_id": f"s{n}", "updated_ms": T0 + n * 60 * MINUTE}
        values.insert(-1, json.dumps(banned).encode())
    one, steps = new_task(POLICY), 0
    feed(one, values)
    while one.due:
        one.advance(most)
        steps += 1
    assert len(one.take().output.owner_bans) == 20
    assert steps <= -(-len(values) // most) + 1


def test_tenants_whose_records_wait_with_the_bans_of_their_owner_are_counted() -> None:
    """No tenant belonged to the owner yet, and M bans of M tenants made M * M / 2 decisions in one transaction."""
    count, most, some = 60, 150, list[dict[str, Any]]()
    for n in range(count):
        own = {"type": "tenant", "tenant_id": f"t{n:02}", "owner_id": "o1", "updated_ms": T0}
        some.append(own | {"declared_businesses": [], "numbers": []})
    for n in range(count):
        fraud = {"type": "complaint", "tenant_id": f"t{n:02}", "complaint_id": "p1", "category": "fraud"}
        some.append(fraud | {"reported_ms": T0, "status": "verified", "updated_ms": T0 + (2 + 5 * n) * MINUTE})
    last = {"type": "tenant", "tenant_id": "acme", "updated_ms": T0 + 1_440 * MINUTE}
    some.append(last | {"declared_businesses": [], "numbers": []})
    one, steps = new_task(POLICY), list[list[bytes]]()
    feed(one, [json.dumps(each).encode() for each in some])
    while one.due:
        one.advance(most)
        steps.append(decided(one))
    assert sum(b'"owner_banned"' in event for step in steps for event in step) >= count * (count - 1) / 2
    assert max(map(len, steps)) <= 5 * most


@pytest.mark.parametrize(("named_at", "banned_at"), [(10, 11), (0, 11)])
def test_a_ban_or_its_end_visits_an_owner_whom_the_newest_record_does_not_name_yet_or_any_more(
    named_at: int, banned_at: int
) -> None:
    def line(kind: str, minute: int, **fields: Any) -> bytes:
        return json.dumps({"type": kind, "tenant_id": "x", "updated_ms": T0 + minute * MINUTE, **fields}).encode()

    business = {"declared_businesses": [], "numbers": []}
    fraud = {"complaint_id": "p1", "category": "fraud", "reported_ms": T0}
    values = [value for value in lines(0) if b'"o1"' in value]
    values.append(line("tenant", named_at, owner_id="o1", **business))
    values.append(line("complaint", banned_at, status="verified", **fraud))
    values.append(line("tenant", 20, owner_id=None, **business))
    values.append(line("complaint", 62, status="dismissed", **fraud))
    values.append(lines(0)[-1])
    one, steps = new_task(POLICY), list[list[bytes]]()
    feed(one, values)
    while one.due:
        one.advance(MOST)
        steps.append(decided(one))
    every = [event for step in steps for event in step]
    assert sum(b'"owner_banned"' in event for event in every) >= 2 * TENANTS, "a ban and its reversal for each"
    assert max(map(len, steps)) <= 5 * MOST


def test_two_owners_are_banned_at_one_instant_with_as_many_tenants_each_as_fit() -> None:
    """The partition decided nothing any more: no room was left at that instant, time and again."""
    some: list[dict[str, Any]] = []
    for owner in "ab":
        for n in range(MOST):
            own = {"type": "tenant", "tenant_id": f"{owner}{n}", "owner_id": owner, "updated_ms": T0}
            some.append(own | {"declared_businesses": [], "numbers": []})
    fraud = {"type": "complaint", "complaint_id": "p1", "category": "fraud", "reported_ms": T0, "status": "verified"}
    some += [fraud | {"tenant_id": f"{owner}0", "updated_ms": T0 + 2 * MINUTE} for owner in "ab"]
    last = {"type": "tenant", "tenant_id": "acme", "declared_businesses": [], "numbers": []}
    some.append(last | {"updated_ms": T0 + 60 * MINUTE})
    one, steps = new_task(POLICY), list[list[bytes]]()
    feed(one, [json.dumps(each).encode() for each in some])
    while one.due and len(steps) < len(some):
        one.advance(MOST)
        steps.append(decided(one))
    assert not one.due
    assert sum(b'"owner_banned"' in event for step in steps for event in step) == 2 * (MOST - 1)
