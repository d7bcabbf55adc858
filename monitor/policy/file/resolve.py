"""Resolves a file and what it extends into one policy: sections inherited or replaced, checked as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from monitor.policy import serialize as plain
from monitor.policy.file.document import (
    CheckedMapping,
    Raw,
    RawBehaviour,
    RawDefaults,
    RawEscalation,
    RawExemption,
    RawHead,
    RawOverride,
    RawRow,
    RawRule,
    RawTier,
    read_mapping,
    require,
)
from monitor.policy.file.errors import PolicyError, PolicyFault, did_you_mean
from monitor.policy.file.rules import Cell, Frame, build, cells, check_retention, overridden
from monitor.policy.file.yaml_source import YamlPath, YamlSource
from monitor.policy.metrics import METRICS
from monitor.policy.model import (
    MAX_EVIDENCE,
    MAX_VARIANTS,
    Behaviour,
    CatalogueRow,
    Escalation,
    Exemption,
    Override,
    Params,
    Policy,
    Rule,
    Tier,
    TierId,
)

RESERVED = ("prohibited_business_application", "banned_applicant", "repeat_violation")
"""Behaviour names that the product itself uses; no rule may use them."""

_SECTIONS = (
    "defaults",
    "tiers",
    "behaviours",
    "rules",
    "escalations",
    "overrides",
    "exemptions",
    "prohibited_businesses",
)

M = TypeVar("M", bound=Raw)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's head and its sections, each with its position."""

    head: CheckedMapping[RawHead]
    sections: dict[str, Cell]


def read_document(source: YamlSource, faults: list[PolicyFault]) -> Document:
    """The top level of a file."""
    place = YamlPath(source)
    head = read_mapping(RawHead, source.data, place, faults)
    sections = {name: Cell(getattr(head.model, name), place.child(name)) for name in _SECTIONS if name in head.given}
    return Document(head, sections)


def resolve(own: Document, builtin: Document, faults: list[PolicyFault]) -> Policy:
    """The policy of ``own``. ``builtin`` always provides tiers and behaviours, and the rest if it is extended.

    Raises `PolicyError` with ``faults`` and all faults found here.
    """
    return _Resolver(own, builtin, faults).policy()


class _Resolver:
    def __init__(self, own: Document, builtin: Document, faults: list[PolicyFault]) -> None:
        self.own = own
        self.builtin = builtin
        self.faults = faults
        self.names: dict[str, str] = {}
        self.remarks: list[str] = []

    def policy(self) -> Policy:
        head = self.own.head
        require(head, "a policy", self.faults, "id", "version")
        defaults, retention = self._defaults()
        params = Params(defaults["short_call_s"], defaults["callee_limit"], defaults["timezone"])
        tiers = self._tiers()
        behaviours = self._behaviours()
        self.names = dict.fromkeys((*behaviours, *RESERVED), "a behaviour")
        frame = Frame(params, retention, behaviours, self.own.head.place.source, self.faults)
        rules, fields = self._rules(frame)
        escalations = self._escalations(frame)
        overrides = self._overrides(fields, frame)
        exemptions = self._exemptions(fields)
        self._room(params, [*rules, *(override.rule for override in overrides)])
        catalogue = self._catalogue()
        if self.faults:
            raise PolicyError(self.faults)
        policy = Policy(
            id=str(head.model.id),
            version=str(head.model.version),
            sha256="",
            lateness_ms=defaults["lateness"],
            review_within_ms=defaults["review_within"],
            retention_ms=retention.value,
            params=params,
            tiers=tiers,
            behaviours=behaviours,
            rules=tuple(rules),
            escalations=tuple(escalations),
            overrides=tuple(sorted(overrides, key=lambda o: (o.tenant, o.rule.id))),
            exemptions=tuple(sorted(exemptions, key=lambda e: (e.tenant, e.rules, e.expires_ms, e.owner, e.reason))),
            catalogue=tuple(catalogue),
            remarks=tuple(self.remarks),
        )
        return replace(policy, sha256=plain.sha256(policy))

    def _room(self, params: Params, rules: list[Rule]) -> None:
        """Whether the bits of a call and the evidence slots suffice for all variants that the rules distinguish."""
        place = self.own.sections["rules"].at if "rules" in self.own.sections else self.own.head.place
        every = [params, *(rule.params for rule in rules)]
        variants = len({p.short_call_ms for p in every}) + len({p.timezone for p in every})
        if variants > MAX_VARIANTS:
            said = (
                f"the rules have {variants} different values of `short_call_s` and `timezone`; "
                f"expected at most {MAX_VARIANTS}"
            )
            self.faults.append(place.fault(said))
        kinds = {(r.metric, r.direction, r.params.short_call_ms, r.params.timezone) for r in rules}
        kinds = {kind for kind in kinds if METRICS[kind[0]].family == "calls" or kind[1] == "below"}
        if len(kinds) > MAX_EVIDENCE:
            said = f"the rules use {len(kinds)} different kinds of calls as evidence; expected at most {MAX_EVIDENCE}"
            self.faults.append(place.fault(said))

    # Sections

    def _section(self, name: str) -> Cell | None:
        """The file's own section, or else the inherited one."""
        if name in self.own.sections:
            return self.own.sections[name]
        if self.own.head.model.extends == "none" or name in self.own.head.bad:
            return None
        return self.builtin.sections.get(name)

    def _items(self, name: str, model: type[M], fixed: dict[str, str] | None = None) -> Iterator[CheckedMapping[M]]:
        section = self._section(name)
        if section is None:
            return
        if not isinstance(section.value, list):
            self.faults.append(section.at.fault(f"expected a list in `{name}`: begin each item with `- `"))
            return
        for n, item in enumerate(section.value):
            taken = read_mapping(model, item, section.at.child(n), self.faults, fixed)
            if isinstance(item, dict):
                yield taken

    def _defaults(self) -> tuple[dict[str, Any], Cell]:
        values: dict[str, Any] = {}
        retention = None
        for document in (self.builtin, self.own):
            section = document.sections.get("defaults")
            if section is None:
                continue
            taken = read_mapping(RawDefaults, section.value, section.at, self.faults)
            values |= {name: getattr(taken.model, name) for name in taken.given}
            if "retention" in taken.given:
                retention = Cell(taken.model.retention, section.at.child("retention"))
        if retention is None:
            raise PolicyError([*self.faults, self.builtin.head.place.fault("the built-in policy needs `defaults`")])
        return values, retention

    def _law(self, name: str, model: type[M]) -> Iterator[tuple[str, dict[str, Any]]]:
        """A section of the access rules with the file's wording applied to it."""
        law = self.builtin.sections[name]
        own = self.own.sections.get(name, law)
        changes = own.value if isinstance(own.value, dict) else {}
        if not isinstance(own.value, dict):
            self.faults.append(own.at.fault(f"expected a mapping from a name to its wording in `{name}`"))
        for key in changes:
            if key not in law.value:
                said = f"`{key}` is not in the access rules, which are fixed{did_you_mean(key, law.value)}"
                self.faults.append(own.at.child(key).key_fault(said))
        for key, data in law.value.items():
            values = read_mapping(model, data, law.at.child(key), self.faults).model.model_dump()
            if key in changes:
                place = own.at.child(key)
                taken = read_mapping(model, changes[key], place, self.faults)
                for field in sorted(taken.given):
                    value = getattr(taken.model, field)
                    if field not in ("zh", "en", "freeze") and value != values[field]:
                        said = f"`{field}` of `{key}` is fixed by the access rules ({values[field]}); "
                        said += "only `zh`, `en` and `freeze` can be changed"
                        self.faults.append(place.child(field).fault(said))
                    else:
                        values[field] = value
            yield key, values

    def _tiers(self) -> dict[str, Tier]:
        return {
            key: Tier(cast(TierId, key), v["zh"], v["en"], v["kind"], tuple(v["actions"]), v["freeze"])
            for key, v in self._law("tiers", RawTier)
        }

    def _behaviours(self) -> dict[str, Behaviour]:
        return {
            key: Behaviour(key, v["clause"], v["tier"], v["zh"], v["en"], True if v["freeze"] is None else v["freeze"])
            for key, v in self._law("behaviours", RawBehaviour)
        }

    def _rules(self, frame: Frame) -> tuple[list[Rule], dict[str, dict[str, Cell] | None]]:
        """The rules, and by id their raw fields (None for a faulty one) for the overrides."""
        rules = []
        fields: dict[str, dict[str, Cell] | None] = {}
        for taken in self._items("rules", RawRule):
            require(taken, "a rule", self.faults, "id", "behaviour", "metric", "window", "step")
            self._name(taken, "a rule")
            found, bad = cells(taken, frame)
            rule = build(found, bad, taken.place, frame)
            if taken.model.id is not None:
                fields.setdefault(taken.model.id, found if rule else None)
            if rule:
                rules.append(rule)
                self._remark_mode(taken)
        return rules, fields

    def _remark_mode(self, taken: CheckedMapping[RawRule]) -> None:
        """Remarks on a new rule that enforces by default."""
        inherited = self.builtin.sections["rules"].value
        known = {rule.get("id") for rule in inherited if isinstance(rule, dict)}
        if taken.place.source is self.own.head.place.source and not {"mode", taken.model.id} & {*taken.given, *known}:
            line = taken.place.fault("").line
            self.remarks.append(
                f"rule {taken.model.id} (line {line}) is new and has no `mode`: it enforces from its first window on; "
                "write `mode: enforce` to confirm that, or `mode: shadow` to see first what it would decide"
            )

    def _name(self, taken: CheckedMapping[Any], what: str) -> None:
        name = taken.model.id
        if name is None:
            return
        if name in self.names:
            self.faults.append(
                taken.place.child("id").fault(f"`{name}` is already the id of {self.names[name]}: choose another id")
            )
        self.names.setdefault(name, what)

    def _escalations(self, frame: Frame) -> list[Escalation]:
        escalations = []
        for taken in self._items("escalations", RawEscalation):
            whole = require(taken, "an escalation", self.faults, "id", "at_least", "window", "tier")
            self._name(taken, "an escalation")
            model = taken.model
            if model.window is not None:
                check_retention(Cell(model.window, taken.place.child("window")), frame)
            if whole and model.at_least is not None and model.window is not None:
                tier = cast(Literal["major", "severe"], model.tier)
                freeze = True if model.freeze is None else model.freeze
                mode = model.mode or "review"
                escalations.append(Escalation(str(model.id), model.at_least, model.window, tier, mode, freeze))
        return escalations

    def _overrides(self, rules: dict[str, dict[str, Cell] | None], frame: Frame) -> list[Override]:
        fixed = {
            name: f"an override cannot change `{name}`: write another rule, and an exemption from this one"
            for name in ("id", "behaviour", "metric", "window", "step")
        }
        overrides = []
        seen: dict[tuple[str, str], YamlPath] = {}
        for taken in self._items("overrides", RawOverride, fixed):
            require(taken, "an override", self.faults, "tenant", "rule", "owner", "reason", "expires")
            model, place = taken.model, taken.place
            self._known_rule(model.rule, place.child("rule"), rules)
            if model.tenant is not None and model.rule is not None:
                first = seen.setdefault((model.tenant, model.rule), place)
                if first is not place:
                    line = first.fault("").line
                    said = f"`{model.tenant}` already has an override of `{model.rule}` (line {line}): keep one of them"
                    self.faults.append(place.fault(said))
            change, bad = cells(taken, frame)
            base = rules.get(model.rule or "")
            merged = overridden(base, change, self.faults) if base else None
            rule = build(merged, bad, place, frame) if merged else None
            if rule and model.tenant and model.owner and model.reason and model.expires is not None:
                overrides.append(Override(model.tenant, rule, model.owner, model.reason, model.expires))
        return overrides

    def _exemptions(self, rules: dict[str, dict[str, Cell] | None]) -> list[Exemption]:
        exemptions = []
        for taken in self._items("exemptions", RawExemption):
            whole = require(taken, "an exemption", self.faults, "tenant", "rules", "owner", "reason", "expires")
            model = taken.model
            for n, name in enumerate(model.rules or ()):
                self._known_rule(name, taken.place.child("rules", n), rules)
            if whole and model.expires is not None:
                names = tuple(sorted(set(model.rules or ())))
                who = (str(model.tenant), names, str(model.owner), str(model.reason))
                exemptions.append(Exemption(*who, model.expires))
        return exemptions

    def _known_rule(self, name: str | None, at: YamlPath, rules: dict[str, dict[str, Cell] | None]) -> None:
        if name is not None and name not in rules:
            self.faults.append(at.fault(f"`{name}` is not a rule of this policy{did_you_mean(name, rules)}"))

    def _catalogue(self) -> list[CatalogueRow]:
        rows = []
        seen: dict[str, YamlPath] = {}
        for taken in self._items("prohibited_businesses", RawRow):
            model, place = taken.model, taken.place
            whole = require(taken, "a row of the catalogue", self.faults, "key", "zh", "en", "terms")
            if model.key is not None:
                first = seen.setdefault(model.key, place)
                if first is not place:
                    said = f"another row already has the key `{model.key}` (line {first.fault('').line})"
                    self.faults.append(place.child("key").fault(said))
            if model.terms == []:
                self.faults.append(
                    place.child("terms").fault("a row without terms matches nothing: add at least one term")
                )
            if whole:
                words = (tuple(model.terms or ()), tuple(model.unless or ()))
                rows.append(CatalogueRow(str(model.key), str(model.zh), str(model.en), *words))
        return rows
