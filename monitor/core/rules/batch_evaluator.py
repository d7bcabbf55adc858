"""Batch evaluation: which tenants break which rules at a window end, for all rules and tenants at once.

Only tenants that changed since the last evaluation of a rule are evaluated; the others keep their result. First the
metric of each rule is compared with its threshold. The pairs of rule and tenant beyond it are then checked for the
``also`` conditions and the Wilson bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.rules import native_pairs
from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.native_pairs import TENANT_BITS, CountBlocks, NativeCounts, Pairs, RuleConditions
from monitor.core.rules.rule_counts import ONE, CountedCondition, OwnCounts, RuleCounts, WindowCounts
from monitor.core.rules.rule_state import RuleState
from monitor.core.rules.wilson import bound, quantile
from monitor.core.tenants.dirty import DirtyTenants, Flags

_NONE: Rows = np.empty(0, np.intp)
_TENANT = (1 << TENANT_BITS) - 1


@dataclass(frozen=True, slots=True)
class ConditionsMet:
    """The tenants that may be in breach, ascending, by rule index; and the rules with an alert that ends."""

    breach: dict[int, Rows]
    ending: set[int]


class _RulesTogether(NamedTuple):
    """Rules that are evaluated together: their indices, the tenants that changed by step, their windows, and which of
    the counts that are not sums are gates of a rule, and which ones are of their own metrics.

    ``marks`` has a flag for each rule that there is, and ``edges`` the first pair and the one beyond the last of each
    of these rules, ``[2, rule]``.
    """

    rules: Rows
    marks: Flags
    edges: Pairs
    touched: Sequence[DirtyTenants]
    windows: Sequence[WindowCounts]
    gates: set[int]
    measured: set[int]


class _LastPairs:
    """The pairs of a rule index and a tenant that met all conditions when they were last evaluated."""

    def __init__(self) -> None:
        self._pairs: Pairs = np.zeros(0, np.int64)  # ascending

    def replace(self, together: _RulesTogether, flags: Flags, met: Pairs) -> None:
        """Replace the pairs of these rules and the flagged tenants by the pairs ``met``."""
        pairs = self._pairs
        if len(pairs):
            pairs = pairs[~(together.marks[pairs >> TENANT_BITS] & flags[pairs & _TENANT])]
        if len(met):
            pairs = np.concatenate([pairs, met])
            pairs.sort()
        self._pairs = pairs

    def by_rule(self, together: _RulesTogether) -> dict[int, Rows]:
        """The tenants of the pairs of these rules, by rule; without rules that have none."""
        if not len(self._pairs):
            return {}
        tenants, (first, after) = self._pairs & _TENANT, self._pairs.searchsorted(together.edges).tolist()
        return {
            place: tenants[start:stop]
            for place, start, stop in zip(together.rules.tolist(), first, after, strict=True)
            if start < stop
        }


class BatchEvaluator:
    """Evaluates all rules on the sums, distinct counts and complaints of their windows.

    The index of a rule is that of its rule state. Memory: one byte per tenant and step.
    """

    def __init__(self, rule_states: Sequence[RuleState]) -> None:
        self._rule_states = rule_states
        self._counts = RuleCounts(rule_states)
        self._touched: dict[int, DirtyTenants] = {}
        for rule_state in rule_states:
            self._touched.setdefault(rule_state.rule.step_ms, DirtyTenants())
        for window in dict.fromkeys(rule_state.window for rule_state in rule_states):
            for step_ms in window.steps & self._touched.keys():
                window.watch(self._touched[step_ms])
        rules, conditions = [rule_state.rule for rule_state in rule_states], self._counts.conditions
        most = max(map(len, conditions), default=1)
        padded = [[*some, *some[:1] * (most - len(some))] for some in conditions]
        self._numerator, self._denominator, self._divisor, self._scale, self._sign, self._limit = (
            np.array([[one[k] for one in some] for some in padded]).reshape(len(rules), most)
            for k in range(len(CountedCondition._fields))
        )
        self._present = np.array(self._counts.present)
        counted = self._denominator[:, 0] == ONE
        bounds = [self._counts.bound(place) for place in range(len(rules))]
        self._least = np.where(counted, 1, [max(rule.min_denominator, 1) for rule in rules])
        self._gate = np.where(counted, bounds, self._denominator[:, 0])
        self._gate_sign = np.where(counted, self._sign[:, 0], 1.0)
        self._gate_limit = np.where(counted, self._limit[:, 0], self._least - 0.5)
        self._recover = self._sign[:, 0] * [rule.recover for rule in rules]
        self._sure = np.array([rule.confidence is not None for rule in rules])
        self._quantile = np.array([quantile(rule.confidence or 0.5) for rule in rules])
        self._rule_conditions = RuleConditions(
            *(self._numerator, self._denominator, self._divisor, self._scale, self._sign, self._limit),
            *(self._gate, self._gate_sign, self._gate_limit, self._least, self._present, self._quantile, self._sure),
        ).packed()
        self._first_limit = np.ascontiguousarray(self._limit[:, 0])
        self._new = set(range(len(rule_states)))  # never evaluated
        self._last = _LastPairs()
        self._known: dict[tuple[int, ...], _RulesTogether] = {}

    def evaluate(self, due: Sequence[int], tenants: int) -> ConditionsMet:
        """Evaluate the rules with the indices ``due``, ascending, for ``tenants`` tenants.

        Rules with the same step must be evaluated together, except before their first evaluation.
        """
        together = self._together(due)
        flags = together.touched[0].take(tenants)
        for touched in together.touched[1:]:
            flags |= touched.take(tenants)
        if self._new and not self._new.isdisjoint(due):
            self._new.difference_update(due)
            flags[:] = True
        who = flags.nonzero()[0]
        if not len(who):
            return ConditionsMet(self._last.by_rule(together), set())
        compare = self._compare_natively if native_pairs.enabled else self._compare
        met, ending = compare(together, tenants, who, _firing(self._rule_states, due, flags))
        self._last.replace(together, flags, met)
        return ConditionsMet(self._last.by_rule(together), ending)

    def _together(self, due: Sequence[int]) -> _RulesTogether:
        """These rules with what they share, which is computed once."""
        key = tuple(due)
        if key not in self._known:
            states = [self._rule_states[place] for place in key]
            rules, marks = np.array(key, np.intp), np.zeros(len(self._rule_states), np.bool_)
            marks[rules] = True
            self._known[key] = _RulesTogether(
                rules,
                marks,
                np.array([rules, rules + 1]) << TENANT_BITS,
                [self._touched[step_ms] for step_ms in dict.fromkeys(one.rule.step_ms for one in states)],
                self._counts.windows_of(key),
                self._counts.others(self._gate[rules].tolist()),
                self._counts.others([*self._numerator[rules, 0].tolist(), *self._denominator[rules, 0].tolist()]),
            )
        return self._known[key]

    def _compare(
        self, together: _RulesTogether, tenants: int, who: Rows, firing: tuple[Rows, Rows]
    ) -> tuple[Pairs, set[int]]:
        """The pairs of these rules and tenants that meet all conditions, and the rules with a ``firing`` alert that
        ends.
        """
        rules, gates, (fires, whose) = together.rules, together.gates, firing
        counts = self._counts.sums(together.windows, tenants, who)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._counts.read(counts, gates, tenants, who)
            rule, row = self._enough(counts, rules)
            # Counts that are not sums cost more, and few tenants have enough calls for a rule.
            needed = self._counts.others_of([*rule.tolist(), *fires.tolist()])
            self._counts.read(counts, needed - gates, tenants, who)
            if len(rule):
                kept = self._holds(counts, rule, row, self._limit[rule, 0])
                rule, row = rule[kept], row[kept]
            if len(rule):
                kept = self._conditions(counts, rule, row)
                rule, row = rule[kept], row[kept]
            ends = fires[~self._holds(counts, fires, who.searchsorted(whose), self._recover[fires])]
        return (rule << TENANT_BITS) + who[row], set(ends.tolist())

    def _compare_natively(
        self, together: _RulesTogether, tenants: int, who: Rows, firing: tuple[Rows, Rows]
    ) -> tuple[Pairs, set[int]]:
        """As `_compare`, on the counts where they are."""
        of, gates, (fires, whose) = self._counts, together.gates, firing
        counts = NativeCounts(self._rule_conditions, of.width, tenants)
        of.give_sums(counts, together.windows)
        of.give(counts, gates)
        pairs, some = counts.enough(together.rules, who)
        if not some and not len(fires):
            return pairs, set()
        asked = {*some, *fires.tolist()}
        of.give_present(counts, together.windows, asked)
        of.give(counts, of.others_of(asked) - gates)
        met = pairs[counts.meeting_all(pairs, self._first_limit)] if some else pairs
        if not len(fires):
            return met, set()
        ends = fires[~counts.beyond((fires << TENANT_BITS) + whose, self._recover)]
        return met, set(ends.tolist())

    def counts(self, due: Sequence[int], tenants: int, who: Rows) -> Floats:
        """The counts of the tenants ``who``, ascending, in the windows as they are now, ``[count, tenant]``.

        ``own`` says which of them the rules ``due`` measure by. Those of other rules are undefined.
        """
        together = self._together(due)
        counts = self._counts.sums(together.windows, tenants, who)
        self._counts.read(counts, together.measured, tenants, who)
        return counts

    def count_blocks(self, due: Sequence[int], tenants: int) -> CountBlocks:
        """As `counts`, of all tenants, where they are."""
        blocks, together = CountBlocks(self._counts.width, tenants), self._together(due)
        self._counts.give_sums(blocks, together.windows)
        self._counts.give_present(blocks, together.windows, set(due))
        self._counts.give(blocks, together.measured)
        return blocks

    @property
    def own(self) -> OwnCounts:
        """The indices of the counts of each rule's own metric."""
        lines = [column[:, 0] for column in (self._numerator, self._denominator, self._divisor)]
        return OwnCounts(*(column.astype(np.int32) for column in (*lines, self._present)))

    # Counts are ``[count, k]`` for the k tenants under evaluation. A pair is a rule index and one of these k.

    def _enough(self, counts: Floats, rules: Rows) -> tuple[Rows, Rows]:
        """The pairs with a sufficient denominator, or for a metric without one, with its count beyond the threshold."""
        enough = self._gate_sign[rules, None] * counts[self._gate[rules]] > self._gate_limit[rules, None]
        place, row = np.nonzero(enough)
        return rules[place], row

    def _holds(self, counts: Floats, rule: Rows, row: Rows, limit: Floats) -> NDArray[np.bool_]:
        """Which of these pairs have a value beyond ``limit``, a sufficient denominator, and a record."""
        denominator = counts[self._denominator[rule, 0], row]
        divisor = self._scale[rule, 0] * counts[self._divisor[rule, 0], row]
        value = counts[self._numerator[rule, 0], row] / divisor
        holds: NDArray[np.bool_] = (self._sign[rule, 0] * value > limit) & (denominator >= self._least[rule])
        holds &= counts[self._present[rule], row] > 0
        return holds

    def _conditions(self, counts: Floats, rule: Rows, row: Rows) -> NDArray[np.bool_]:
        """Which of these pairs meet all conditions of their rule."""
        numerator = counts[self._numerator[rule], row[:, None]]
        denominator = counts[self._denominator[rule], row[:, None]]
        value = numerator / (self._scale[rule] * counts[self._divisor[rule], row[:, None]])
        sign, limit = self._sign[rule], self._limit[rule]
        kept: NDArray[np.bool_] = ((sign * value > limit) & (denominator > 0)).all(axis=1)
        surely = sign[:, 0] * bound(numerator[:, 0], denominator[:, 0], self._quantile[rule], sign[:, 0])
        kept &= ~self._sure[rule] | (surely > limit[:, 0])
        return kept


def _firing(rule_states: Sequence[RuleState], due: Sequence[int], flags: Flags) -> tuple[Rows, Rows]:
    """The pairs of a rule and a flagged tenant for whom its alert fires, as rule indices and tenants."""
    firing = {place: rule_states[place].firing.tenants for place in due if rule_states[place].firing}
    if not firing:
        return _NONE, _NONE
    whose = np.concatenate(list(firing.values()))
    chosen = flags[whose].nonzero()[0]
    fires = np.array(list(firing)).repeat([len(tenants) for tenants in firing.values()])
    return fires[chosen], whose[chosen]
