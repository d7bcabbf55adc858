"""The tiers and behaviours of the access rules. A policy file changes their wording and what they leave open."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from monitor.policy.file.document import Raw, RawBehaviour, RawTier, read_mapping
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.fault_wording import AND, enumerated, fault_text
from monitor.policy.file.rules import Cell
from monitor.policy.model import Behaviour, Tier, TierId

M = TypeVar("M", bound=Raw)

_WORDING = ("zh", "en", "freeze")
_LEFT_OPEN = (*_WORDING, "kind")


def read_tiers(own: Mapping[str, Cell], builtin: Mapping[str, Cell], faults: list[PolicyFault]) -> dict[str, Tier]:
    """The tiers, from the sections of a file and of the built-in policy."""
    return {
        key: Tier(cast(TierId, key), v["zh"], v["en"], v["kind"], tuple(v["actions"]), v["freeze"])
        for key, v in _changed_section("tiers", RawTier, own, builtin, faults)
    }


def read_behaviours(
    own: Mapping[str, Cell], builtin: Mapping[str, Cell], tiers: Mapping[str, Tier], faults: list[PolicyFault]
) -> dict[str, Behaviour]:
    """The behaviours, from the sections of a file and of the built-in policy. ``kind`` is None if it is the tier's."""
    return {
        key: Behaviour(
            key,
            v["clause"],
            v["tier"],
            v["zh"],
            v["en"],
            True if v["freeze"] is None else v["freeze"],
            None if v["kind"] == tiers[v["tier"]].kind else v["kind"],
        )
        for key, v in _changed_section("behaviours", RawBehaviour, own, builtin, faults)
    }


def _changed_section(
    name: str, model: type[M], own_sections: Mapping[str, Cell], builtin: Mapping[str, Cell], faults: list[PolicyFault]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A section of the access rules with the file's changes applied to it."""
    fixed_section = builtin[name]
    own = own_sections.get(name, fixed_section)
    changes = own.value if isinstance(own.value, dict) else {}
    if not isinstance(own.value, dict):
        faults.append(own.at.fault(fault_text("no_section_mapping", section=name)))
    for key in changes:
        if key not in fixed_section.value:
            unknown = fault_text("not_in_access_rules", key=key, hint=near_miss(key, fixed_section.value))
            faults.append(own.at.child(key).key_fault(unknown))
    for key, data in fixed_section.value.items():
        values = read_mapping(model, data, fixed_section.at.child(key), faults).model.model_dump()
        if key in changes:
            place = own.at.child(key)
            taken = read_mapping(model, changes[key], place, faults)
            free = _LEFT_OPEN if values.get("tier") in ("major", "severe") else _WORDING
            for field in sorted(taken.given):
                value = getattr(taken.model, field)
                if field not in free and value != values[field]:
                    fixed = values[field] or "warning"
                    named = {"field": field, "key": key, "fixed": fixed, "free": enumerated(free, AND)}
                    faults.append(place.child(field).fault(fault_text("fixed_by_access_rules", **named)))
                else:
                    values[field] = value
        yield key, values
