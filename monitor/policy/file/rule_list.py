"""The list of rules: a file's own, or the inherited one with this file's ``patch``, ``disable`` and ``add``."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.policy.file.document import CheckedMapping, RawPatch, read_mapping
from monitor.policy.file.errors import PolicyFault, did_you_mean
from monitor.policy.file.rules import Cell
from monitor.policy.file.values import quoted_value
from monitor.policy.file.yaml_source import YamlPath

CHANGES = ("patch", "disable", "add")
"""The sections that change the inherited list; none of them can be combined with ``rules``."""

_FIXED = {"id": "`id` cannot be patched: disable the rule, and add another one"}


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """The patches by rule id, and the ids of the disabled rules."""

    patches: dict[str, CheckedMapping[RawPatch]] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()


def beside_rules(sections: Mapping[str, Cell]) -> Iterator[PolicyFault]:
    """A fault for each section that changes the inherited list where the file has a list of its own."""
    if "rules" in sections:
        for name in CHANGES:
            if name in sections:
                said = f"`{name}` changes the inherited rules, but this file replaces them by `rules`: keep one of both"
                yield sections[name].at.key_fault(said)


def read_changes(sections: Mapping[str, Cell], inherited: Collection[str], faults: list[PolicyFault]) -> RuleChanges:
    """``patch`` and ``disable``. ``inherited``: the ids of the list that they change."""
    disabled = _disabled(sections.get("disable"), inherited, faults)
    patches: dict[str, CheckedMapping[RawPatch]] = {}
    section = sections.get("patch")
    if section is None:
        return RuleChanges(patches, frozenset(disabled))
    if not isinstance(section.value, dict):
        said = (
            f"expected a mapping from a rule's id to its changed fields in `patch`, got {quoted_value(section.value)}"
        )
        faults.append(section.at.fault(said))
        return RuleChanges(patches, frozenset(disabled))
    for name, change in section.value.items():
        at = section.at.child(name)
        if name not in inherited:
            faults.append(at.key_fault(_unknown(name, inherited)))
        elif name in disabled:
            line = disabled[name].fault("").line
            faults.append(at.key_fault(f"`{name}` is disabled on line {line}: remove it from `patch` or `disable`"))
        else:
            patches[name] = read_mapping(RawPatch, change, at, faults, _FIXED, nulls=True)
    return RuleChanges(patches, frozenset(disabled))


def _disabled(section: Cell | None, inherited: Collection[str], faults: list[PolicyFault]) -> dict[str, YamlPath]:
    found: dict[str, YamlPath] = {}
    if section is None:
        return found
    if not isinstance(section.value, list):
        said = f"expected a list of rule ids in `disable`, got {quoted_value(section.value)}: write them in [ ]"
        faults.append(section.at.fault(said))
        return found
    for n, name in enumerate(section.value):
        at = section.at.child(n)
        if not isinstance(name, str) or name not in inherited:
            faults.append(at.fault(_unknown(name, inherited)))
        elif name in found:
            faults.append(at.fault(f"`{name}` is already disabled on line {found[name].fault('').line}: remove one"))
        else:
            found[name] = at
    return found


def _unknown(name: Any, inherited: Collection[str]) -> str:
    if not inherited:
        return f"{quoted_value(name)} is not an inherited rule: with `extends: none` no rule is inherited"
    return f"{quoted_value(name)} is not an inherited rule{did_you_mean(name, inherited)}"
