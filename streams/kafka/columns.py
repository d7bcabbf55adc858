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
        if rows:
            records.add(rows)
    offsets, timestamps_ms = _joined(records.offsets), _joined(records.timestamps_ms)
    return Fetched(start, stop, offsets, timestamps_ms, records.keys, records.values)


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


def _joined(pieces: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)
