"""Suspects: the tenants that may have come to break a rule at a future end since the last evaluation.

For each tenant it is known how many calls it needs before it may break any rule at any end (`BreachBounds`). It is
evaluated again after that many, so an evaluation costs by those who may cross, not by those who called. Tenants with an
override, which has other conditions, are evaluated at each call.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.breach_bounds import BreachBounds
from monitor.core.alerts.breach_lines import NEVER, Evaluation
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.alerts.early_windows import EarlyWindows
from monitor.core.calls.new_calls import NewCalls
from monitor.core.rules.conditions import Rows
from monitor.core.rules.rule_state import RuleState
from monitor.core.windows.distinct.key_uses import SETS
from monitor.core.windows.window import SlidingWindow

Suspected = dict[EarlyWindow, dict[int, set[int]]]
"""The suspects by early window and by the index of the rule among those of its window."""
_AT_ONCE = 512  # tenants whose lines are computed together: the numbers stay in the CPU cache
_SLICE = 4_096  # tenants whose calls are compared together: none of these steps holds Python's lock for long


class Suspects:
    """The suspects of the rules of each window, by the calls that each tenant needs. Memory: 40 bytes per tenant.

    ``calls`` counts the calls of each tenant since `begin`.
    """

    def __init__(self, rule_states_of: Mapping[SlidingWindow, Sequence[RuleState]]) -> None:
        self._rule_states_of = rule_states_of
        self._rule_states = [rule_state for some in rule_states_of.values() for rule_state in some]
        self._overridden: Rows = np.empty(0, np.intp)

    def begin(self, windows: EarlyWindows, tenants: int) -> None:
        """Start again with all tenants, on these early windows."""
        self._windows = windows
        self._tenants = tenants
        self._needed = np.full(tenants, int(NEVER))
        self._uses_at = np.full((len(SETS), tenants), int(NEVER))
        self.calls = np.zeros(tenants, np.int64)
        self._place: tuple[tuple[int, int], ...] = ()
        self._ranges: dict[tuple[SlidingWindow, int], range] = {}
        self._bounds: BreachBounds | None = None
        self._fresh: list[Evaluation] = []

    def count(self, new_calls: Sequence[NewCalls], tenants: int) -> Rows:
        """Count new calls. Returns the tenants who made them, ascending."""
        self._reach(tenants)
        if not new_calls:
            return np.empty(0, np.intp)
        called, calls = np.unique(NewCalls.concat(new_calls).tenant, return_counts=True)
        self.calls[called] += calls
        self._needed[called] -= calls
        return called.astype(np.intp)

    def of(self, called: Rows, changed: set[int], early: set[int], tenants: int) -> Suspected:
        """The suspects, after calls of the tenants ``called`` and other changes of the tenants ``changed``.

        The early windows must have taken the calls. Afterwards they are up to date for these tenants and for ``early``.
        """
        used = (self._windows.uses.count(called) >= self._uses_at[:, called]).any(axis=0)
        who = called[(self._needed[called] <= 0) | used]
        if changed:
            who = np.union1d(who, list(changed)).astype(np.intp)
        found: Suspected = {}
        if self._update_evaluations():
            self._windows.enter_all()
            self._evaluate_all(found, tenants)
        else:
            self._windows.enter_calls_of(np.union1d(who, list(early)).astype(np.intp) if early else who)
        if self._bounds is not None:
            for start in range(0, len(who), _AT_ONCE):
                some = who[start : start + _AT_ONCE]
                self._wait(some, *self._compare(self._bounds, some, found))
        return found

    def near(self, called: Rows, calls: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of these tenants may be suspects after so many calls more, as far as that number tells."""
        near = np.ones(len(called), np.bool_)
        known = called < self._tenants
        called, calls = called[known], calls[known]
        used = self._windows.uses.count(called) + calls >= self._uses_at[:, called]
        near[known] = (self._needed[called] <= calls) | used.any(axis=0)
        return near

    def compare_again(self, who: set[int]) -> None:
        """Let these tenants be compared at their next call."""
        self._needed[list(who)] = 0

    def settle(self, found: Suspected) -> Suspected:
        """Compare the suspects again, whose distinct counts are exact now. Returns those who may still break a rule."""
        breaking: Suspected = {}
        if found and self._bounds is not None:
            who = np.array(sorted(set().union(*(some for of in found.values() for some in of.values()))), np.intp)
            for start in range(0, len(who), _AT_ONCE):
                some = who[start : start + _AT_ONCE]
                self._wait(some, *self._compare(self._bounds, some, breaking))
        self._needed[self._overridden] = 0
        return breaking

    def _wait(self, who: Rows, calls: NDArray[np.int64], uses_at: NDArray[np.int64]) -> None:
        self._needed[who], self._uses_at[:, who] = calls, uses_at

    # Evaluations ------------------------------------------------------------------------------------------------

    def _update_evaluations(self) -> bool:
        """Find which rules are evaluated at which ends, and which of them for the first time. Returns whether the ends
        are others than before.
        """
        self._fresh = []
        if self._windows.place == self._place:
            return False
        self._place = self._windows.place
        ranges = {
            (window, rule_state.rule.step_ms): self._windows.ends(window, rule_state.rule.step_ms)
            for window, some in self._rule_states_of.items()
            for rule_state in some
        }
        if ranges == self._ranges:
            return False
        self._ranges = ranges
        evaluations = [
            Evaluation(early_window, rule_state.rule, place)
            for window, rule_states in self._rule_states_of.items()
            for end_ms, early_window in self._windows.of(window).items()
            for place, rule_state in enumerate(rule_states)
            if rule_state.from_ms <= end_ms and end_ms in ranges[window, rule_state.rule.step_ms]
        ]
        self._bounds = BreachBounds(evaluations, self._windows.table, self._windows.uses) if evaluations else None
        self._fresh = [one for one in evaluations if one.rule.id not in one.early_window.evaluated_rules]
        for one in self._fresh:
            one.early_window.evaluated_rules.add(one.rule.id)
        return True

    def _evaluate_all(self, found: Suspected, tenants: int) -> None:
        """Compare all tenants with the rules that are evaluated for the first time at an end."""
        if not self._fresh:
            return
        fresh = BreachBounds(self._fresh, self._windows.table, self._windows.uses)
        for start in range(0, tenants, _SLICE):
            whose = slice(start, min(start + _SLICE, tenants))
            needed, unknown = fresh.calls_at_least(whose)
            self._needed[whose] = np.minimum(self._needed[whose], np.where(unknown, NEVER, needed))
            rest = start + np.flatnonzero(unknown)
            for at in range(0, len(rest), _AT_ONCE):
                some = rest[at : at + _AT_ONCE]
                calls, uses_at = self._compare(fresh, some, found)
                self._wait(some, np.minimum(self._needed[some], calls), np.minimum(self._uses_at[:, some], uses_at))
        for one in self._fresh:
            self._add_overridden(one, range(tenants), found)

    def _compare(
        self, bounds: BreachBounds, who: Rows, found: Suspected
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The calls that each of these tenants needs, and the count of `KeyUses` at which it is to be compared
        again, ``[k]`` and ``[set, k]``. Those who may break a rule now are added to ``found``.
        """
        needed = bounds.of(who)
        breaking: set[int] = set()
        for number, tenants in needed.met_now(who):
            one = bounds.evaluations[number]
            some = self._open(one, tenants)
            if some:
                breaking.update(some)
                found.setdefault(one.early_window, {}).setdefault(one.place, set()).update(some)
        if breaking:
            needed.calls[np.searchsorted(who, list(breaking))] = 1
        if len(self._overridden):
            every = set(who.tolist())
            for one in bounds.evaluations:
                self._add_overridden(one, every, found)
        return needed.calls, needed.uses_at

    def _add_overridden(self, one: Evaluation, who: Iterable[int], found: Suspected) -> None:
        """Add those of these tenants that have an override of the rule."""
        overrides = self._rule_state(one).overrides
        mine = {tenant for tenant in overrides if tenant in who} if overrides else None
        if mine:
            found.setdefault(one.early_window, {}).setdefault(one.place, set()).update(mine)

    def _open(self, one: Evaluation, who: list[int]) -> list[int]:
        """Those of these tenants for whom the rule may fire an alert at that end.

        For the others that stays so at this end until the rule state names the tenant in ``reopened``.
        """
        rule_state, end_ms = self._rule_state(one), one.early_window.end_ms
        firing, taken_back, exempt = rule_state.firing, rule_state.taken_back, rule_state.exempt
        found = [
            tenant
            for tenant in who
            if tenant not in firing and taken_back.get(tenant, -1) < end_ms and exempt.get(tenant, 0) <= end_ms
        ]
        if found and one.rule.first_ms is not None:
            judged = rule_state.judges(one.rule, np.array(found), end_ms).tolist()
            found = [tenant for tenant, is_judged in zip(found, judged, strict=True) if is_judged]
        return found

    def _rule_state(self, one: Evaluation) -> RuleState:
        return self._rule_states_of[one.early_window.window][one.place]

    def _reach(self, tenants: int) -> None:
        have, self._tenants = len(self._needed), tenants
        if tenants > have:  # a new tenant is evaluated at its first call
            more = np.zeros(max(tenants, 2 * have, 64) - have, np.int64)
            self._needed, self.calls = np.append(self._needed, more), np.append(self.calls, more)
            self._uses_at = np.pad(self._uses_at, ((0, 0), (0, len(more))))
        overridden = {tenant for rule_state in self._rule_states for tenant in rule_state.overrides}
        if len(overridden) != len(self._overridden):  # none ever ceases to be
            self._overridden = np.array(sorted(overridden), np.intp)
