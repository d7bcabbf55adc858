"""The exceptions of a policy file: overrides, exemptions, and profiles, which are exemptions for kinds of tenants."""

from collections.abc import Iterable, Mapping

from monitor.policy.file.document import (
    CheckedMapping,
    RawExemption,
    RawOverride,
    RawProfile,
    read_mapping,
    require,
)
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.fault_wording import fault_text, quoted_value
from monitor.policy.file.rules import Cell, Frame, build, cells, overridden
from monitor.policy.file.yaml_source import YamlPath
from monitor.policy.model import Exemption, ExemptionProfile, Override

RuleFields = dict[str, dict[str, Cell] | None]
"""The raw fields of each rule of the policy by its id, None of a faulty rule."""

NOT_OVERRIDDEN = {
    name: fault_text("field_overridden", name=name) for name in ("id", "behaviour", "metric", "window", "step")
}
"""Fields of a rule that an override may not have, each with its message."""

_LONGEST_NAME = 128


def read_overrides(items: Iterable[CheckedMapping[RawOverride]], rules: RuleFields, frame: Frame) -> list[Override]:
    """The overrides, each with the rule that it makes."""
    overrides = []
    seen: dict[tuple[str, str], YamlPath] = {}
    for taken in items:
        require(taken, "override", frame.faults, "tenant", "rule", "owner", "reason", "expires")
        model, place = taken.model, taken.place
        _known_rule(model.rule, place.child("rule"), rules, frame.faults)
        if model.tenant is not None and model.rule is not None:
            first = seen.setdefault((model.tenant, model.rule), place)
            if first is not place:
                twice = {"tenant": model.tenant, "rule": model.rule, "line": first.mark[0]}
                frame.faults.append(place.fault(fault_text("override_twice", **twice)))
        change, bad = cells(taken, frame)
        base = rules.get(model.rule or "")
        merged = overridden(base, change, frame.faults) if base else None
        rule = build(merged, bad, place, frame) if merged else None
        if rule and model.tenant and model.owner and model.reason and model.expires is not None:
            overrides.append(Override(model.tenant, rule, model.owner, model.reason, model.expires))
    return overrides


def read_exemptions(
    items: Iterable[CheckedMapping[RawExemption]], rules: RuleFields, faults: list[PolicyFault]
) -> list[Exemption]:
    """The exemptions."""
    exemptions = []
    for taken in items:
        whole = require(taken, "exemption", faults, "tenant", "rules", "owner", "reason", "expires")
        model = taken.model
        for n, name in enumerate(model.rules or ()):
            _known_rule(name, taken.place.child("rules", n), rules, faults)
        if whole and model.expires is not None:
            names = tuple(sorted(set(model.rules or ())))
            who = (str(model.tenant), names, str(model.owner), str(model.reason))
            exemptions.append(Exemption(*who, model.expires))
    return exemptions


def read_profiles(section: Cell | None, rules: RuleFields, faults: list[PolicyFault]) -> list[ExemptionProfile]:
    """The profiles. The order of their rules and tenants, and repeated ones, have no meaning."""
    profiles: list[ExemptionProfile] = []
    if section is None:
        return profiles
    if not isinstance(section.value, dict):
        faults.append(section.at.fault(fault_text("profiles_no_mapping", value=quoted_value(section.value))))
        return profiles
    for name, data in section.value.items():
        place = section.at.child(name)
        if not 1 <= len(name) <= _LONGEST_NAME:
            faults.append(place.key_fault(fault_text("name_length", most=_LONGEST_NAME, count=len(name))))
        taken = read_mapping(RawProfile, data, place, faults)
        if not isinstance(data, dict):
            continue
        model = taken.model
        whole = require(taken, "profile", faults, "exempt", "tenants", "owner", "reason", "expires")
        for n, rule in enumerate(model.exempt or ()):
            _known_rule(rule, place.child("exempt", n), rules, faults)
        if whole and model.expires is not None:
            exempt, tenants = (tuple(sorted(set(each or ()))) for each in (model.exempt, model.tenants))
            profiles.append(ExemptionProfile(name, exempt, tenants, str(model.owner), str(model.reason), model.expires))
    return profiles


def _known_rule(name: str | None, at: YamlPath, rules: Mapping[str, object], faults: list[PolicyFault]) -> None:
    if name is not None and name not in rules:
        faults.append(at.fault(fault_text("no_rule", rule=name, hint=near_miss(name, rules))))
