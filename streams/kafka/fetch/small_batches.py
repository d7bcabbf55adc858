"""Takes small record batches apart together. A producer that does not wait for more sends one record in each.

Alone, each costs some 30 microseconds, whatever is in it, and a block and arrays of its own for every later step.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows, RowBlock
from streams.kafka.fetch import native
from streams.kafka.fetch.decompress import PADDING, TooLargeError, UndecodableError, decompress
from streams.kafka.fetch.record_batch import HEADER_BYTES, BatchHeader
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders

_MOST_BYTES: Final = 64 << 10
_MOST_RECORDS: Final = 1_000
_STARTS: Final = slice(2, None, 2)  # the columns with the offsets of keys and values in their block


def is_small(batch: BatchHeader, wanted: WantedHeaders) -> bool:
    """Whether to offer a batch to `SmallBatches`."""
    small = batch.end - batch.start <= _MOST_BYTES and batch.records <= _MOST_RECORDS
    return small and batch.magic == 2 and native.reads(wanted)


class SmallBatches:
    """Consecutive batches, whose records become one block."""

    def __init__(self, wanted: WantedHeaders) -> None:
        self._wanted = wanted
        self._block = bytearray()
        self._starts: list[int] = []  # of each batch in the block
        self._columns: list[NDArray[np.int64]] = []
        self._records = 0

    def __len__(self) -> int:
        return self._records

    def add(self, data: bytes, batch: BatchHeader) -> int | None:
        """Append the records of ``batch`` in ``data``. Returns how many bytes were decompressed.

        None if `record_parser.records_of` has to read it.
        """
        if not 0 <= batch.records <= batch.last - batch.base + 1:
            return None
        try:
            buffer = decompress(batch.codec, memoryview(data)[batch.start + HEADER_BYTES : batch.end])
        except (TooLargeError, UndecodableError):
            return None
        end = len(buffer) - PADDING
        columns = native.positions(buffer, 0, end, batch, self._wanted)
        if columns is None:
            return None
        self._starts.append(len(self._block))
        self._block += buffer[:end]
        self._columns.append(columns)
        self._records += batch.records
        return end

    def columns(self) -> RecordColumns:
        """The records of all batches."""
        read = RecordColumns()
        if not self._records:
            return read
        columns = self._columns[0] if len(self._columns) == 1 else np.concatenate(self._columns, axis=1)
        if len(self._columns) > 1:
            columns[_STARTS] += np.repeat(self._starts, [one.shape[1] for one in self._columns])
        offsets, timestamps_ms, key_start, key_size, value_start, value_size = columns
        block = memoryview(self._block)
        read.offsets, read.timestamps_ms = [offsets], [timestamps_ms]
        read.keys = ByteRows([RowBlock(block, key_start, key_size)])
        read.values = ByteRows([RowBlock(block, value_start, value_size)])
        return read
