"""Bans of owners: when each takes effect in a partition, whom it concerns, and what is known of it later."""

import random
from typing import Any

import msgspec
import pytest

from monitor.core.owners.held_ban import ENDED, STANDING, decode_owner_bans, encode_owner_bans
from monitor.core.owners.owner_bans import OwnerBans
from monitor.core.owners.owner_effect import first_effect
from monitor.core.tenants.tenant_record import TenantRecord
from schemas.inputs import MIN_MS
from schemas.owners import OwnerBan

MINUTE = 60_000
T0 = (MIN_MS // (5 * MINUTE) + 1_000) * 5 * MINUTE
RETENTION = 400 * 86_400_000


def ban(minute: float, name: str = "b1", owner: str = "o1", lifted: float | None = None) -> OwnerBan:
    lifted_ms = None if lifted is None else at(lifted)
    return OwnerBan(owner, "acme", name, 1, "severe", at(minute), lifted_ms)


def at(minute: float) -> int:
    return T0 + round(minute * MINUTE)


def apply(bans: OwnerBans, until: float, most: int | None = None) -> list[tuple[float, str, bool, list[str]]]:
    """Apply the effects up to a minute. Returns each step: minute, decision, whether it lifts, tenants."""
    steps = []
    while bans.next_at(at(until)) is not None:
        step = bans.next_step(most)
        minute = (step.at_ms - T0) / MINUTE
        steps.append((minute, step.held.ban.enforcement_id, step.lifting, list(step.tenants)))
        bans.complete(step)
    return steps


def member(bans: OwnerBans, tenant_id: str, *owners: str) -> TenantRecord:
    record = TenantRecord(tenant_id, 0)
    for owner in owners:
        bans.name(record, owner)
    return record


@pytest.mark.parametrize(("minute", "effect"), [(0, 5), (0.001, 5), (4.9999, 5), (5, 10), (180, 185)])
def test_a_ban_does_not_take_effect_at_its_own_instant(minute: float, effect: float) -> None:
    assert first_effect(at(minute)) == at(effect)


def test_a_ban_takes_effect_no_earlier_than_the_watermark_that_it_meets() -> None:
    bans = OwnerBans(RETENTION)
    assert bans.take(ban(2, "b1"), at(3)) == at(5)
    assert bans.take(ban(2, "b2"), at(7.5)) == at(7.5)
    assert apply(bans, 6) == [(5, "b1", False, [])]
    assert apply(bans, 7.5) == [(7.5, "b2", False, [])]
    assert bans.standing == 2


def test_a_value_that_comes_again_changes_nothing() -> None:
    bans = OwnerBans(RETENTION)
    assert bans.take(ban(2), at(3)) is not None
    assert bans.take(ban(2), at(4)) is None
    apply(bans, 10)
    assert bans.take(ban(2, lifted=12), at(13)) == at(15)
    assert bans.take(ban(2, lifted=12), at(13)) is None
    assert apply(bans, 20) == [(15, "b1", True, [])]
    # A log that is read again has the ban before its lifting.
    assert bans.take(ban(2), at(21)) is None
    assert bans.take(ban(2, lifted=12), at(21)) is None
    assert apply(bans, 60) == []


@pytest.mark.parametrize(
    ("lifted", "taken", "steps"),
    [
        (3, 3, []),  # lifted before the effect
        (4.9, 4.95, []),
        (5, 5, [(5, "b1", False), (10, "b1", True)]),  # at the instant of the effect
        (3, 5, [(5, "b1", False), (5, "b1", True)]),  # lifted before it, but the partition learns of it too late
        (3, 9, [(5, "b1", False), (9, "b1", True)]),
    ],
)
def test_a_ban_that_is_lifted_before_its_effect_has_none(lifted: float, taken: float, steps: list[Any]) -> None:
    bans = OwnerBans(RETENTION)
    bans.take(ban(2), at(2))
    found = apply(bans, taken - 0.001)
    assert bans.take(ban(2, lifted=lifted), at(taken)) is not None
    assert [step[:3] for step in found + apply(bans, 60)] == steps
    assert bans.standing == 0


def test_a_lifting_without_its_ban_has_no_effect_unless_it_is_later() -> None:
    bans = OwnerBans(RETENTION)
    assert bans.take(ban(2, "b1", lifted=4), at(0)) is None
    assert bans.take(ban(2, "b2", lifted=20), at(30)) is None
    assert bans.take(ban(2, "b3", lifted=20), at(8)) == at(25)
    assert [step[:3] for step in apply(bans, 60)] == [(8, "b3", False), (25, "b3", True)]


def test_effects_of_one_instant_come_by_time_and_id() -> None:
    bans = OwnerBans(RETENTION)
    for one in (ban(4, "b1"), ban(3, "b3"), ban(3, "b2")):
        bans.take(one, at(0))
    assert [step[1] for step in apply(bans, 5)] == ["b2", "b3", "b1"]
    assert [held.ban.enforcement_id for held in bans.held() if held.state == STANDING] == ["b1", "b3", "b2"]
    earliest = bans.banned("o1")
    assert earliest is not None
    assert earliest.enforcement_id == "b2"


def test_many_tenants_are_visited_in_parts_which_a_restart_may_part() -> None:
    rng = random.Random(1)
    names = [f"t{n:03}" for n in range(100)]
    whole, stored = OwnerBans(RETENTION), dict[str, bytes]()
    records = [member(whole, name, "o1") for name in rng.sample(names, len(names))]
    whole.take(ban(2), at(2))
    bans, found = whole, []
    while bans.next_at(at(5)) is not None:
        assert bans.beyond(9, at(5), {}) in ((at(5), 0), None)
        step = bans.next_step(9)
        assert len(step.tenants) <= 9
        found += step.tenants
        bans.complete(step)
        stored = {k: v for k, v in (stored | bans.changes()).items() if v is not None}
        bans = OwnerBans(RETENTION)
        bans.restore(stored, records)
    assert found == names
    assert bans.standing == 1
    assert len(stored) == 1, "the tenants of an owner are not stored with its ban"


def test_an_effect_that_has_begun_ends_before_another_of_the_same_instant() -> None:
    bans = OwnerBans(RETENTION)
    for n in range(6):
        member(bans, f"t{n}", "o1")
    bans.take(ban(4, "b2"), at(4))
    step = bans.next_step(4)
    bans.complete(step)
    bans.take(ban(3, "b1"), at(4))
    assert [(name, len(tenants)) for _, name, _, tenants in apply(bans, 5)] == [("b2", 2), ("b1", 6)]


def test_ended_bans_are_forgotten_after_retention() -> None:
    bans = OwnerBans(60 * MINUTE)
    bans.take(ban(2, "b1", lifted=None), at(2))
    apply(bans, 5)
    bans.take(ban(2, "b1", lifted=7), at(7))
    apply(bans, 10)
    bans.take(ban(20, "b2"), at(20))
    apply(bans, 25)
    assert {held.ban.enforcement_id: held.state for held in bans.held()} == {"b1": ENDED, "b2": STANDING}
    bans.take(ban(75, "b3"), at(75))
    apply(bans, 80)
    assert [held.ban.enforcement_id for held in bans.held()] == ["b2", "b3"]


def test_one_effect_forgets_few_of_many_ended_bans_and_the_next_ones_forget_the_rest() -> None:
    """All that ended before a quiet time would else be forgotten, and their pages deleted, in one transaction."""
    count = 640
    bans = OwnerBans(60 * MINUTE)
    for n in range(count):
        bans.take(ban(2, f"b{n:03}", f"o{n}"), at(2))
    for n in range(count):
        bans.take(ban(2, f"b{n:03}", f"o{n}", lifted=7), at(7))
    apply(bans, 10)
    bans.changes()
    steps, left = 0, count
    while left:
        minute = 1_000 + 10 * steps
        bans.take(ban(minute, f"c{steps}", "other"), at(minute))
        apply(bans, minute + 5)
        steps += 1
        before, left = left, sum(held.state == ENDED for held in bans.held())
        assert 0 < before - left <= 8
        assert len(bans.changes()) <= 4
    assert bans.standing == steps


@pytest.mark.parametrize("seed", range(5))
def test_the_earliest_ban_of_a_tenant_is_that_of_a_search_through_all(seed: int) -> None:
    rng = random.Random(seed)
    bans, records, standing = OwnerBans(RETENTION), [TenantRecord(f"t{n}", n) for n in range(6)], dict[str, OwnerBan]()
    owners, stored = [f"o{n}" for n in range(60)], dict[str, bytes]()
    for minute in range(0, 2_000, 5):
        for _ in range(4):
            bans.name(rng.choice(records), rng.choice(owners))
        if standing and rng.random() < 0.3:
            one = standing.pop(rng.choice(sorted(standing)))
            bans.take(msgspec.structs.replace(one, lifted_ms=at(minute + 1)), at(minute + 1))
        else:
            one = ban(minute + rng.choice((1, 2, 3)), f"b{rng.random()}", rng.choice(owners))
            bans.take(one, at(minute))
            standing[one.enforcement_id] = one
        apply(bans, minute + 5, most=rng.choice((1, 2, 100)))
        if rng.random() < 0.05:
            stored = {k: v for k, v in (stored | bans.changes()).items() if v is not None}
            bans = OwnerBans(RETENTION)
            bans.restore(stored, records)
        for record in records:
            mine = [one for one in standing.values() if one.owner_id in record.owners]
            expected = min(mine, key=lambda one: (one.decided_ms, one.enforcement_id), default=None)
            assert bans.earliest(record) == expected, f"seed {seed}"
    assert bans.standing == len(standing) > 16
    held = sorted(bans.held(), key=lambda one: one.place)
    again = decode_owner_bans(encode_owner_bans(held))
    assert [one.ban for one in again] == [one.ban for one in held]
