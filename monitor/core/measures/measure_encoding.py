"""Encodes the measures of an hour, one JSON object a tenant."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, Protocol

import msgspec
import numpy as np

from monitor.byte_rows import NULL, ByteRows
from monitor.core.measures import native_measures
from monitor.core.measures.measure_columns import FAR_OVER, NOT_ENOUGH, MeasuredCounts, MeasuredHour, RuleColumns
from monitor.core.measures.native_measures import EncodedBlock, NativeRules
from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.native_pairs import CountBlocks
from monitor.core.rules.rule_counts import OwnCounts
from monitor.policy.model import Rule

_MOST_KEPT: Final = 20_000  # texts, which take 3 megabytes
_encode: Final = msgspec.json.encode
_THOUSANDTHS: Final = [_encode(number / 1_000) for number in range(int(FAR_OVER) * 1_000 + 1)]


class CountSource(Protocol):
    """Where the counts come from: `monitor.core.rules.batch_evaluator.BatchEvaluator`."""

    @property
    def own(self) -> OwnCounts: ...
    def counts(self, due: Sequence[int], tenants: int, who: Rows) -> Floats: ...
    def count_blocks(self, due: Sequence[int], tenants: int) -> CountBlocks: ...


class MeasureEncoder:
    """Encodes measures by these rules and their ``counts``.

    Memory, for texts that recur: 3 megabytes without the extension, else that of `NativeRules`.
    """

    def __init__(self, rules: Sequence[Rule], counts: CountSource) -> None:
        self._counts = counts
        self._columns = RuleColumns(rules, counts.own)
        self._native = NativeRules(self._columns)
        self._ids = [_encode(rule.id) for rule in rules]
        self._texts: dict[tuple[int, float, float], bytes] = {}

    def encode(self, hour: MeasuredHour, names: list[str]) -> tuple[ByteRows, ByteRows]:
        """The ids of the tenants, in UTF-8, and their values. ``names`` are the ids of all tenants, by number."""
        if not native_measures.enabled:
            ids, values = self._encode(hour, names)
            return ByteRows.of(ids), ByteRows.of(values)
        counts = self._counts.count_blocks(hour.due, hour.tenants)
        blocks = [self._whole(one, hour, names) for one in native_measures.encode(self._native, counts, hour, names)]
        return ByteRows(one.ids for one in blocks), ByteRows(one.values for one in blocks)

    def _whole(self, block: EncodedBlock, hour: MeasuredHour, names: list[str]) -> EncodedBlock:
        """The block with the records that the extension has left, and those that overrides measured."""
        first, ids, values = block
        left = values.size == NULL
        left[[row - first for row in hour.overrides if first <= row < first + len(left)]] = True
        if not left.any():
            return block
        rows = left.nonzero()[0]
        columns = self._encode(hour.of(first + rows), names)
        end, parts = len(values.block), [values.block]
        for column, texts in zip((ids, values), columns, strict=True):
            sizes = np.fromiter(map(len, texts), np.int64, len(texts))
            column.start[rows], column.size[rows] = end + sizes.cumsum() - sizes, sizes
            end, parts = end + int(sizes.sum()), [*parts, *texts]
        whole = b"".join(parts)
        return EncodedBlock(first, replace(ids, block=whole), replace(values, block=whole))

    def _encode(self, hour: MeasuredHour, names: list[str]) -> tuple[list[bytes], list[bytes]]:
        """As `encode`, with Python alone."""
        due, who = np.array(hour.due, np.intp), np.sort(hour.who)
        ids = [names[tenant] for tenant in hour.who.tolist()]
        counts = self._counts.counts(hour.due, hour.tenants, who)
        found = self._columns.measure(due, counts[:, who.searchsorted(hour.who)])
        if hour.skipped is not None:
            found.measured[hour.skipped], found.share[hour.skipped] = False, NOT_ENOUGH
        texts = self._texts_of(due, found)
        for at, overridden in hour.overrides.items():
            lines = np.flatnonzero(found.measured[:, at]).tolist()
            mine = dict(zip(lines, texts[at], strict=True))
            for line, one in overridden.items():
                mine[line], found.share[line, at] = one.encode()
            texts[at] = [mine[line] for line in sorted(mine)]
        worst: list[bytes] = [b"null"] * len(ids)
        share = [0] * len(ids)
        if len(due):
            most = found.share.max(axis=0)
            share = np.rint(np.maximum(most, 0.0) * 1_000).astype(np.int64).tolist()
            nearest = found.share.argmax(axis=0).tolist()
            for at in np.flatnonzero(most > NOT_ENOUGH).tolist():
                worst[at] = self._ids[hour.due[nearest[at]]]
        values = [
            b'{"tenant_id":%b,"hour_ms":%d,"worst":%b,"share":%b,"rules":[%b]}'
            % (
                _encode(name),
                hour.hour_ms,
                worst[at],
                _THOUSANDTHS[share[at]],
                b"".join(texts[at])[:-1],
            )  # no last comma
            for at, name in enumerate(ids)
        ]
        return list(map(str.encode, ids)), values

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
