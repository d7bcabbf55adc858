"""Sure bounds: for the rules with a confidence, how many calls a tenant needs before its bound may be beyond the
threshold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.breach_lines import NEVER, ROUNDING, SureBound
from monitor.core.rules.conditions import Floats
from monitor.core.rules.wilson import bound

_PROBES = np.array([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0], [64.0]])


class SureBounds:
    """The bounds of some rules, by the number of the evaluation. ``place`` has the row of each term."""

    def __init__(self, bounds: Mapping[int, SureBound], place: NDArray[np.intp]) -> None:
        of = list(bounds.values())
        self._number = np.array(list(bounds), np.intp)
        self._numerator = place[np.array([one.numerator for one in of], np.intp)]
        self._denominator = place[np.array([one.denominator for one in of], np.intp)]
        self._z = np.array([one.z for one in of])
        self._sign = np.array([one.sign for one in of])
        self._limit = np.array([one.sign * one.threshold - ROUNDING for one in of])
        # More calls only make complaints rarer, unless there are more of these.
        self._rarer = np.array([one.constant and one.sign > 0 for one in of], np.bool_)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """What is known of the bounds, ``[bound]`` each, in the order of `BoundsPlan`."""
        return self._number, self._numerator, self._denominator, self._z, self._sign, self._limit, self._rarer

    def wait(self, calls: Floats, low: Floats) -> None:
        """Where a tenant needs no calls by all other conditions, set those that it needs before the bound may be beyond
        the threshold.

        ``calls`` is ``[evaluation, k]``; ``low`` are the lower bounds of the terms, ``[term, k]``.
        """
        rule, who = np.nonzero(calls[self._number] == 0)
        if len(rule):
            numerator, denominator = low[self._numerator[rule], who], low[self._denominator[rule], who]
            calls[self._number[rule], who] = self._until(rule, numerator, denominator)

    def _until(self, rule: NDArray[np.intp], numerator: Floats, denominator: Floats) -> Floats:
        """The calls before which the bound of each rule is not beyond its threshold, 0 if it may be now."""
        z, sign, limit = self._z[rule], self._sign[rule], self._limit[rule]
        beyond = sign * bound(numerator, denominator, z, sign) > limit
        raised = numerator + np.where(sign > 0, _PROBES, 0.0)
        then = sign * bound(raised, denominator + _PROBES, z, sign) > limit
        waits = np.where(np.logical_or.accumulate(then, axis=0), 1.0, _PROBES + 1).max(axis=0)
        waits = np.where(self._rarer[rule], np.where(numerator < denominator, NEVER, 1.0), waits)
        found: Floats = np.where(beyond, 0.0, waits)
        return found
