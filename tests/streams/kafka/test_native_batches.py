"""Batches that the extension encodes have the bytes of aiokafka's builder, and hold what was sent."""

import random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from helpers.thorough import thorough
from monitor.byte_rows import ByteRows, RowBlock
from streams.kafka.aiokafka_private import BuiltBatch
from streams.kafka.fetch.record_batch import HEADER_BYTES, next_batch
from streams.kafka.outputs import OutputColumns, OutputRecord
from streams.kafka.produce import native_batches
from streams.kafka.produce.batch_sender import BATCH_BYTES, use_fast_compression
from streams.kafka.produce.encoded_batch import EncodedBatch

pytestmark = pytest.mark.skipif(
    not native_batches.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)

NOW_MS = 1_800_000_000_123
PLAIN, ZSTD = 0, 4


def some_bytes(rng: random.Random) -> bytes:
    """Bytes whose length needs one byte or several, and which are repetitive or not."""
    size = rng.choice((0, 1, 63, 64, 200, 8_191, 8_192, 30_000)) if rng.random() < 0.3 else rng.randrange(300)
    return bytes(size) if rng.random() < 0.5 else rng.randbytes(size)


def some_records(rng: random.Random) -> list[OutputRecord]:
    def record() -> OutputRecord:
        key = None if rng.random() < 0.1 else some_bytes(rng)
        value = None if key is not None and rng.random() < 0.1 else some_bytes(rng)
        names = [rng.choice(("reason", "理由", "")) for _ in range(rng.choice((0, 0, 0, 1, 3)))]
        return OutputRecord("topic", 3, key, value, tuple((name, some_bytes(rng)) for name in names))

    return [record() for _ in range(rng.choice((1, 2, 70, 200)))]


def appended(records: list[OutputRecord], codec: int, transactional: bool) -> BatchBuilder:
    """The batch of these records that aiokafka makes."""
    batch = BatchBuilder(1 << 30, codec, is_transactional=transactional)
    for _, _, key, value, headers in records:
        batch.append(timestamp=NOW_MS, key=key, value=value, headers=list(headers))
    return batch


@pytest.mark.parametrize("seed", thorough(range(200), 40))
def test_batches_have_the_bytes_of_those_that_aiokafka_builds(seed: int) -> None:
    rng = random.Random(seed)
    use_fast_compression()
    records, transactional = some_records(rng), rng.random() < 0.5
    most = rng.choice((100, 3_000, 50_000, BATCH_BYTES))
    producer = rng.choice(((-1, -1, 0), (2**40, 7, 2**31 - 1)))
    start = 0
    while start < len(records):
        encoded, stop = native_batches.encode(records, start, most)
        assert len(encoded) <= most or stop == start + 1
        batch = EncodedBatch(encoded, stop - start, NOW_MS, transactional)
        built = BuiltBatch(batch.count, batch.size, batch.build)
        plain, smaller = (appended(records[start:stop], codec, transactional) for codec in (PLAIN, ZSTD))
        assert (built.size(), built.record_count()) == (plain.size(), plain.record_count())
        if stop < len(records):
            assert appended(records[start : stop + 1], PLAIN, transactional).size() > most + HEADER_BYTES
        for one in (built, plain, smaller):
            one._set_producer_state(*producer)
        # aiokafka also sends what compression makes larger.
        assert built._build() == min(bytes(plain._build()), bytes(smaller._build()), key=len)
        start = stop


def test_a_batch_is_read_back_as_it_was_written() -> None:
    records = some_records(random.Random(5))
    encoded, stop = native_batches.encode(records, 0, 1 << 30)
    data = EncodedBatch(encoded, stop, NOW_MS, transactional=True).build(9, 1, 0)
    header = next_batch(data, 0)
    assert header is not None
    assert (header.records, header.first_timestamp_ms, header.producer_id) == (len(records), NOW_MS, 9)
    read = MemoryRecords(data).next_batch()
    assert read is not None
    assert read.validate_crc()
    assert [(one.key, one.value, tuple(one.headers), one.timestamp) for one in read] == [
        (record.key, record.value, record.headers, NOW_MS) for record in records
    ]


def test_another_try_sends_the_same_bytes() -> None:
    """The broker knows a batch that it has stored by its numbers, which the producer gives it once."""
    batch = EncodedBatch(b"x" * 99, 1, NOW_MS, transactional=False)
    built = BuiltBatch(batch.count, batch.size, batch.build)
    built._set_producer_state(5, 0, 8)
    with patch("streams.kafka.produce.encoded_batch.compressed", side_effect=[b"once", b"twice"]):
        assert built._build() == built._build()


def some_rows(rng: random.Random, rows: list[bytes | None]) -> ByteRows:
    """These rows in blocks of any sizes, in any order in a block, with other bytes between."""
    blocks, at = [], 0
    while at < len(rows):
        some = rows[at : at + rng.randrange(1, 50)]
        at += len(some)
        start, block = np.zeros(len(some), np.int64), rng.randbytes(rng.randrange(9))
        for number in rng.sample(range(len(some)), len(some)):
            start[number] = len(block)
            block += (some[number] or b"") + rng.randbytes(rng.randrange(9))
        size = np.array([-1 if row is None else len(row) for row in some], np.int64)
        blocks.append(RowBlock(memoryview(block) if rng.random() < 0.5 else block, start, size))
    return ByteRows(blocks)


@pytest.mark.parametrize("seed", thorough(range(100), 30))
def test_columns_are_encoded_as_the_same_records_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    singles = [record._replace(headers=()) for _ in range(rng.choice((1, 9))) for record in some_records(rng)]
    keys, values = ([record[field] for record in singles] for field in (2, 3))
    columns = OutputColumns("topic", 3, some_rows(rng, keys), some_rows(rng, values))
    assert list(columns) == singles
    first, second = sorted(rng.choices(range(len(singles) + 1), k=2))
    columns = columns[:first].followed_by([columns[first:second], columns[second:]])
    assert list(columns) == singles
    most = rng.choice((100, 3_000, 50_000, BATCH_BYTES) if len(singles) < 300 else (50_000, BATCH_BYTES))
    start = 0
    while start < len(singles):
        encoded, stop = native_batches.encode(columns, start, most)
        assert (encoded, stop) == native_batches.encode(singles, start, most)
        start = stop


def blocks() -> list[tuple[Any, ...]]:
    start, size = np.array([0, 2]), np.array([2, -1])
    return [(b"abc", start, size, memoryview(b"abc"), start, size)]


WRONG_ROWS: dict[str, Any] = {
    "a start beyond the block": lambda at: (*at[:1], at[1] + 2, *at[2:]),
    "a negative start": lambda at: (*at[:4], at[4] - 1, *at[5:]),
    "an end beyond the block": lambda at: (*at[:5], at[5] + 2),
    "a size below that of none": lambda at: (*at[:2], at[2] - 1, *at[3:]),
    "fewer sizes": lambda at: (*at[:2], at[2][:1], *at[3:]),
    "fewer values": lambda at: (*at[:4], at[4][:1], at[5][:1]),
    "narrow starts": lambda at: (*at[:1], at[1].astype(np.int32), *at[2:]),
    "fewer columns": lambda at: at[:5],
    "no tuple": list,
}


@pytest.mark.parametrize("which", WRONG_ROWS)
def test_rows_that_do_not_fit_are_refused(which: str) -> None:
    assert native_batches._batches.encode_rows(blocks(), 0, 1_000)[1] == 2
    [block] = blocks()
    with pytest.raises(ValueError, match=r"fit|beyond|expected"):
        native_batches._batches.encode_rows([block, WRONG_ROWS[which](block)], 0, 1_000)


@pytest.mark.parametrize("start", [-1, 2])
def test_a_start_beyond_the_rows_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match="go on at the start"):
        native_batches._batches.encode_rows(blocks(), start, 1_000)


RECORD: Any = OutputRecord("topic", 0, b"key", b"value", (("name", b"value"),))
WRONG: dict[str, Any] = {
    "text for a value": RECORD._replace(value="text"),
    "text for a key": RECORD._replace(key="text"),
    "bytes for the name of a header": RECORD._replace(headers=((b"name", b"value"),)),
    "a header without a value": RECORD._replace(headers=(("name",),)),
    "a list of headers": RECORD._replace(headers=[("name", b"value")]),
    "a record of fewer fields": tuple(RECORD)[:4],
    "no tuple": list(RECORD),
}


@pytest.mark.parametrize("which", WRONG)
def test_what_is_no_record_is_refused(which: str) -> None:
    with pytest.raises(TypeError, match="expected"):
        native_batches.encode([RECORD, WRONG[which]], 0, 1_000)
    with pytest.raises(TypeError, match="expected"):
        native_batches.encode([RECORD, WRONG[which]], 1, 1_000)


@pytest.mark.parametrize("start", [-1, 1])
def test_a_start_beyond_the_records_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match="go on at the start"):
        native_batches.encode([RECORD], start, 1_000)


def test_half_a_surrogate_pair_in_the_name_of_a_header_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        native_batches.encode([RECORD._replace(headers=(("\ud800", b""),))], 0, 1_000)
