"""Hourly measures: at the end of an hour, what each rule measured of each tenant that called in it."""

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.measures.measure_columns import MeasuredHour, MeasuredRule
from monitor.core.measures.measure_encoding import MeasureEncoder
from monitor.core.results import HourMeasures, Output
from monitor.core.rules.conditions import OverrideViews, Rows
from monitor.core.rules.evaluator import RuleEvaluator
from monitor.core.rules.rule_state import RuleState
from monitor.core.rules.window_end import OutputRoom
from monitor.core.windows.called_tenants import CalledTenants
from monitor.core.windows.window import HOUR_MS

_AT_ONCE = 5_000  # tenants measured together
_SORTED_AT_ONCE = 10_000  # sorting holds the interpreter, and with it the event loop
_FEW = 200  # new tenants, whose insertion takes less time than sorting all


class HourlyMeasures:
    """Writes the measures of an hour once its windows are evaluated: those of all tenants that called in it, by id.

    ``partial`` is None, or, if not all of them fitted, the id of the last tenant whose measures are written; "" if none
    are. If the windows do not mark tenants in ``called``, nothing is written. Memory: 17 bytes per tenant, and the
    UTF-8 of an id that is not ASCII.
    """

    def __init__(self, evaluator: RuleEvaluator, names: list[str], output: Output) -> None:
        self._evaluator, self._names, self._output = evaluator, names, output
        self.called = CalledTenants()
        rules = [rule_state.rule for rule_state in evaluator.rule_states]
        self._encoder = MeasureEncoder(rules, evaluator.batch_evaluator)
        self._by_id: list[int] = []  # all tenants, by id
        self._order: Rows = np.empty(0, np.intp)  # the same
        self.partial: str | None = None

    def due(self, bounds: Mapping[int, int]) -> int | None:
        """The end of the hour if there are measures to write and ``bounds``, by step, allows it."""
        end_ms = self.called.end_ms
        return end_ms if end_ms is not None and end_ms <= bounds[HOUR_MS] else None

    def write(self, end_ms: int, tenants: int, room: OutputRoom | None = None) -> None:
        """Write the measures of the hour that ends at ``end_ms``, if there are any. The next call continues a part."""
        if self.called.end_ms != end_ms:
            return
        if end_ms >= self._evaluator.from_ms:
            for some in self._some(tenants, self.partial or "", room):
                self._write(some, end_ms, tenants)
            if self.partial is not None:
                return
        self.called.clear()

    def _some(self, tenants: int, after: str, room: OutputRoom | None) -> Iterator[Rows]:
        """The tenants that called, with ids beyond ``after``, by id, as far as their measures fit.

        Sets ``partial`` before each part that is not the last.
        """
        order = self._ordered(tenants)
        first = bisect_right(self._by_id, after, key=self._names.__getitem__) if after else 0
        who = order[first:]
        who = who[self.called.flags(tenants)[who]]
        at, self.partial = 0, None
        while at < len(who):
            count = _AT_ONCE if room is None else min(_AT_ONCE, room.left)
            if count <= 0:
                self.partial = after
                return
            some = who[at : at + count]
            at += len(some)
            after = self._names[some[-1]]
            if room is not None:
                room.left -= len(some)
            yield some

    def _ordered(self, tenants: int) -> Rows:
        known, key = len(self._by_id), self._names.__getitem__
        if 0 < tenants - known <= _FEW:
            for new in range(known, tenants):
                insort(self._by_id, new, key=key)
            self._order = np.array(self._by_id, np.intp)
        elif tenants > known:
            for start in range(known, tenants, _SORTED_AT_ONCE):
                self._by_id += sorted(range(start, min(start + _SORTED_AT_ONCE, tenants)), key=key)
            self._by_id.sort(key=key)  # merges what is sorted
            self._order = np.array(self._by_id, np.intp)
        return self._order

    def _write(self, some: Rows, end_ms: int, tenants: int) -> None:
        """Write the measures of these tenants, in this order."""
        due, hour_ms = self._due(end_ms), end_ms - HOUR_MS
        # At the end of a file, the last windows of short steps end before the hour.
        for window in {self._evaluator.rule_states[place].window for place in due}:
            window.leave(end_ms - window.window_ms)
        hour = MeasuredHour(hour_ms, due, tenants, some, *self._exceptions(due, end_ms, tenants, some))
        self._output.measures.append(HourMeasures(hour_ms, *self._encoder.encode(hour, self._names)))

    def _due(self, end_ms: int) -> list[int]:
        """The indices of the rules that have a window which ends then."""
        return [
            place
            for place, rule_state in enumerate(self._evaluator.rule_states)
            if rule_state.from_ms <= end_ms and end_ms % rule_state.rule.step_ms == 0
        ]

    def _exceptions(
        self, due: Sequence[int], end_ms: int, tenants: int, who: Rows
    ) -> tuple[NDArray[np.bool_] | None, dict[int, dict[int, MeasuredRule]]]:
        """The tenants to which a rule itself does not apply, ``[due, who]``, None if there is none; and what overrides
        measured, by index in ``who`` and in ``due``."""
        skipped: NDArray[np.bool_] | None = None
        measured: dict[int, dict[int, MeasuredRule]] = {}
        row_of: dict[int, int] = {}
        for line, place in enumerate(due):
            rule_state = self._evaluator.rule_states[place]
            rule = rule_state.rule
            apart = rule_state.overridden(end_ms, tenants) if rule_state.overrides else set()
            exempt = rule_state.exempted(end_ms, tenants) if rule_state.exempt else set()
            if rule.first_ms is None and not (apart or exempt):
                continue
            skipped = np.zeros((len(due), len(who)), np.bool_) if skipped is None else skipped
            if rule.first_ms is not None:
                skipped[line] = ~rule_state.judges(rule, who, end_ms)
            if apart or exempt:
                skipped[line] |= np.isin(who, list(apart | exempt))
                views = OverrideViews(rule_state.window, tenants)
                row_of = row_of or {tenant: row for row, tenant in enumerate(who.tolist())}
                for tenant in sorted(row_of.keys() & (apart - exempt)):
                    if end_ms < rule_state.override_from_ms.get(tenant, 0):
                        continue
                    if (one := _measured(rule_state, views, tenant, end_ms)) is not None:
                        measured.setdefault(row_of[tenant], {})[line] = one
        return skipped, measured


def _measured(rule_state: RuleState, views: OverrideViews, tenant: int, end_ms: int) -> MeasuredRule | None:
    """What an override measures of its tenant; None if it does not apply, without a record or a denominator."""
    override, one = rule_state.overrides[tenant][0], np.array([tenant])
    if not rule_state.judges(override, one, end_ms)[0]:
        return None
    view = views.of(override).where(one)
    denominator = 1 if view.denominator is None else int(view.denominator[0])
    if not view.present[0] or denominator <= 0:
        return None
    return MeasuredRule(override, int(view.numerator[0]), denominator)
