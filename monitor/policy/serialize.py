"""A resolved policy as a policy file: with every value written out for people, and as it is hashed and stored.

What is hashed and stored has no keys that came with version 4 of the contract where they have their default, so the
policies of earlier versions keep their hash.
"""

import hashlib
import json
from typing import Any

from monitor.policy.model import (
    SHORT_RING_MS,
    Behaviour,
    CatalogueRow,
    Escalation,
    Exemption,
    ExemptionProfile,
    Override,
    Params,
    Policy,
    Rule,
    Tier,
)
from monitor.text.durations import format_duration
from monitor.text.timestamps import rfc3339


def to_plain(policy: Policy) -> dict[str, Any]:
    """The policy as it is hashed and stored: plain data in the form of a policy file with ``extends: none``.

    It resolves to the same policy and the same hash.
    """
    return _without_later_defaults(written_out(policy))


def written_out(policy: Policy) -> dict[str, Any]:
    """`to_plain` with every value written out, for `policy show` and `policy diff`."""
    return {
        "id": policy.id,
        "version": policy.version,
        "extends": "none",
        "admissions": policy.admissions,
        "defaults": {
            "lateness": format_duration(policy.lateness_ms),
            "review_within": format_duration(policy.review_within_ms),
            "retention": format_duration(policy.retention_ms),
            **_params(policy.params),
        },
        "tiers": {tier.id: _tier(tier) for tier in policy.tiers.values()},
        "behaviours": {behaviour.id: _behaviour(behaviour) for behaviour in policy.behaviours.values()},
        "rules": [rule_plain(rule) for rule in policy.rules],
        "escalations": [_escalation(escalation) for escalation in policy.escalations],
        "overrides": [_override(override) for override in policy.overrides],
        "exemptions": [_exemption(exemption) for exemption in policy.exemptions],
        "profiles": {profile.name: _profile(profile) for profile in policy.profiles},
        "prohibited_businesses": [_row(row) for row in policy.catalogue],
    }


def _without_later_defaults(plain: dict[str, Any]) -> dict[str, Any]:
    """Removes the keys of version 4 that have their default: in an override that of its rule, else the policy's."""
    default_ring = plain["defaults"]["short_ring_s"]
    inherited = {rule["id"]: (rule["first"], rule["with"]["short_ring_s"]) for rule in plain["rules"]}
    for override in plain["overrides"]:
        _drop_later(override, *inherited[override["rule"]])
    for rule in plain["rules"]:
        _drop_later(rule, None, default_ring)
    for escalation in plain["escalations"]:
        if not escalation["once_per_rule"]:
            del escalation["once_per_rule"]
    if default_ring == SHORT_RING_MS / 1000:
        del plain["defaults"]["short_ring_s"]
    if plain["admissions"] == "refuse_only":
        del plain["admissions"]
    if not plain["profiles"]:
        del plain["profiles"]
    return plain


def _drop_later(settings: dict[str, Any], first: str | None, short_ring_s: float) -> None:
    if settings["first"] == first:
        del settings["first"]
    if settings["with"]["short_ring_s"] == short_ring_s:
        del settings["with"]["short_ring_s"]


def canonical(plain: dict[str, Any]) -> str:
    """Plain data as canonical JSON: sorted keys, no white space."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(policy: Policy) -> str:
    """The SHA-256 of the canonical JSON of `to_plain` in UTF-8, in hex."""
    return hashlib.sha256(canonical(to_plain(policy)).encode()).hexdigest()


def rule_plain(rule: Rule) -> dict[str, Any]:
    """A rule with every field written out."""
    return {
        "id": rule.id,
        "behaviour": rule.behaviour,
        "metric": rule.metric,
        rule.direction: rule.threshold,
        "window": format_duration(rule.window_ms),
        "step": format_duration(rule.step_ms),
        **_settings(rule),
    }


def _settings(rule: Rule) -> dict[str, Any]:
    return {
        "min_denominator": rule.min_denominator,
        "confidence": rule.confidence,
        "also": [{"metric": c.metric, c.op: c.value} for c in rule.also],
        "cooldown": format_duration(rule.cooldown_ms),
        "recover": rule.recover,
        "mode": rule.mode,
        "freeze": rule.freeze,
        "first": None if rule.first_ms is None else format_duration(rule.first_ms),
        "with": _params(rule.params),
    }


def _params(params: Params) -> dict[str, Any]:
    return {
        "short_call_s": params.short_call_ms / 1000,
        "callee_limit": params.callee_limit,
        "timezone": params.timezone,
        "short_ring_s": params.short_ring_ms / 1000,
    }


def _tier(tier: Tier) -> dict[str, Any]:
    return {
        "zh": tier.zh,
        "en": tier.en,
        "kind": tier.kind,
        "actions": list(tier.actions),
        "freeze": tier.freezes,
    }


def _behaviour(behaviour: Behaviour) -> dict[str, Any]:
    return {
        "clause": behaviour.clause,
        "tier": behaviour.tier,
        "zh": behaviour.zh,
        "en": behaviour.en,
        "freeze": behaviour.freeze,
        **({} if behaviour.kind is None else {"kind": behaviour.kind}),
    }


def _escalation(escalation: Escalation) -> dict[str, Any]:
    return {
        "id": escalation.id,
        "count": "violations",
        "at_least": escalation.at_least,
        "window": format_duration(escalation.window_ms),
        "tier": escalation.tier,
        "mode": escalation.mode,
        "freeze": escalation.freeze,
        "once_per_rule": escalation.once_per_rule,
    }


def _override(override: Override) -> dict[str, Any]:
    rule = override.rule
    return {
        "tenant": override.tenant,
        "rule": rule.id,
        rule.direction: rule.threshold,
        **_settings(rule),
        "owner": override.owner,
        "reason": override.reason,
        "expires": rfc3339(override.expires_ms, "shortest"),
    }


def _exemption(exemption: Exemption) -> dict[str, Any]:
    return {
        "tenant": exemption.tenant,
        "rules": list(exemption.rules),
        "owner": exemption.owner,
        "reason": exemption.reason,
        "expires": rfc3339(exemption.expires_ms, "shortest"),
    }


def _profile(profile: ExemptionProfile) -> dict[str, Any]:
    return {
        "exempt": list(profile.exempt),
        "tenants": list(profile.tenants),
        "owner": profile.owner,
        "reason": profile.reason,
        "expires": rfc3339(profile.expires_ms, "shortest"),
    }


def _row(row: CatalogueRow) -> dict[str, Any]:
    return {"key": row.key, "zh": row.zh, "en": row.en, "terms": list(row.terms), "unless": list(row.unless)}
