"""Early alerts: rules are evaluated on future window ends while calls are read, before the watermark reaches them.

A future end is evaluated early from when a record is in the step before it until its final evaluation. It is not
evaluated early once it is more than ``lateness`` behind the newest record, because no call can reach it any more. A
rule sees everything read so far, and waiting complaints as if they were decided. A count that is too low may still
grow, so a rule with a count ``below`` its threshold fires only in the final evaluation.

Each crossing gives one alert, however the value swings around the threshold:

- An early alert names the end at which it saw the breach. It fires at least until a later end is evaluated early.
- It is withdrawn if the value is not beyond ``recover`` at that end and all later ones.
- Otherwise the final evaluation of that end confirms it (it is then like any other alert) or resolves it. The final
  evaluation of an end before it may confirm it, and does nothing else to it.
- If an alert of a tenant was withdrawn, or resolved before the end that it named, there is no other early alert for
  that end. If the final evaluation of that end finds a breach, the alert names the next end: no alert opens twice.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from monitor.core.alerts.early_complaints import EarlyComplaints
from monitor.core.alerts.early_firing import NEVER, EarlyFiring
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.alerts.early_windows import EarlyWindows
from monitor.core.alerts.suspects import Suspects
from monitor.core.calls.new_calls import NewCalls
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.decisions.pending_records import PendingRecords
from monitor.core.rules.conditions import Rows, evaluate_view, last_measure, measure, rule_view
from monitor.core.rules.evaluator import RuleEvaluator
from monitor.core.rules.rule_state import RuleState
from monitor.core.tenants.active_alert import ActiveAlert
from monitor.core.tenants.tenant_numbers import TenantNumbers
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.window import SlidingWindow
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.reasons import Unmeasured
from schemas.outputs import Measure

_FEW_CALLS = 500  # as much work as comparing their tenants, at most
_NOBODY: Final[frozenset[int]] = frozenset()
_CALLS_A_TENANT = 20  # taking in so many calls costs as much as comparing a tenant
MOST_ALERTS = 5_000  # fired or withdrawn by one evaluation: they are written in one transaction


class _Counted(NamedTuple):
    """A rule, by its ``place`` among those of its window, and the tenants whose keys it needs are counted."""

    place: int
    rule: Rule
    who: Rows


class EarlyAlerts:
    """Evaluates rules ahead of the watermark, on the shard's windows, rule states and records. It changes only alerts.

    ``postponed`` is the number of tenants whose alerts are left to the next evaluation, beyond `MOST_ALERTS`.
    Call `complained` for each new complaint. Ends before the evaluator's ``from_ms`` are not evaluated.
    """

    def __init__(
        self,
        policy: Policy,
        evaluator: RuleEvaluator,
        records: PendingRecords,
        tenant_records: TenantRecords,
        tenants: TenantNumbers,
        open_panes: OpenPanes,
    ) -> None:
        self._policy = policy
        self._from_ms = evaluator.from_ms
        self._open_panes = open_panes
        self._alerts = evaluator.alerts
        self._records = records
        self._tenant_records = tenant_records
        self._index: Mapping[str, int] = tenants.by_name
        self._rule_states_of: dict[SlidingWindow, list[RuleState]] = defaultdict(list)
        for rule_state in evaluator.rule_states:
            if not _may_still_grow(rule_state.rule):
                self._rule_states_of[rule_state.window].append(rule_state)
        self._steps = {window: {d.rule.step_ms for d in some} for window, some in self._rule_states_of.items()}
        self._suspects = Suspects(self._rule_states_of)
        self._begun = False
        self.postponed = self._room = 0
        self._reset()

    def _reset(self) -> None:
        """Drop all that was read so far."""
        self._complaints = EarlyComplaints(self._policy.retention_ms, self._tenant_records)
        self._windows = EarlyWindows(
            self._steps, self._open_panes, self._complaints, self._policy.lateness_ms, self._from_ms
        )
        self._evaluated_place: tuple[tuple[int, int], ...] = ()  # of the early windows, at the last evaluation
        self._last_end_ms: dict[str, int] = {}  # the last end evaluated, by rule
        self._unresolved: dict[str, set[int]] = {}  # by rule: tenants whose early alerts are left to withdraw
        self._firing = EarlyFiring()

    def _begin(self) -> None:
        """Start from all open input."""
        self._begun = True
        self._reset()
        self._suspects.begin(self._windows, len(self._index))
        for waiting in self._records.complaints():
            self._complaints.arrive(self._index[waiting.record.tenant_id], waiting)
        for rule_states in self._rule_states_of.values():
            for rule_state in rule_states:
                self._firing.add(rule_state.rule.id, [t for t, firing in rule_state.firing.items() if firing.early])

    def complained(self, tenant: int, waiting: PendingRecord) -> None:
        """Take a waiting record, if it is of a complaint."""
        if self._begun:
            self._complaints.arrive(tenant, waiting)

    @property
    def arrived(self) -> int:
        """The number of complaints that `catch_up` would count."""
        return self._complaints.arrived

    @property
    def work(self) -> int:
        """The number of complaints that an evaluation would count, plus the tenants that it would evaluate.

        These are the complaints since the last evaluation, and at most the tenants that called. If there is a new
        end, they are all waiting complaints and all tenants.
        """
        tenants = len(self._index)
        if not self._begun:
            return len(self._records) + tenants
        if self._windows.behind:
            return self.arrived + len(self._complaints) + tenants
        if self._open_panes.many_wait:
            return self.arrived + tenants
        # Most callers come to no threshold, but tenants could choose to: those who may each have to be compared.
        return self.arrived + min(self._callers() + self.arrived + self.postponed, tenants)

    def _callers(self) -> int:
        """The tenants that an evaluation would compare because of their calls, and what the calls cost besides."""
        calls = self._open_panes.new_call_count
        tenant = self._open_panes.new_tenants() if calls > _FEW_CALLS else None
        if tenant is None:
            return calls
        called, times = np.unique(tenant, return_counts=True)
        near = self._suspects.near(called.astype(np.intp), times)
        return int(near.sum()) + self._firing.among(called[~near].tolist()) + calls // _CALLS_A_TENANT

    def catch_up(self) -> None:
        """Count the new complaints. Call this before any of them is decided."""
        self._complaints.catch_up(self._windows, len(self._index))

    def evaluate(self, closed_ms: int) -> None:
        """Fire and withdraw alerts for what was read since the last evaluation."""
        new_calls = self._open_panes.new_calls()
        if new_calls is None:
            new_calls = []
            self._begin()
        if new_calls:
            new_calls = [NewCalls.concat(new_calls)]
        self.catch_up()
        complained = self._complaints.take_counted()
        self._complaints.forget(self._records.decided)
        reopened = {
            tenant for some in self._rule_states_of.values() for rule_state in some for tenant in rule_state.reopened
        }
        if not (new_calls or complained or reopened or self.postponed) and closed_ms == self._windows.closed_ms:
            return
        self.postponed, self._room = 0, MOST_ALERTS
        tenants = len(self._index)
        self._windows.closed_ms = closed_ms
        self._windows.reach(tenants)
        self._windows.take(new_calls)
        self._windows.move(tenants)
        called = self._suspects.count(new_calls, tenants)
        sampled_anew = self._windows.sample()
        if sampled_anew:
            self._suspects.compare_again(sampled_anew)
            self._firing.check_again(sampled_anew)
        due = self._firing.due(called.tolist(), self._suspects.calls, complained)
        found = self._suspects.of(called, complained | reopened, set().union(*due.values()), tenants)
        self._windows.look_up(set().union(*(some for of in found.values() for some in of.values())))
        counted = {one: self._count(one, found[one], tenants) for one in sorted(found, key=lambda one: one.end_ms)}
        breaking = self._suspects.settle(found)  # few of the suspects, now that their counts are exact
        # Without a change no early alert can end, so only windows with suspects have anything to do.
        changed = bool(due or reopened or self._unresolved) or self._windows.place != self._evaluated_place
        suspected = {early_window.window for early_window in breaking}
        for window in self._rule_states_of:
            if changed or window in suspected:
                left: dict[str, set[int]] = {}
                for early_window, suspects in counted.items():
                    if early_window.window is window and early_window in breaking:
                        for rule_id, some in self._fire(early_window, suspects, breaking[early_window]):
                            left.setdefault(rule_id, set()).update(some)
                self._withdraw(window, left, due, tenants)
        self._evaluated_place = self._windows.place
        self._open_panes.sum_up_many()

    # Evaluation -------------------------------------------------------------------------------------------------

    def _count(self, early_window: EarlyWindow, suspected: Mapping[int, set[int]], tenants: int) -> list[_Counted]:
        """Count the keys and medians that the rules of the suspects need at an end."""
        suspects: list[_Counted] = []
        for place in sorted(suspected):
            rule_state = self._rule_states_of[early_window.window][place]
            who = np.array(sorted(tenant for tenant in suspected[place] if tenant not in rule_state.firing), np.intp)
            for rule, mine in rule_state.ruled(who, early_window.end_ms, tenants):
                # The bounds of the rule itself are known already, those of an override are not.
                candidates = mine if rule is rule_state.rule else early_window.candidates(rule, mine, tenants)
                if len(candidates):
                    suspects.append(_Counted(place, rule, candidates))
        narrowed = early_window.narrow([(rule, who) for _, rule, who in suspects], tenants)
        suspects = [one._replace(who=who) for one, who in zip(suspects, narrowed, strict=True) if len(who)]
        early_window.count([(rule, who) for _, rule, who in suspects], tenants)
        return suspects

    def _fire(
        self, early_window: EarlyWindow, counted: Sequence[_Counted], breaking: Mapping[int, set[int]]
    ) -> Iterator[tuple[str, Sequence[int]]]:
        """Fire the alerts of those who may be ``breaking`` a rule, by its place. Yields those left over, by rule."""
        window, end_ms, tenants = early_window.window, early_window.end_ms, len(self._index)
        for place, rule, who in counted:
            rule_state = self._rule_states_of[window][place]
            mine = breaking.get(place, _NOBODY)
            who = np.array([tenant for tenant in who.tolist() if tenant in mine and tenant not in rule_state.firing])
            if not len(who):
                continue
            found = evaluate_view(early_window, rule, rule_view(early_window, rule, tenants, who), tenants)
            breach = found.breach.tenants.tolist()
            for row, tenant in enumerate(breach):
                if self._room <= 0:
                    yield rule_state.rule.id, breach[row:]
                    break
                if rule_state.taken_back.get(tenant, -1) >= end_ms:
                    continue
                measured = measure(rule, found.breach, row, found.bound[row])
                updated_ms = min(end_ms, self._windows.range_ms(window)[1])
                self._alerts.fire(rule_state, rule, tenant, ActiveAlert(end_ms, early=True), measured, updated_ms)
                self._room -= 1
                self._firing.add(rule_state.rule.id, [tenant])
                rule_state.settled = None  # force a final evaluation, even if nothing enters or leaves the window

    def _withdraw(
        self, window: SlidingWindow, left: Mapping[str, set[int]], due: Mapping[str, set[int]], tenants: int
    ) -> None:
        """Check the early alerts that are due, and take note of the tenants ``left`` to the next evaluation."""
        early_windows = self._windows.of(window)
        for rule_state in self._rule_states_of[window]:  # most have nothing to do
            rule_id, reopened = rule_state.rule.id, _NOBODY
            if rule_state.reopened or rule_id in left:
                reopened = frozenset(rule_state.reopened)
                rule_state.reopened.clear()
                rule_state.reopened.update(left.get(rule_id, ()))
                self.postponed += len(rule_state.reopened)
            some, unresolved = self._firing.of(rule_id), self._unresolved.pop(rule_id, _NOBODY)
            if not some:
                continue
            mine = self._windows.ends(window, rule_state.rule.step_ms)
            if not mine:
                continue
            if self._last_end_ms.get(rule_id) == mine[-1]:
                some = some & (due.get(rule_id, _NOBODY) | unresolved | reopened)
            self._last_end_ms[rule_id] = mine[-1]
            if some:
                self._take_back(rule_state, some, [early_windows[end_ms] for end_ms in mine], tenants)

    def _take_back(
        self, rule_state: RuleState, some: set[int], early_windows: Sequence[EarlyWindow], tenants: int
    ) -> None:
        """Resolve the early alerts whose value is not beyond ``recover`` at the end that they name or any later end."""
        active = {tenant: rule_state.firing[tenant] for tenant in some if tenant in rule_state.firing}
        since = {tenant: firing.since_ms for tenant, firing in active.items() if firing.early}
        rule_id = rule_state.rule.id
        self._firing.discard(rule_id, some - since.keys())
        named = {early_window.end_ms for early_window in early_windows[:-1]}
        ended = {tenant for tenant in since if since[tenant] in named}
        for tenant in since.keys() - ended:  # to be checked when there is a later end
            self._firing.check_at(rule_id, tenant, NEVER)
        for early_window in early_windows:
            who = np.array(sorted(tenant for tenant in ended if since[tenant] <= early_window.end_ms), np.intp)
            for rule, mine in rule_state.ruled(who, early_window.end_ms, tenants):
                early_window.count([(rule, mine)], tenants)
                found = evaluate_view(early_window, rule, rule_view(early_window, rule, tenants, mine), tenants)
                for row in np.flatnonzero(found.keeps_firing).tolist():
                    tenant = int(mine[row])
                    ended.discard(tenant)
                    calls = early_window.calls_to_recover(rule, found.view, row)
                    self._firing.check_at(rule_id, tenant, int(self._suspects.calls[tenant]) + calls)
        resolved = sorted(ended)[: self._room]
        left = self._unresolved[rule_id] = ended.difference(resolved)
        self.postponed += len(left)
        for tenant in left:
            self._firing.check_at(rule_id, tenant, 0)
        self._room -= len(resolved)
        for tenant in resolved:
            newest, who = early_windows[-1], np.array([tenant])
            judging = next((rule for rule, _ in rule_state.ruled(who, newest.end_ms, tenants)), None)
            rule = judging or rule_state.rule
            found_then: Measure | Unmeasured | None = "not_judged"
            if judging is not None:
                found_then = last_measure(rule, rule_view(newest, rule, tenants, who), 0)
            self._alerts.resolve(rule_state, rule, tenant, found_then, self._windows.range_ms(rule_state.window)[1])
            self._firing.discard(rule_id, [tenant])
            rule_state.taken_back[tenant] = since[tenant]


def _may_still_grow(rule: Rule) -> bool:
    """Whether the rule is for a count that is too low."""
    return rule.direction == "below" and METRICS[rule.metric].denominator is None
