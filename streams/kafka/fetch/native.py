"""The extension that takes record batches apart. Without it, aiokafka's parser does, with an object for each record."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows, RowBlock
from monitor.extensions import WANTED, load
from streams.kafka.fetch.record_batch import HEADER_BYTES, LOG_APPEND_TIME, BatchHeader
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders

if TYPE_CHECKING:
    from streams.kafka.fetch import _records
else:
    _records = load("streams.kafka.fetch._records", interface=1)

MAX_HEADERS: Final = 200_000
"""The most Kafka headers of all records of a batch above a megabyte, or that aiokafka's parser cannot read."""

enabled: bool = _records is not None and WANTED
"""Whether the extension takes record batches apart; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _records is not None


def reads(wanted: WantedHeaders) -> bool:
    """Whether the extension is in use for records whose headers are ``wanted``."""
    return enabled and wanted is not WantedHeaders.ALL


def taken_apart(buffer: memoryview, end: int, batch: BatchHeader, wanted: WantedHeaders) -> RecordColumns | None:
    """The records of ``batch``, whose header and uncompressed payload lie in ``buffer[:end]``.

    None if another parser has to read it: see `positions`.
    """
    if not reads(wanted) or (found := positions(buffer, HEADER_BYTES, end, batch, wanted)) is None:
        return None
    columns = RecordColumns()
    offsets, timestamps_ms, key_start, key_size, value_start, value_size = found
    columns.offsets, columns.timestamps_ms = [offsets], [timestamps_ms]
    columns.keys = ByteRows([RowBlock(buffer, key_start, key_size)])
    columns.values = ByteRows([RowBlock(buffer, value_start, value_size)])
    return columns


def positions(
    buffer: memoryview, start: int, end: int, batch: BatchHeader, wanted: WantedHeaders
) -> NDArray[np.int64] | None:
    """The records of ``batch``, whose uncompressed payload lies in ``buffer[start:end]``, as six columns ``[6, n]``:
    offsets, timestamps, start and size of the keys, start and size of the values.

    None if another parser has to read it: the extension takes batches only if every record is well-formed, and has no
    headers if any are ``wanted``.
    """
    columns = np.empty((6, batch.records), np.int64)
    headers = MAX_HEADERS if wanted is WantedHeaders.NONE else 0
    if not _records.take_apart(buffer, start, end, batch.base, batch.last, batch.first_timestamp_ms, headers, *columns):
        return None
    if batch.attributes & LOG_APPEND_TIME:
        columns[1] = batch.max_timestamp_ms
    return columns
