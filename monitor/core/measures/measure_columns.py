"""What rules measure, from counts: values, bounds, and how near they are to the thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.rule_counts import OwnCounts
from monitor.core.rules.wilson import bound, quantile
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

FAR_OVER: Final = 10.0
"""The cap on a share: ten times the threshold or more."""

NOT_ENOUGH: Final = -1.0
"""The share of a rule whose denominator is below ``min_denominator``, or that measured nothing."""

_DECIMALS: Final = 1e6
_encode: Final = msgspec.json.encode


class MeasuredCounts(NamedTuple):
    """What some rules measured of some tenants. All arrays are ``[rule, tenant]``.

    A denominator is 1 for counts. ``measured`` marks where there is a record and a denominator above 0. ``share`` is
    how near the bound, or without it the value, with 6 decimals, is to the threshold: above 1 if it is beyond, at
    most `FAR_OVER`.
    """

    numerator: Floats
    denominator: Floats
    value: Floats
    bound: Floats
    share: Floats
    measured: NDArray[np.bool_]


class RuleColumns:
    """What values, bounds and shares depend on, ``[rule]``. ``own``: the counts by which the rules measure."""

    def __init__(self, rules: Sequence[Rule], own: OwnCounts) -> None:
        metrics = [METRICS[rule.metric] for rule in rules]
        self.rules, self.own = tuple(rules), own
        self.is_count = np.array([metric.denominator is None for metric in metrics], np.bool_)
        self.is_sure = np.array([rule.confidence is not None for rule in rules], np.bool_) & ~self.is_count
        self.scale = np.array([metric.scale for metric in metrics], np.float64)
        self.sign = np.array([1.0 if rule.direction == "above" else -1.0 for rule in rules], np.float64)
        self.threshold = np.array([rule.threshold for rule in rules], np.float64)
        least = [max(rule.min_denominator, 1) for rule in rules]
        self.least = np.where(self.is_count, 1, least).astype(np.float64)
        self.quantile = np.array([quantile(rule.confidence or 0.5) for rule in rules], np.float64)

    def measure(self, due: Rows, counts: Floats) -> MeasuredCounts:
        """What the rules with the indices ``due`` measure by ``counts``, ``[count, tenant]``."""
        numerator, denominator = counts[self.own.numerator[due]], counts[self.own.denominator[due]]
        measured = (denominator > 0) & (counts[self.own.present[due]] > 0)
        sign, threshold, sure = self.sign[due, None], self.threshold[due, None], self.is_sure[due, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = numerator / (self.scale[due, None] * counts[self.own.divisor[due]])
            surely = np.where(sure, bound(numerator, denominator, self.quantile[due, None], sign), np.nan)
            # As the record has it: what is left of rounding errors beyond its decimals must not name the worst rule.
            judged = np.rint(np.where(sure, surely, value) * _DECIMALS) / _DECIMALS
            share = _shares(judged, threshold, sign)
        share[~measured | (denominator < self.least[due, None])] = NOT_ENOUGH
        return MeasuredCounts(numerator, denominator, value, surely, share, measured)

    def text(self, rule: int, counts: tuple[int, int], value: float, surely: float) -> bytes:
        """What a rule measured, numerator and denominator, as an array of `schemas.measures.TenantHour`, and a
        comma."""
        ruled, (numerator, denominator) = self.rules[rule], counts
        shown = _rounded(surely) if self.is_sure[rule] else None
        if self.is_count[rule]:
            return _encode((ruled.id, numerator, None, int(_rounded(value)), None, ruled.threshold, None)) + b","
        limits = ruled.threshold, ruled.min_denominator
        return _encode((ruled.id, numerator, denominator, _rounded(value), shown, *limits)) + b","


@dataclass(frozen=True, slots=True)
class MeasuredRule:
    """What an override measured of its tenant. ``denominator`` is 1 for counts."""

    rule: Rule
    numerator: int
    denominator: int

    def encode(self) -> tuple[bytes, float]:
        """As `RuleColumns.text`, and the share."""
        metric, one = METRICS[self.rule.metric], np.zeros(1, np.int32)
        denominator = one if metric.denominator is None else one + 2
        own = OwnCounts(one + 1, denominator, denominator if metric.divided else one, one)
        columns = RuleColumns([self.rule], own)
        found = columns.measure(np.zeros(1, np.intp), np.array([[1.0], [self.numerator], [self.denominator]]))
        counts = self.numerator, self.denominator
        return columns.text(0, counts, found.value[0, 0], found.bound[0, 0]), float(found.share[0, 0])


@dataclass(frozen=True, slots=True)
class MeasuredHour:
    """The end of an hour: the rules that are ``due``, and the tenants ``who`` called, in the order of their records.

    ``tenants`` is the number of all. ``skipped``, ``[due, who]``, marks rules that do not apply; None: all apply.
    ``overrides`` has what overrides measured, by index in ``who`` and in ``due``.
    """

    hour_ms: int
    due: Sequence[int]
    tenants: int
    who: Rows
    skipped: NDArray[np.bool_] | None
    overrides: Mapping[int, Mapping[int, MeasuredRule]]

    def of(self, rows: Rows) -> "MeasuredHour":
        """The same with some of the tenants, by their index in ``who``."""
        skipped = None if self.skipped is None else self.skipped[:, rows]
        overrides = {at: self.overrides[row] for at, row in enumerate(rows.tolist()) if row in self.overrides}
        return MeasuredHour(self.hour_ms, self.due, self.tenants, self.who[rows], skipped, overrides)


def _shares(judged: Floats, threshold: Floats, sign: Floats) -> Floats:
    """How near values or bounds are to thresholds, for ``above`` (``sign`` 1) and ``below`` (-1), at most `FAR_OVER`.

    A threshold of 0 or less is either exceeded, `FAR_OVER`, or not, 0.
    """
    above = sign > 0
    share = np.where(above, judged / threshold, threshold / judged)
    share = np.where(threshold > 0, share, np.where(above & (judged > threshold), FAR_OVER, 0.0))
    limited: Floats = np.clip(share, 0.0, FAR_OVER)
    return limited


def _rounded(number: float) -> float:
    """The number with 6 decimals: the double nearest to these decimals."""
    return float(np.rint(number * _DECIMALS) / _DECIMALS) + 0.0  # never -0.0
