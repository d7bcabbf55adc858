"""Breach bounds: which rules a tenant may break at future ends, and how many calls it needs before it may break others.

Each rule at each end becomes a list of lines, one per condition: its metric, its ``also`` conditions, its minimum
denominator. A tenant breaks the rule only if it meets all of them. Rules share lines, and each is computed once.

A call raises a count of calls by at most one, and a distinct count by its largest step. So a line that does not hold
gives the number of calls before which it cannot hold, and a rule waits for the last of its lines.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import floor, inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts import native_bounds
from monitor.core.alerts.breach_lines import HUGE, NEVER, ONE, ROUNDING, BreachLines, Evaluation, Line, SureBound
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.alerts.native_bounds import ROW_BITS, BoundsPlan, CallsNeeded, NativeBounds
from monitor.core.alerts.sure_bounds import SureBounds
from monitor.core.calls.fields import BIT
from monitor.core.rules.conditions import Floats, Rows
from monitor.core.windows.distinct.count_names import IN_BLOCKS, WIDEST
from monitor.core.windows.distinct.early_distinct_counts import (
    ATTEMPTS,
    EXTRA,
    LEFT,
    USES,
    bounds,
    is_largest,
    keys_to_finish,
    largest_after,
    least_attempts,
    most_step,
    rise_of_blocks,
    spread_ahead,
)
from monitor.core.windows.distinct.key_groups import BLOCK_LEAST, SURE_FROM
from monitor.core.windows.distinct.key_uses import SETS, KeyUses
from monitor.core.windows.tenant_columns import Counts, TenantColumns

_CALLS_PER_USE: Final = 8  # roughly, of a tenant that calls other people each time


class BreachBounds:
    """The lines of some rules at some ends, for the early windows whose counts are in ``table``."""

    def __init__(self, evaluations: Sequence[Evaluation], table: TenantColumns, uses: KeyUses) -> None:
        self.evaluations = evaluations
        self._table = table
        self._uses = uses
        self._terms = BreachLines()
        lines: dict[Line, int] = {}
        of_evaluation: list[int] = []
        starts: list[int] = []
        sure: dict[int, SureBound] = {}
        least_calls: dict[EarlyWindow, float] = {}
        self._complaint_windows: list[EarlyWindow] = []
        for number, one in enumerate(evaluations):
            starts.append(len(of_evaluation))
            mine = dict.fromkeys(self._terms.of(one))
            of_evaluation += [lines.setdefault(line, len(lines)) for line in mine]
            if one.rule.confidence is not None:
                sure[number] = self._terms.bound_of(one)
            if any(line.high in self._terms.complaints.values() and line.low_factor >= 0 for line in mine):
                if one.early_window not in self._complaint_windows:  # no calls alone break such a rule
                    self._complaint_windows.append(one.early_window)
                continue
            least = max((_least(line) for line in mine if line.low == ONE and line.rate == 1), default=0.0)
            least_calls[one.early_window] = min(least_calls.get(one.early_window, inf), least)
        self._of_evaluation, self._starts = np.array(of_evaluation, np.intp), np.array(starts, np.intp)
        self._least = np.array(list(least_calls.values()))
        self._calls = np.array([window.running_sums.column(BIT["rows"]) for window in least_calls], np.intp)
        place = self._finish(list(lines))
        self._sure = SureBounds(sure, place)
        self._wait_for_uses(list(lines), of_evaluation, starts)
        self._spreads = np.unique(np.array([one.first + EXTRA for one in self._terms.distinct], np.intp))
        complaints = len(self._terms.complaints)
        self._native = NativeBounds(self._plan(), complaints) if native_bounds.built() else None

    def _finish(self, lines: list[Line]) -> NDArray[np.intp]:
        """Turn the lines into columns. Returns the row of each term: those of each kind are consecutive."""
        terms = self._terms
        order: list[int] = [ONE, *terms.sums.values(), *terms.distinct.values(), *terms.complaints.values()]
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        low, low_factor, high, high_factor, rate, counted, rounded = (
            np.array([line[k] for line in lines]) for k in range(len(Line._fields))
        )
        # Limits may be any number: larger ones would overflow in products with counts.
        low_factor, high_factor = (np.clip(factor, -HUGE, HUGE) for factor in (low_factor, high_factor))
        self._low, self._high = place[low.astype(np.intp)], place[high.astype(np.intp)]
        self._low_factor, self._high_factor = low_factor[:, None], high_factor[:, None]
        self._rate, self._counted = rate[:, None], counted[:, None]
        self._pace = _calls_per_unit(self._rate)
        self._slower = np.where(rounded, 1.0, 0.0)[:, None]  # a call less is certain
        self._rounding = np.where(rounded, ROUNDING, 0.0)[:, None]
        self._columns = np.array(list(terms.sums), np.intp)
        distinct = list(terms.distinct)
        self._distinct_count = np.array([one.column for one in distinct], np.intp)
        self._distinct_first = np.array([one.first for one in distinct], np.intp)
        self._distinct_attempts = np.array([one.attempts for one in distinct], np.intp)
        self._distinct_step = np.array([[most_step(one.name)] for one in distinct], np.int64)
        self._distinct_each = np.array([[least_attempts(one.name)] for one in distinct], np.int64)
        self._distinct_unfinished = np.array([one.unfinished for one in distinct], np.intp)
        self._blocks = [place for place, one in enumerate(distinct) if one.name == IN_BLOCKS]
        self._largest = [(place, one.name) for place, one in enumerate(distinct) if is_largest(one.name)]
        self._sets = [SETS.index(distinct[place].keys) for place, _ in self._largest]
        self._distinct_floor = np.array([[int(one.divisor)] for one in distinct], np.int64)
        return place

    def _wait_for_uses(self, lines: Sequence[Line], of_evaluation: Sequence[int], starts: Sequence[int]) -> None:
        """Find the rules that wait for a largest count: the evaluation, the place of the count, what it must exceed."""
        largest = [one for one in self._terms.distinct if is_largest(one.name)]
        place_of = {self._terms.distinct[one]: place for place, one in enumerate(largest)}
        ceiling = [SURE_FROM if one.name == WIDEST else inf for one in largest]
        waiting = [
            (number, place_of[lines[row].high], min(lines[row].low_factor, ceiling[place_of[lines[row].high]]))
            for number, (start, stop) in enumerate(pairwise([*starts, len(of_evaluation)]))
            for row in of_evaluation[start:stop]
            if lines[row].low == ONE and lines[row].high in place_of
        ]
        self._uses_number = np.array([number for number, _, _ in waiting], np.intp)
        self._uses_term = np.array([term for _, term, _ in waiting], np.intp)
        self._uses_limit = np.array([[limit] for _, _, limit in waiting])
        of_set = np.array([self._sets[term] for _, term, _ in waiting], np.intp)
        self._uses_rows = {which: np.flatnonzero(of_set == which) for which in np.unique(of_set).tolist()}

    def _plan(self) -> BoundsPlan:
        """All these columns, for the extension."""
        first, largest = self._distinct_first, np.zeros(len(self._terms.distinct), np.int64)
        which = np.zeros(len(largest), np.int64)
        for (place, name), number in zip(self._largest, self._sets, strict=True):
            largest[place], which[place] = SURE_FROM if name == WIDEST else np.iinfo(np.int64).max, number
        whole = np.zeros(len(largest), np.int64)
        whole[self._blocks] = BLOCK_LEAST
        distinct = first + ATTEMPTS, first + LEFT, first + EXTRA, first + USES
        each = self._distinct_step, self._distinct_each, self._distinct_floor
        pace = self._rate, self._counted, self._pace, self._slower, self._rounding
        waiting_for = np.array([self._largest[term][0] for term in self._uses_term], np.intp)
        return BoundsPlan(
            *(self._columns, self._distinct_count, self._distinct_attempts, *distinct, *each, largest, which),
            *(self._distinct_unfinished, whole),
            *(self._low, self._high, self._low_factor, self._high_factor, *pace, self._of_evaluation, self._starts),
            *(*self._sure.columns, self._uses_number, waiting_for, self._uses_limit),
        )

    # Evaluating -----------------------------------------------------------------------------------------------------

    def calls_at_least(self, who: slice) -> tuple[Floats, NDArray[np.bool_]]:
        """The calls that each tenant needs before it may break a rule, ``[k]``, by the number of its calls only.

        Also the tenants for which that number is not enough to tell.
        """
        values = self._table.values[who]
        needed = np.full(len(values), NEVER)
        if len(self._calls):
            needed = (self._least - values[:, self._calls]).min(axis=1)
        unknown = needed <= 0
        stop = who.start + len(values)
        for early_window in self._complaint_windows:
            unknown |= early_window.complaints.count("records", stop)[who] > 0
        return np.minimum(needed, NEVER), unknown

    def of(self, who: Rows) -> CallsNeeded:
        """What these tenants, ascending, need before they may break rules."""
        if self._native is not None and native_bounds.enabled:
            uses, complaints = self._uses, self._complaints(int(who[-1]) + 1)
            return self._native.needed(self._table.values, who, uses.before, uses.largest, complaints)
        calls, more_uses = self._calls_of_each(who)
        met = calls == 0
        number, row = np.nonzero(met)
        calls[met] = NEVER
        uses_at = self._uses.count(who) + more_uses.astype(np.int64)
        return CallsNeeded(calls.min(axis=0).astype(np.int64), uses_at, (number << ROW_BITS) + row)

    def _calls_of_each(self, who: Rows) -> tuple[Floats, Floats]:
        """The calls that each tenant needs before it may break each rule, ``[evaluation, k]``, 0 if it may now.

        Rules with `NEVER` calls may wait for uses of one key of a set, ``[set, k]``.
        """
        low, high, largest, calls_a_step = self._bounds(who)
        below = self._low_factor * low[self._low]
        need = below - self._high_factor * high[self._high]
        holds = need < self._rounding * below
        pace, spread = self._pace, self._spread(who)
        if (spread != 1).any():
            pace = _calls_per_unit(self._rate + self._counted * (spread - 1))
        if self._blocks:
            pace = pace * calls_a_step[self._high]
        lines = np.clip(np.floor(need * pace - self._slower) + 1.0, 1.0, NEVER)
        lines[holds] = 0.0
        calls: Floats = np.maximum.reduceat(lines[self._of_evaluation], self._starts, axis=0)
        self._sure.wait(calls, low)
        return calls, self._wait_by_uses(calls, largest)

    def _wait_by_uses(self, calls: Floats, largest: Counts) -> Floats:
        """Let rules wait for uses of one key, ``[set, k]``, instead of ``calls`` if that is likely to take longer."""
        uses = np.full((len(SETS), calls.shape[1]), NEVER)
        if len(self._uses_number):
            wait = np.minimum(np.floor(self._uses_limit - largest[self._uses_term]) + 1.0, NEVER)
            waits = (wait >= 1) & (wait * _CALLS_PER_USE > calls[self._uses_number])
            wait[~waits] = NEVER
            for which, rows in self._uses_rows.items():
                uses[which] = wait[rows].min(axis=0)
            rule, who = np.nonzero(waits)
            calls[self._uses_number[rule], who] = NEVER
        return uses

    def _bounds(self, who: Rows) -> tuple[Floats, Floats, Counts, Floats]:
        """The lower and upper bounds of each term, ``[term, k]``; of each largest count, by uses alone; and the calls
        that a term needs at least for each step.
        """
        terms, values = self._terms, self._table.of(who)
        low = np.empty((1 + len(terms.sums) + len(terms.distinct) + len(terms.complaints), len(who)))
        low[ONE] = 1
        at = 1 + len(terms.sums)
        low[1:at] = values[:, self._columns].T
        high, calls_a_step, largest = low.copy(), np.ones_like(low), np.empty((0, len(who)), np.int64)
        if terms.distinct:
            first, stop = self._distinct_first, at + len(terms.distinct)
            attempts, left = values[:, self._distinct_attempts].T, values[:, first + LEFT].T
            came, spread = attempts - values[:, first + ATTEMPTS].T, values[:, first + EXTRA].T + 1
            count = values[:, self._distinct_count].T
            step = self._distinct_step
            rise = step * came
            for place in self._blocks:
                to_finish = keys_to_finish(values[:, self._distinct_unfinished[place]], left[place], spread[place])
                rise[place], calls_a_step[at + place] = rise_of_blocks(came[place], to_finish), to_finish
            least, most = bounds(count, rise, step * left, attempts, self._distinct_each, spread)
            if self._largest:
                used = self._uses.count(who)
                places = [place for place, _ in self._largest]
                largest = np.array(
                    [
                        largest_after(name, count[place], used[which] - values[:, first[place] + USES], spread[place])
                        for (place, name), which in zip(self._largest, self._sets, strict=True)
                    ]
                )
                most[places] = np.minimum(most[places], largest)
            low[at:stop], high[at:stop] = np.maximum(least, self._distinct_floor), most
            at = stop
        for counts in self._complaints(int(who[-1]) + 1):
            low[at] = high[at] = counts[who]
            at += 1
        return low, high, largest, calls_a_step

    def _complaints(self, tenants: int) -> list[Counts]:
        """The counts of complaints among the terms, each ``[tenants]``."""
        return [early_window.complaints.count(name, tenants) for early_window, name in self._terms.complaints]

    def _spread(self, who: Rows) -> Counts:
        """By how much more a call of each tenant changes its distinct counts, because its keys are sampled: ``[k]``."""
        if not len(self._spreads):
            return np.ones(len(who), np.int64)
        most: Counts = spread_ahead(self._table.values[who[:, None], self._spreads] + 1).max(axis=1)
        return most


def _calls_per_unit(rate: Floats) -> Floats:
    """The calls per unit of a difference that shrinks by ``rate`` per call."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(rate > 0, np.minimum(1 / rate, NEVER), NEVER)


def _least(line: Line) -> float:
    """The calls that a condition on a count needs at least. An estimate from a sample may be larger than the count."""
    return min(floor(line.low_factor / (2 if line.counted else 1)) + 1, NEVER)
