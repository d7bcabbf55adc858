"""Valid policies resolve as written: inheritance, defaults, overrides, exemptions, in YAML and JSON."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.thorough import thorough
from monitor.policy.file.errors import PolicyFault
from monitor.policy.file.yaml_source import parse
from monitor.policy.load import PolicyError, from_plain, load, loads, to_plain
from monitor.policy.metrics import METRICS
from monitor.policy.model import Condition, Override, Params, Policy
from monitor.policy.serialize import canonical
from monitor.policy.write import dump_json, dump_yaml
from oracle.worked_cases import NOT_BUILT

HOUR = 3_600_000
DAY = 24 * HOUR
CASES = Path(__file__).parents[3].parent / "shared" / "cases"
HEAD = 'id: house\nversion: "1"\nextends: none\n'
RULE = """\
rules:
- id: a
  behaviour: blind_calling
  metric: short_call_ratio
  above: 0.2
  window: 24h
  step: 5m
"""
SIGNED = "owner: ops, reason: why, expires: 2027-01-01"


def the(policy: Policy, rule: str) -> Override:
    (override,) = (o for o in policy.overrides if o.rule.id == rule)
    return override


def test_a_rule_left_short_gets_the_contracts_defaults() -> None:
    policy = loads(HEAD + RULE, "p")
    (rule,) = policy.rules
    assert (rule.direction, rule.threshold, rule.recover) == ("above", 0.2, 0.2)
    assert (rule.window_ms, rule.step_ms, rule.cooldown_ms) == (DAY, 300_000, DAY)
    assert (rule.min_denominator, rule.confidence, rule.also) == (1, None, ())
    assert (rule.mode, rule.freeze) == ("enforce", False)
    assert rule.params == policy.params == Params(6_000, 5, "Asia/Shanghai")
    assert (policy.lateness_ms, policy.review_within_ms, policy.retention_ms) == (600_000, 7 * DAY, 400 * DAY)


def test_every_field_of_a_rule_is_read() -> None:
    text = """\
defaults: {lateness: 90s, short_call_s: 5.5, callee_limit: 7, timezone: UTC, review_within: 2d, retention: 60d}
rules:
- {id: b, behaviour: in_call_abuse, metric: ner, below: 5e-1, window: 30d, step: 2h, min_denominator: 1e2,
   confidence: 0.975, also: [{metric: complainants, at_least: 3}, {metric: acd_s, at_most: 9.5}], cooldown: 31d,
   recover: 0.75, mode: review, freeze: true, with: {callee_limit: 9}}
"""
    policy = loads(HEAD + text, "p")
    (rule,) = policy.rules
    assert (rule.id, rule.behaviour, rule.metric, rule.direction, rule.threshold) == (
        "b",
        "in_call_abuse",
        "ner",
        "below",
        0.5,
    )
    assert (rule.window_ms, rule.step_ms, rule.cooldown_ms) == (30 * DAY, 2 * HOUR, 31 * DAY)
    assert (rule.min_denominator, rule.confidence, rule.recover) == (100, 0.975, 0.75)
    assert rule.also == (Condition("complainants", "at_least", 3.0), Condition("acd_s", "at_most", 9.5))
    assert (rule.mode, rule.freeze) == ("review", True)
    assert rule.params == Params(5_500, 9, "UTC")
    assert (policy.lateness_ms, policy.review_within_ms, policy.retention_ms) == (90_000, 2 * DAY, 60 * DAY)


@pytest.mark.parametrize(
    ("seconds", "ms"), [("6", 6000), ("6.001", 6001), ("2.0005", 2000), ("0.0019999", 1), ("1.0009999999", 1001)]
)
def test_short_call_seconds_are_whole_ms_or_the_ms_below(seconds: str, ms: int) -> None:
    # 6.001 * 1000 is 6000.999999999999 in binary, but 6001 ms are meant.
    assert loads(HEAD + f"defaults: {{short_call_s: {seconds}}}\n", "p").params.short_call_ms == ms


def test_extending_inherits_what_is_left_out_and_replaces_what_is_there() -> None:
    base = load(None)
    house = loads('id: house\nversion: "1"\nescalations: []\n', "p")
    assert house.rules == base.rules
    assert house.catalogue == base.catalogue
    assert house.behaviours == base.behaviours
    assert house.escalations == ()
    assert (house.id, house.version) == ("house", "1")
    empty = loads('id: house\nversion: "1"\nextends: access-rules\nrules: []\nprohibited_businesses: []\n', "p")
    assert empty.rules == empty.catalogue == ()
    assert empty.escalations == base.escalations


def test_none_starts_empty_but_the_law_stays() -> None:
    policy = loads(HEAD, "p")
    base = load(None)
    assert policy.rules == policy.escalations == policy.catalogue == policy.overrides == policy.exemptions == ()
    assert policy.tiers == base.tiers
    assert policy.behaviours == base.behaviours
    assert policy.params == base.params


def test_defaults_of_the_file_reach_inherited_rules() -> None:
    house = loads('id: house\nversion: "1"\ndefaults: {timezone: UTC}\n', "p")
    assert {rule.params.timezone for rule in house.rules} == {"UTC"}
    by_id = {rule.id: rule for rule in house.rules}
    assert by_id["short-call-burst"].params == Params(3_000, 5, "UTC")


def test_wording_and_freeze_can_be_changed_and_nothing_else_of_it_moves() -> None:
    text = "behaviours:\n  blind_calling: {en: cold calls, freeze: false}\ntiers:\n  minor: {zh: 轻微}\n"
    policy, base = loads(HEAD + text, "p"), load(None)
    changed, was = policy.behaviours["blind_calling"], base.behaviours["blind_calling"]
    assert (changed.en, changed.freeze, changed.zh) == ("cold calls", False, was.zh)
    assert (policy.tiers["minor"].zh, policy.tiers["minor"].actions) == ("轻微", ("warn", "record_violation"))
    assert list(policy.behaviours) == list(base.behaviours)


def test_an_override_is_the_whole_rule_as_it_holds() -> None:
    text = (
        RULE
        + f"""\
  confidence: 0.9
  recover: 0.1
  with: {{short_call_s: 4, timezone: UTC}}
overrides:
- {{tenant: t, rule: a, above: 0.3, mode: shadow, confidence: null, with: {{short_call_s: 2}}, {SIGNED}}}
"""
    )
    policy = loads(HEAD + text, "p")
    override = the(policy, "a")
    assert (override.tenant, override.owner, override.reason) == ("t", "ops", "why")
    assert override.expires_ms == 1_798_761_600_000
    rule = override.rule
    assert (rule.threshold, rule.mode, rule.confidence, rule.window_ms) == (0.3, "shadow", None, DAY)
    assert rule.recover == 0.3, "an override of the threshold without recover recovers at the new threshold"
    assert rule.params == Params(2_000, 5, "UTC"), "`with` is merged"
    assert policy.rules[0].threshold == 0.2


def test_an_override_that_leaves_the_threshold_keeps_recover() -> None:
    text = RULE + f"  recover: 0.1\noverrides: [{{tenant: t, rule: a, min_denominator: 9, {SIGNED}}}]\n"
    assert the(loads(HEAD + text, "p"), "a").rule.recover == 0.1


def test_the_same_rule_can_be_overridden_for_two_tenants() -> None:
    text = (
        RULE
        + f"overrides: [{{tenant: u, rule: a, above: 0.3, {SIGNED}}}, {{tenant: t, rule: a, above: 0.4, {SIGNED}}}]"
    )
    assert [(o.tenant, o.rule.threshold) for o in loads(HEAD + text, "p").overrides] == [("t", 0.4), ("u", 0.3)]


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2027-01-01", 1_798_761_600_000),
        ("2027-01-01T00:00:00Z", 1_798_761_600_000),
        ('"2027-01-01t08:00:00+08:00"', 1_798_761_600_000),
        ("2026-12-31 19:00:00.25-05:00", 1_798_761_600_250),
    ],
)
def test_expiry_is_a_date_in_utc_or_an_instant(written: str, ms: int) -> None:
    text = RULE + f"exemptions: [{{tenant: t, rules: [a], owner: o, reason: r, expires: {written}}}]"
    (exemption,) = loads(HEAD + text, "p").exemptions
    assert (exemption.expires_ms, exemption.rules) == (ms, ("a",))


def test_escalations_default_to_review_and_freeze() -> None:
    text = "escalations: [{id: e, at_least: 2, window: 9d, tier: severe}, {id: f, count: violations, at_least: 3,"
    text += " window: 30d, tier: major, mode: enforce, freeze: false}]"
    first, second = loads(HEAD + text, "p").escalations
    assert (first.mode, first.freeze, first.tier, first.at_least, first.window_ms) == (
        "review",
        True,
        "severe",
        2,
        9 * DAY,
    )
    assert (second.mode, second.freeze) == ("enforce", False)


def test_yaml_is_1_2_and_not_1_1() -> None:
    text = "behaviours: {no_consent: {zh: NO, en: 22:30}}\ndefaults: {callee_limit: 010}\n"
    policy = loads(HEAD + text, "p")
    assert (policy.behaviours["no_consent"].zh, policy.behaviours["no_consent"].en) == ("NO", "22:30")
    assert policy.params.callee_limit == 10


def test_anchors_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    text = "\ufeff" + HEAD + RULE + "  with: &w {callee_limit: 8}\ndefaults: *w\n"
    file = tmp_path / "p.yaml"
    file.write_text(text, "utf-8")
    assert load(str(file)).params.callee_limit == 8


def test_json_is_a_policy_whether_indented_by_blanks_or_tabs() -> None:
    plain = to_plain(load(None))
    for text in (json.dumps(plain), json.dumps(plain, indent="\t"), json.dumps(plain, indent=1, ensure_ascii=False)):
        assert loads(text, "p.json") == load(None)
    text = json.dumps({"id": "\U0001f4de", "version": "1"})  # two escaped halves are one character
    assert loads(text, "p.json").id == "\U0001f4de"


@pytest.mark.parametrize("dump", [dump_yaml, dump_json])
@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\ufeff"])
def test_the_name_of_a_profile_is_written_as_it_is(dump: type, end: str) -> None:
    signed = "exempt: [], tenants: [a], owner: o, reason: r, expires: 2027-01-01"
    policy = loads(f'{HEAD}profiles: {{"a\\u{ord(end):04x}b": {{{signed}}}}}\n', "p")
    assert policy.profiles[0].name == f"a{end}b"
    assert loads(dump(to_plain(policy)), "q").sha256 == policy.sha256


@pytest.mark.parametrize("dump", [dump_yaml, dump_json])
def test_what_is_shown_loads_to_the_same_policy(dump: type) -> None:
    text = RULE + f"overrides: [{{tenant: '007', rule: a, above: 0.3, {SIGNED}}}]\n"
    text += f"exemptions: [{{tenant: 'yes', rules: [a], {SIGNED}}}]\n"
    text += (
        "prohibited_businesses: [{key: 'no', zh: 贷款, en: '1e3', terms: [贷款, '~', 'a: b', '#1'], unless: ['null']}]"
    )
    for policy in (load(None), loads(HEAD + text.replace("'~', ", ""), "p")):
        again = loads(dump(to_plain(policy)), "again")
        assert again == policy


def test_no_character_makes_a_stored_policy_another_one_or_none() -> None:
    """A policy is noted and shown as JSON, in which YAML's reader forbids or folds some characters that its file may
    contain.
    """
    points = [*range(0xA0), 0x2028, 0x2029, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1FFFF, 0x10FFFF]
    odd = "".join(map(chr, points))
    row = {"key": "k", "zh": f"a{odd}b", "en": "k", "terms": ["k"]}
    policy = loads(json.dumps({"id": "house", "version": "1", "prohibited_businesses": [row]}), "escaped")
    assert policy.catalogue[0].zh == f"a{odd}b"
    plain = to_plain(policy)
    assert from_plain(plain, policy.sha256) == policy
    for dump in (dump_yaml, dump_json):
        assert loads(dump(plain), "again") == policy


def test_a_policy_of_many_overrides_is_not_too_long_to_be_read_again() -> None:
    """When stored, each override has all fields of its rule: five times as many as in its file."""
    plain = to_plain(loads(HEAD + RULE + f"overrides: [{{tenant: t, rule: a, above: 0.3, {SIGNED}}}]\n", "p"))
    (one,) = plain["overrides"]
    plain["overrides"] = [one | {"tenant": f"t{n:05}"} for n in range(12_000)]
    digest = hashlib.sha256(canonical(plain).encode()).hexdigest()
    assert len(from_plain(plain, digest).overrides) == 12_000


def test_the_built_in_policy_has_the_documented_values() -> None:
    policy = load(None)
    assert [b.clause for b in policy.behaviours.values()] == [1, 2, 3, 4, 5, 6, 7]
    assert [b.tier for b in policy.behaviours.values()] == [
        "severe", "major", "severe", "minor", "major", "minor", "minor"
    ]  # fmt: skip
    assert {t.id: (t.kind, t.freezes) for t in policy.tiers.values()} == {
        "minor": ("warning", False),
        "major": ("termination", True),
        "severe": ("ban", True),
    }
    used = {rule.metric for rule in policy.rules}
    assert used >= {
        "short_call_ratio",
        "zero_second_ratio",
        "invalid_number_ratio",
        "sequential_ratio",
        "callee_over_limit",
        "callee_hangup_ratio",
        "out_of_hours_ratio",
        "consent_coverage",
        "complaint_rate",
        "verified_complaint_rate",
        "carrier_blocked_ratio",
    }
    optional = {"consent_coverage", "callee_hangup_ratio", "pdd_s"}
    for rule in policy.rules:
        if {rule.metric, *(c.metric for c in rule.also)} & optional:
            assert rule.mode == "shadow", f"{rule.id} rests on a field that may be empty"
        if rule.mode == "enforce" and METRICS[rule.metric].unit == "ratio":
            assert rule.also, f"{rule.id}: a ratio alone is weak evidence"
    assert len(policy.catalogue) > 40
    limits = {(r.window_ms, r.params.callee_limit) for r in policy.rules if r.metric == "callee_over_limit"}
    assert {(DAY, 5), (300_000, 3)} <= limits
    assert {r.window_ms for r in policy.rules if "complaint_rate" in r.metric} == {30 * DAY}
    (escalation,) = policy.escalations
    assert (escalation.mode, escalation.freeze) == ("review", False)


@pytest.mark.skipif(
    not CASES.is_dir(), reason="the worked cases (../shared/cases) are beside the repository, not in it"
)
def test_the_policies_of_all_worked_cases_load() -> None:
    files = [file for file in sorted(CASES.glob("*/policy.json")) if file.parent.name not in NOT_BUILT]
    assert files
    for file in files:
        written = json.loads(file.read_text("utf-8"))
        policy = load(str(file))
        assert [rule.id for rule in policy.rules] == [rule["id"] for rule in written["rules"]]
        assert len(policy.escalations) == len(written["escalations"])


@pytest.mark.parametrize("number", thorough([40, 400], 1))
def test_mutilated_policies_are_refused_and_never_crash(number: int) -> None:
    text = dump_yaml(to_plain(loads(HEAD + RULE + "  also: [{metric: asr, below: 0.5}]\n", "p")))
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    pieces = ["\t", "\n", "  ", ":", "- ", "{", "}", "[", "]", "&a ", "*a", "!!x ", '"', "'", "#", "|", "? ", "%"]
    pieces += ["\x00", "\ufeff", "\ud800", "null", "1e999", "-", "<<", "---\n", "\u2028", "0x", "🎲", ", "]
    refused: list[tuple[str, PolicyError]] = []
    for _ in range(number):
        broken = text
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(broken))
            broken = broken[:at] + rng.choice(["", rng.choice(pieces)]) + broken[at + rng.randint(0, 3) :]
        try:
            loads(broken, "p")
        except PolicyError as error:
            refused.append((broken, error))
    assert len(refused) > number / 4
    for broken, error in refused:
        lines = broken.count("\n") + broken.count("\u2028") + 2
        assert all(1 <= fault.line <= lines and fault.column >= 1 for fault in error.faults)


@pytest.mark.parametrize("text", ["a: &x [1]\nb: *x\n", '{"a": [1], "b": [1]}', "a: [1]\nb: [1]\n# " + "k" * 200_000])
def test_a_text_that_was_parsed_before_is_read_again(text: str) -> None:
    """The caller may change what it was given."""
    first = parse(text, "house.yaml")
    expected, marks = repr(first.data), dict(first.values)
    first.data["a"].append(2)
    again = parse(text, "house.yaml")
    assert (repr(again.data), again.values) == (expected, marks)


def test_a_text_with_faults_has_them_each_time() -> None:
    texts = "a: *nowhere\nb: !!date 2026-01-01\n", "a: 1\na: 2\n"
    found = [[[str(fault) for fault in _faults(text)] for text in texts] for _ in range(2)]
    assert found[0] == found[1]
    assert [len(faults) for faults in found[0]] == [2, 1]


def _faults(text: str) -> Sequence[PolicyFault]:
    with pytest.raises(PolicyError) as raised:
        parse(text, "house.yaml")
    return raised.value.faults
