"""No bytes of a producer stop the reader: unreadable records are returned with a reason, their neighbours as usual."""

import random
import struct
from collections.abc import Callable

import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from committed_rows import GOOD, TP, fetched, plain
from rawkafka.batches import (
    CONTROL,
    GZIP,
    LOG_APPEND_TIME,
    LZ4,
    SNAPPY,
    TRANSACTIONAL,
    ZSTD,
    Header,
    batch,
    message,
    record,
    zstd_stream,
)

from monitor.byte_rows import ByteRows
from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch import native
from streams.kafka.fetch.decompress import MAX_BYTES
from streams.kafka.fetch.record_parser import MAX_RECORDS

pytestmark = pytest.mark.usefixtures("columnar_fetch")

BAD_NAME: Header = (b"trace\xff", b"x")


def seen(data: bytes, start: int = 0) -> list[tuple[int, bytes | None, str]]:
    """Offset, value and error code of each row, without the value of a whole batch."""
    read = fetched(data, start)
    rows = []
    for offset, value in zip(read.offsets.tolist(), read.values, strict=True):
        bad = read.unreadable.get(offset)
        whole = bad is not None and bad.first_offset is not None
        rows.append((offset, None if whole else value, bad.reason.partition(":")[0] if bad else ""))
    return rows


def test_a_record_with_a_header_name_that_is_not_utf8_steps_aside_alone() -> None:
    data = batch([GOOD[0], record(b"key", b"value", [(b"a", b"1"), BAD_NAME], delta=1), GOOD[2]])
    assert seen(data) == [(0, b"v0", ""), (1, b"value", "bad_header"), (2, b"v2", "")]
    read = fetched(data)
    assert (read.keys[1], read.stop) == (b"key", 3)
    assert read.unreadable[1].reason == "bad_header: the name of a header is not UTF-8 at byte 5"


@pytest.mark.parametrize(
    "bad",
    [
        record(b"k", b"v", header_count=-1, delta=1),
        record(b"k", b"v", header_count=5, delta=1),
        record(b"k", b"v", header_count=1 << 40, delta=1),
        record(b"k", b"v", [(None, b"no name")], delta=1),
        record(b"k", b"v", tail=b"more", delta=1),
        record(None, None, delta=1)[:-1] + b"\xff" * 10,
    ],
    ids=["-1 headers", "5 headers", "a trillion headers", "no name", "something more", "a number without an end"],
)
def test_a_record_whose_lengths_lie_steps_aside_alone(bad: bytes) -> None:
    body = bad[1:]
    if len(body) != bad[0] >> 1:  # its own length is correct
        bad = struct.pack("B", len(body) << 1) + body
    data = batch([GOOD[0], bad, GOOD[2]])
    rows = seen(data)
    assert [(offset, why) for offset, _, why in rows] == [(0, ""), (1, "malformed_record"), (2, "")]
    assert rows[1][1] == body  # unchanged


def with_headers(count: int) -> bytes:
    return record(b"k", b"v", header_count=count, tail=b"\0\x01" * count)


BOMB = bytes(MAX_BYTES + 1)
WHOLE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "unknown codec": ("undecodable_batch", lambda: batch(GOOD, codec=5, payload=b"".join(GOOD))),
    "garbage for gzip": ("undecodable_batch", lambda: batch(GOOD, codec=GZIP, payload=b"garbage")),
    "garbage for snappy": ("undecodable_batch", lambda: batch(GOOD, codec=SNAPPY, payload=b"\xff" * 30)),
    "garbage for lz4": ("undecodable_batch", lambda: batch(GOOD, codec=LZ4, payload=b"garbage")),
    "garbage for zstd": ("undecodable_batch", lambda: batch(GOOD, codec=ZSTD, payload=b"garbage")),
    "nothing to decompress": ("undecodable_batch", lambda: batch(GOOD, codec=ZSTD, payload=b"")),
    "gzip cut short": ("undecodable_batch", lambda: batch(GOOD, codec=GZIP, payload=gzip_encode(b"".join(GOOD))[:-9])),
    "gzip and something": ("undecodable_batch", lambda: batch(GOOD, codec=GZIP, payload=gzip_encode(b"x") + b"more")),
    "gzip of a thousand members": (
        "undecodable_batch",
        lambda: batch(GOOD, codec=GZIP, payload=gzip_encode(b"") * 1000),
    ),
    "snappy, a block of size 0": (
        "undecodable_batch",
        lambda: batch(GOOD, codec=SNAPPY, payload=snappy_encode(b"")[:16] + bytes(16)),
    ),
    "snappy, a negative block": (
        "undecodable_batch",
        lambda: batch(GOOD, codec=SNAPPY, payload=snappy_encode(b"")[:16] + b"\xff\xff\xff\xfc" + bytes(16)),
    ),
    "a gzip bomb": ("batch_too_large", lambda: batch(GOOD, codec=GZIP, payload=gzip_encode(BOMB))),
    "a zstd bomb that says so": ("batch_too_large", lambda: batch(GOOD, codec=ZSTD, payload=zstd_encode(BOMB))),
    "a zstd bomb that does not": ("batch_too_large", lambda: batch(GOOD, codec=ZSTD, payload=zstd_stream(BOMB))),
    "a second zstd frame": (
        "batch_too_large",
        lambda: batch(GOOD, codec=ZSTD, payload=zstd_encode(b"".join(GOOD)) + zstd_encode(BOMB)),
    ),
    "an lz4 bomb": ("batch_too_large", lambda: batch(GOOD, codec=LZ4, payload=lz4_encode(BOMB))),
    "a snappy bomb": (
        "batch_too_large",
        lambda: batch(GOOD, codec=SNAPPY, payload=snappy_encode(BOMB, xerial_compatible=False)),
    ),
    "a snappy bomb in blocks": ("batch_too_large", lambda: batch(GOOD, codec=SNAPPY, payload=snappy_encode(BOMB))),
    "a snappy block that states 4 GB": (
        "batch_too_large",
        lambda: batch(GOOD, codec=SNAPPY, payload=b"\xff\xff\xff\xff\x0f" + b"x" * 20),
    ),
    "millions of empty records": (
        "batch_too_large",
        lambda: batch([], codec=ZSTD, payload=zstd_encode(record(None, None) * 3_000_000), count=3_000_000),
    ),
    "as many records as are read, empty": (
        "batch_too_large",
        lambda: batch([], codec=ZSTD, payload=zstd_encode(record(None, None) * MAX_RECORDS), count=MAX_RECORDS),
    ),
    "millions of headers in one record": (
        "malformed_batch",
        lambda: batch([], codec=ZSTD, payload=zstd_encode(with_headers(5_000_000)), count=1),
    ),
    "millions of headers in some records": (
        "malformed_batch",
        lambda: batch([], codec=ZSTD, payload=zstd_encode(with_headers(50_000) * 200), count=200),
    ),
    "fewer records than it states": ("malformed_batch", lambda: batch(GOOD, count=5)),
    "more records than it states": ("malformed_batch", lambda: batch(GOOD, count=2)),
    "a negative count": ("malformed_batch", lambda: batch(GOOD, count=-3, last_delta=2)),
    "more records than offsets": ("malformed_batch", lambda: batch(GOOD, last_delta=1)),
    "a record of negative length": ("malformed_batch", lambda: batch([*GOOD[:2], record(b"k", b"v", length=-9)])),
    "a record beyond the end": ("malformed_batch", lambda: batch([*GOOD[:2], record(b"k", b"v", length=900)])),
    "a length without an end": ("malformed_batch", lambda: batch([*GOOD[:2], b"\xff" * 20])),
    "a length of two to the 63rd": (
        "malformed_batch",
        lambda: batch([*GOOD[:2], b"\xfe" + b"\xff" * 8 + b"\x01" + b"x" * 9]),
    ),
    "no payload": ("malformed_batch", lambda: batch([], payload=b"", count=3)),
    "gaps, and offsets out of order": (
        "malformed_batch",
        lambda: batch([record(b"k", b"v", delta=3), record(b"k", b"v", delta=1)], last_delta=3),
    ),
    "gaps, and an offset beyond them": (
        "malformed_batch",
        lambda: batch([record(b"k", b"v"), record(b"k", b"v", delta=9)], last_delta=3),
    ),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_batch_that_cannot_be_taken_apart_is_one_row_and_its_neighbours_are_read(what: str) -> None:
    code, made = WHOLE[what]
    bad = made()
    last = struct.unpack_from(">i", bad, 23)[0]
    before, after = batch(GOOD), batch(GOOD, base=4 + last)
    bad = struct.pack(">q", 3) + bad[8:]
    offset = 3 + last
    expected = [(0, b"v0", ""), (1, b"v1", ""), (2, b"v2", ""), (offset, None, code)]
    assert seen(before + bad + after) == [*expected, *((offset + 1 + n, b"v%d" % n, "") for n in range(3))]
    read = fetched(before + bad)
    assert (read.values[3], read.keys[3], read.stop) == (bad, None, offset + 1)
    assert read.unreadable[offset].first_offset == 3
    assert read.unreadable[offset].reason.startswith(f"{code}: the record batch of offsets 3 to {offset}: ")
    if last:  # from any offset in it
        assert seen(bad, offset) == [(offset, None, code)]


def test_the_formats_of_old_brokers_are_refused_message_by_message() -> None:
    data = batch(GOOD) + message(0, b"k", b"v", offset=3) + message(1, b"k", b"v", offset=4) + batch(GOOD, base=5)
    assert [row[0::2] for row in seen(data)] == [
        *((n, "") for n in range(3)),
        (3, "old_format"),
        (4, "old_format"),
        *((n, "") for n in range(5, 8)),
    ]


@pytest.mark.parametrize(
    ("damaged", "last", "why"),
    [
        (batch(GOOD, base=3, wrong_checksum=True), 5, "the checksum of a record batch is wrong"),
        (batch(GOOD, base=3, wrong_checksum=True, last_delta=900), 5, "the checksum of a record batch is wrong"),
        (batch(GOOD, base=3, magic=3), 3, r"a record batch has the format \(magic\) 3, and this release reads 2"),
        (message(0, b"k", b"v", offset=3, crc_off=1), 3, "the checksum of a message is wrong"),
        (batch(GOOD, base=3)[:8] + bytes(4) + batch(GOOD, base=3)[12:], None, "a record batch states the length 0"),
        (batch(GOOD, base=3)[:8] + b"\xff" * 4 + batch(GOOD, base=3)[12:], None, "a record batch states the length -1"),
        (batch(GOOD, base=3)[:8] + struct.pack(">i", 40) + batch(GOOD, base=3)[12:], None, "states the length 40"),
    ],
    ids=["checksum", "checksum and offsets", "format 3", "old checksum", "no length", "negative length", "short"],
)
def test_what_may_be_right_at_the_next_try_is_an_error_once_all_before_it_was_given(
    damaged: bytes, last: int | None, why: str
) -> None:
    data = batch(GOOD) + damaged + batch(GOOD, base=6)
    # The rest of the fetch is dropped, and fetched again.
    assert seen(data) == [(n, b"v%d" % n, "") for n in range(3)]
    with pytest.raises(fastfetch.CorruptBatch, match=why) as torn:
        fetched(data[len(batch(GOOD)) :], 3)
    assert (torn.value.tp, torn.value.offset, torn.value.last) == (TP, 3, last)
    assert torn.value.raw.startswith(damaged[:30])


def test_a_fetch_without_a_whole_batch_is_an_error_and_passes_over_nothing() -> None:
    with pytest.raises(fastfetch.CorruptBatch, match="no whole record batch"):
        fetched(batch(GOOD)[:-1])
    with pytest.raises(fastfetch.CorruptBatch, match="no whole record batch"):
        fetched(batch(GOOD), 7)


@pytest.mark.parametrize(
    "held", [b"", record(None, None), record(b"\0", b""), record(b"\0\0\0\0", b"\0" * 6), b"garbage"]
)
def test_what_a_marker_holds_hides_no_transaction_and_uncovers_none(held: bytes) -> None:
    """Of two transactions of a producer the first is aborted: its marker ends it, readable or not."""
    data = batch(GOOD, producer=7, attributes=TRANSACTIONAL)
    data += batch([held], base=3, producer=7, attributes=TRANSACTIONAL | CONTROL, count=1 if held else 0, last_delta=0)
    data += batch(GOOD, base=4, producer=7, attributes=TRANSACTIONAL)
    assert seen_of(data, ((7, 0),)) == [4, 5, 6]


def seen_of(data: bytes, aborted: tuple[tuple[int, int], ...]) -> list[int]:
    read = fetched(data, 0, aborted)
    assert not read.unreadable
    return [int(offset) for offset in read.offsets]


def test_what_was_aborted_is_not_looked_into() -> None:
    data = batch(GOOD, codec=ZSTD, payload=b"garbage", producer=7, attributes=TRANSACTIONAL) + batch(GOOD, base=3)
    assert seen_of(data, ((7, 0),)) == [3, 4, 5]


def test_records_keep_their_places_whatever_they_state_of_their_offsets() -> None:
    data = batch([record(b"k", b"v%d" % n, delta=delta) for n, delta in enumerate((0, 0, -5, 1 << 40))])
    assert seen(data) == [(n, b"v%d" % n, "") for n in range(4)]


def mangled(rng: random.Random) -> bytes:
    """A batch with a correct checksum; usually some bytes of its records are changed."""
    headers: list[Header] = [(rng.choice((b"h", b"", b"\xe9")), rng.choice((b"x", None)))] * rng.choice((0, 0, 0, 1, 2))
    records, delta = [], 0
    for _ in range(rng.randint(1, 900 if rng.random() < 0.2 else 6)):
        key, value = rng.choice((b"key", None)), rng.choice((b"v" * rng.randint(0, 70), None))
        records.append(record(key, value, headers, delta=delta, after_ms=rng.choice((0, 5, 1 << 62))))
        delta += rng.choice((1, 1, 1, 2))
    payload = bytearray(b"".join(records))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
        kind = rng.random()
        if kind < 0.7 and payload:
            payload[rng.randrange(min(len(payload), rng.choice((12, 1 << 20))))] = rng.choice(
                (0, 1, 0x7F, 0x80, 0xFF, 3)
            )
        elif kind < 0.85:
            del payload[-rng.randint(1, 9) :]
        else:
            payload += rng.randbytes(rng.randint(1, 9))
    attributes = rng.choice((0, LOG_APPEND_TIME))
    return batch(records, payload=bytes(payload), count=len(records), last_delta=delta - 1, attributes=attributes)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 200))])
def test_what_comes_of_a_batch_depends_on_its_bytes_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not depend on the parser, on how the batch is cut, on what follows it, nor on where the reader begins."""
    print("seed", seed)
    rng = random.Random(seed)
    unreadable = 0
    for _ in range(120):
        data = mangled(rng)
        whole = fetched(data)
        rows = plain(whole)
        unreadable += bool(whole.unreadable)
        with monkeypatch.context() as theirs:
            theirs.setattr(native, "enabled", False)
            assert plain(fetched(data)) == rows, data.hex()
        with monkeypatch.context() as ours:
            ours.setattr(native, "enabled", False)
            ours.setattr(
                "streams.kafka.fetch.record_parser.DefaultRecordBatch", None
            )  # aiokafka's parser raises at every error
            assert plain(fetched(data)) == rows, data.hex()
        with monkeypatch.context() as pieces:
            pieces.setattr(native, "enabled", False)
            pieces.setattr("streams.kafka.fetch.record_parser._PIECE_BYTES", rng.choice((1, 40, 300)))
            assert plain(fetched(data)) == rows, data.hex()
        cuts = tuple(rng.choice((1, 2, 400, 401)) for _ in range(rng.randint(1, 5)))
        assert plain(fetched(data, cuts=cuts)) == rows, data.hex()
        following = batch(GOOD, base=whole.stop)
        assert plain(fetched(data + following))[: len(rows)] == rows, data.hex()
        start = rng.randrange(whole.stop)
        assert plain(fetched(data, start)) == [row for row in rows if row[0] >= start], data.hex()
    assert unreadable > 25


def test_common_batches_are_taken_apart_by_the_extension() -> None:
    if not native.built():
        pytest.skip("the extension is not built: no C compiler (`.ci/run` requires it)")
    headers: list[Header] = [(b"trace", b"x"), (b"", None)]
    some = [record(None, b"v", headers), record(b"k", None, delta=1), record(b"", b"", delta=2)]
    for attributes in (0, LOG_APPEND_TIME, GZIP, TRANSACTIONAL):
        payload = gzip_encode(b"".join(some)) if attributes == GZIP else None
        read = fetched(batch(some, payload=payload, attributes=attributes) + batch(GOOD, base=3))
        assert isinstance(read.values, ByteRows)
        assert list(read.values) == [b"v", None, b"", b"v0", b"v1", b"v2"]
        assert list(read.keys) == [None, b"k", b"", b"k", b"k", b"k"]
        assert read.offsets.tolist() == list(range(6))
    assert isinstance(fetched(batch([record(b"k", b"v", [BAD_NAME])])).values, list)
