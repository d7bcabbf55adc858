"""Record batches that a broker accepts from a hostile producer. They are made when they are needed."""

from functools import cache

from rawkafka.batches import GZIP, LZ4, ZSTD, batch, record, sized, varint, zstd_of_zeros, zstd_stream

BAD_NAME = record(b"k", b"value", [(b"trace\xff", b"x")])


def large_bomb(zeros: int) -> bytes:
    """A batch of some kilobytes with a record of that many zero bytes: 256 MB in 8 KB."""
    body = b"\0" + varint(0) + varint(0) + sized(b"k") + varint(zeros)
    head = varint(len(body) + zeros + 1) + body  # the last zero is the count of headers
    return batch([], codec=ZSTD, payload=zstd_of_zeros(head, zeros + 1), count=1)


@cache
def unreadable() -> dict[str, bytes]:
    """Batches that no client can read, or that take long to read, by the error code with which we reject them."""
    return {
        "bad_header": batch([BAD_NAME]),
        "bad_header, compressed": batch([BAD_NAME], codec=ZSTD),
        "batch_too_large, of nothing": batch([record(None, None, delta=n) for n in range(2_000)], codec=ZSTD),
        "malformed_batch, headers": batch(
            [record(b"k", b"v", header_count=900_000, tail=b"\0\x01" * 900_000)], codec=ZSTD
        ),
    }


@cache
def bombs() -> dict[str, bytes]:
    """Batches that exceed a limit once they are decompressed, by the same error code."""
    bomb = record(b"k", bytes(40 << 20))
    return {
        "batch_too_large, zstd": batch([bomb], codec=ZSTD),
        "batch_too_large, zstd of no stated size": batch([], codec=ZSTD, payload=zstd_stream(bomb), count=1),
        "batch_too_large, gzip": batch([bomb], codec=GZIP),
        "batch_too_large, lz4": batch([bomb], codec=LZ4),
    }


def taken() -> dict[str, bytes]:
    """All of them."""
    return unreadable() | bombs()
