"""A log is recognised by the last handled record, as long as that record exists."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from recording_consumer import POSITIONS, new_database

from helpers.fake_topics import FakeTopics
from streams.consumers.data_loss import rewritten
from streams.consumers.offsets import LastRecord, hash_of
from streams.kafka.api import TP, FetchedBatch

OURS = TP("ours", 0)


def filled(*values: bytes) -> FakeTopics:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, *values)
    return topics


async def test_a_record_that_is_the_same_is_no_other() -> None:
    assert await rewritten(filled(b"a", b"b"), {OURS: LastRecord(1, hash_of(None, b"b"))}) == set()
    assert await rewritten(filled(b"a", b"c"), {OURS: LastRecord(1, hash_of(None, b"b"))}) == {OURS}


async def test_a_record_that_is_deleted_between_two_looks_tells_nothing() -> None:
    topics = filled(b"a", b"b")
    topics.delete_before("ours", 0, 2)
    assert await rewritten(topics, {OURS: LastRecord(1, hash_of(None, b"b"))}) == set()


async def test_where_no_record_is_any_more_the_log_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset exists without a record: the transaction was aborted, or it is a marker."""

    async def read(self: FakeTopics, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        none = np.array([], np.int64)
        yield FetchedBatch(start, stop, none, none, [], [])

    monkeypatch.setattr(FakeTopics, "read", read)
    assert await rewritten(filled(b"a", b"b"), {OURS: LastRecord(1, hash_of(None, b"b"))}) == {OURS}


def test_records_that_differ_have_other_hashes() -> None:
    records = [(None, b"ab"), (b"", b"ab"), (b"a", b"b"), (b"ab", None), (b"ab", b""), (None, None), (b"-", None)]
    assert len({hash_of(*record) for record in records}) == len(records)


async def test_what_holds_no_record_leaves_the_last_one_as_it_is(tmp_path: Path) -> None:
    """Markers and aborted records advance the position."""
    database, positions = await new_database(tmp_path), POSITIONS
    await database.run(lambda connection: positions.begin(connection, {OURS: 0}, None))
    await database.run(lambda connection: positions.advance(connection, OURS, 0, 3, LastRecord(2, "hash")))
    await database.run(lambda connection: positions.advance(connection, OURS, 3, 5))
    assert await database.run(positions.known) == {OURS: 5}
    assert await database.run(positions.last) == {OURS: LastRecord(2, "hash")}
    database.close()
