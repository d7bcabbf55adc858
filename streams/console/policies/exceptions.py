"""The exceptions of a policy's text as people see them, and what a form says as a change of the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, get_args

from monitor.policy.edit.exceptions import ExceptionChange, ExceptionKind, entries
from monitor.policy.edit.text import Value
from monitor.policy.file.yaml_source import parse
from monitor.policy.model import Override, Policy, Rule
from monitor.text.durations import DAY
from monitor.text.masking import mask_text
from monitor.text.timestamps import parse_instant

KINDS: Final[tuple[ExceptionKind, ...]] = get_args(ExceptionKind)
SOON_MS: Final = 7 * DAY
MOST_NAMES: Final = 1_000
"""Rules or tenants of one exception."""
_LONGEST: Final = 2_000
_RULE_FIELDS: Final = ("min_denominator", "confidence", "cooldown_ms", "mode", "freeze")


class FieldRefused(ValueError):
    """A field of the form that is missing or unusable; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class ListedException:
    """An exception as the text has it. ``at``: its number in its list, or its name. ``state``: holds, soon, expired.

    ``changes``: what an override changes of its rule, as (field, before, after).
    """

    kind: ExceptionKind
    at: int | str
    tenants: tuple[str, ...]
    rules: tuple[str, ...]
    owner: str
    reason: str
    expires_ms: int
    state: str
    changes: tuple[tuple[str, Any, Any], ...] = ()
    metric: str = ""

    @property
    def name(self) -> str:
        """The name of a profile."""
        return str(self.at) if self.kind == "profile" else ""


@lru_cache(maxsize=4)
def _written(text: str) -> dict[ExceptionKind, list[tuple[int | str, dict[str, Any]]]]:
    # Parsing a long file takes a second, and the text changes with the policy alone.
    data = parse(text, "policy").data
    return {kind: entries(data, kind) for kind in KINDS}


def written(text: str, kind: ExceptionKind, at: int | str) -> dict[str, Any] | None:
    """The fields of one exception as the text has them."""
    return next((fields for place, fields in _written(text)[kind] if place == at), None)


def listed(text: str, policy: Policy, now_ms: int, sought: str = "") -> list[ListedException]:
    """The exceptions of a policy's text, those that end first come first; ``sought``: a part of a tenant or a rule."""
    overrides = {(one.tenant, one.rule.id): one for one in policy.overrides}
    bases = {rule.id: rule for rule in policy.rules}
    found = []
    for kind, every in _written(text).items():
        for at, fields in every:
            one = _listed(kind, at, fields, now_ms, overrides, bases)
            if not sought or any(sought in name for name in (*one.tenants, *one.rules, one.name)):
                found.append(one)
    return sorted(found, key=lambda one: (one.state != "expired", one.expires_ms, one.kind, one.tenants[:1]))


def _listed(
    kind: ExceptionKind,
    at: int | str,
    fields: Mapping[str, Any],
    now_ms: int,
    overrides: Mapping[tuple[str, str], Override],
    bases: Mapping[str, Rule],
) -> ListedException:
    expires_ms = parse_instant(str(fields["expires"]))
    state = "expired" if expires_ms <= now_ms else "soon" if expires_ms <= now_ms + SOON_MS else "holds"
    tenants = tuple(fields.get("tenants", ())) if kind == "profile" else (str(fields["tenant"]),)
    rules: Sequence[str] = (
        [str(fields["rule"])] if kind == "override" else fields.get("rules") or fields.get("exempt", ())
    )
    override = overrides.get((tenants[0], rules[0])) if kind == "override" else None
    return ListedException(
        kind=kind,
        at=at,
        tenants=tenants,
        rules=tuple(rules),
        owner=str(fields["owner"]),
        reason=str(fields["reason"]),
        expires_ms=expires_ms,
        state=state,
        changes=changes_of(bases[override.rule.id], override.rule) if override else (),
        metric=override.rule.metric if override else "",
    )


def changes_of(base: Rule, own: Rule) -> tuple[tuple[str, Any, Any], ...]:
    """What an override changes of its rule, as (field, before, after)."""
    changed: list[tuple[str, Any, Any]] = []
    if base.threshold != own.threshold:
        changed.append(("threshold", base.threshold, own.threshold))
    changed += [
        (name, getattr(base, name), getattr(own, name))
        for name in _RULE_FIELDS
        if getattr(base, name) != getattr(own, name)
    ]
    if base.also != own.also or base.params != own.params or base.first_ms != own.first_ms:
        changed.append(("other", None, None))
    return tuple(changed)


@dataclass(frozen=True, slots=True)
class ExceptionForm:
    """What a form says, each as text; ``rules`` are the chosen ones."""

    kind: ExceptionKind
    at: int | str | None
    values: Mapping[str, str]
    rules: Sequence[str]

    def change(self, policy: Policy) -> ExceptionChange:
        """The change of the text. Raises FieldRefused; the policy's checker judges the rest."""
        tenants = [line.strip() for line in self.values.get("tenants", "").splitlines() if line.strip()]
        fields: dict[str, Value] = {}
        if self.kind == "profile":
            fields |= {"exempt": self._rules(), "tenants": self._within(tenants, "tenants")}
        else:
            fields["tenant"] = self._text("tenant", masked=False)
        if self.kind == "exemption":
            fields["rules"] = self._rules()
        elif self.kind == "override":
            fields["rule"] = self._text("rule", masked=False)
            fields |= self._settings(policy, str(fields["rule"]))
        fields |= {
            "owner": self._text("owner"),
            "reason": self._text("reason"),
            "expires": self._text("expires", masked=False),
        }
        name = self._text("name", masked=False) if self.kind == "profile" and self.at is None else ""
        return ExceptionChange(self.kind, self.at, fields, name, self.values.get("version", "").strip() or None)

    def _settings(self, policy: Policy, rule_id: str) -> dict[str, Value]:
        rule = next((rule for rule in policy.rules if rule.id == rule_id), None)
        if rule is None:
            raise FieldRefused("rule")
        found: dict[str, Value] = {
            rule.direction: self._number("threshold"),
            "min_denominator": self._whole("min_denominator"),
            "mode": self.values.get("mode") or None,
        }
        if self.at is None and not any(value is not None for value in found.values()):
            raise FieldRefused("nothing")
        return found

    def _number(self, name: str) -> float | int | None:
        given = self.values.get(name, "").strip()
        if not given:
            return None
        percent = given.endswith("%")
        try:
            value = float(given.removesuffix("%"))
        except ValueError:
            raise FieldRefused(name) from None
        if not abs(value) < 1e12:
            raise FieldRefused(name)
        value = round(value / 100, 12) if percent else value
        return int(value) if value == int(value) else value

    def _whole(self, name: str) -> int | None:
        given = self.values.get(name, "").strip()
        if not given:
            return None
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            raise FieldRefused(name)
        return int(given)

    def _text(self, name: str, masked: bool = True) -> str:
        given = self.values.get(name, "").strip()
        if not given or len(given) > _LONGEST:
            raise FieldRefused(name)
        # The text of a policy is shown and logged.
        return mask_text(given, [self.values.get("tenant", "")]) if masked else given

    def _rules(self) -> list[str]:
        return self._within(list(dict.fromkeys(self.rules)), "rules")

    def _within(self, names: list[str], key: str) -> list[str]:
        if not names or len(names) > MOST_NAMES:
            raise FieldRefused(key)
        return names


def place_of(kind: str, at: str) -> tuple[ExceptionKind, int | str | None]:
    """The kind and the place that an address names; an unknown kind is an exemption, an empty place is a new one."""
    known: ExceptionKind = next((one for one in KINDS if one == kind), "exemption")
    if not at:
        return known, None
    if known == "profile":
        return known, at
    return known, int(at) if at.isascii() and at.isdigit() and len(at) < 9 else -1


def next_version(version: str, today: str) -> str:
    """A version for the changed policy: today's date, with a number if the policy has that version already."""
    if not version.startswith(today):
        return today
    tail = version.removeprefix(today)
    counted = tail.startswith(".") and tail.isascii() and tail[1:].isdigit() and len(tail) < 7
    return f"{today}.{int(tail[1:]) + 1 if counted else 2}"
