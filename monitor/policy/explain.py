"""A policy as it applies to one tenant at one time: the rules with overrides and exemptions."""

from collections.abc import Iterator

from monitor.policy.describe import escalation_words, rule_words
from monitor.policy.model import Exemption, Override, Policy, Rule
from monitor.policy.serialize import rule_plain
from monitor.text.durations import format_instant


def explain(policy: Policy, tenant: str, at_ms: int) -> Iterator[str]:
    """Lines for people. An override or exemption applies to window ends before its expiry."""
    yield f"tenant {tenant}, {format_instant(at_ms)}, policy {policy.id} {policy.version}"
    for rule in policy.rules:
        yield ""
        yield from _rule(policy, rule, tenant, at_ms)
    for escalation in policy.escalations:
        words = escalation_words(escalation, policy.tiers[escalation.tier])
        yield from ("", f"escalation {escalation.id} [{escalation.mode}]", f"  {words.zh}", f"  {words.en}")


def _rule(policy: Policy, rule: Rule, tenant: str, at_ms: int) -> Iterator[str]:
    override = next((o for o in policy.overrides if o.tenant == tenant and o.rule.id == rule.id), None)
    holds = override.rule if override is not None and at_ms < override.expires_ms else rule
    exemptions = [e for e in policy.exemptions if e.tenant == tenant and rule.id in e.rules]
    exempt = any(at_ms < e.expires_ms for e in exemptions)
    behaviour = policy.behaviours[holds.behaviour]
    words = rule_words(holds, behaviour, policy.tiers[behaviour.tier])
    yield f"rule {rule.id} [{'exempt: neither decides nor alerts' if exempt else holds.mode}]"
    yield f"  {words.zh}"
    yield f"  {words.en}"
    if override is not None:
        yield f"  override, {_signed(override, at_ms)}"
        yield from (f"    {change}" for change in _changes(rule, override.rule))
    for exemption in exemptions:
        yield f"  exemption, {_signed(exemption, at_ms)}"


def _signed(item: Override | Exemption, at_ms: int) -> str:
    until = f"until {format_instant(item.expires_ms)}"
    if at_ms >= item.expires_ms:
        until = f"EXPIRED {format_instant(item.expires_ms)}"
    return f"{until}, owner {item.owner}: {item.reason}"


def _changes(rule: Rule, override: Rule) -> Iterator[str]:
    old, new = rule_plain(rule), rule_plain(override)
    for key, value in old.items():
        if value != new[key]:
            yield f"{key}: {value} -> {new[key]}"
