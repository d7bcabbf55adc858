"""Fetched records as columns."""

from collections.abc import Sequence

import numpy as np
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from streams.cluster import Fetched
from streams.kafka.fastfetch import Columns


def columns(start: int, stop: int, records: Columns | Sequence[ConsumerRecord]) -> Fetched:
    """``records``, in order, fetched from position ``start``, with position ``stop`` after them."""
    if not isinstance(records, Columns):
        rows, records = records, Columns()
        records.add(rows)
    return Fetched(
        start, stop, _array(records.offsets), np.array(records.timestamps, np.int64), records.keys, records.values
    )


def before(fetched: Fetched, stop: int) -> Fetched:
    """What of ``fetched`` lies below offset ``stop``."""
    if fetched.stop <= stop:
        return fetched
    count = int(np.searchsorted(fetched.offsets, stop))
    return Fetched(
        fetched.start,
        stop,
        fetched.offsets[:count],
        fetched.timestamps_ms[:count],
        fetched.keys[:count],
        fetched.values[:count],
    )


def _array(offsets: list[int]) -> NDArray[np.int64]:
    if offsets and offsets[-1] - offsets[0] == len(offsets) - 1:
        return np.arange(offsets[0], offsets[-1] + 1, dtype=np.int64)  # without a gap: made, not converted
    return np.array(offsets, np.int64)
