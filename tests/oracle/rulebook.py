"""Section 7: the policy as plain values, read from a plain dict or a policy text, without any code of `monitor`."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from oracle.measures import Params

REPO = Path(__file__).resolve().parents[2]
BUILT_IN_CATALOGUE = REPO / "monitor" / "policy" / "prohibited-businesses.yaml"
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# Behaviour -> (clause, tier), from the table of section 5.
BEHAVIOURS = {
    "verified_fraud_complaint": (1, "severe"),
    "verified_harassment_complaint": (2, "major"),
    "undeclared_prohibited_business": (3, "severe"),
    "undeclared_business": (4, "minor"),
    "in_call_abuse": (5, "major"),
    "blind_calling": (6, "minor"),
    "no_consent": (7, "minor"),
}
KINDS = {"minor": "warning", "major": "termination", "severe": "ban"}
ACTIONS = {
    "minor": ["warn", "record_violation"],
    "major": ["terminate_service", "record_violation", "forbid_refunds"],
    "severe": ["ban_account", "record_violation", "forbid_refunds", "reserve_legal_action"],
}
OPEN = {name for name, (clause, _) in BEHAVIOURS.items() if clause in {1, 2, 3, 5}}
STOPS = {"termination": "terminate_service", "ban": "ban_account"}
FREEZES = {"minor": False, "major": True, "severe": True}
OF_CATEGORY = {
    "fraud": "verified_fraud_complaint",
    "harassment": "verified_harassment_complaint",
    "abuse": "in_call_abuse",
    "no_consent": "no_consent",
    "number_leak": "blind_calling",
    "prohibited_business": "undeclared_prohibited_business",
}


@dataclass
class Rule:
    """A measured rule with its values; times in ms."""

    id: str
    behaviour: str
    metric: str
    direction: str
    threshold: float
    window: int
    step: int
    min_denominator: int
    confidence: float | None
    also: list[tuple[str, str, float]]
    cooldown: int
    recover: float
    mode: str
    freeze: bool
    params: Params
    first: int | None = None

    def judged(self, end: int, call_times: Iterable[int]) -> bool:
        """Whether it is judged at a window end for a tenant whose accepted calls have these times."""
        if self.first is None:
            return True
        earliest = min(call_times, default=None)
        return earliest is not None and earliest < end <= earliest + self.first


@dataclass
class Escalation:
    """A rule over violations; times in ms."""

    id: str
    at_least: int
    window: int
    tier: str
    mode: str
    freeze: bool
    once_per_rule: bool


@dataclass
class Rulebook:
    """A whole policy. ``overrides``: (rule id, tenant) -> the overriding rule and its expiry."""

    defaults: Params
    lateness: int
    review_within: int
    retention: int
    rules: list[Rule]
    escalations: list[Escalation]
    overrides: dict[tuple[str, str], tuple[Rule, int]]
    exemptions: list[tuple[str, set[str], int]]
    own_catalogue: list[dict[str, Any]] | None
    freeze: dict[str, bool]
    tier_freezes: dict[str, bool]
    kinds: dict[str, str]
    admissions: str

    @property
    def catalogue(self) -> list[dict[str, Any]]:
        """The prohibited businesses: the policy's own rows, or the built-in ones."""
        return built_in_catalogue() if self.own_catalogue is None else self.own_catalogue

    def rule_for(self, rule: Rule, tenant: str, end: int) -> Rule:
        """The rule as it applies to a tenant at a window end."""
        override = self.overrides.get((rule.id, tenant))
        return override[0] if override and end < override[1] else rule

    def exempt(self, rule: Rule, tenant: str, end: int) -> bool:
        """Whether the rule neither decides nor alerts for the tenant at a window end."""
        return any(who == tenant and rule.id in rules and end < until for who, rules, until in self.exemptions)


def duration(text: str | int) -> int:
    """`90s`, `5m`, `24h`, `30d` in ms."""
    if isinstance(text, int):
        return text
    unit = text.lstrip("0123456789.")
    return round(float(text[: len(text) - len(unit)]) * UNITS[unit])


def instant(value: Any) -> int:
    """A bare date (00:00 UTC) or an RFC 3339 time, in epoch ms."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    assert isinstance(value, datetime)
    return round((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _params(given: dict[str, Any]) -> Params:
    short_call_ms, short_ring_ms = (round(float(given[name]) * 1000, 6) for name in ("short_call_s", "short_ring_s"))
    return Params(short_call_ms, int(given["callee_limit"]), str(given["timezone"]), short_ring_ms)


def _rule(raw: dict[str, Any], defaults: dict[str, Any]) -> Rule:
    given = {**defaults, **(raw.get("with") or {})}
    direction = "above" if raw.get("above") is not None else "below"
    threshold = float(raw[direction])
    also = [
        (item["metric"], op, float(item[op]))
        for item in raw.get("also") or []
        for op in ("above", "below", "at_least", "at_most")
        if item.get(op) is not None
    ]
    window = duration(raw["window"])
    cooldown, recover, confidence = raw.get("cooldown"), raw.get("recover"), raw.get("confidence")
    min_denominator = raw.get("min_denominator")
    return Rule(
        id=raw["id"],
        behaviour=raw["behaviour"],
        metric=raw["metric"],
        direction=direction,
        threshold=threshold,
        window=window,
        step=duration(raw["step"]),
        min_denominator=1 if min_denominator is None else min_denominator,
        confidence=None if confidence is None else float(confidence),
        also=also,
        cooldown=window if cooldown is None else duration(cooldown),
        recover=threshold if recover is None else float(recover),
        mode=raw.get("mode") or "enforce",
        freeze=bool(raw.get("freeze")),
        params=_params(given),
        first=None if raw.get("first") is None else duration(raw["first"]),
    )


def _overridden(rule: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    raw = deepcopy(rule)
    changed = {k: v for k, v in override.items() if k not in {"tenant", "rule", "owner", "reason", "expires"}}
    if "with" in changed:
        changed["with"] = {**(raw.get("with") or {}), **(changed["with"] or {})}
    if ("above" in changed or "below" in changed) and "recover" not in changed:
        raw.pop("recover", None)
    raw.update(changed)
    return raw


def rulebook(policy: dict[str, Any]) -> Rulebook:
    """The policy's values. ``rules`` and ``escalations`` are required; the catalogue may come from the built-in one."""
    defaults = {
        "lateness": "10m",
        "short_call_s": 6.0,
        "callee_limit": 5,
        "short_ring_s": 3.0,
        "timezone": "Asia/Shanghai",
        "review_within": "7d",
        "retention": "400d",
        **(policy.get("defaults") or {}),
    }
    catalogue = policy.get("prohibited_businesses")
    if catalogue is None and policy.get("extends") == "none":
        catalogue = []
    raw_rules = {raw["id"]: raw for raw in policy["rules"]}
    freeze, tier_freezes = dict.fromkeys(BEHAVIOURS, True), dict(FREEZES)
    for section, where in (("behaviours", freeze), ("tiers", tier_freezes)):
        for name, item in (policy.get(section) or {}).items():
            if item.get("freeze") is not None:
                where[name] = item["freeze"]
    kinds = {name: KINDS[tier] for name, (_, tier) in BEHAVIOURS.items()}
    kinds |= {name: item["kind"] for name, item in (policy.get("behaviours") or {}).items() if item.get("kind")}
    return Rulebook(
        defaults=_params(defaults),
        lateness=duration(defaults["lateness"]),
        review_within=duration(defaults["review_within"]),
        retention=duration(defaults["retention"]),
        rules=[_rule(raw, defaults) for raw in policy["rules"]],
        escalations=[
            Escalation(
                raw["id"],
                raw["at_least"],
                duration(raw["window"]),
                raw["tier"],
                raw.get("mode") or "review",
                raw.get("freeze") is not False,
                raw.get("once_per_rule") is True,
            )
            for raw in policy["escalations"]
        ],
        overrides={
            (raw["rule"], raw["tenant"]): (
                _rule(_overridden(raw_rules[raw["rule"]], raw), defaults),
                instant(raw["expires"]),
            )
            for raw in policy.get("overrides") or []
        },
        exemptions=[
            *((raw["tenant"], set(raw["rules"]), instant(raw["expires"])) for raw in policy.get("exemptions") or []),
            *(
                (tenant, set(raw["exempt"]), instant(raw["expires"]))
                for raw in (policy.get("profiles") or {}).values()
                for tenant in raw["tenants"]
            ),
        ],
        own_catalogue=catalogue,
        freeze=freeze,
        tier_freezes=tier_freezes,
        kinds=kinds,
        admissions=policy.get("admissions") or "refuse_only",
    )


def actions(kind: str, tier: str | None) -> list[str]:
    """The actions of a decision by kind and tier."""
    if tier is None:
        return ["reject_numbers" if kind == "admission_rejected" else "approve_numbers"]
    stop = set(STOPS.values())
    return [STOPS[kind] if action in stop else action for action in ACTIONS[tier]]


def parse_policy(text: str) -> dict[str, Any]:
    """A policy file's text (YAML 1.2 or JSON) as a plain dict."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return loaded


@cache
def built_in_catalogue() -> list[dict[str, Any]]:
    """The rows of the built-in catalogue, as data."""
    loaded = YAML(typ="safe", pure=True).load(BUILT_IN_CATALOGUE.read_text(encoding="utf-8"))
    rows = loaded if isinstance(loaded, list) else loaded["prohibited_businesses"]
    return list(rows)
