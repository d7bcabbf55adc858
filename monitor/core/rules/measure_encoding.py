"""Encodes the measures of an hour, one JSON object a tenant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from monitor.core.rules.batch_evaluator import FAR_OVER, NOT_ENOUGH, MeasuredCounts, shares
from monitor.core.rules.measure_texts import RuleColumns, texts_of
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

_encode: Final = msgspec.json.encode
_THOUSANDTHS: Final = [_encode(number / 1_000) for number in range(int(FAR_OVER) * 1_000 + 1)]


@dataclass(frozen=True, slots=True)
class MeasuredRule:
    """What an override measured of its tenant. ``row``: that of the tenant. ``denominator`` is 1 for counts."""

    row: int
    rule: Rule
    numerator: int
    denominator: int

    @property
    def share(self) -> float:
        """As `MeasuredCounts.share`."""
        if METRICS[self.rule.metric].denominator is not None and self.denominator < self.rule.min_denominator:
            return NOT_ENOUGH
        columns, counts = (
            RuleColumns([self.rule]),
            (np.array([float(self.numerator)]), np.array([float(self.denominator)])),
        )
        value, bound = columns.values(np.zeros(1, np.intp), *counts)
        judged = value if np.isnan(bound[0]) else bound
        return float(shares(judged, np.array([self.rule.threshold]), columns.sign)[0])

    @property
    def text(self) -> bytes:
        """As `RuleColumns.encode`."""
        counts = np.array([self.numerator]), np.array([self.denominator])
        return RuleColumns([self.rule]).encode(np.zeros(1, np.intp), *counts)[0]


class MeasureEncoder:
    """Encodes measures by these rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._ids = [_encode(rule.id) for rule in rules]
        self._texts = texts_of(rules)

    def encode(
        self,
        due: Sequence[int],
        found: MeasuredCounts,
        overrides: Mapping[int, Iterable[MeasuredRule]],
        named: Sequence[tuple[str, int]],
        hour_ms: int,
    ) -> list[bytes]:
        """The values of the tenants ``named``, each with its row in ``found``, in that order.

        ``found`` has a line for each of the rules ``due``, and ``overrides`` what else is measured, by these lines.
        """
        texts = self._texts.of(np.array(due), found.numerator, found.denominator, found.measured)
        for line, some in overrides.items():
            for one in some:
                texts[line, one.row], found.share[line, one.row] = one.text, one.share
        worst, most = found.share.argmax(axis=0), found.share.max(axis=0)
        nearest = [self._ids[due[line]] for line in worst.tolist()]
        share = np.rint(np.maximum(most, 0.0) * 1_000).astype(np.int64).tolist()
        for row in np.flatnonzero(most == NOT_ENOUGH).tolist():
            nearest[row] = b"null"
        rules = list(map(b"".join, texts.T.tolist()))
        middle = b',"hour_ms":%d,"worst":' % hour_ms
        return [
            b"".join(
                (
                    b'{"tenant_id":',
                    _encode(name),
                    middle,
                    nearest[row],
                    b',"share":',
                    _THOUSANDTHS[share[row]],
                    b',"rules":[',
                    rules[row][:-1],  # without the last comma
                    b"]}",
                )
            )
            for name, row in named
        ]

    def empty(self, names: Sequence[str], hour_ms: int) -> list[bytes]:
        """The values of these tenants if no rule is due."""
        after = b',"hour_ms":%d,"worst":null,"share":0.0,"rules":[]}' % hour_ms
        return [b'{"tenant_id":' + _encode(name) + after for name in names]
