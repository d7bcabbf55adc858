"""Fetched records as columns."""

from collections.abc import Sequence

import numpy as np
from aiokafka import ConsumerRecord

from streams.cluster import Fetched


def columns(start: int, stop: int, records: Sequence[ConsumerRecord]) -> Fetched:
    """``records``, in order, fetched from position ``start``, with position ``stop`` after them."""
    count = len(records)
    return Fetched(
        start,
        stop,
        np.fromiter((record.offset for record in records), np.int64, count),
        np.fromiter((record.timestamp for record in records), np.int64, count),
        [record.key for record in records],
        [record.value for record in records],
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
