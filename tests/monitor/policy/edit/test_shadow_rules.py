"""What a policy changes is added to the text of another one as rules in shadow mode; today's rules stay."""

import json
from dataclasses import replace

import pytest

from helpers.thorough import thorough
from monitor.policy.edit.shadow import NothingToTry, with_shadows
from monitor.policy.file.errors import PolicyError
from monitor.policy.load import load, loads
from monitor.policy.serialize import written_out
from monitor.policy.write import dump_json, dump_yaml

HEAD = 'id: house  # ours\nversion: "1"\nextends: access-rules\n'
NEW = (
    "add:\n- id: ours\n  behaviour: blind_calling\n  metric: short_call_ratio\n  above: 0.9\n  window: 1h\n  step: 5m\n"
    "  also:\n  - {metric: attempts, above: 10}\n  mode: enforce\n"
)
WANTED = loads(HEAD.replace('"1"', '"2"') + "patch:\n  short-calls: {above: 0.2}  # stricter\n" + NEW, "w")


def test_new_rules_and_copies_of_changed_ones_are_tried_in_shadow() -> None:
    text = HEAD + "patch:\n  short-calls: {above: 0.3}  # as the city wrote\n"
    edited = with_shadows(text, "p", WANTED)
    held, old = edited.before, next(rule for rule in edited.before.rules if rule.id == "short-calls")
    copy, ours = edited.after.rules[-2:]
    assert edited.after.rules[:-2] == held.rules
    assert (copy.id, copy.mode, copy.threshold) == ("short-calls-shadow", "shadow", 0.2)
    assert replace(copy, id=old.id, mode=old.mode, threshold=old.threshold, recover=old.recover) == old
    assert (ours.id, ours.mode, ours.also[0].metric) == ("ours", "shadow", "attempts")
    assert edited.after.version == "2-shadow"
    assert edited.text.startswith(text.replace('"1"', "2-shadow").replace("2-shadow", '"2-shadow"'))


@pytest.mark.parametrize("wide", thorough([False, True], 1))
def test_a_file_with_a_list_of_its_own_gets_them_there(wide: bool) -> None:
    policy = load(None)
    text = (dump_yaml if wide else dump_json)(written_out(policy))
    edited = with_shadows(text, "p", WANTED)
    assert [rule.id for rule in edited.after.rules[len(policy.rules) :]] == ["short-calls-shadow", "ours"]
    if not wide:
        json.loads(edited.text)


def test_a_copy_of_an_earlier_trial_keeps_its_id() -> None:
    once = with_shadows(HEAD, "p", WANTED)
    stricter = loads(HEAD + "patch:\n  short-calls: {above: 0.1, recover: 0.1}\n", "w")
    twice = with_shadows(once.text, "p", stricter)
    assert [rule.id for rule in twice.after.rules[-3:]] == ["short-calls-shadow", "ours", "short-calls-shadow-2"]


def test_a_rule_that_differs_in_its_mode_alone_is_no_trial() -> None:
    with pytest.raises(NothingToTry):
        with_shadows(HEAD, "p", loads(HEAD + "patch:\n  short-calls: {mode: shadow}\n", "w"))
    with pytest.raises(NothingToTry):
        with_shadows(HEAD, "p", loads(HEAD + "disable: [short-calls]\n", "w"))


def test_a_rule_of_a_behaviour_that_the_text_does_not_have_is_refused() -> None:
    wanted = replace(WANTED, rules=(*WANTED.rules, replace(WANTED.rules[-1], id="x", behaviour="unknown")))
    with pytest.raises(PolicyError, match="unknown"):
        with_shadows(HEAD, "p", wanted)
