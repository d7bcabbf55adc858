"""The extension that takes record batches apart. Without it, aiokafka's parser does, with an object for each record."""

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.core.rules import native_measures
from monitor.decoding import native as decoding
from monitor.decoding.byte_rows import ByteRows, RowBlock
from monitor.extensions import WANTED, load
from streams.kafka.fetch.record_batch import HEADER_BYTES, LOG_APPEND_TIME, BatchHeader
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders

if TYPE_CHECKING:
    from streams.kafka.fetch import _records
else:
    _records = load("streams.kafka.fetch._records", interface=1)

MAX_HEADERS: Final = 200_000
"""The most Kafka headers of all records of a batch above a megabyte, or that aiokafka's parser cannot read."""
_FIRST_TIMESTAMP: Final = struct.Struct(">q")
_FIRST_TIMESTAMP_AT: Final = 27

enabled: bool = _records is not None and WANTED
"""Whether the extension takes record batches apart; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _records is not None


def missing() -> list[str]:
    """The extensions that are not used by this process, so that Python does their work."""
    in_use = {
        "monitor.core.rules._measures": native_measures.enabled,
        "monitor.decoding._calls": decoding.enabled,
        "streams.kafka.fetch._records": enabled,
    }
    return [name for name, used in in_use.items() if not used]


def taken_apart(buffer: memoryview, end: int, batch: BatchHeader, wanted: WantedHeaders) -> RecordColumns | None:
    """The records of ``batch``, whose header and uncompressed payload lie in ``buffer[:end]``.

    None if another parser has to read it: the extension takes batches only if every record is well-formed, and has no
    headers if any are ``wanted``.
    """
    if not enabled or wanted is WantedHeaders.ALL:
        return None
    count = batch.records
    offsets, timestamps_ms = np.empty(count, np.int64), np.empty(count, np.int64)
    positions = [np.empty(count, np.int64) for _ in range(4)]
    (first_ms,) = _FIRST_TIMESTAMP.unpack_from(buffer, _FIRST_TIMESTAMP_AT)
    headers = MAX_HEADERS if wanted is WantedHeaders.NONE else 0
    if not _records.take_apart(
        buffer, HEADER_BYTES, end, batch.base, batch.last, first_ms, headers, offsets, timestamps_ms, *positions
    ):
        return None
    if batch.attributes & LOG_APPEND_TIME:
        timestamps_ms[:] = batch.max_timestamp_ms
    columns = RecordColumns()
    columns.offsets, columns.timestamps_ms = [offsets], [timestamps_ms]
    key_start, key_size, value_start, value_size = positions
    columns.keys = ByteRows([RowBlock(buffer, key_start, key_size)])
    columns.values = ByteRows([RowBlock(buffer, value_start, value_size)])
    return columns
