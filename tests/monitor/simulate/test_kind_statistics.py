"""Each kind of tenant shows in its calls what its name claims, and honest kinds do not."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from simulated_world import World

from monitor.simulate.tenants.kinds import KINDS
from schemas.inputs import Application, Cdr, Complaint, Finding, Review, Tenant

HOUR_MS = 3_600_000


def share(calls: list[Cdr], when: Callable[[Cdr], bool], among: Callable[[Cdr], bool] = lambda call: True) -> float:
    base = [call for call in calls if among(call)]
    assert base
    return sum(when(call) for call in base) / len(base)


def answered(call: Cdr) -> bool:
    return call.outcome == "answered"


def talk_ms(call: Cdr) -> int:
    assert isinstance(call.answer_ms, int)
    return call.end_ms - call.answer_ms


def is_short(call: Cdr) -> bool:
    return 0 < talk_ms(call) <= 6_000


def has_outcome(outcome: str) -> Callable[[Cdr], bool]:
    return lambda call: call.outcome == outcome


def has_consent(call: Cdr) -> bool:
    return bool(call.consent_id)


def out_of_hours(call: Cdr) -> bool:
    return not 8 <= (call.start_ms // HOUR_MS + 8) % 24 < 21


def sequential(calls: list[Cdr]) -> float:
    numbers = {(call.tenant_id, int(call.callee[1:])) for call in calls}
    return sum((tenant, number - 1) in numbers for tenant, number in numbers) / len(numbers)


def test_every_kind_calls(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert {kind.name for kind in KINDS} == set(calls_by_kind)


HONEST = [kind.name for kind in KINDS if kind.honest]
ORDINARY_IN_HOURS = [
    "sales-desk",
    "notification-robot",
    "reminder-robot",
    "courier",
    "survey-institute",
    "start-up",
    "bombed",
]


@pytest.mark.parametrize("kind", HONEST)
def test_honest_kinds_carry_consent(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind[kind], has_consent, answered) > 0.8


@pytest.mark.parametrize("kind", HONEST)
def test_honest_kinds_do_not_dial_in_sequence(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert sequential(calls_by_kind[kind]) < 0.02


@pytest.mark.parametrize("kind", HONEST)
def test_honest_kinds_end_few_calls_within_six_seconds(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind[kind], is_short, answered) < 0.15


@pytest.mark.parametrize("kind", ORDINARY_IN_HOURS)
def test_day_kinds_keep_the_hours(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind[kind], out_of_hours) < 0.01


@pytest.mark.parametrize("kind", ["notification-robot", "reminder-robot"])
def test_robots_have_no_agents_and_nearly_always_consent(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind[kind]
    assert not any(call.agent_id for call in calls)
    assert share(calls, has_consent, answered) > 0.98


def test_couriers_call_for_ten_seconds(calls_by_kind: dict[str, list[Cdr]]) -> None:
    talks = sorted(talk_ms(call) for call in calls_by_kind["courier"] if answered(call))
    assert 8_000 < talks[len(talks) // 2] < 14_000


def test_survey_institutes_are_seldom_answered(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind["survey-institute"], answered) < 0.25


def test_night_desks_call_at_night_and_are_answered(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind["night-desk"], out_of_hours) > 0.4
    assert share(calls_by_kind["night-desk"], answered) > 0.6


def test_start_ups_have_some_bad_numbers(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert 0.03 < share(calls_by_kind["start-up"], has_outcome("invalid_number")) < 0.13


def test_inbound_centres_are_called(world: World) -> None:
    assert share(world.calls("inbound-centre"), lambda call: call.direction == "inbound") > 0.9


def test_tiny_tenants_make_a_handful_of_calls_a_day(world: World) -> None:
    by_tenant = Counter(call.tenant_id for call in world.calls("tiny"))
    assert max(by_tenant.values()) < 25 * world.settings.days


def test_blind_diallers_dial_bought_lists(calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind["blind-dialler"]
    assert share(calls, has_outcome("invalid_number")) > 0.15
    assert share(calls, is_short, answered) > 0.3
    assert share(calls, lambda call: talk_ms(call) <= 10_000 and call.hangup_by == "callee", answered) > 0.4
    assert share(calls, has_consent, answered) < 0.15
    assert len({call.callee for call in calls}) > 0.95 * len(calls)


def test_sequential_diallers_dial_number_after_number(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert sequential(calls_by_kind["sequential-dialler"]) > 0.9


def test_number_rotators_use_many_numbers_and_new_ones_daily(world: World) -> None:
    calls = world.calls("number-rotation")
    tenant = calls[0].tenant_id
    first, second = (
        {
            c.caller
            for c in calls
            if c.tenant_id == tenant and (c.start_ms - world.settings.start_ms) // (24 * HOUR_MS) == day
        }
        for day in (0, 1)
    )
    assert len(first) > 20
    assert len(first & second) < 0.1 * len(first)
    assert share(calls, has_outcome("carrier_blocked")) > 0.1


def test_harassers_call_the_same_people_again_and_again(calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind["harasser"]
    a_day = Counter((c.tenant_id, c.callee, c.start_ms // (24 * HOUR_MS)) for c in calls)
    assert sum(count > 5 for count in a_day.values()) > 10


@pytest.mark.parametrize("kind", HONEST)
def test_honest_kinds_seldom_call_one_person_often(kind: str, calls_by_kind: dict[str, list[Cdr]]) -> None:
    a_day = Counter((c.tenant_id, c.callee, c.start_ms // (24 * HOUR_MS)) for c in calls_by_kind[kind])
    assert sum(count > 5 for count in a_day.values()) <= 0.001 * len(a_day)


def test_bursts_are_two_seconds_long_and_crowded(calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind["two-second-burst"]
    assert share(calls, lambda call: talk_ms(call) <= 3_500, answered) > 0.85
    tenant = [call for call in calls if call.tenant_id == calls[0].tenant_id]
    minutes = Counter(call.start_ms // 60_000 for call in tenant)
    assert len(minutes) < 4 * 3 * 12


def test_consent_forgers_have_hardly_any(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind["consent-forger"], has_consent, answered) < 0.1


def test_consent_copiers_use_one_id_for_all(calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind["consent-copier"]
    assert {call.consent_id for call in calls} == {"k1"}


def test_night_callers_call_at_night_without_being_answered_much(calls_by_kind: dict[str, list[Cdr]]) -> None:
    assert share(calls_by_kind["night-caller"], out_of_hours) > 0.35
    assert share(calls_by_kind["night-caller"], has_outcome("rejected")) > 0.15


def test_turncoats_turn_on_the_third_day(world: World, calls_by_kind: dict[str, list[Cdr]]) -> None:
    calls = calls_by_kind["turncoat"]
    label = world.labels[calls[0].tenant_id]
    assert label.bad_from_ms is not None
    assert 2 <= (label.bad_from_ms - world.settings.start_ms) / (24 * HOUR_MS) < 3
    before = [c for c in calls if c.tenant_id == label.tenant_id and c.start_ms < label.bad_from_ms]
    after = [c for c in calls if c.tenant_id == label.tenant_id and c.start_ms >= label.bad_from_ms]
    assert share(before, is_short, answered) < 0.2 < share(after, is_short, answered)
    assert share(before, has_outcome("invalid_number")) < 0.05 < share(after, has_outcome("invalid_number"))


def statuses(world: World, kind: str, record: type, **wanted: object) -> set[str]:
    found: list[Any] = [r for r in world.others(kind) if isinstance(r, record)]
    return {r.status for r in found if all(getattr(r, name) == value for name, value in wanted.items())}


def test_low_and_slow_fraud_is_small_and_verified(world: World) -> None:
    by_tenant = Counter(call.tenant_id for call in world.calls("low-and-slow-fraud"))
    assert max(by_tenant.values()) < 0.6 * 400 * world.settings.days
    assert "verified" in statuses(world, "low-and-slow-fraud", Complaint, category="fraud")


def test_the_bombed_are_complained_of_by_few_and_never_verified(world: World) -> None:
    complaints = [r for r in world.others("bombed") if isinstance(r, Complaint)]
    people = Counter(r.complainant for r in complaints if r.status == "received" and r.category == "harassment")
    assert sum(people.values()) >= 6
    assert len(people) <= 3
    assert {r.status for r in complaints if r.category != "other"} == {"received", "dismissed"}


def test_what_a_finding_says_was_declared_is_in_each_record_of_the_tenant(world: World) -> None:
    declared: dict[str, list[set[str]]] = {}
    for record in world.records:
        if isinstance(record, Tenant):
            declared.setdefault(record.tenant_id, []).append(set(record.declared_businesses))
            assert len(set(record.declared_businesses)) == len(record.declared_businesses)
    said = [(one.tenant_id, one.declared_business) for one in world.records if isinstance(one, Finding)]
    assert any(business for _, business in said)
    assert [each for each in said if each[1] and not all(each[1] in some for some in declared[each[0]])] == []


@pytest.mark.parametrize("kind", ["prohibited-certain", "prohibited-likely", "undeclared-harmless", "banned-returner"])
def test_inspection_confirms_an_undeclared_business(kind: str, world: World) -> None:
    assert statuses(world, kind, Finding, behaviour="undeclared_business") == {"suspected", "confirmed"}


def test_repeat_offenders_have_three_violations(world: World) -> None:
    records = world.others("repeat-offender")
    confirmed = {r.finding_id: r.tenant_id for r in records if isinstance(r, Finding) and r.status == "confirmed"}
    verified = {
        r.complaint_id: r.tenant_id
        for r in records
        if isinstance(r, Complaint) and r.status == "verified" and r.category == "no_consent"
    }
    violations = Counter([*confirmed.values(), *verified.values()])
    assert violations
    assert min(violations.values()) >= 3


def test_the_banned_come_back_and_no_longer_call(world: World) -> None:
    records = world.others("banned-returner")
    banned = {r.tenant_id: r.updated_ms for r in records if isinstance(r, Finding) and r.status == "confirmed"}
    applied = [r for r in records if isinstance(r, Application)]
    assert applied
    assert all(r.updated_ms > banned[r.tenant_id] for r in applied)
    assert all(call.start_ms < banned[call.tenant_id] + 2 * HOUR_MS for call in world.calls("banned-returner"))


def test_reviews_of_both_verdicts_come(world: World) -> None:
    verdicts = {r.verdict for r in world.records if isinstance(r, Review)}
    assert verdicts == {"uphold", "overturn"}
    assert {world.kind_of(r) for r in world.records if isinstance(r, Review) and r.verdict == "overturn"} == {
        "wrongly-suspected"
    }
