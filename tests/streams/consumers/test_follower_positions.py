"""Where a follower begins and continues, also after its database was restored from a backup."""

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, until

from helpers.fake_topics import FakeTopics
from streams.consumers.database import Database
from streams.consumers.follower import DatabaseRolledBack, Follower
from streams.consumers.offsets import ConcurrentWriter
from streams.kafka.api import TP

pytestmark = pytest.mark.usefixtures("quick")


async def test_of_several_topics_those_that_are_named_are_begun_at_their_ends(database: Database) -> None:
    topics = FakeTopics(ours=1, theirs=1)
    topics.put("ours", 0, b"old")
    topics.put("theirs", 0, b"old, too")
    async with following(Follower(topics, database, POSITIONS, ["ours", "theirs"], store_records, from_end=["ours"])):
        await until(lambda: len(stored_records(database)) == 1)
        topics.put("ours", 0, b"new")
        await until(lambda: len(stored_records(database)) == 2)
    assert stored_records(database) == [("ours", 0, 1, "new"), ("theirs", 0, 0, "old, too")]


async def test_a_partition_that_is_added_to_a_topic_begun_at_its_end_is_handled_from_its_beginning(
    database: Database,
) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"old")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records, from_end=["ours"])):
        await until(lambda: topics.polls > 2)
    added = FakeTopics(ours=2)
    added.put("ours", 0, b"old")
    added.put("ours", 1, b"new", b"too")
    async with following(Follower(added, database, POSITIONS, ["ours"], store_records, from_end=["ours"])):
        await until(lambda: len(stored_records(database)) == 2)
    assert stored_records(database) == [("ours", 1, 0, "new"), ("ours", 1, 1, "too")]


async def test_a_start_at_the_end_gets_later_records_also_after_a_stop(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"old")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records, from_end=["ours"])):
        await until(lambda: topics.polls > 2)
    topics.put("ours", 0, b"while it was stopped")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records, from_end=["ours"])):
        await until(lambda: len(stored_records(database)) == 1)
    assert stored_records(database) == [("ours", 0, 1, "while it was stopped")]


async def test_a_position_moves_from_where_it_is_alone(database: Database) -> None:
    await database.run(lambda connection: POSITIONS.begin(connection, {TP("ours", 0): 5}, None))
    await database.run(lambda connection: POSITIONS.begin(connection, {TP("ours", 0): 9, TP("ours", 1): 0}, None))
    await database.run(lambda connection: POSITIONS.move(connection, TP("ours", 0), 5, 7))
    assert await database.run(POSITIONS.known) == {TP("ours", 0): 7, TP("ours", 1): 0}
    with pytest.raises(ConcurrentWriter, match="ours-0 is no longer at offset 5"):
        await database.run(lambda connection: POSITIONS.move(connection, TP("ours", 0), 5, 9))


@pytest.mark.parametrize(
    ("start", "stop", "first", "then"), [(7, 9, 7, 9), (5, 9, 7, 9), (5, 7, 7, 7), (3, 5, 7, 7), (7, 8, 7, 8)]
)
async def test_what_another_process_has_handled_is_passed_over(
    database: Database, start: int, stop: int, first: int, then: int
) -> None:
    ours = TP("ours", 0)
    await database.run(lambda connection: POSITIONS.begin(connection, {ours: 7}, None))
    assert await database.run(lambda connection: POSITIONS.advance(connection, ours, start, stop)) == first
    assert await database.run(POSITIONS.known) == {ours: then}


async def test_records_before_which_some_are_not_handled_are_not(database: Database) -> None:
    await database.run(lambda connection: POSITIONS.begin(connection, {TP("ours", 0): 7}, None))
    for tp in (TP("ours", 0), TP("ours", 1)):
        with pytest.raises(ConcurrentWriter, match="was set back"):
            await database.run(lambda connection, tp=tp: POSITIONS.advance(connection, tp, 8, 9))
    assert await database.run(POSITIONS.known) == {TP("ours", 0): 7}


async def test_a_position_that_was_put_back_is_gone_on_from(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)
        await database.run(lambda connection: POSITIONS.move(connection, TP("ours", 0), 2, 1))
        topics.put("ours", 0, b"c")
        await until(lambda: len(stored_records(database)) == 4)
    assert [value for *_, value in stored_records(database)] == ["a", "b", "b", "c"]


async def test_a_database_that_was_put_back_is_noticed_though_nothing_comes(database: Database, monkeypatch) -> None:
    monkeypatch.setattr("streams.consumers.follower._CHECK_S", 0.0)
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)
        await database.run(lambda connection: POSITIONS.move(connection, TP("ours", 0), 2, 1))
        await until(lambda: len(stored_records(database)) == 3)
    assert [value for *_, value in stored_records(database)] == ["a", "b", "b"]


async def test_a_database_that_was_put_back_makes_the_follower_restart(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await until(lambda: follower.progress().as_of_ms is not None)
        at = follower.positions()
        follower.check(at, at)
        assert follower.progress().as_of_ms is not None
        with pytest.raises(DatabaseRolledBack, match="the database is at offset 1 of ours-0; expected 2"):
            follower.check(at, {TP("ours", 0): 1})
        assert follower.progress().as_of_ms is None
        await until(lambda: follower.progress().as_of_ms is not None)
    assert topics.readers == 2
