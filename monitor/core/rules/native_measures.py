"""The extension that encodes measures. Without it, msgspec and numpy make the same bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import Rows
from monitor.core.rules.measure_columns import HourCounts, RuleColumns
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.rules import _measures
else:
    _measures = load("monitor.core.rules._measures", interface=2)

_IS_COUNT, _IS_SURE = 1, 2

enabled: bool = _measures is not None and WANTED
"""Whether measures are encoded by the extension; tests switch it."""

Columns = tuple[NDArray[Any] | bytes, ...]


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _measures is not None


def columns_of(columns: RuleColumns) -> Columns:
    """The columns of rules as the extension reads them."""
    before, after = [], []
    for rule, is_count in zip(columns.rules, columns.is_count.tolist(), strict=True):
        before.append(b"[%b," % msgspec.json.encode(rule.id))
        limits = rule.threshold, None if is_count else rule.min_denominator
        after.append(b",%b,%b]," % tuple(map(msgspec.json.encode, limits)))
    sizes = np.array([[len(first), len(second)] for first, second in zip(before, after, strict=True)], np.int64)
    ends = sizes.cumsum().reshape(-1, 2)
    flags = np.where(columns.is_count, _IS_COUNT, 0) | np.where(columns.is_sure, _IS_SURE, 0)
    numbers = columns.scale, columns.sign, columns.threshold, columns.least, columns.quantile
    texts = b"".join(text for both in zip(before, after, strict=True) for text in both)
    return (
        *columns.own,
        flags.astype(np.uint8),
        *numbers,
        np.ascontiguousarray(ends[:, 0]),
        np.ascontiguousarray(ends[:, 1]),
        texts,
    )


def encode(columns: Columns, hour: HourCounts, rows: Rows, names: Sequence[bytes]) -> list[bytes | None]:
    """The records of the tenants with these rows and encoded names, without overrides; None: it does not encode one."""
    tenants = hour.counts.shape[1]
    middle = b',"hour_ms":%d,"worst":' % hour.hour_ms
    due, skipped = np.array(hour.due, np.int32), hour.skipped
    counts = np.ascontiguousarray(hour.counts.T)  # those of a tenant are read together
    return _measures.encode(columns, counts, tenants, due, skipped, rows.astype(np.int64), list(names), middle)
