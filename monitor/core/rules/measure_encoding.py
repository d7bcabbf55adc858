"""Encodes the measures of an hour, one JSON object a tenant."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from monitor.core.rules import native_measures
from monitor.core.rules.batch_evaluator import OwnCounts
from monitor.core.rules.conditions import Rows
from monitor.core.rules.measure_columns import FAR_OVER, NOT_ENOUGH, HourCounts, MeasuredCounts, RuleColumns
from monitor.policy.model import Rule

_MOST_KEPT: Final = 20_000  # texts, which take 3 megabytes
_encode: Final = msgspec.json.encode
_THOUSANDTHS: Final = [_encode(number / 1_000) for number in range(int(FAR_OVER) * 1_000 + 1)]


class MeasureEncoder:
    """Encodes measures by these rules, whose own counts are ``own``. Memory: 3 megabytes, for texts that recur."""

    def __init__(self, rules: Sequence[Rule], own: OwnCounts) -> None:
        self._columns = RuleColumns(rules, own)
        self._native = native_measures.columns_of(self._columns)
        self._ids = [_encode(rule.id) for rule in rules]
        self._texts: dict[tuple[int, float, float], bytes] = {}

    def encode(self, hour: HourCounts, rows: Rows, names: Sequence[str]) -> list[bytes]:
        """The values of the tenants ``names``, each with its index in the counts, in this order."""
        encoded = list(map(_encode, names))
        if not native_measures.enabled:
            return self._encode(hour, rows, encoded)
        values = native_measures.encode(self._native, hour, rows, encoded)
        left: list[int] = []
        if hour.overrides or None in values:
            left = [at for at, row in enumerate(rows.tolist()) if values[at] is None or row in hour.overrides]
        if left:
            others = self._encode(hour, rows[left], [encoded[at] for at in left])
            for at, value in zip(left, others, strict=True):
                values[at] = value
        return values  # type: ignore[return-value]  # none is None any more

    def _encode(self, hour: HourCounts, rows: Rows, names: Sequence[bytes]) -> list[bytes]:
        """As `encode`, with Python alone."""
        due = np.array(hour.due, np.intp)
        found = self._columns.measure(due, hour.counts[:, rows])
        if hour.skipped is not None:
            skipped = hour.skipped[:, rows]
            found.measured[skipped], found.share[skipped] = False, NOT_ENOUGH
        texts = self._texts_of(due, found)
        for at, row in enumerate(rows.tolist()):
            if overridden := hour.overrides.get(row):
                lines = np.flatnonzero(found.measured[:, at]).tolist()
                mine = dict(zip(lines, texts[at], strict=True))
                for line, one in overridden.items():
                    mine[line], found.share[line, at] = one.encode()
                texts[at] = [mine[line] for line in sorted(mine)]
        worst: list[bytes] = [b"null"] * len(rows)
        share = [0] * len(rows)
        if len(due):
            most = found.share.max(axis=0)
            share = np.rint(np.maximum(most, 0.0) * 1_000).astype(np.int64).tolist()
            nearest = found.share.argmax(axis=0).tolist()
            for at in np.flatnonzero(most > NOT_ENOUGH).tolist():
                worst[at] = self._ids[hour.due[nearest[at]]]
        return [
            b'{"tenant_id":%b,"hour_ms":%d,"worst":%b,"share":%b,"rules":[%b]}'
            % (name, hour.hour_ms, worst[at], _THOUSANDTHS[share[at]], b"".join(texts[at])[:-1])  # no last comma
            for at, name in enumerate(names)
        ]

    def _texts_of(self, due: Rows, found: MeasuredCounts) -> list[list[bytes]]:
        """The texts of what is measured, for each tenant."""
        row, line = np.nonzero(found.measured.T)
        counts = (found.numerator[line, row], found.denominator[line, row])
        # As they are: two counts that are written as the same whole number may have different values.
        keys = list(zip(due[line].tolist(), *(column.tolist() for column in counts), strict=True))
        written = list(zip(*(column.astype(np.int64).tolist() for column in counts), strict=True))
        if len(self._texts) > _MOST_KEPT:
            self._texts.clear()
        known = self._texts
        for at, key in enumerate(keys):
            if key not in known:
                where = line[at], row[at]
                known[key] = self._columns.text(key[0], written[at], found.value[where], found.bound[where])
        texts = [known[key] for key in keys]
        ends = np.searchsorted(row, np.arange(found.measured.shape[1] + 1)).tolist()
        return [texts[start:stop] for start, stop in pairwise(ends)]
