"""A resolved policy as a policy file with every value written out: for the hash, `policy show` and `policy diff`."""

import hashlib
import json
from typing import Any

from monitor.policy.model import Behaviour, CatalogueRow, Escalation, Exemption, Override, Params, Policy, Rule, Tier
from monitor.text.durations import format_duration
from monitor.text.timestamps import rfc3339


def to_plain(policy: Policy) -> dict[str, Any]:
    """The policy as plain data in the form of a policy file with ``extends: none``.

    It resolves to the same policy and the same hash.
    """
    return {
        "id": policy.id,
        "version": policy.version,
        "extends": "none",
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
        "prohibited_businesses": [_row(row) for row in policy.catalogue],
    }


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
        "with": _params(rule.params),
    }


def _params(params: Params) -> dict[str, Any]:
    return {
        "short_call_s": params.short_call_ms / 1000,
        "callee_limit": params.callee_limit,
        "timezone": params.timezone,
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


def _row(row: CatalogueRow) -> dict[str, Any]:
    return {"key": row.key, "zh": row.zh, "en": row.en, "terms": list(row.terms), "unless": list(row.unless)}
