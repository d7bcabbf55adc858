"""The list of rules: a file's own, or the inherited one with this file's ``patch``, ``disable`` and ``add``."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.policy.file.document import CheckedMapping, RawPatch, read_mapping
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.fault_wording import fault_text, quoted_value
from monitor.policy.file.rules import Cell
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import Bilingual

CHANGES = ("patch", "disable", "add")
"""The sections that change the inherited list; none of them can be combined with ``rules``."""

_FIXED = {"id": fault_text("id_not_patched")}


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
                yield sections[name].at.key_fault(fault_text("beside_rules", section=name))


def read_changes(sections: Mapping[str, Cell], inherited: Collection[str], faults: list[PolicyFault]) -> RuleChanges:
    """``patch`` and ``disable``. ``inherited``: the ids of the list that they change."""
    disabled = _disabled(sections.get("disable"), inherited, faults)
    patches: dict[str, CheckedMapping[RawPatch]] = {}
    section = sections.get("patch")
    if section is None:
        return RuleChanges(patches, frozenset(disabled))
    if not isinstance(section.value, dict):
        faults.append(section.at.fault(fault_text("patch_no_mapping", value=quoted_value(section.value))))
        return RuleChanges(patches, frozenset(disabled))
    for name, change in section.value.items():
        at = section.at.child(name)
        if name not in inherited:
            faults.append(at.key_fault(_unknown(name, inherited)))
        elif name in disabled:
            line = disabled[name].mark[0]
            faults.append(at.key_fault(fault_text("patch_of_disabled", rule=name, line=line)))
        else:
            patches[name] = read_mapping(RawPatch, change, at, faults, _FIXED, nulls=True)
    return RuleChanges(patches, frozenset(disabled))


def _disabled(section: Cell | None, inherited: Collection[str], faults: list[PolicyFault]) -> dict[str, YamlPath]:
    found: dict[str, YamlPath] = {}
    if section is None:
        return found
    if not isinstance(section.value, list):
        faults.append(section.at.fault(fault_text("disable_no_list", value=quoted_value(section.value))))
        return found
    for n, name in enumerate(section.value):
        at = section.at.child(n)
        if not isinstance(name, str) or name not in inherited:
            faults.append(at.fault(_unknown(name, inherited)))
        elif name in found:
            faults.append(at.fault(fault_text("disabled_twice", rule=name, line=found[name].mark[0])))
        else:
            found[name] = at
    return found


def _unknown(name: Any, inherited: Collection[str]) -> Bilingual:
    if not inherited:
        return fault_text("nothing_inherited", rule=quoted_value(name))
    return fault_text("not_inherited", rule=quoted_value(name), hint=near_miss(name, inherited))
