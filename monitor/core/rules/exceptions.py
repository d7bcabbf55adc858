"""Exceptions: the tenants for which a rule has other parameters, or does not apply at all, until they expire."""

from bisect import bisect_right
from collections.abc import Sequence

from monitor.core.rules.rule_state import RuleState
from monitor.core.windows.policy_history import FieldAvailability
from monitor.policy.model import Exemption, Override, Policy


class RuleExceptions:
    """The overrides and exemptions of a policy by tenant id, so that thousands do not slow down each new tenant."""

    def __init__(self, policy: Policy, history: FieldAvailability, rule_states: Sequence[RuleState]) -> None:
        self._history = history
        self._rule_states = rule_states
        exemptions = policy.every_exemption()
        self._expiries = sorted({o.expires_ms for o in policy.overrides} | {e.expires_ms for e in exemptions})
        self._overrides: dict[str, list[Override]] = {}
        for override in policy.overrides:
            self._overrides.setdefault(override.tenant, []).append(override)
        self._exemptions: dict[str, list[Exemption]] = {}
        for exemption in exemptions:
            self._exemptions.setdefault(exemption.tenant, []).append(exemption)

    def know(self, tenant_id: str, tenant: int) -> None:
        """Register a new tenant under its number, with the overrides and exemptions that name it."""
        for override in self._overrides.get(tenant_id, ()):
            for rule_state in self._rule_states:
                if rule_state.rule.id == override.rule.id:
                    rule_state.overrides[tenant] = (override.rule, override.expires_ms)
                    from_ms = self._history.judged_from(override.rule)
                    if from_ms > rule_state.from_ms:
                        rule_state.override_from_ms[tenant] = from_ms
        for exemption in self._exemptions.get(tenant_id, ()):
            for rule_state in self._rule_states:
                if rule_state.rule.id in exemption.rules:
                    rule_state.exempt[tenant] = max(rule_state.exempt.get(tenant, 0), exemption.expires_ms)

    def expired(self, after_ms: int, until_ms: int) -> bool:
        """Whether an exception expired after ``after_ms``, up to ``until_ms``."""
        return bisect_right(self._expiries, after_ms) < bisect_right(self._expiries, until_ms)
