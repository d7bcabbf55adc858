"""Encoded measures by rule, numerator and denominator. Most tenants have few calls, so most measures recur."""

from collections.abc import Sequence
from math import isqrt
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.wilson import bound, quantile
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

Integers = NDArray[np.int64]

_MOST_KEPT: Final = 131_072  # encoded measures, which take 20 megabytes
_MOST_PLACES: Final = 2_000_000  # of 9 bytes
_WIDEST: Final = 256
_DECIMALS: Final = 1e6
_encode: Final = msgspec.json.encode


class RuleColumns:
    """What values and bounds depend on, ``[rule]``."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        metrics = [METRICS[rule.metric] for rule in rules]
        self.rules = tuple(rules)
        self.is_count = np.array([metric.denominator is None for metric in metrics], np.bool_)
        self.scale = np.array([metric.scale for metric in metrics])
        self.divided = np.array([metric.divided and metric.denominator is not None for metric in metrics])
        self.sign = np.array([1.0 if rule.direction == "above" else -1.0 for rule in rules])
        self.sure = np.array([rule.confidence is not None for rule in rules], np.bool_) & ~self.is_count
        self.quantile = np.array([quantile(rule.confidence or 0.5) for rule in rules])

    def values(self, rule: Rows, numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
        """The value and the bound of each pair of a rule and counts. The bound is NaN without confidence."""
        value = numerator / (self.scale[rule] * np.where(self.divided[rule], denominator, 1.0))
        sure, found = self.sure[rule], np.full(len(rule), np.nan)
        sign, z = self.sign[rule[sure]], self.quantile[rule[sure]]
        found[sure] = bound(numerator[sure], denominator[sure], z, sign)
        return value, found

    def encode(self, rule: Rows, numerator: Integers, denominator: Integers) -> list[bytes]:
        """Each as an array of a `schemas.measures.TenantHour`, with a comma."""
        value, found = self.values(rule, numerator.astype(np.float64), denominator.astype(np.float64))
        counts, numbers = (numerator.tolist(), denominator.tolist()), (_rounded(value), _rounded(found))
        made = []
        for place, above, below, one, surely in zip(rule.tolist(), *counts, *numbers, strict=True):
            ruled, shown = self.rules[place], None if surely != surely else surely
            if self.is_count[place]:
                text = _encode((ruled.id, above, None, int(one), None, ruled.threshold, None))
            else:
                text = _encode((ruled.id, above, below, one, shown, ruled.threshold, ruled.min_denominator))
            made.append(text + b",")
        return made


class MeasureTexts:
    """The measures of these rules as `RuleColumns.encode` encodes them, each encoded once.

    Measures with small counts are in a table by rule and counts, which is read for all tenants and rules at once.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._columns = RuleColumns(rules)
        self._width = min(isqrt(2 * _MOST_PLACES // max(len(rules), 1)) - 1, _WIDEST)
        self._size = self._width * (self._width + 1) // 2
        self._table = np.empty(len(rules) * self._size + 1, object)
        self._known = np.zeros(len(self._table), np.bool_)
        self._kept = 0
        self._large: dict[tuple[int, int, int], bytes] = {}
        self._forget()

    def of(self, places: Rows, numerator: Floats, denominator: Floats, measured: NDArray[np.bool_]) -> NDArray[Any]:
        """The measures of the rules ``places``, ``[rule, tenant]``; b"" where nothing is ``measured``."""
        above, below, rule = numerator.astype(np.int64), denominator.astype(np.int64), places[:, None]
        # Counts have a denominator of 1: they are found by the numerator alone.
        counts = self._columns.is_count[rule]
        at = np.where(counts, above, below * (below + 1) // 2 + above - 1)
        small = measured & np.where(counts, above < self._size, (below < self._width) & (above <= below))
        at += rule * self._size
        at[~small] = len(self._table) - 1
        if self._kept > _MOST_KEPT:
            self._forget()
        unknown = ~self._known[at]
        if unknown.any():
            self._fill(*(column[unknown] for column in np.broadcast_arrays(at, rule, above, below)))
        texts: NDArray[Any] = self._table[at]
        large = measured & ~small
        if large.any():
            line, row = np.nonzero(large)
            texts[line, row] = self._of_large(places[line], above[line, row], below[line, row])
        return texts

    def _fill(self, at: Rows, rule: Rows, above: Integers, below: Integers) -> None:
        _, first = np.unique(at, return_index=True)
        made = self._columns.encode(rule[first], above[first], below[first])
        self._table[at[first]], self._known[at[first]] = _objects(made), True
        self._kept += len(made)

    def _of_large(self, rule: Rows, above: Integers, below: Integers) -> NDArray[Any]:
        keys = list(zip(rule.tolist(), above.tolist(), below.tolist(), strict=True))
        found: list[Any] = list(map(self._large.get, keys))
        missing = [at for at, text in enumerate(found) if text is None]
        if missing:
            if len(self._large) + len(missing) > _MOST_KEPT:
                self._large.clear()
            for at, text in zip(
                missing, self._columns.encode(rule[missing], above[missing], below[missing]), strict=True
            ):
                found[at] = self._large[keys[at]] = text
        return _objects(found)

    def _forget(self) -> None:
        self._table[:], self._known[:], self._kept = None, False, 0
        self._table[-1], self._known[-1] = b"", True


def texts_of(rules: Sequence[Rule]) -> MeasureTexts:
    """Those of these rules, shared by all partitions."""
    key = tuple(
        (rule.id, rule.metric, rule.confidence, rule.direction, repr(rule.threshold), rule.min_denominator)
        for rule in rules
    )
    found = _SHARED.get(key)
    if found is None:
        found = _SHARED[key] = MeasureTexts(rules)
    return found


_SHARED: Final[WeakValueDictionary[tuple[object, ...], MeasureTexts]] = WeakValueDictionary()


def _rounded(numbers: Floats) -> list[float]:
    """The numbers with 6 decimals: the doubles nearest to these decimals."""
    rounded: list[float] = (np.rint(numbers * _DECIMALS) / _DECIMALS + 0.0).tolist()  # never -0.0
    return rounded


def _objects(texts: Sequence[bytes]) -> NDArray[Any]:
    found = np.empty(len(texts), object)
    found[:] = texts
    return found
