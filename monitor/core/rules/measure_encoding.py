"""Encodes the measures of an hour, one JSON object a tenant. What many tenants and rules share is encoded once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Final

import msgspec
import numpy as np

from monitor.core.rules.batch_evaluator import FAR_OVER, MeasuredPairs
from monitor.core.rules.conditions import Floats, Rows
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

NO_RULE: Final = 1 << 32  # beyond all
_MOST_KEPT: Final = 65_536  # encoded counts, which take ten megabytes
_BITS: Final = 27  # of a numerator or denominator that is kept
_DECIMALS: Final = 1e6
_MOST_KINDS: Final = 512
_KINDS: Final[dict[tuple[object, ...], int]] = {}
_KEPT: Final[dict[int, bytes]] = {}
_encode: Final = msgspec.json.encode
_THOUSANDTHS: Final = [_encode(number / 1_000) for number in range(int(FAR_OVER) * 1_000 + 1)]


@dataclass(frozen=True, slots=True)
class MeasuredRule:
    """What an override measured of its tenant. ``place`` is the index of the rule; ``bound`` is NaN without
    confidence."""

    place: int
    rule: Rule
    numerator: int
    denominator: int | None
    value: float
    bound: float

    @property
    def share(self) -> float:
        """As `MeasuredPairs.share`."""
        judged, threshold = self.value if isnan(self.bound) else self.bound, self.rule.threshold
        over, under = (judged, threshold) if self.rule.direction == "above" else (threshold, judged)
        return min(max(over, 0.0) / under, FAR_OVER) if under > 0 else FAR_OVER if over > 0 else 0.0


class MeasureEncoder:
    """Encodes measures by these rules.

    A measure of a rule is its id, its counts and its threshold. The bytes of the counts depend only on the counts, the
    kind of metric and the confidence, so they are kept by these for all tenants and shards.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._ids = [_encode(rule.id) for rule in rules]
        self._before = np.array([b"[" + rule_id + b"," for rule_id in self._ids], object)
        self._after = np.array([_after(rule) for rule in rules], object)
        self._kind = np.array([_KINDS.setdefault(_kind(rule), len(_KINDS)) for rule in rules])
        self._is_count = [METRICS[rule.metric].denominator is None for rule in rules]

    def encode(
        self,
        pairs: MeasuredPairs | None,
        rows: Rows,
        names: Sequence[str],
        hour_ms: int,
        apart: Mapping[int, list[MeasuredRule]],
    ) -> list[bytes]:
        """The values of the tenants ``names``, in that order. ``rows``: the row of each in ``pairs`` and ``apart``."""
        parts: list[bytes] = []
        worst, share, edges = [NO_RULE] * len(rows), [0.0] * len(rows), [0] * (len(rows) + 1)
        if pairs is not None and len(pairs.row):
            parts = self._parts(pairs)
            edges = pairs.row.searchsorted(np.arange(len(rows) + 1)).tolist()
            worst, share = _worst(pairs, len(rows))
        middle, ids, values = b',"hour_ms":%d,"worst":' % hour_ms, self._ids, []
        for name, row in zip(names, rows.tolist(), strict=True):
            start, stop = edges[row], edges[row + 1]
            mine, first, most = b"".join(parts[3 * start : 3 * stop]), worst[row], share[row]
            if row in apart:
                places = [] if pairs is None else pairs.place[start:stop].tolist()
                each = [b"".join(parts[3 * at : 3 * at + 3]) for at in range(start, stop)]
                mine, first, most = self._merged(list(zip(places, each, strict=True)), first, most, apart[row])
            values.append(
                b"".join(
                    (
                        b'{"tenant_id":',
                        _encode(name),
                        middle,
                        b"null" if first == NO_RULE else ids[first],
                        b',"share":',
                        _THOUSANDTHS[round(most * 1_000)],
                        b',"rules":[',
                        mine[:-1],  # without the last comma
                        b"]}",
                    )
                )
            )
        return values

    def _merged(
        self, mine: list[tuple[int, bytes]], first: int, most: float, apart: Sequence[MeasuredRule]
    ) -> tuple[bytes, int, float]:
        """The measures of a tenant with those of its overrides, in the order of the rules, and its worst rule."""
        for one in apart:
            numbers = np.array([one.value, one.bound])
            counts = _counts(one.numerator, one.denominator, *_rounded(numbers).tolist())
            mine.append((one.place, self._before[one.place] + counts + _after(one.rule)))
            if one.share > most or (one.share == most and one.place < first):
                first, most = one.place, one.share
        return b"".join(measure for _, measure in sorted(mine)), first, most

    def _parts(self, pairs: MeasuredPairs) -> list[bytes]:
        """Three parts of each pair, to be joined: the rule, the counts, the threshold. Ends with a comma."""
        numerator, denominator = pairs.numerator.astype(np.int64), pairs.denominator.astype(np.int64)
        key = (self._kind[pairs.place] << 2 * _BITS) | (numerator << _BITS) | denominator
        large = (np.maximum(numerator, denominator) >= 1 << _BITS) | (self._kind[pairs.place] >= _MOST_KINDS)
        if large.any():
            key[large] = -1
        keys = key.tolist()
        counts: list[Any] = list(map(_KEPT.get, keys))
        missing = [at for at, found in enumerate(counts) if found is None]
        if missing:
            self._fill(counts, keys, missing, pairs)
        parts: list[bytes] = [b""] * (3 * len(counts))
        parts[::3], parts[1::3] = self._before[pairs.place].tolist(), counts
        parts[2::3] = self._after[pairs.place].tolist()
        return parts

    def _fill(self, counts: list[Any], keys: Sequence[int], missing: Sequence[int], pairs: MeasuredPairs) -> None:
        """Encode the missing counts, and keep them."""
        if len(_KEPT) + len(missing) > _MOST_KEPT:
            _KEPT.clear()
        columns = pairs.numerator, pairs.denominator, _rounded(pairs.value), _rounded(pairs.bound)
        places = pairs.place[missing].tolist()
        rows = zip(*(column[missing].tolist() for column in columns), strict=True)
        for at, place, (numerator, denominator, value, bound) in zip(missing, places, rows, strict=True):
            below = None if self._is_count[place] else int(denominator)
            counts[at] = made = _counts(int(numerator), below, value, bound)
            if keys[at] >= 0:
                _KEPT[keys[at]] = made


def _kind(rule: Rule) -> tuple[object, ...]:
    metric = METRICS[rule.metric]
    return metric.denominator is None, metric.scale, metric.divided, rule.confidence, rule.direction


def _counts(numerator: int, denominator: int | None, value: float, bound: float) -> bytes:
    shown = int(value) if denominator is None else value
    return _encode((numerator, denominator, shown, None if isnan(bound) else bound))[1:-1]


def _after(rule: Rule) -> bytes:
    return b"," + _encode(rule.threshold) + b"],"


def _rounded(numbers: Floats) -> Floats:
    """The numbers with 6 decimals: the doubles nearest to these decimals."""
    return np.rint(numbers * _DECIMALS) / _DECIMALS + 0.0  # never -0.0


def _worst(pairs: MeasuredPairs, rows: int) -> tuple[list[int], list[float]]:
    """For each row the rule with the largest share, the first of several, and that share."""
    starts = np.flatnonzero(np.diff(pairs.row, prepend=-1))
    most, worst = np.zeros(rows), np.full(rows, NO_RULE)
    most[pairs.row[starts]] = np.maximum.reduceat(pairs.share, starts)
    last_first = np.flatnonzero(pairs.share == most[pairs.row])[::-1]
    worst[pairs.row[last_first]] = pairs.place[last_first]
    return worst.tolist(), most.tolist()
