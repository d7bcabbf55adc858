"""The evaluator: at a window end, finds the tenants in breach of each rule, fires and resolves alerts, and decides."""

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.results import Output
from monitor.core.rules.alert_states import AlertStates, forget_named
from monitor.core.rules.batch_evaluator import BatchEvaluator, ConditionsMet
from monitor.core.rules.conditions import (
    OverrideViews,
    Rows,
    View,
    evaluate_view,
    measure,
    rule_view,
)
from monitor.core.rules.exceptions import RuleExceptions
from monitor.core.rules.judged_windows import JudgedWindows
from monitor.core.rules.measured_decisions import MeasuredDecisions
from monitor.core.rules.rule_state import Alerts, DueRules, RuleState
from monitor.core.rules.window_end import SLICE, OutputRoom, WindowEnd, WindowPart, by_id
from monitor.core.tenants.active_alert import ActiveAlert, ByTenant
from monitor.core.tenants.alert_store import AlertStore
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window_set import WindowSet
from monitor.policy.model import Policy, Rule

_NOBODY: Rows = np.empty(0, np.intp)


class RuleEvaluator:
    """Evaluates every rule at every multiple of its step, for all tenants at once.

    Windows that end before ``from_ms`` are not evaluated. ``partial`` says how far a window end is evaluated if its
    output did not fit (`evaluate`), else it is None.
    """

    def __init__(
        self,
        policy: Policy,
        history: FieldAvailability,
        windows: WindowSet,
        cooldowns: Cooldowns,
        decisions: DecisionLifecycle,
        tenant_records: TenantRecords,
        output: Output,
    ) -> None:
        self._cooldowns = cooldowns
        self._output = output
        self.keep_windows = False
        self.from_ms = 0
        self.partial: WindowPart | None = None
        self._begun: WindowEnd | None = None
        self.layout = history.counting.layout
        self._first_calls, self._names = tenant_records.first_calls, tenant_records.names
        rules = (*policy.rules, *(override.rule for override in policy.overrides))
        self._limited = {rule.id for rule in rules if rule.first_ms is not None}
        store = AlertStore()
        self.rule_states = [
            RuleState(
                rule,
                windows.of_rule(rule.id),
                firing=ByTenant(store.changed),
                taken_back=ByTenant(store.changed),
                from_ms=history.judged_from(rule),
                first_calls=tenant_records.first_calls,
            )
            for rule in policy.rules
        ]
        self._by_step: dict[int, list[RuleState]] = {}
        for rule_state in self.rule_states:
            self._by_step.setdefault(rule_state.rule.step_ms, []).append(rule_state)
        self._due = DueRules(self.rule_states)
        self.exceptions = RuleExceptions(policy, history, self.rule_states)
        self.alerts = Alerts(policy, tenant_records.names, output)
        self.alert_states = AlertStates(self.rule_states, store)
        self.batch_evaluator = BatchEvaluator(self.rule_states)
        self._decisions = MeasuredDecisions(policy, history, windows.evidence, cooldowns, decisions, tenant_records)
        self._judged_windows = JudgedWindows(tenant_records.names, output)

    def due(self, after_ms: int, bounds: Mapping[int, int]) -> int | None:
        """The next window end after ``after_ms`` at which a rule has anything to evaluate.

        ``bounds`` is the last end for each step.
        """
        found = None
        for step_ms, rule_states in self._by_step.items():
            end_ms = (after_ms // step_ms + 1) * step_ms
            if end_ms > bounds[step_ms] or (found is not None and end_ms >= found):
                continue
            if not any(rule_state.window.live for rule_state in rule_states):
                # An early alert may name an end far ahead, with nothing to evaluate before it.
                firing = [firing for rule_state in rule_states for firing in rule_state.firing.values()]
                named = min((one.since_ms if one.early else end_ms for one in firing), default=bounds[step_ms] + 1)
                end_ms = max(end_ms, named)
                if end_ms > bounds[step_ms] or (found is not None and end_ms >= found):
                    continue
            found = end_ms
        return found

    def called(self, tenant: NDArray[np.integer], end_ms: NDArray[np.int64]) -> None:
        """Take accepted calls, each with its tenant and event time. They may be the first of their tenants.

        Rules that depend on it are evaluated early again for tenants whose first call is now earlier.
        """
        earlier = self._first_calls.take(tenant, end_ms)
        if earlier:
            for rule_state in self.rule_states:
                if rule_state.rule.id in self._limited:
                    rule_state.reopened.update(earlier)

    def evaluate(self, end_ms: int, tenants: int, bounds: Mapping[int, int], room: OutputRoom | None = None) -> None:
        """Evaluate the rules with a window that ends at ``end_ms``. Output is in file order, then by tenant id.

        With ``room``, stop where the output would not fit. The next call, for the same end, continues there.
        """
        begun = self._begun or self._begin(end_ms, tenants, bounds, room)
        first, after = self.partial or (0, "")
        self.partial = self._begun = None
        before = self._output.mark()
        for place in begun.due:
            rule_state, breach = self.rule_states[place], begun.met.breach.get(place, _NOBODY)
            if place < first or not (
                len(breach) or rule_state.firing or rule_state.taken_back or rule_state.overrides or self.keep_windows
            ):
                continue
            since = after if place == first else ""
            through = self._evaluate_rule(rule_state, end_ms, tenants, breach, place in begun.met.ending, since, room)
            before = self._output.by_tenant(before)
            if through is not None:
                self.partial, self._begun = (place, through), begun
                return

    def _begin(self, end_ms: int, tenants: int, bounds: Mapping[int, int], room: OutputRoom | None) -> WindowEnd:
        self.alert_states.forget_removed(end_ms, room)
        due, windows = self._due.at(end_ms, bounds)
        for window in windows:
            window.leave(end_ms - window.window_ms)
        if not due or end_ms < self.from_ms:
            return WindowEnd((), ConditionsMet({}, set()))
        return WindowEnd(due, self.batch_evaluator.evaluate(due, tenants))

    def _evaluate_rule(
        self,
        rule_state: RuleState,
        end_ms: int,
        tenants: int,
        breach: Rows,
        ending: bool,
        after: str,
        room: OutputRoom | None,
    ) -> str | None:
        """Evaluate a rule for the tenants with ids beyond ``after``.

        Returns the id of the last tenant for whom the output fits, None if it fits for all.
        """
        rule, window = rule_state.rule, rule_state.window
        expired = self.exceptions.expired(rule_state.settled_ms, end_ms)
        if rule_state.settled == window.version and not expired and not self.keep_windows:
            return None
        views = OverrideViews(window, tenants)
        if self.keep_windows:
            self._judged_windows.write(rule_state, end_ms, tenants, views)
        apart = rule_state.overridden(end_ms, tenants) if rule_state.overrides else set()
        exempt = rule_state.exempted(end_ms, tenants) if rule_state.exempt else set()
        excepted = apart | exempt
        found, who, resumed = len(breach) > 0, _NOBODY, after != ""
        if (found or rule_state.firing) and (
            excepted
            or expired
            or ending
            or rule.first_ms is not None
            or not self._unchanged(rule_state, breach, end_ms)
        ):
            found, who = False, np.array(sorted({*breach.tolist(), *rule_state.firing} - excepted), np.intp)
        fit = room is None or (room.left > 0 and len(who) + len(excepted) <= SLICE)
        if not len(who) and not excepted:
            pass  # nothing changes
        elif fit and not after:
            before = self._output.mark()
            found |= self._evaluate_tenants(rule_state, end_ms, tenants, views, (who, apart, exempt))
            if room is not None:
                room.left -= self._output.weight(before)
        else:
            every = np.union1d(who, list(excepted)).astype(np.intp)
            for some, last in by_id(every, self._names, after, SLICE):
                if room is not None and room.left <= 0:
                    return after
                chosen, before = set(some.tolist()), self._output.mark()
                part = who[np.isin(who, some)], apart & chosen, exempt & chosen
                found |= self._evaluate_tenants(rule_state, end_ms, tenants, views, part)
                after = last
                if room is not None:
                    room.left -= self._output.weight(before)
        if rule_state.taken_back:
            forget_named(rule_state.taken_back, end_ms, room)
        rule_state.settled = None if found or resumed or rule_state.firing else window.version
        rule_state.settled_ms = end_ms
        return None

    def _evaluate_tenants(
        self,
        rule_state: RuleState,
        end_ms: int,
        tenants: int,
        views: OverrideViews,
        part: tuple[Rows, set[int], set[int]],
    ) -> bool:
        """Evaluate a rule for tenants without exceptions, those with an override, and exempt ones.

        Returns whether any of them is in breach.
        """
        (who, apart, exempt), rule, window, found = part, rule_state.rule, rule_state.window, False
        if len(who):
            if rule.first_ms is not None:
                judged = rule_state.judges(rule, who, end_ms)
                self.alerts.resolve_unjudged(rule_state, rule, who[~judged], end_ms)
                who = who[judged]
            found = len(who) > 0 and self._apply(
                rule_state, rule, rule_view(window, rule, tenants, who), end_ms, tenants
            )
        for tenant in sorted(apart - exempt):
            if end_ms < rule_state.override_from_ms.get(tenant, 0):
                continue
            if not window.present(tenants, np.array([tenant]))[0] and tenant not in rule_state.firing:
                continue
            override, one = rule_state.overrides[tenant][0], np.array([tenant])
            if not rule_state.judges(override, one, end_ms)[0]:
                self.alerts.resolve_unjudged(rule_state, override, one, end_ms)
                continue
            alone = views.of(override).where(one)
            found |= self._apply(rule_state, override, alone, end_ms, tenants)
        if exempt:
            self.alerts.resolve_unjudged(rule_state, rule, np.array(sorted(exempt), np.intp), end_ms)
        return found

    def _unchanged(self, rule_state: RuleState, breach: Rows, end_ms: int) -> bool:
        """Whether nothing changes: all tenants in breach have an alert, none is due for a decision, none is early."""
        if not rule_state.firing.keys() >= set(breach.tolist()):
            return False
        for alert in rule_state.firing.values():
            if alert.early:
                return False
        return not np.count_nonzero(self._cooldowns.open(rule_state.rule, end_ms, breach))

    def _apply(self, rule_state: RuleState, rule: Rule, view: View, end_ms: int, tenants: int) -> bool:
        """Decide and alert for these tenants. Returns whether any of them is in breach."""
        found = evaluate_view(rule_state.window, rule, view, tenants)
        breach = found.breach
        may = self._cooldowns.open(rule, end_ms, breach.tenants)
        for row, (tenant, may_decide) in enumerate(zip(breach.tenants.tolist(), may.tolist(), strict=True)):
            firing = rule_state.firing.get(tenant)
            if firing is not None and not firing.early and not may_decide:
                continue
            measured = measure(rule, breach, row, found.bound[row])
            decided = None
            if may_decide:
                beside = tuple((c, None if np.isnan(v[row]) else float(v[row])) for c, v in found.also)
                decided = self._decisions.decide(rule, tenant, measured, beside, end_ms)
            if firing is None:
                firing = ActiveAlert(rule_state.alert_since(tenant, end_ms), decided)
                self.alerts.fire(rule_state, rule, tenant, firing, measured, end_ms)
                continue
            confirmed = replace(firing, early=False, enforcement_id=decided or firing.enforcement_id)
            if decided and firing.early:
                self.alerts.fire(rule_state, rule, tenant, confirmed, measured, end_ms)
            else:
                rule_state.firing[tenant] = confirmed
        self.alerts.recover(rule_state, rule, found, end_ms)
        return len(breach.tenants) > 0

    def dismiss(self, successor: Policy, at_ms: int, most: int | None = None) -> bool:
        """Resolve the alerts that end where the successor takes over, or the first ``most`` of them.

        These are the alerts of rules that it does not have, and all early alerts. Returns whether none is left.
        """
        return self.alert_states.dismiss(self.alerts, {rule.id for rule in successor.rules}, at_ms, most)
