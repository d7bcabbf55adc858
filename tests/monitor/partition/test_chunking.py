"""Blobs that are too long for one record are stored in parts, all or nothing."""

import random

import pytest

from monitor.partition.chunking import PART_BYTES, Chunker, MissingChunkError


def kept(log: dict[str, bytes], records: list[tuple[str, bytes | None]]) -> dict[str, bytes]:
    for key, value in records:
        log.pop(key, None)
        if value is not None:
            log[key] = value
    return log


def test_stored_blobs_are_restored_and_no_part_is_left_behind() -> None:
    print("seed 5")
    rng = random.Random(5)
    cutter, log, wanted = Chunker(), dict[str, bytes](), dict[str, bytes]()
    for turn in range(60):
        key = rng.choice("abc")
        size = rng.choice((0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES))
        blob = None if rng.random() < 0.3 else rng.randbytes(size)
        records = cutter.cut([(key, blob)])
        assert all(value is None or len(value) <= PART_BYTES + 2 for _, value in records)
        kept(log, records)
        wanted.pop(key, None)
        if blob is not None:
            wanted[key] = blob
        if turn % 7 == 0:
            cutter = Chunker()
            assert cutter.join(log) == wanted
    assert Chunker().join(log) == wanted
    assert len(log) == sum(max(1, -(-len(blob) // PART_BYTES)) for blob in wanted.values())


def test_a_part_that_is_missing_is_named() -> None:
    log = kept({}, Chunker().cut([("pane", bytes(2 * PART_BYTES))]))
    del log["pane/1"]
    with pytest.raises(MissingChunkError, match="pane/1"):
        Chunker().join(log)
