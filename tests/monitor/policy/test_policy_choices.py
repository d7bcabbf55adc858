"""Profiles, kinds, admissions, `first`, `once_per_rule` and `short_ring_s`: read, stored only where they differ from
their default, shown, and compared.
"""

import json

import pytest

from monitor.policy.diff import diff
from monitor.policy.explain import explain, explain_lines
from monitor.policy.load import from_plain, load, loads, to_plain
from monitor.policy.model import Exemption, ExemptionProfile, Policy
from monitor.policy.serialize import written_out
from monitor.policy.warnings import notes
from monitor.policy.write import dump_json, dump_yaml

HEAD = 'id: house\nversion: "1"\nextends: none\n'
RULES = """\
rules:
- {id: a, behaviour: blind_calling, metric: short_call_ratio, above: 0.2, window: 24h, step: 5m, mode: enforce}
- {id: b, behaviour: no_consent, metric: asr, below: 0.2, window: 24h, step: 5m, mode: shadow, first: 7d}
"""
ESCALATION = "escalations: [{id: e, count: violations, at_least: 3, window: 30d, tier: major}]\n"
SIGNED = "owner: ops, reason: why, expires: 2027-01-01"
EXPIRES = 1_798_761_600_000
DAY = 86_400_000
PROFILES = f"profiles:\n  hotels: {{exempt: [b, a, b], tenants: [y, x], {SIGNED}}}\n"
CHOICES = {
    "profiles": PROFILES,
    "admissions": "admissions: review\n",
    "kind": "behaviours: {in_call_abuse: {kind: ban}, verified_fraud_complaint: {kind: termination}}\n",
    "short_ring_s": "defaults: {short_ring_s: 4}\n",
    "once_per_rule": ESCALATION.replace("major", "major, once_per_rule: true"),
    "with": RULES.replace("mode: enforce", "with: {short_ring_s: 1.25}"),
    "first": RULES.replace("mode: enforce", "first: 36h"),
    "override": f"overrides: [{{tenant: t, rule: a, first: 2d, with: {{short_ring_s: 2}}, {SIGNED}}}]\n",
    "override of first": f"overrides: [{{tenant: t, rule: b, first: null, below: 0.1, {SIGNED}}}]\n",
}


def policy(text: str) -> Policy:
    sections = {line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    text = text if "rules" in sections else text + RULES
    return loads(HEAD + (text if "escalations" in sections else text + ESCALATION), "p")


def test_every_choice_is_read() -> None:
    assert policy(PROFILES).profiles == (ExemptionProfile("hotels", ("a", "b"), ("x", "y"), "ops", "why", EXPIRES),)
    assert policy("admissions: review\n").admissions == "review"
    chosen = policy(CHOICES["kind"])
    assert (chosen.behaviours["in_call_abuse"].kind, chosen.kind_of("in_call_abuse")) == ("ban", "ban")
    assert chosen.kind_of("verified_fraud_complaint") == "termination"
    assert (chosen.kind_of("undeclared_prohibited_business"), chosen.kind_of("blind_calling")) == ("ban", "warning")
    assert policy(CHOICES["short_ring_s"]).rules[0].params.short_ring_ms == 4_000
    assert policy(CHOICES["once_per_rule"]).escalations[0].once_per_rule
    assert policy(CHOICES["with"]).rules[0].params.short_ring_ms == 1_250
    assert policy(CHOICES["first"]).rules[0].first_ms == 36 * 3_600_000
    (override,) = policy(CHOICES["override"]).overrides
    assert (override.rule.first_ms, override.rule.params.short_ring_ms) == (2 * DAY, 2_000)
    (override,) = policy(CHOICES["override of first"]).overrides
    assert override.rule.first_ms is None


def test_what_is_left_out_has_the_contracts_default() -> None:
    plain = policy("")
    assert (plain.profiles, plain.admissions) == ((), "refuse_only")
    assert {each.kind for each in plain.behaviours.values()} == {None}
    assert plain.rules[0].params.short_ring_ms == 3_000
    assert (plain.rules[0].first_ms, plain.escalations[0].once_per_rule) == (None, False)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_moves_the_hash_and_is_stored_and_shown(choice: str) -> None:
    chosen = policy(CHOICES[choice])
    assert chosen.sha256 != policy("").sha256
    assert from_plain(to_plain(chosen), chosen.sha256) == chosen
    for dump in (dump_yaml, dump_json):
        assert loads(dump(written_out(chosen)), "shown") == chosen
        assert loads(dump(to_plain(chosen)), "stored") == chosen


@pytest.mark.parametrize(
    "text",
    [
        "profiles: {}\n",
        "admissions: refuse_only\n",
        "behaviours: {in_call_abuse: {kind: termination}, undeclared_prohibited_business: {kind: ban}}\n",
        "defaults: {short_ring_s: 3}\n",
        ESCALATION.replace("major", "major, once_per_rule: false"),
        RULES.replace("mode: enforce", "first: null, with: {short_ring_s: 3.0}"),
    ],
)
def test_a_default_written_out_keeps_the_hash(text: str) -> None:
    assert policy(text).sha256 == policy("").sha256
    stored = json.dumps(to_plain(policy("")))
    for word in ("profiles", "admissions", "short_ring_s", "once_per_rule"):
        assert word not in stored
    assert '"kind": "termination"' in stored, "the kind of tier major"
    assert stored.count('"first"') == 1, "that of rule b"


def test_the_hash_of_a_policy_of_an_earlier_version_stays() -> None:
    text = HEAD.replace("house", "earlier") + RULES.replace(", first: 7d", "") + ESCALATION
    text += f"overrides: [{{tenant: t, rule: a, above: 0.3, with: {{callee_limit: 9}}, {SIGNED}}}]\n"
    assert loads(text, "p").sha256 == EARLIER


EARLIER = "3fa7a87bfa759dee8a211b959d4244ffdc2c35354661c24fbdf80bce7e08b443"
"""What the release before computed."""


def test_an_override_states_the_ring_limit_only_where_its_rule_has_another() -> None:
    rules = RULES.replace("mode: enforce", "with: {short_ring_s: 5}")
    plain = to_plain(policy(rules + f"overrides: [{{tenant: t, rule: a, above: 0.3, {SIGNED}}}]\n"))
    assert "short_ring_s" not in plain["overrides"][0]["with"]
    back = policy(rules + f"overrides: [{{tenant: t, rule: a, with: {{short_ring_s: 3}}, {SIGNED}}}]\n")
    assert to_plain(back)["overrides"][0]["with"]["short_ring_s"] == 3.0
    assert from_plain(to_plain(back), back.sha256).overrides[0].rule.params.short_ring_ms == 3_000


def test_a_profile_is_an_exemption_of_each_of_its_tenants() -> None:
    assert policy(PROFILES).every_exemption() == (
        Exemption("x", ("a", "b"), "ops", "why", EXPIRES),
        Exemption("y", ("a", "b"), "ops", "why", EXPIRES),
    )


def test_profiles_without_effect_are_noted() -> None:
    text = f"profiles:\n  hotels: {{exempt: [a], tenants: [x], {SIGNED}}}\n"
    text += f"  empty: {{exempt: [a], tenants: [], {SIGNED}}}\n"
    assert [note.en for note in notes(policy(text), EXPIRES) if "profile" in note.en] == [
        "profile empty expired 2027-01-01T00:00:00Z",
        "profile empty has no effect: `tenants` is empty",
        "profile hotels expired 2027-01-01T00:00:00Z",
    ]
    assert not [note for note in notes(policy(PROFILES), EXPIRES - 1) if "profile" in note.en]


def test_explain_shows_every_choice() -> None:
    chosen = policy(PROFILES + CHOICES["admissions"] + CHOICES["kind"] + CHOICES["once_per_rule"])
    lines = list(explain_lines(explain(chosen, "x", EXPIRES - 1)))
    assert "applications: each that nothing refuses waits for a review (admissions: review)" in lines
    assert "behaviour in_call_abuse: decided as a ban" in lines
    assert "rule b [exempt: no decisions, no alerts]" in lines
    assert lines.count("  profile hotels, until 2027-01-01T00:00:00Z, owner ops: why") == 2
    assert any("judged only in the first 7d after the tenant's first call" in line for line in lines)
    assert any("仅在租户首次通话后的 7 天内判定" in line for line in lines)
    assert any("3 violations within 30d (each measured rule counts once): " in line for line in lines)
    after = list(explain_lines(explain(chosen, "x", EXPIRES)))
    assert "rule b [shadow]" in after
    assert "  profile hotels, EXPIRED 2027-01-01T00:00:00Z, owner ops: why" in after
    assert not any("profile" in line for line in explain_lines(explain(chosen, "z", 0)))


def test_diff_names_every_choice() -> None:
    before = policy("")
    after = policy(
        "".join(CHOICES[name] for name in ("profiles", "admissions", "kind", "short_ring_s", "once_per_rule"))
    )
    assert diff(before, before) == []
    assert diff(before, after) == [
        "~ admissions: refuse_only -> review",
        "~ defaults",
        "    short_ring_s: 3 -> 4",
        "~ behaviour verified_fraud_complaint",
        "    kind: (none) -> termination",
        "~ behaviour in_call_abuse",
        "    kind: (none) -> ban",
        "~ rule a",
        "    with.short_ring_s: 3 -> 4",
        "~ rule b",
        "    with.short_ring_s: 3 -> 4",
        "~ escalation e",
        "    once_per_rule: false -> true",
        "+ profile hotels: exempt a, b, tenants x, y, owner ops, reason why, expires 2027-01-01T00:00:00Z",
    ]
    other = policy(PROFILES.replace("[y, x]", "[x, z]"))
    assert diff(policy(PROFILES), other) == ["~ profile hotels", "    tenants: - y", "    tenants: + z"]
    assert "    first: none -> 36h" in diff(before, policy(CHOICES["first"]))


def test_the_built_in_policy_stores_no_new_key_but_its_rule_for_new_tenants() -> None:
    stored = to_plain(load(None))
    assert not {"profiles", "admissions"} & set(stored)
    assert [rule["id"] for rule in stored["rules"] if "first" in rule] == ["short-calls-of-new-tenants"]
