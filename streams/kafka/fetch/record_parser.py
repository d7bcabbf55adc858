"""Parses the records of a record batch: with the extension, else with aiokafka's parser, and with our own where that
raises.

The result depends only on the batch's bytes. If the batch can be cut into records by their lengths, each record is
valid or unreadable by itself; if not, the whole batch is rejected (`RejectedBatchError`). aiokafka's parser never gets
compressed data, nor more than `_PIECE_BYTES` at once: a header of 2 bytes takes 70 in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, NamedTuple

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatch

from monitor.partition.record_batch import UnreadableRecord
from schemas.error_codes import ErrorCode
from schemas.review_signature import Signatures, signatures_in
from streams.kafka.fetch.decompress import GZIP, MAX_BYTES, PADDING, TooLargeError, UndecodableError, decompress
from streams.kafka.fetch.native import MAX_HEADERS, taken_apart
from streams.kafka.fetch.record_batch import (
    ATTRIBUTES_AT,
    CODEC_MASK,
    COUNT_AT,
    HEADER_BYTES,
    LOG_APPEND_TIME,
    BatchHeader,
)
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders, joined

MAX_RECORDS: Final = 131_072
"""The most records of a batch that is read: 256 bytes each in `MAX_BYTES`, ten times what producers put in a batch."""

# The shortest valid record has some seventy bytes. A batch of many that are far shorter is not a producer's, and each
# of them would be a dead letter.
_MANY_RECORDS: Final = 1_000
_LEAST_MEAN_BYTES: Final = 32
_PIECE_BYTES: Final = 1 << 20
# Records are garbage-collected objects: fewer at once than trigger the collector, which therefore never runs for them.
_AT_ONCE: Final = 400
_SIGN, _WRAP = 1 << 63, (1 << 64) - 1


_MANY_AT_ONCE: Final = 5_000
_LARGE_GZIP: Final = 8 << 10


def takes_long(batch: BatchHeader) -> bool:
    """Whether `records_of` may take more than some 40 ms: many records, or a large gzip payload.

    The other codecs decompress `MAX_BYTES` in less. 8 KB of gzip inflate to 8 MB at most. The extension parses 100,000
    records in that time, but only a batch without fault: one bad record, and all are parsed by `_Parser._slow`.
    """
    large = batch.codec == GZIP and batch.end - batch.start > _LARGE_GZIP
    return batch.magic == 2 and (large or _MANY_AT_ONCE < batch.records <= MAX_RECORDS)


class RejectedBatchError(ValueError):
    """A whole batch is rejected; the message begins with an `ErrorCode`. ``cost``: the bytes decompressed of it."""

    def __init__(self, fault: ErrorCode, why: str, cost: int = 0) -> None:
        super().__init__(f"{fault}: {why}")
        self.cost = cost


class _TornError(ValueError):
    """The records cannot be cut out of the payload."""


class _MalformedError(_TornError):
    """A record, or the length before it, is malformed."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """``count`` records in ``[start, end)`` of the buffer."""

    start: int
    end: int
    count: int


def records_of(
    data: bytes, batch: BatchHeader, *, headers: WantedHeaders = WantedHeaders.NONE
) -> tuple[RecordColumns, int]:
    """The records of ``batch``, some possibly unreadable, and the number of bytes decompressed.

    Raises RejectedBatchError.
    """
    if batch.magic != 2:
        raise RejectedBatchError(ErrorCode.OLD_FORMAT, f"expected the format (magic) 2, got {batch.magic}")
    if not 0 <= batch.records <= batch.last - batch.base + 1:
        stated = f"it states {batch.records} records in {batch.last - batch.base + 1} offsets"
        raise RejectedBatchError(ErrorCode.MALFORMED_BATCH, stated)
    if batch.records > MAX_RECORDS:
        why = f"it states {batch.records:,} records; expected at most {MAX_RECORDS:,}"
        raise RejectedBatchError(ErrorCode.BATCH_TOO_LARGE, why)
    payload = memoryview(data)[batch.start + HEADER_BYTES : batch.end]
    try:
        buffer = decompress(batch.codec, payload, HEADER_BYTES)
    except TooLargeError as error:
        why = f"{error}; expected at most {MAX_BYTES:,} decompressed"
        raise RejectedBatchError(ErrorCode.BATCH_TOO_LARGE, why, error.cost) from None
    except UndecodableError as error:
        raise RejectedBatchError(ErrorCode.UNDECODABLE_BATCH, str(error), error.cost) from None
    end = len(buffer) - PADDING
    cost = end - HEADER_BYTES
    if batch.records > _MANY_RECORDS and cost < _LEAST_MEAN_BYTES * batch.records:
        why = f"it has {batch.records:,} records in {cost:,} bytes; expected {_LEAST_MEAN_BYTES} or more for each"
        raise RejectedBatchError(ErrorCode.BATCH_TOO_LARGE, why, cost)
    buffer[:HEADER_BYTES] = data[batch.start : batch.start + HEADER_BYTES]
    buffer[ATTRIBUTES_AT] &= ~CODEC_MASK & 0xFF
    try:
        return _Parser(buffer, end, batch, headers).parse(), cost
    except _TornError as error:
        raise RejectedBatchError(ErrorCode.MALFORMED_BATCH, str(error), cost) from None


class _Parser:
    """The parser of one batch, whose header and uncompressed payload lie in the buffer up to ``end``."""

    def __init__(self, buffer: memoryview, end: int, batch: BatchHeader, headers: WantedHeaders) -> None:
        self._buffer, self._end, self._batch, self._wanted = buffer, end, batch, headers
        self._parts: list[RecordColumns] = []
        self._rows = 0  # of all parts
        self._dense = batch.records == batch.last - batch.base + 1
        self._appended_ms = batch.max_timestamp_ms if batch.attributes & LOG_APPEND_TIME else None
        self._unreadable: dict[int, UnreadableRecord] = {}  # by row
        self._signatures: dict[int, Signatures] = {}  # by row
        self._headers = 0

    def parse(self) -> RecordColumns:
        batch = self._batch
        if (taken := taken_apart(self._buffer, self._end, batch, self._wanted)) is not None:
            return taken
        if self._end - HEADER_BYTES <= _PIECE_BYTES:
            if not self._fast(self._buffer[: self._end], counting=False):
                for piece in list(self._pieces()):  # all first: only the end shows whether the batch can be cut
                    self._slow(piece)
        else:
            for piece in list(self._pieces()):
                if piece.end - piece.start > _PIECE_BYTES or not self._fast(self._alone(piece), counting=True):
                    self._slow(piece)
        columns = RecordColumns.concat(self._parts)
        if self._dense:
            # As many records as offsets: the records' own offsets are not used.
            columns.offsets = [np.arange(batch.base, batch.last + 1, dtype=np.int64)]
            if not self._unreadable and not self._signatures:
                return columns
        offsets = joined(columns.offsets)
        if not self._dense and len(offsets):
            inside = offsets[0] >= batch.base and offsets[-1] <= batch.last
            if not inside or bool((np.diff(offsets) <= 0).any()):
                raise _TornError("its records are not in the order of their offsets, or beyond those of the batch")
        columns.unreadable = {int(offsets[row]): one for row, one in self._unreadable.items()}
        columns.signatures = {int(offsets[row]): one for row, one in self._signatures.items()}
        return columns

    def _pieces(self) -> Iterator[_Piece]:
        """The records, by their lengths, in pieces of at most `_PIECE_BYTES`; a larger record is a piece of its own.

        Raises _TornError.
        """
        buffer, end = self._buffer, self._end
        at = start = HEADER_BYTES
        count = 0
        for _ in range(self._batch.records):
            length, body = _varint(buffer, at, end)
            after = body + length
            if length < 0 or after > end:
                raise _TornError(f"a record states the length {length}, and {end - body} bytes are left")
            if count and after - start > _PIECE_BYTES:
                yield _Piece(start, at, count)
                start, count = at, 0
            at, count = after, count + 1
        if at != end:
            raise _TornError(f"{end - at} bytes follow the last of its {self._batch.records} records")
        if count:
            yield _Piece(start, at, count)

    def _alone(self, piece: _Piece) -> memoryview:
        """A piece as a batch of its own, followed by padding."""
        alone = bytearray(HEADER_BYTES + piece.end - piece.start + PADDING)
        alone[:HEADER_BYTES] = self._buffer[:HEADER_BYTES]
        alone[COUNT_AT:HEADER_BYTES] = piece.count.to_bytes(4)
        alone[HEADER_BYTES:-PADDING] = self._buffer[piece.start : piece.end]
        return memoryview(alone)[:-PADDING]

    def _fast(self, buffer: memoryview, *, counting: bool) -> bool:
        """Read a batch, or a piece of one, with aiokafka's parser; if it raises, reads nothing and returns False."""
        parts: list[RecordColumns] = []
        headers = 0
        try:
            rows = chain(DefaultRecordBatch(buffer))  # a batch can be iterated once
            while some := list(islice(rows, _AT_ONCE)):
                parts.append(RecordColumns.of(some, self._appended_ms, offsets=not self._dense, headers=self._wanted))
                if counting:
                    headers += sum([len(row.headers) for row in some])
        except Exception:  # noqa: BLE001 - our own parser finds the fault again
            return False
        if headers:
            self._count_headers(headers)
        for part in parts:
            self._signatures |= {self._rows + row: one for row, one in part.signatures.items()}
            part.signatures = {}
            self._add(part)
        return True

    def _add(self, part: RecordColumns) -> None:
        self._parts.append(part)
        self._rows += len(part)

    def _count_headers(self, more: int) -> None:
        self._headers += more
        if self._headers > MAX_HEADERS:
            raise _TornError(f"its records have more than {MAX_HEADERS:,} headers")

    def _slow(self, piece: _Piece) -> None:
        """Read a piece record by record."""
        at, read = piece.start, RecordColumns()
        offsets: list[int] = []
        timestamps_ms: list[int] = []
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        for _ in range(piece.count):
            length, body = _varint(self._buffer, at, self._end)
            at = body + length
            one = self._one(body, at)
            row = self._rows + len(values)
            if one.why is not None:
                self._unreadable[row] = UnreadableRecord(one.why)
            if self._wanted is WantedHeaders.SIGNATURES and (found := signatures_in(one.headers)):
                self._signatures[row] = found
            offsets.append(one.offset)
            timestamps_ms.append(one.timestamp_ms)
            keys.append(one.key)
            values.append(one.value)
            if self._wanted is WantedHeaders.ALL:
                read.headers.append(one.headers)
        read.keys, read.values = keys, values
        read.timestamps_ms = [np.array(timestamps_ms, np.int64)]
        if not self._dense:
            read.offsets = [np.array(offsets, np.int64)]
        self._add(read)

    def _one(self, start: int, end: int) -> "_Record":
        """The record in ``[start, end)``, parsed as strictly as by aiokafka. Raises _TornError."""
        buffer = self._buffer
        timestamp_ms, offset = self._appended_ms or 0, None
        try:
            _, at = _varint(buffer, start, end)
            delta_ms, at = _varint(buffer, at, end)
            if self._appended_ms is None:
                timestamp_ms = _int64(int.from_bytes(buffer[27:35], signed=True) + delta_ms)
            delta, at = _varint(buffer, at, end)
            offset = _int64(self._batch.base + delta)
            key, at = _bytes(buffer, at, end)
            value, at = _bytes(buffer, at, end)
            headers, bad, at = self._headers_of(at, end)
            if at != end:
                raise _MalformedError(f"{end - at} bytes follow its headers")
        except _MalformedError as error:
            if offset is None and not self._dense:
                raise _TornError(f"a record does not say at which offset it is: {error}") from None
            raw = bytes(buffer[start:end])
            return _Record(offset or 0, timestamp_ms, None, raw, (), f"{ErrorCode.MALFORMED_RECORD}: {error}")
        return _Record(offset, timestamp_ms, key, value, headers, bad)

    def _headers_of(self, at: int, end: int) -> "tuple[tuple[tuple[str, bytes | None], ...], str | None, int]":
        """The headers, the fault of a name (or None), and the position after them.

        Raises _MalformedError and _TornError.
        """
        buffer = self._buffer
        count, at = _varint(buffer, at, end)
        if not 0 <= count <= (end - at) // 2:
            raise _MalformedError(f"it states {count} headers, and {end - at} bytes are left")
        self._count_headers(count)
        headers: list[tuple[str, bytes | None]] = []
        bad = None
        for _ in range(count):
            raw, at = _bytes(buffer, at, end)
            if raw is None:
                raise _MalformedError("a header has no name")
            value, at = _bytes(buffer, at, end)
            try:
                name = raw.decode()
            except UnicodeDecodeError as error:
                name = raw.decode(errors="backslashreplace")
                bad = bad or f"{ErrorCode.BAD_HEADER}: the name of a header is not UTF-8 at byte {error.start}"
            headers.append((name, value))
        return tuple(headers), bad, at


class _Record(NamedTuple):
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    why: str | None


def _varint(buffer: memoryview, at: int, end: int) -> tuple[int, int]:
    """The zigzag varint of at most 64 bits at ``at``, and the position after it. Raises _MalformedError."""
    value = shift = 0
    while at < end and shift <= 63:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            value &= _WRAP
            return value >> 1 ^ -(value & 1), at
        shift += 7
    raise _MalformedError("a number of it is cut short" if at >= end else "a number of it has more than 64 bits")


def _bytes(buffer: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    """The length-prefixed bytes at ``at`` (None if the length is negative), and the position after them.

    Raises _MalformedError.
    """
    length, at = _varint(buffer, at, end)
    if length < 0:
        return None, at
    if length > end - at:
        raise _MalformedError(f"a part of it states the length {length}, and {end - at} bytes are left")
    return bytes(buffer[at : at + length]), at + length


def _int64(value: int) -> int:
    return (value + _SIGN & _WRAP) - _SIGN
