"""``patch``, ``disable`` and ``add`` change the inherited rules as writing the whole list would."""

from dataclasses import replace

import pytest

from monitor.policy.file.errors import PolicyError
from monitor.policy.load import load, loads
from monitor.policy.model import Condition, Rule
from monitor.policy.serialize import written_out
from monitor.policy.write import dump_yaml

HEAD = 'id: house\nversion: "1"\n'
MINE = "{id: mine, behaviour: no_consent, metric: asr, below: 0.1, window: 1h, step: 5m, mode: shadow}"


def inherited() -> dict[str, Rule]:
    return {rule.id: rule for rule in load(None).rules}


def rules(text: str) -> dict[str, Rule]:
    return {rule.id: rule for rule in loads(HEAD + text, "p").rules}


def test_a_patch_changes_the_fields_that_it_names_and_no_other() -> None:
    built_in = inherited()
    changed = rules("patch: {short-calls: {above: 0.4, mode: review, min_denominator: 50, metric: reject_ratio}}\n")
    expected = replace(built_in["short-calls"], threshold=0.4, mode="review", min_denominator=50, metric="reject_ratio")
    assert changed == {**built_in, "short-calls": expected}
    assert list(changed) == list(built_in), "the order of the rules stays"


def test_null_takes_a_field_away() -> None:
    built_in = inherited()["short-calls"]
    text = (
        "patch: {short-calls: {confidence: null, also: null, recover: null, cooldown: null, min_denominator: null}}\n"
    )
    expected = replace(
        built_in,
        confidence=None,
        also=(),
        recover=built_in.threshold,
        cooldown_ms=built_in.window_ms,
        min_denominator=1,
    )
    assert rules(text)["short-calls"] == expected


def test_null_of_a_field_that_is_not_there_changes_nothing() -> None:
    assert rules("patch: {callee-called-very-often: {confidence: null, first: null, cooldown: null}}\n") == inherited()


def test_a_patch_turns_the_threshold_round() -> None:
    changed = rules("patch: {short-calls: {above: null, below: 0.1, recover: 0.2}}\n")["short-calls"]
    assert (changed.direction, changed.threshold, changed.recover) == ("below", 0.1, 0.2)


def test_with_is_merged_and_null_takes_a_parameter_away() -> None:
    text = (
        "defaults: {callee_limit: 7}\npatch: {callee-called-very-often: {with: {timezone: UTC, short_ring_s: 1.5}}}\n"
    )
    params = rules(text)["callee-called-very-often"].params
    assert (params.callee_limit, params.timezone, params.short_ring_ms) == (15, "UTC", 1_500)
    text = "defaults: {callee_limit: 7}\npatch: {callee-called-very-often: {with: {callee_limit: null}}}\n"
    assert rules(text)["callee-called-very-often"].params.callee_limit == 7
    assert (
        rules("patch: {callee-called-very-often: {with: null}}\n")["callee-called-very-often"].params.callee_limit == 5
    )


def test_also_is_replaced() -> None:
    changed = rules("patch: {short-calls: {also: [{metric: asr, below: 0.2}]}}\n")["short-calls"]
    assert changed.also == (Condition("asr", "below", 0.2),)


def test_rules_are_disabled_and_added_last() -> None:
    built_in = list(inherited())
    changed = rules(f"disable: [{built_in[3]}, {built_in[0]}]\nadd:\n- {MINE}\n")
    assert list(changed) == [*built_in[1:3], *built_in[4:], "mine"]


def test_a_disabled_id_is_free_again() -> None:
    changed = rules(f"disable: [short-calls]\nadd:\n- {MINE.replace('mine', 'short-calls')}\n")
    assert list(changed) == [*(name for name in inherited() if name != "short-calls"), "short-calls"]
    assert changed["short-calls"].metric == "asr"


def test_nothing_is_inherited_by_a_policy_that_extends_none() -> None:
    assert list(rules(f"extends: none\nadd:\n- {MINE}\n")) == ["mine"]


def test_an_added_rule_without_mode_is_remarked_and_a_patched_one_is_not() -> None:
    policy = loads(
        HEAD + f"add:\n- {MINE.replace(', mode: shadow', '')}\npatch: {{short-calls: {{above: 0.3}}}}\n", "p"
    )
    assert len(policy.remarks) == 1
    assert policy.remarks[0].en.startswith("rule mine (line 4) is new and has no `mode`")


def test_exceptions_name_the_changed_list() -> None:
    signed = "owner: ops, reason: why, expires: 2027-01-01"
    text = f"add:\n- {MINE}\npatch: {{short-calls: {{above: 0.4, with: {{timezone: UTC}}}}}}\n"
    text += f"overrides:\n- {{tenant: t, rule: short-calls, min_denominator: 5, {signed}}}\n"
    text += f"exemptions:\n- {{tenant: t, rules: [mine], {signed}}}\n"
    (override,) = loads(HEAD + text, "p").overrides
    assert (override.rule.threshold, override.rule.params.timezone, override.rule.min_denominator) == (0.4, "UTC", 5)


def test_one_hash_for_a_patch_and_the_list_written_out() -> None:
    patched = loads(
        HEAD + f"patch: {{short-calls: {{above: 0.4, first: 3d}}}}\ndisable: [invalid-numbers]\nadd:\n- {MINE}\n", "p"
    )
    assert loads(dump_yaml(written_out(patched)), "q").sha256 == patched.sha256


@pytest.mark.parametrize("name", ["", "x" * 129])
def test_a_fault_in_a_patched_rule_is_named_once(name: str) -> None:
    text = f'patch: {{short-calls: {{behaviour: "{name}", above: x}}}}\n'
    with pytest.raises(PolicyError) as caught:
        loads(HEAD + text, "p")
    assert [fault.line for fault in caught.value.faults] == [3, 3]
