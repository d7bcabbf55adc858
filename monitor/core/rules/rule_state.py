"""Rule states: the exceptions to each rule, its alerts, and when it is due."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor import reasons
from monitor.core.results import Output
from monitor.core.rules.conditions import EvaluatedView, Rows, last_measure
from monitor.core.tenants.active_alert import ActiveAlert, ByTenant
from monitor.core.tenants.first_calls import FirstCalls
from monitor.core.tenants.ids import alert_id
from monitor.core.windows.window import SlidingWindow
from monitor.policy.metrics import METRICS, Metric
from monitor.policy.model import Behaviour, Policy, Rule
from monitor.reasons import Unmeasured
from schemas.outputs import Alert, Measure


@dataclass(slots=True)
class RuleState:
    """One rule with its window, its exemptions and overrides with their expiry, and its alerts by tenant.

    ``settled`` is the window version at which the rule last found no breach, at the end ``settled_ms``. ``taken_back``
    is the end that a withdrawn early alert named, by tenant. ``reopened`` holds the tenants whose alert was resolved
    since the last early evaluation. ``from_ms`` is the first end at which the rule can be evaluated after a policy
    change; ``override_from_ms`` is a later one for tenants whose override needs other fields. ``first_calls`` limits
    rules with ``first_ms``.
    """

    rule: Rule
    window: SlidingWindow
    exempt: dict[int, int] = field(default_factory=dict)
    overrides: dict[int, tuple[Rule, int]] = field(default_factory=dict)
    firing: ByTenant[ActiveAlert] = field(default_factory=ByTenant)
    taken_back: ByTenant[int] = field(default_factory=ByTenant)
    reopened: set[int] = field(default_factory=set)
    settled: tuple[int, int] | None = None
    settled_ms: int = 0
    from_ms: int = 0
    override_from_ms: dict[int, int] = field(default_factory=dict)
    first_calls: FirstCalls = field(default_factory=FirstCalls)

    @property
    def metric(self) -> Metric:
        """The metric of the rule."""
        return METRICS[self.rule.metric]

    def overridden(self, end_ms: int, tenants: int) -> set[int]:
        """The tenants with a number below ``tenants`` that have an override at a window end."""
        return {t for t, (_, expires) in self.overrides.items() if end_ms < expires and t < tenants}

    def exempted(self, end_ms: int, tenants: int) -> set[int]:
        """The tenants with a number below ``tenants`` that are exempt at a window end."""
        return {t for t, expires in self.exempt.items() if end_ms < expires and t < tenants}

    def alert_since(self, tenant: int, end_ms: int) -> int:
        """The start of a new alert: ``end_ms``, or later if an early alert for that end or a later one was withdrawn.

        An alert is never reopened.
        """
        named_ms = self.taken_back.get(tenant, -1)
        return end_ms if named_ms < end_ms else named_ms + self.rule.step_ms

    def judges(self, rule: Rule, who: Rows, end_ms: int) -> NDArray[np.bool_]:
        """For which of these tenants ``rule``, this one or an override of it, is judged at a window end."""
        return self.first_calls.within(who, rule.first_ms, end_ms)

    def ruled(self, who: Rows, end_ms: int, tenants: int) -> Iterator[tuple[Rule, Rows]]:
        """These tenants, grouped by the rule that applies to them at a window end.

        Exempt tenants, and those for whom the rule is not judged any more, are left out.
        """
        if self.overrides or self.exempt:
            apart, exempt = self.overridden(end_ms, tenants), self.exempted(end_ms, tenants)
            named = np.isin(who, list(apart | exempt))
            for tenant in who[named].tolist():
                if tenant not in exempt and end_ms >= self.override_from_ms.get(tenant, 0):
                    override, alone = self.overrides[tenant][0], np.array([tenant])
                    if self.judges(override, alone, end_ms)[0]:
                        yield override, alone
            who = who[~named]
        if self.rule.first_ms is not None:
            who = who[self.judges(self.rule, who, end_ms)]
        if len(who):
            yield self.rule, who


class Alerts:
    """Fires and resolves alerts, into the output buffer. ``names`` is the list of tenant ids, which grows."""

    def __init__(self, policy: Policy, names: Sequence[str], output: Output) -> None:
        self._policy = policy
        self._names = names
        self._output = output

    def fire(
        self, rule_state: RuleState, rule: Rule, tenant: int, firing: ActiveAlert, measure: Measure, updated_ms: int
    ) -> None:
        """Fire an alert, or write it again because a decision followed from it."""
        rule_state.firing[tenant] = firing
        self._tell(rule_state, rule, tenant, "firing", measure, updated_ms)

    def resolve(
        self,
        rule_state: RuleState,
        rule: Rule,
        tenant: int,
        measure: Measure | Unmeasured | None,
        updated_ms: int,
    ) -> None:
        """Resolve an alert. ``measure`` None: there are no records to judge."""
        self._tell(rule_state, rule, tenant, "resolved", measure, updated_ms)
        del rule_state.firing[tenant]
        rule_state.reopened.add(tenant)

    def recover(self, rule_state: RuleState, rule: Rule, found: EvaluatedView, end_ms: int) -> None:
        """Resolve the alerts whose value is no longer beyond ``recover``, or no longer exists.

        An early alert that is not confirmed at the end that it named is also resolved. Before that end it keeps firing
        until an evaluation confirms it.
        """
        view, firing = found.view, rule_state.firing
        for row, (tenant, keeps) in enumerate(zip(view.tenants.tolist(), found.keeps_firing.tolist(), strict=True)):
            alert = firing.get(tenant)
            if alert is not None and (alert.early or not keeps) and _may_resolve(alert, end_ms):
                self._resolve_at(rule_state, rule, tenant, last_measure(rule, view, row), end_ms)

    def resolve_unjudged(self, rule_state: RuleState, rule: Rule, who: Rows, end_ms: int) -> None:
        """Resolve the alerts of these tenants, for whom the rule is not judged at this end."""
        for tenant in who.tolist():
            if tenant in rule_state.firing and _may_resolve(rule_state.firing[tenant], end_ms):
                self._resolve_at(rule_state, rule, tenant, "not_judged", end_ms)

    def _resolve_at(
        self, rule_state: RuleState, rule: Rule, tenant: int, measured: Measure | Unmeasured | None, end_ms: int
    ) -> None:
        since_ms = rule_state.firing[tenant].since_ms
        if since_ms > end_ms:  # the end that it named is still to come, and must not reopen it
            rule_state.taken_back[tenant] = since_ms
        self.resolve(rule_state, rule, tenant, measured, end_ms)

    def _tell(
        self,
        rule_state: RuleState,
        rule: Rule,
        tenant: int,
        state: Literal["firing", "resolved"],
        found: Measure | Unmeasured | None,
        updated_ms: int,
    ) -> None:
        measure, unmeasured = (None, found) if isinstance(found, str) else (found, None)
        tenant_id = self._names[tenant]
        firing = rule_state.firing[tenant]
        behaviour = self._policy.behaviours[rule.behaviour]
        self._output.alerts.append(
            Alert(
                alert_id=alert_id(tenant_id, rule.id, firing.since_ms),
                tenant_id=tenant_id,
                rule_id=rule.id,
                severity=severity_of(rule, behaviour),
                state=state,
                measure=measure,
                since_ms=firing.since_ms,
                updated_ms=updated_ms,
                enforcement_id=firing.enforcement_id,
                reason=reasons.alert(rule, measure, state, behaviour, unmeasured),
            )
        )


def _may_resolve(firing: ActiveAlert, end_ms: int) -> bool:
    """Whether the evaluation at that end may resolve the alert. An early alert is exempt before the end it names."""
    return not firing.early or firing.since_ms <= end_ms


def severity_of(rule: Rule, behaviour: Behaviour) -> Literal["info", "warning", "critical"]:
    """The severity of an alert of the rule."""
    if rule.mode == "shadow":
        return "info"
    return "warning" if behaviour.tier == "minor" else "critical"


class RulesDue(NamedTuple):
    """The indices of rules that are due together, and their windows."""

    rules: tuple[int, ...]
    windows: tuple[SlidingWindow, ...]


class DueRules:
    """The rules that are due at a window end: computed once for all ends that are multiples of the same steps."""

    def __init__(self, rule_states: Sequence[RuleState]) -> None:
        self._rule_states = rule_states
        self._steps = sorted({rule_state.rule.step_ms for rule_state in rule_states})
        self._all_from_ms = max((rule_state.from_ms for rule_state in rule_states), default=0)
        self._by_steps: dict[tuple[int, ...], RulesDue] = {}

    def at(self, end_ms: int, bounds: Mapping[int, int]) -> RulesDue:
        """The rules with a window that ends at ``end_ms``. ``bounds`` is the last end for each step."""
        steps = tuple(step_ms for step_ms in self._steps if end_ms % step_ms == 0 and end_ms <= bounds[step_ms])
        if end_ms < self._all_from_ms:  # after a policy change some rules begin later
            return self._found(steps, end_ms)
        if steps not in self._by_steps:
            self._by_steps[steps] = self._found(steps, end_ms)
        return self._by_steps[steps]

    def _found(self, steps: Sequence[int], end_ms: int) -> RulesDue:
        rules = tuple(
            place
            for place, rule_state in enumerate(self._rule_states)
            if rule_state.from_ms <= end_ms and rule_state.rule.step_ms in steps
        )
        return RulesDue(rules, tuple(dict.fromkeys(self._rule_states[place].window for place in rules)))
