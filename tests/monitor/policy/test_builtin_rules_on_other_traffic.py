"""The built-in measured rules on traffic that our simulator did not make: no honest tenant accused,
each bad one found.
"""

from dataclasses import dataclass
from pathlib import Path

import hidden_traffic as hidden
import pytest

from helpers.thorough import thorough
from monitor.policy.load import load
from monitor.policy.model import Policy
from monitor.replay.run import replay
from monitor.whatif.preflight import preflight
from schemas.outputs import Enforcement

# By seed, the optional fields that the platform fills. No built-in rule uses ring times or the others.
PLATFORMS = {11: hidden.Filled(), 12: hidden.Filled(), 13: hidden.NOTHING_FILLED, 14: hidden.Filled(hangup_by=False)}
DAYS = 2
PER_KIND = 2
SOON_MS = 24 * hidden.HOUR
ON_CONSENT = {
    "consent-coverage",
    "consent-reused",
    "out-of-hours-without-consent",
    "dead-numbers-without-consent",
}


# Only `callee-hang-ups` says nothing without its field.
RESTS_ON = {
    "callee-hang-ups": ("hangup_by",),
    "cancelled-after-one-ring": ("ring_ms",),
    "refused-out-of-hours": ("hangup_by",),
    "out-of-hours-weak-signs": ("hangup_by",),
}


@dataclass
class World:
    """One platform's tenants and the built-in policy's measured decisions, enforced and in shadow."""

    tenants: dict[str, hidden.Tenant]
    filled: hidden.Filled
    decided: list[Enforcement]
    shadow: list[Enforcement]


def make(seed: int, filled: hidden.Filled, per_kind: int) -> list[hidden.Tenant]:
    print("seed", seed)
    kinds = [*hidden.HONEST, *hidden.BAD, *hidden.HIDDEN]
    return [
        hidden.tenant(kind, number, seed, DAYS, filled)
        for kind in kinds
        for number in range(1 if kind == "giant" else per_kind)
    ]


def measured(events: list[Enforcement]) -> list[Enforcement]:
    return [event for event in events if event.data.window is not None]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(None)


@pytest.fixture(
    scope="module", params=thorough([[11, 1], *([seed, PER_KIND] for seed in (11, 13, 14, 12))], 1), ids=str
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> World:
    seed, per_kind = request.param
    filled = PLATFORMS[seed]
    tenants = make(seed, filled, per_kind)
    file = tmp_path_factory.mktemp("hidden") / "records.jsonl"
    hidden.write(file, tenants)
    outcome = replay([file], policy)
    file.unlink()
    assert outcome.summary.rejected == outcome.summary.late == outcome.summary.duplicates == 0
    return World({t.id: t for t in tenants}, filled, measured(outcome.enforcement), measured(outcome.shadow))


def test_no_honest_tenant_is_warned_or_referred(world: World) -> None:
    assert len(world.decided) > 0.4 * len(world.tenants)
    wronged = {
        (event.subject, event.data.rule_id, event.data.reason.en)
        for event in world.decided
        if world.tenants[event.subject].kind in hidden.HONEST
    }
    assert wronged == set()


def test_no_tenant_is_accused_before_its_offence_began(world: World) -> None:
    for event in world.decided:
        since_ms = world.tenants[event.subject].since_ms
        assert since_ms is None or event.data.decided_ms >= since_ms, event.data.reason.en


def test_shadow_rules_name_honest_tenants_only_if_consent_is_never_filled(world: World) -> None:
    named = {event.data.rule_id for event in world.shadow if world.tenants[event.subject].kind in hidden.HONEST}
    assert named <= (set() if world.filled.consent_id else ON_CONSENT)
    if not world.filled.hangup_by:
        assert "callee-hang-ups" not in {event.data.rule_id for event in world.shadow}


def test_every_bad_tenant_is_found_within_a_day(world: World) -> None:
    for tenant in world.tenants.values():
        if tenant.kind not in hidden.BAD:
            continue
        assert tenant.since_ms is not None
        times = [event.data.decided_ms for event in world.decided if event.subject == tenant.id]
        assert times, f"{tenant.id} was not found"
        assert min(times) - tenant.since_ms <= SOON_MS, tenant.id


def test_offences_visible_only_in_the_consent_field_are_found_by_the_shadow_rule(world: World) -> None:
    for tenant in world.tenants.values():
        if tenant.kind not in hidden.HIDDEN:
            continue
        assert tenant.since_ms is not None
        events = [event for event in world.shadow if event.subject == tenant.id and event.data.rule_id in ON_CONSENT]
        assert events, f"{tenant.id} was not found"
        assert min(event.data.decided_ms for event in events) - tenant.since_ms <= SOON_MS, tenant.id


def test_the_named_clause_fits_the_offence(world: World) -> None:
    """Dialling strangers is blind calling; calling people repeatedly or at night is calling without consent."""
    clauses = dict.fromkeys(hidden.BAD, 6) | {
        "harasser": 7,
        "harasser_of_few": 7,
        "harasser_among_others": 7,
        "redialler": 7,
    }
    # A night seller also dials blindly, and either may be named first.
    either = {"night_caller", "night_caller_unrefused"}
    for event in world.decided:
        kind = world.tenants[event.subject].kind
        assert kind in either or event.data.clause == clauses[kind], event.data.reason.en


@pytest.mark.parametrize("per_kind", thorough([1, PER_KIND], 1))
def test_preflight_reports_unfilled_fields_and_the_tenants_in_breach_of_each_rule(
    per_kind: int, tmp_path: Path, policy: Policy
) -> None:
    tenants = make(15, hidden.NOTHING_FILLED, per_kind)
    file = tmp_path / "records.jsonl"
    hidden.write(file, tenants)
    found = preflight([file], policy)
    assert found.tenants == len(tenants)
    fields = {field.name: field for field in found.fields}
    for name in ("consent_id", "hangup_by", "ring_ms", "answered_by"):
        assert (fields[name].filled, fields[name].filled_by) == (0, 0)
        assert fields[name].total > 10_000
        assert fields[name].scanty
    honest = {tenant.id for tenant in tenants if tenant.kind in hidden.HONEST}
    for breaches in found.rules:
        rests_on_consent = breaches.rule.id in ON_CONSENT
        assert breaches.scanty == (("consent_id",) if rests_on_consent else RESTS_ON.get(breaches.rule.id, ()))
        assert rests_on_consent or not honest & set(breaches.tenants), breaches.rule.id
    by_rule = {breaches.rule.id: breaches.tenants for breaches in found.rules}
    assert len(by_rule["consent-coverage"]) > 0.7 * len(tenants)
    assert by_rule["callee-hang-ups"] == ()
    assert {tenant for rule, hit in by_rule.items() if rule not in ON_CONSENT for tenant in hit} >= {
        tenant.id for tenant in tenants if tenant.kind in hidden.BAD
    }


def test_preflight_says_which_shadow_rules_may_go_to_review(tmp_path: Path, policy: Policy) -> None:
    ready = {}
    for filled in (hidden.Filled(), hidden.Filled(hangup_by=False), hidden.NOTHING_FILLED):
        file = tmp_path / "records.jsonl"
        hidden.write(file, [hidden.tenant("courier", number, 1, 1, filled) for number in range(3)])
        ready[filled] = {breaches.rule.id for breaches in preflight([file], policy).rules if breaches.ready}
    everything, without_hangup, nothing = ready.values()
    assert everything == ON_CONSENT | {"callee-hang-ups"}
    assert without_hangup == ON_CONSENT
    assert nothing == set()


def test_no_rule_in_force_rests_on_an_optional_field(policy: Policy) -> None:
    """`short_cancel_ratio` needs `ring_ms`; without it, the ratio is 0 and no tenant is found."""
    resting = {
        rule.id
        for rule in policy.rules
        if {rule.metric, *(c.metric for c in rule.also)}
        & {"consent_coverage", "consent_peak", "callee_hangup_ratio", "pdd_s"}
    }
    assert resting == ON_CONSENT | {"callee-hang-ups"}
    assert {rule.mode for rule in policy.rules if rule.id in resting} == {"shadow"}
