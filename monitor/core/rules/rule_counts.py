"""The counts by which rules are evaluated: the index of each, and how it is read from its window."""

from collections.abc import Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from math import inf, nextafter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT
from monitor.core.rules.conditions import UPWARDS, Floats, Rows
from monitor.core.rules.native_pairs import CountBlocks
from monitor.core.rules.rule_state import RuleState
from monitor.core.windows.window import Counts, SlidingWindow
from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, Metric
from monitor.policy.model import Rule

ONE = 0
"""The index of a count that is always 1."""

_NEVER_ABOVE_ATTEMPTS = {"caller_peak", "callee_peak", "callers"}  # not even where they are estimated


class CountedCondition(NamedTuple):
    """A condition on a metric, by the indices of its counts: ``sign`` times the value must be above ``limit``.

    The value is ``numerator / (scale * divisor)``; ``divisor`` is the denominator or 1.
    """

    numerator: int
    denominator: int
    divisor: int
    scale: int
    sign: float
    limit: float


class OwnCounts(NamedTuple):
    """The indices of the counts of some rules' own metrics, each ``[rule]``.

    ``numerator``, ``denominator`` and ``divisor`` as in `CountedCondition`. A rule measures something if the counts
    ``denominator`` and ``present`` are above 0.
    """

    numerator: NDArray[np.int32]
    denominator: NDArray[np.int32]
    divisor: NDArray[np.int32]
    present: NDArray[np.int32]


class _OtherCount(NamedTuple):
    """The numerator or, ``below``, the denominator of a metric for a rule, in its window."""

    window: SlidingWindow
    metric: Metric
    rule: Rule
    below: bool


@dataclass(slots=True)
class WindowCounts:
    """The indices of the counts of one window: its sums, which are consecutive, and other counts by name.

    ``present`` indexes whether there is a record, for metrics without a denominator. ``rules`` are those of the window.
    """

    window: SlidingWindow
    sums: slice
    present: int
    rules: set[int]
    of: dict[Hashable, int]


class RuleCounts:
    """The counts of all rules. The index of a rule is that of its rule state.

    ``width`` is the number of counts, ``conditions`` are those of each rule, its own metric first, and ``present``
    has for each rule the index of whether there is a record.
    """

    def __init__(self, rule_states: Sequence[RuleState]) -> None:
        self._rule_states = rule_states
        self.width = 1
        self._of_window: dict[SlidingWindow, WindowCounts] = {}
        self._others: dict[int, _OtherCount] = {}  # by index: how to read each count that is not a sum
        self._reads: list[set[int]] = [set() for _ in rule_states]  # the indices of those that a rule needs
        for window in dict.fromkeys(rule_state.window for rule_state in rule_states):
            fields = window.running_sums.fields
            first, last = self._place(len(fields)), self.width
            of: dict[Hashable, int] = {field: first + row for row, field in enumerate(fields)}
            mine = {place for place, rule_state in enumerate(rule_states) if rule_state.window is window}
            counted = any(rule_states[place].metric.denominator is None for place in mine)
            present = self._place() if counted else ONE
            self._of_window[window] = WindowCounts(window, slice(first, last), present, mine, of)
        rules = [rule_state.rule for rule_state in rule_states]
        self.conditions = [
            [self._condition(place, one.metric, one.op, one.value) for one in rule.conditions]
            for place, rule in enumerate(rules)
        ]
        self.present = [self._of_window[rule_state.window].present for rule_state in rule_states]

    def bound(self, place: int) -> int:
        """The index of a count that the numerator of a rule never exceeds: attempts if they cost less, else itself."""
        rule, window = self._rule_states[place].rule, self._rule_states[place].window
        if METRICS[rule.metric].numerator in _NEVER_ABOVE_ATTEMPTS and rule.direction == "above":
            return self._of_window[window].of[BIT["attempts"]]
        return self.conditions[place][0].numerator

    def others(self, places: Iterable[int]) -> set[int]:
        """Those of these indices whose counts are not sums."""
        return self._others.keys() & set(places)

    def others_of(self, rules: Iterable[int]) -> set[int]:
        """The indices of the counts that any of these rules needs and that are not sums."""
        return set[int]().union(*(self._reads[rule] for rule in set(rules)))

    def windows_of(self, rules: Iterable[int]) -> list[WindowCounts]:
        """The windows of these rules."""
        return [self._of_window[window] for window in dict.fromkeys(self._rule_states[rule].window for rule in rules)]

    # Reading ----------------------------------------------------------------------------------------------------

    def sums(self, windows: Iterable[WindowCounts], tenants: int, who: Rows) -> Floats:
        """The counts ``[count, k]`` of the tenants ``who`` ``[k]`` as far as they are sums; others are undefined."""
        counts = np.empty((self.width, len(who)))
        counts[ONE] = 1
        for one in windows:
            counts[one.sums] = one.window.running_sums.of(who)
            if one.present != ONE:
                counts[one.present] = one.window.present(tenants, who)
        return counts

    def read(self, counts: Floats, places: Iterable[int], tenants: int, who: Rows) -> None:
        """Fill in the counts at these indices, which are not sums."""
        for place in places:
            counts[place] = self._other(place, tenants)[who]

    def give_sums(self, blocks: CountBlocks, windows: Iterable[WindowCounts]) -> None:
        """Give the sums of these windows."""
        for one in windows:
            blocks.give(one.sums.start, one.window.running_sums.of_all(blocks.tenants))

    def give_present(self, blocks: CountBlocks, windows: Iterable[WindowCounts], rules: Set[int]) -> None:
        """Give whether there is a record in these windows, for those of these rules that need it."""
        for one in windows:
            if one.present != ONE and not one.rules.isdisjoint(rules):
                blocks.give(one.present, one.window.present(blocks.tenants))

    def give(self, blocks: CountBlocks, places: Iterable[int]) -> None:
        """Give the counts at these indices, which are not sums."""
        for place in places:
            blocks.give(place, self._other(place, blocks.tenants))

    def _other(self, place: int, tenants: int) -> Counts:
        """The count at an index that is not a sum, of each tenant."""
        window, metric, rule, below = self._others[place]
        return (window.denominator if below else window.numerator)(metric, rule, tenants)

    # Indices ----------------------------------------------------------------------------------------------------

    def _place(self, count: int = 1) -> int:
        """Reserve ``count`` consecutive indices, and return the first."""
        self.width += count
        return self.width - count

    def _condition(self, place: int, name: str, op: str, limit: float) -> CountedCondition:
        metric, sign = METRICS[name], 1.0 if op in UPWARDS else -1.0
        numerator = self._index(place, name, metric.numerator, metric.family in ("talk", "complaints"), False)
        denominator = ONE
        if metric.denominator is not None:
            denominator = self._index(place, name, metric.denominator, False, True)
        limit *= sign
        if op in ("at_least", "at_most"):
            limit = nextafter(limit, -inf)
        return CountedCondition(
            numerator, denominator, denominator if metric.divided else ONE, metric.scale, sign, limit
        )

    def _index(self, place: int, name: str, field: str, apart: bool, below: bool) -> int:
        """The index of a numerator or, ``below``, a denominator of a metric, for the rule with the index ``place``.

        ``apart``: whether it is one of complaints or talk times, neither a sum nor a distinct count.
        """
        rule, window = self._rule_states[place].rule, self._rule_states[place].window
        of = self._of_window[window].of
        if field not in DISTINCT_COUNTS and not apart:
            return of[window.layout.field(field, rule.params)]
        key = field, rule.params.callee_limit
        if key not in of:
            of[key] = self._place()
            self._others[of[key]] = _OtherCount(window, METRICS[name], rule, below)
        self._reads[place].add(of[key])
        return of[key]
