"""Resolves a file and what it extends into one policy: sections inherited or replaced, checked as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeVar, cast

from monitor.policy import serialize as plain
from monitor.policy.file.access_rules import read_behaviours, read_tiers
from monitor.policy.file.document import (
    CheckedMapping,
    Raw,
    RawDefaults,
    RawEscalation,
    RawExemption,
    RawHead,
    RawOverride,
    RawPatch,
    RawRow,
    RawRule,
    read_mapping,
    require,
)
from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.file.exceptions import (
    NOT_OVERRIDDEN,
    RuleFields,
    read_exemptions,
    read_overrides,
    read_profiles,
)
from monitor.policy.file.fault_wording import NO_HINT, THINGS, fault_text
from monitor.policy.file.rule_list import CHANGES, RuleChanges, beside_rules, read_changes
from monitor.policy.file.rules import Cell, Frame, build, cells, check_retention, patched
from monitor.policy.file.yaml_source import YamlPath, YamlSource
from monitor.policy.metrics import METRICS
from monitor.policy.model import (
    MAX_EVIDENCE,
    MAX_VARIANTS,
    SHORT_RING_MS,
    AdmissionMode,
    CatalogueRow,
    Escalation,
    Params,
    Policy,
    Rule,
    Variants,
)
from monitor.policy.note_wording import note_text
from monitor.text.bilingual import Bilingual

RESERVED = (
    "prohibited_business_application",
    "banned_applicant",
    "banned_owner",
    "owner_banned",
    "application_review",
    "repeat_violation",
)
"""Behaviour names that the product itself uses; no rule may use them."""

_SECTIONS = (
    "defaults",
    "tiers",
    "behaviours",
    "rules",
    *CHANGES,
    "escalations",
    "overrides",
    "exemptions",
    "profiles",
    "prohibited_businesses",
)

M = TypeVar("M", bound=Raw)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's head and its sections, each with its position."""

    head: CheckedMapping[RawHead]
    sections: dict[str, Cell]
    checked: "dict[str, _CheckedItems]" = field(default_factory=dict)
    """The items of its lists, checked once for all the files that extend it, by section."""


class _CheckedItems(NamedTuple):
    items: list[CheckedMapping[Any]]
    faults: list[PolicyFault]


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
        self.names: dict[str, tuple[str, YamlPath | None]] = {}  # what has it, and where, unless it is built in
        self.remarks: list[Bilingual] = []

    def policy(self) -> Policy:
        head = self.own.head
        require(head, "policy", self.faults, "id", "version")
        defaults, retention = self._defaults()
        params = Params(
            defaults["short_call_s"],
            defaults["callee_limit"],
            defaults["timezone"],
            defaults.get("short_ring_s", SHORT_RING_MS),
        )
        tiers = read_tiers(self.own.sections, self.builtin.sections, self.faults)
        behaviours = read_behaviours(self.own.sections, self.builtin.sections, tiers, self.faults)
        self.names = dict.fromkeys((*behaviours, *RESERVED), ("behaviour", None))
        frame = Frame(params, retention, behaviours, self.own.head.place.source, self.faults)
        rules, fields = self._rules(frame)
        escalations = self._escalations(frame)
        overrides = read_overrides(self._items("overrides", RawOverride, NOT_OVERRIDDEN), fields, frame)
        exemptions = read_exemptions(self._items("exemptions", RawExemption), fields, self.faults)
        profiles = read_profiles(self._section("profiles"), fields, self.faults)
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
            profiles=tuple(sorted(profiles, key=lambda p: p.name)),
            admissions=self._admissions(),
            remarks=tuple(self.remarks),
        )
        return replace(policy, sha256=plain.sha256(policy))

    def _room(self, params: Params, rules: list[Rule]) -> None:
        """Whether the bits of a call and the evidence slots suffice for all variants that the rules distinguish."""
        place = self.own.sections["rules"].at if "rules" in self.own.sections else self.own.head.place
        variants = Variants.of(params, rules)
        if len(variants) > MAX_VARIANTS:
            twice = fault_text("zones_count_twice") if variants.refused_zones else NO_HINT
            message = fault_text("too_many_variants", count=len(variants), twice=twice, most=MAX_VARIANTS)
            self.faults.append(place.fault(message))
        kinds = {
            (
                r.metric,
                r.direction,
                r.params.short_call_ms,
                r.params.timezone,
                r.params.short_ring_ms if r.metric == "short_cancel_ratio" else None,
            )
            for r in rules
        }
        kinds = {kind for kind in kinds if METRICS[kind[0]].family in ("calls", "talk") or kind[1] == "below"}
        if len(kinds) > MAX_EVIDENCE:
            self.faults.append(place.fault(fault_text("too_much_evidence", count=len(kinds), most=MAX_EVIDENCE)))

    # Sections

    def _section(self, name: str) -> Cell | None:
        """The file's own section, or else the inherited one."""
        if name in self.own.sections:
            return self.own.sections[name]
        if self.own.head.model.extends == "none" or name in self.own.head.bad:
            return None
        return self.builtin.sections.get(name)

    def _admissions(self) -> AdmissionMode:
        given = self.own.head.model.admissions
        if given is None and self.own.head.model.extends != "none":
            given = self.builtin.head.model.admissions
        return given or "refuse_only"

    def _items(
        self, name: str, model: type[M], fixed: Mapping[str, Bilingual] | None = None
    ) -> list[CheckedMapping[M]]:
        return self._items_of(self._section(name), name, model, fixed)

    def _items_of(
        self, section: Cell | None, name: str, model: type[M], fixed: Mapping[str, Bilingual] | None = None
    ) -> list[CheckedMapping[M]]:
        inherited = section is self.builtin.sections.get(name)
        kept = self.builtin.checked.get(name) if inherited else None
        if kept is None:
            kept = _check(section, name, model, fixed)
            if inherited:
                self.builtin.checked[name] = kept
        self.faults += kept.faults
        return kept.items

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
            raise PolicyError([*self.faults, self.builtin.head.place.fault(fault_text("no_built_in_defaults"))])
        return values, retention

    def _rules(self, frame: Frame) -> tuple[list[Rule], RuleFields]:
        """The rules, and by id their raw fields (None for a faulty one) for the overrides."""
        rules = []
        fields: RuleFields = {}
        changes = self._changes()
        for name in ("rules", "add"):
            section = self._section(name) if name == "rules" else self.own.sections.get(name)
            for taken in self._items_of(section, name, RawRule):
                if name == "rules" and taken.model.id in changes.disabled:
                    continue
                require(taken, "rule", self.faults, "id", "behaviour", "metric", "window", "step")
                self._name(taken, "rule")
                patch = changes.patches.get(taken.model.id or "") if name == "rules" else None
                found, rule = self._rule(taken, patch, frame)
                if taken.model.id is not None:
                    fields.setdefault(taken.model.id, found if rule else None)
                if rule:
                    rules.append(rule)
                    self._remark_mode(taken)
        return rules, fields

    def _rule(
        self, taken: CheckedMapping[RawRule], patch: CheckedMapping[RawPatch] | None, frame: Frame
    ) -> tuple[dict[str, Cell], Rule | None]:
        """The fields of one rule and the rule, None if it is faulty."""
        found, bad = cells(taken, frame)
        if patch is None:
            return found, build(found, bad, taken.place, frame)
        change, wrong = cells(patch, frame, nulls=True)
        merged = patched(found, change, patch.place, self.faults)
        return (found, None) if merged is None else (merged, build(merged, bad | wrong, patch.place, frame))

    def _changes(self) -> RuleChanges:
        beside = list(beside_rules(self.own.sections))
        self.faults += beside
        if beside:
            return RuleChanges()
        inherited = self._section("rules")
        rules = inherited.value if inherited is not None and isinstance(inherited.value, list) else []
        known = [rule["id"] for rule in rules if isinstance(rule, dict) and isinstance(rule.get("id"), str)]
        return read_changes(self.own.sections, known, self.faults)

    def _remark_mode(self, taken: CheckedMapping[RawRule]) -> None:
        """Remarks on a new rule that enforces by default."""
        if taken.place.source is not self.own.head.place.source:
            return
        inherited = self.builtin.sections["rules"].value
        known = {rule.get("id") for rule in inherited if isinstance(rule, dict)}
        if not {"mode", taken.model.id} & {*taken.given, *known}:
            self.remarks.append(note_text("new_without_mode", rule=taken.model.id, line=taken.place.mark[0]))

    def _name(self, taken: CheckedMapping[Any], what: str) -> None:
        name = taken.model.id
        if name is None:
            return
        if name in self.names:
            (other, first), faulty = self.names[name], taken.place
            own = self.own.head.place.source
            if first is not None and first.source is own and faulty.source is not own:
                other, faulty = what, first  # this one is inherited: the file can change only the first
            self.faults.append(faulty.child("id").fault(fault_text("id_taken", name=name, what=THINGS[other])))
        self.names.setdefault(name, (what, taken.place))

    def _escalations(self, frame: Frame) -> list[Escalation]:
        escalations = []
        for taken in self._items("escalations", RawEscalation):
            whole = require(taken, "escalation", self.faults, "id", "at_least", "window", "tier")
            self._name(taken, "escalation")
            model = taken.model
            if model.window is not None:
                check_retention(Cell(model.window, taken.place.child("window")), frame)
            if whole and model.at_least is not None and model.window is not None:
                tier = cast(Literal["major", "severe"], model.tier)
                freeze = True if model.freeze is None else model.freeze
                mode = model.mode or "review"
                once = bool(model.once_per_rule)
                escalations.append(Escalation(str(model.id), model.at_least, model.window, tier, mode, freeze, once))
        return escalations

    def _catalogue(self) -> list[CatalogueRow]:
        rows = []
        seen: dict[str, YamlPath] = {}
        section, inherited = self._section("prohibited_businesses"), self.builtin.sections.get("prohibited_businesses")
        if section is not None and inherited is not None and section.value == inherited.value:
            section = inherited  # a policy that was written out has all 2,900 terms, which take long to check
        for taken in self._items_of(section, "prohibited_businesses", RawRow):
            model, place = taken.model, taken.place
            whole = require(taken, "catalogue_row", self.faults, "key", "zh", "en", "terms")
            if model.key is not None:
                first = seen.setdefault(model.key, place)
                if first is not place:
                    message = fault_text("row_twice", key=model.key, line=first.mark[0])
                    self.faults.append(place.child("key").fault(message))
            if model.terms == []:
                self.faults.append(place.child("terms").fault(fault_text("row_without_terms")))
            if whole:
                words = (tuple(model.terms or ()), tuple(model.unless or ()))
                rows.append(CatalogueRow(str(model.key), str(model.zh), str(model.en), *words))
        return rows


def _check(section: Cell | None, name: str, model: type[Raw], fixed: Mapping[str, Bilingual] | None) -> _CheckedItems:
    """The items of a list, read as ``model``."""
    checked = _CheckedItems([], [])
    if section is None:
        return checked
    if not isinstance(section.value, list):
        checked.faults.append(section.at.fault(fault_text("no_section_list", section=name)))
        return checked
    for n, item in enumerate(section.value):
        taken = read_mapping(model, item, section.at.child(n), checked.faults, fixed)
        if isinstance(item, dict):
            checked.items.append(taken)
    return checked
