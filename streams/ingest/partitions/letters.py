"""Where a record of the source topic came from, as the headers of its dead letter."""

from streams.ingest.foreign_rows import Origin
from streams.kafka.api import TP, FetchedBatch


def origin_of(tp: TP, offset: int) -> Origin:
    """The headers for what was made of one record."""
    return (
        ("topic", tp.topic.encode()),
        ("partition", b"%d" % tp.partition),
        ("offset", b"%d" % offset),
    )


def unreadable_origin(tp: TP, offset: int, batch: FetchedBatch) -> Origin:
    """As `origin_of`, for an offset in ``batch.unreadable``: one row may stand for a whole batch of records."""
    first = batch.unreadable[offset].first_offset
    return origin_of(tp, offset) + (() if first is None else (("first_offset", b"%d" % first),))
