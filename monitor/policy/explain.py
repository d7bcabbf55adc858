"""A policy as it applies to one tenant at one time: the rules with overrides, exemptions and profiles."""

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.policy.describe import escalation_words, rule_words
from monitor.policy.model import Exemption, ExemptionProfile, Override, Policy, Rule
from monitor.policy.serialize import rule_plain
from monitor.text.display import DEFAULT, Display
from monitor.text.masking import mask_text
from monitor.text.timestamps import rfc3339


def explain(policy: Policy, tenant: str, at_ms: int) -> dict[str, Any]:
    """For programs, as plain values. An override, exemption or profile applies to window ends before its expiry."""
    return {
        "tenant_id": tenant,
        "at_ms": at_ms,
        "policy": {"id": policy.id, "version": policy.version, "sha256": policy.sha256},
        "admissions": policy.admissions,
        "kinds": {each.id: each.kind for each in policy.behaviours.values() if each.kind is not None},
        "rules": [_rule(policy, rule, tenant, at_ms) for rule in policy.rules],
        "escalations": [
            {
                "rule_id": escalation.id,
                "mode": escalation.mode,
                "words": escalation_words(escalation, policy.tiers[escalation.tier])._asdict(),
            }
            for escalation in policy.escalations
        ],
    }


def explain_lines(explained: Mapping[str, Any], display: Display = DEFAULT) -> Iterator[str]:
    """What `explain` returned, for people."""
    policy = explained["policy"]
    instant = rfc3339(explained["at_ms"], "shortest")
    yield f"tenant {display.id(explained['tenant_id'])}, {instant}, policy {policy['id']} {policy['version']}"
    if explained["admissions"] == "review":
        yield "applications: each that nothing refuses waits for a review (admissions: review)"
    for behaviour, kind in explained["kinds"].items():
        yield f"behaviour {behaviour}: decided as a {kind}"
    for rule in explained["rules"]:
        yield ""
        yield f"rule {rule['rule_id']} [{'exempt: no decisions, no alerts' if rule['exempt'] else rule['mode']}]"
        yield from _words(rule)
        if override := rule["override"]:
            yield f"  override, {_signed(override)}"
            yield from (f"    {each['field']}: {each['from']} -> {each['to']}" for each in override["changes"])
        for exemption in rule["exemptions"]:
            yield f"  exemption, {_signed(exemption)}"
        for profile in rule["profiles"]:
            yield f"  profile {profile['name']}, {_signed(profile)}"
    for escalation in explained["escalations"]:
        yield from ("", f"escalation {escalation['rule_id']} [{escalation['mode']}]")
        yield from _words(escalation)


def _rule(policy: Policy, rule: Rule, tenant: str, at_ms: int) -> dict[str, Any]:
    override = next((o for o in policy.overrides if o.tenant == tenant and o.rule.id == rule.id), None)
    holds = override.rule if override is not None and at_ms < override.expires_ms else rule
    exemptions = [e for e in policy.exemptions if e.tenant == tenant and rule.id in e.rules]
    profiles = [p for p in policy.profiles if tenant in p.tenants and rule.id in p.exempt]
    behaviour, ids = policy.behaviours[holds.behaviour], (tenant, rule.id)
    return {
        "rule_id": rule.id,
        "mode": holds.mode,
        "exempt": any(at_ms < e.expires_ms for e in exemptions) or any(at_ms < p.expires_ms for p in profiles),
        "words": rule_words(holds, behaviour, policy.tiers[behaviour.tier])._asdict(),
        "override": override and _item(override, at_ms, ids) | {"changes": _changes(rule, override.rule)},
        "exemptions": [_item(exemption, at_ms, ids) for exemption in exemptions],
        "profiles": [{"name": each.name, **_item(each, at_ms, ids)} for each in profiles],
    }


def _item(item: Override | Exemption | ExemptionProfile, at_ms: int, ids: tuple[str, ...]) -> dict[str, Any]:
    return {
        "owner": mask_text(item.owner, ids),
        "reason": mask_text(item.reason, ids),
        "expires_ms": item.expires_ms,
        "expired": at_ms >= item.expires_ms,
    }


def _changes(rule: Rule, override: Rule) -> list[dict[str, Any]]:
    old, new = rule_plain(rule), rule_plain(override)
    return [{"field": key, "from": value, "to": new[key]} for key, value in old.items() if value != new[key]]


def _words(explained: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"  {explained['words']['zh']}", f"  {explained['words']['en']}")


def _signed(item: Mapping[str, Any]) -> str:
    until = rfc3339(item["expires_ms"], "shortest")
    return f"{'EXPIRED' if item['expired'] else 'until'} {until}, owner {item['owner']}: {item['reason']}"
