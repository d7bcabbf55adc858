"""Adds copies of a policy's changed and new rules, in shadow mode, to the text of the policy in force."""

from dataclasses import replace
from typing import Any

from monitor.policy.diff import changes
from monitor.policy.edit.exceptions import EditedPolicy
from monitor.policy.edit.nodes import NotEditable
from monitor.policy.edit.text import PolicyText
from monitor.policy.file.yaml_source import parse
from monitor.policy.load import loads, of_source
from monitor.policy.model import Policy, Rule
from monitor.policy.serialize import rule_plain


class NothingToTry(ValueError):
    """No rule is new or measures differently."""


def with_shadows(text: str, name: str, wanted: Policy) -> EditedPolicy:
    """The text, named ``name`` in faults, with each rule in which ``wanted`` differs from it as a rule in shadow mode.

    A new rule keeps its id; a changed one is added under another id, so that the rule of the text decides as before.
    Everything else of ``wanted`` is left out. Raises NothingToTry, PolicyError with the faults of the result, and
    NotEditable if the text must be edited by hand.
    """
    source = parse(text, name)
    before = of_source(source)
    tried = _tried(before, wanted)
    if not tried:
        raise NothingToTry
    edited = PolicyText(text)
    # A file that has a list of its own cannot change the inherited one.
    own_list = "rules" in source.data or source.data.get("extends") == "none"
    for rule in tried:
        edited.append("rules" if own_list else "add", _fields(rule))
    edited.set((), "version", f"{wanted.version}-shadow")
    after = loads(edited.text, name)
    made = [each for each in changes(before, after) if each.key != "version"]
    if len(made) != len(tried) or after.rules != (*before.rules, *tried):
        raise NotEditable("the edit would change something else")
    return EditedPolicy(before, after, edited.text)


def _tried(before: Policy, wanted: Policy) -> list[Rule]:
    held = {rule.id: rule for rule in before.rules}
    taken = set[str]()
    for policy in (before, wanted):  # rules, escalations and behaviours share their ids
        taken |= {*(each.id for each in policy.rules), *(each.id for each in policy.escalations), *policy.behaviours}
    found = []
    for rule in wanted.rules:
        tried, old = replace(rule, mode="shadow"), held.get(rule.id)
        if old is None:
            found.append(tried)
        elif replace(old, mode="shadow") != tried:
            copy = _free_id(rule.id, taken)
            taken.add(copy)
            found.append(replace(tried, id=copy))
    return found


def _free_id(rule_id: str, taken: set[str]) -> str:
    copy, number = f"{rule_id}-shadow", 2
    while copy in taken:
        copy, number = f"{rule_id}-shadow-{number}", number + 1
    return copy


def _fields(rule: Rule) -> dict[str, Any]:
    fields = rule_plain(rule)
    if fields["first"] is None:
        del fields["first"]
    return fields
