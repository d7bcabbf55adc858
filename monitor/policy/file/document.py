"""The structure of a policy file: keys and types. Constraints between values are checked later.

Every field is optional here, so that one wrong field does not hide faults of the others; `read_mapping` reports wrong
fields, drops them, and returns their keys. Required fields are checked where they are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.fault_wording import THINGS, enumerated, fault_text, quoted_value
from monitor.policy.file.values import (
    AdmissionsName,
    Confidence,
    Count,
    Counted,
    Duration,
    EscalationMode,
    EscalationTier,
    Extended,
    Id,
    Instant,
    KindName,
    MetricName,
    Number,
    RuleMode,
    SecondsMs,
    Span,
    Term,
    Text,
    Timezone,
    Truth,
)
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import Bilingual


class Raw(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RawParams(Raw):
    """``with``, and a part of ``defaults``. ``short_call_s`` and ``short_ring_s`` are converted to ms."""

    short_call_s: SecondsMs | None = None
    callee_limit: Count | None = None
    timezone: Timezone | None = None
    short_ring_s: SecondsMs | None = None


class RawDefaults(RawParams):
    """``defaults``; durations in ms."""

    lateness: Duration | None = None
    review_within: Span | None = None
    retention: Span | None = None


class RawCondition(Raw):
    """One condition of ``also``."""

    metric: MetricName | None = None
    above: Number | None = None
    below: Number | None = None
    at_least: Number | None = None
    at_most: Number | None = None


class RawSettings(Raw):
    """The settings of a rule that an override may change."""

    above: Number | None = None
    below: Number | None = None
    min_denominator: Count | None = None
    confidence: Confidence = None
    also: list[Any] | None = None
    cooldown: Span | None = None
    recover: Number | None = None
    mode: RuleMode | None = None
    freeze: Truth | None = None
    first: Span | None = None
    with_: dict[str, Any] | None = None


class RawPatch(RawSettings):
    """The changes of an inherited rule: any field but its id."""

    behaviour: Id | None = None
    metric: MetricName | None = None
    window: Span | None = None
    step: Span | None = None


class RawRule(RawPatch):
    """A rule."""

    id: Id | None = None


class RawOverride(RawSettings):
    """An override."""

    tenant: Id | None = None
    rule: Id | None = None
    owner: Text | None = None
    reason: Text | None = None
    expires: Instant | None = None


class RawExemption(Raw):
    """An exemption."""

    tenant: Id | None = None
    rules: list[Id] | None = None
    owner: Text | None = None
    reason: Text | None = None
    expires: Instant | None = None


class RawProfile(Raw):
    """A profile: an exemption for several tenants."""

    exempt: list[Id] | None = None
    tenants: list[Id] | None = None
    owner: Text | None = None
    reason: Text | None = None
    expires: Instant | None = None


class RawEscalation(Raw):
    """An escalation."""

    id: Id | None = None
    count: Counted | None = None
    at_least: Count | None = None
    window: Span | None = None
    tier: EscalationTier | None = None
    mode: EscalationMode | None = None
    freeze: Truth | None = None
    once_per_rule: Truth | None = None


class RawBehaviour(Raw):
    """A behaviour. A policy may change only ``zh``, ``en``, ``freeze`` and, where clauses leave it open, ``kind``."""

    clause: Count | None = None
    tier: Id | None = None
    zh: Text | None = None
    en: Text | None = None
    freeze: Truth | None = None
    kind: KindName | None = None


class RawTier(Raw):
    """A tier. A policy may change only ``zh``, ``en`` and ``freeze``."""

    zh: Text | None = None
    en: Text | None = None
    kind: Id | None = None
    actions: list[Id] | None = None
    freeze: Truth | None = None


class RawRow(Raw):
    """A row of the prohibited catalogue."""

    key: Id | None = None
    zh: Text | None = None
    en: Text | None = None
    terms: list[Term] | None = None
    unless: list[Term] | None = None


class RawHead(Raw):
    """The top level of a file; its sections are read separately."""

    id: Id | None = None
    version: Id | None = None
    extends: Extended | None = None
    admissions: AdmissionsName | None = None
    defaults: Any = None
    tiers: Any = None
    behaviours: Any = None
    rules: Any = None
    patch: Any = None
    disable: Any = None
    add: Any = None
    escalations: Any = None
    overrides: Any = None
    exemptions: Any = None
    profiles: Any = None
    prohibited_businesses: Any = None


M = TypeVar("M", bound=Raw)

_MAY_BE_NULL = ("confidence", "first")
"""Fields of a rule whose null has a meaning of its own: none, also in an override of a rule that has one."""


@dataclass(frozen=True, slots=True)
class CheckedMapping(Generic[M]):
    """A mapping read as ``model``. ``bad`` are the keys dropped as faulty, ``given`` the valid ones."""

    model: M
    place: YamlPath
    given: frozenset[str]
    bad: frozenset[str]

    def missing(self, *names: str) -> list[str]:
        """Those of ``names`` that are not in the file."""
        return [name for name in names if name not in self.given and name not in self.bad]


def read_mapping(
    model: type[M],
    data: Any,
    place: YamlPath,
    faults: list[PolicyFault],
    fixed: Mapping[str, Bilingual] | None = None,
    nulls: bool = False,
) -> CheckedMapping[M]:
    """Read ``data``, a mapping at ``place``.

    ``fixed``: keys that are valid only elsewhere, each with its message. ``nulls``: whether any key may be null.
    """
    if not isinstance(data, dict):
        faults.append(place.fault(fault_text("no_mapping", value=quoted_value(data))))
        return CheckedMapping(model(), place, frozenset(), frozenset(model.model_fields))
    names = [name.rstrip("_") for name in model.model_fields]
    clean: dict[str, Any] = {}
    bad: set[str] = set()
    for key, value in data.items():
        at = place.child(key)
        if key not in names:
            unknown = (fixed or {}).get(key) or fault_text("unknown_key", key=key, hint=near_miss(key, names))
            faults.append(at.key_fault(unknown))
            bad.add(key)
        elif value is None and not nulls and key not in _MAY_BE_NULL:
            faults.append(at.key_fault(fault_text("no_value", key=key)))
            bad.add(key)
        else:
            clean["with_" if key == "with" else key] = value
    try:
        read = model.model_validate(clean)
    except ValidationError as error:
        for problem in error.errors():
            where = problem["loc"]
            name = str(where[0])
            at = place.child(name.rstrip("_"), *where[1:])
            faults.append(at.fault(_worded(problem)))
            bad.add(name.rstrip("_"))
            clean.pop(name, None)
        read = model.model_validate(clean)
    given = frozenset(name.rstrip("_") for name in read.model_fields_set)
    return CheckedMapping(read, place, given, frozenset(bad))


def _worded(problem: ErrorDetails) -> Bilingual:
    if problem["type"] == "policy":
        message: Bilingual = problem["ctx"]["message"]
        return message
    code = {"list_type": "no_list", "dict_type": "no_inline_mapping"}.get(problem["type"])
    if code is None:
        return fault_text("unexpected", problem=problem["msg"])
    return fault_text(code, value=quoted_value(problem["input"]))


def require(taken: CheckedMapping[Any], what: str, faults: list[PolicyFault], *names: str) -> bool:
    """Whether all of ``names`` were read; reports those that are not in the file as a fault.

    ``what`` is a key of `THINGS`.
    """
    lacking = taken.missing(*names)
    if lacking:
        faults.append(taken.place.fault(fault_text("missing", what=THINGS[what], names=enumerated(lacking))))
    return not lacking and not taken.bad & set(names)
