"""The records of a topic are handled exactly once, despite failures of the broker, the database and the process."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, until
from sqlalchemy import Connection

from helpers.fake_topics import FakeTopics
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Follower, FollowerHooks
from streams.kafka.api import TP, PermanentError, TransientError

pytestmark = pytest.mark.usefixtures("quick")


async def test_what_is_to_be_known_before_records_are_handled_is_looked_up_once_they_were_read(
    database: Database,
) -> None:
    topics, seen = FakeTopics(ours=1), list[str]()
    topics.now_ms = 4_000_000_000_000

    def handle(connection: Connection, records: Sequence[FollowedRecord]) -> None:
        seen.append(f"handled {len(records)}")
        store_records(connection, records)

    async def before() -> None:
        seen.append(f"read {topics.polls}")

    topics.put("ours", 0, b"1", b"2", b"3", b"4")
    await Follower(topics, database, POSITIONS, ["ours"], handle, hooks=FollowerHooks(before=before)).catch_up()
    assert seen == ["read 0", "read 1", "handled 3", "read 2", "handled 1"]


async def test_every_partition_is_followed_from_its_beginning_and_then_on(database: Database) -> None:
    topics = FakeTopics(ours=2)
    topics.put("ours", 0, b"a", b"b", b"c", b"d")
    topics.put("ours", 1, b"x")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 5)
        topics.put("ours", 1, b"y", None)
        await until(lambda: len(stored_records(database)) == 7)
    assert stored_records(database) == [
        ("ours", 0, 0, "a"), ("ours", 0, 1, "b"), ("ours", 0, 2, "c"), ("ours", 0, 3, "d"),
        ("ours", 1, 0, "x"), ("ours", 1, 1, "y"), ("ours", 1, 2, ""),
    ]  # fmt: skip


async def test_what_fails_leaves_neither_effect_nor_position(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"good", b"bad")

    def fail(connection: Connection, records: Sequence[FollowedRecord]) -> None:
        store_records(connection, records)
        raise RuntimeError("a fault of the handler's")

    with pytest.raises(RuntimeError, match="a fault of the handler's"):
        await Follower(topics, database, POSITIONS, ["ours"], fail).run()
    assert stored_records(database) == []
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)


async def test_what_a_handler_leaves_to_do_is_done_once_its_transaction_is_committed(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    seen: list[int] = []

    def handle(connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        store_records(connection, records)
        return lambda: seen.append(len(stored_records(database)))

    async with following(Follower(topics, database, POSITIONS, ["ours"], handle)):
        await until(lambda: bool(seen))
    assert seen == [2]


async def test_two_processes_with_one_database_handle_each_record_once(database: Database) -> None:
    topics = FakeTopics(ours=3)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    followers = [Follower(topics, database, POSITIONS, ["ours"], store_records) for _ in range(3)]
    async with following(followers[0]), following(followers[1]), following(followers[2]):
        for number in range(200):
            topics.put("ours", rng.randrange(3), b"%d" % number)
            if rng.random() < 0.2:
                await asyncio.sleep(0)
        await until(lambda: len(stored_records(database)) >= 200)
        await until(lambda: all(not any(follower.progress().behind.values()) for follower in followers))
    assert sorted(int(value) for *_, value in stored_records(database)) == list(range(200))
    assert topics.readers == 3, "one of them had to look up again where to continue, and knew nothing meanwhile"


async def test_a_broker_that_is_away_is_waited_for(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"before")
    topics.away = True
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await asyncio.sleep(0.02)
        assert stored_records(database) == []
        assert follower.progress().as_of_ms is None
        topics.away = False
        await until(lambda: len(stored_records(database)) == 1)
        topics.away = True
        await asyncio.sleep(0.02)
        topics.put("ours", 0, b"meanwhile")
        topics.away = False
        await until(lambda: len(stored_records(database)) == 2)


async def test_a_broker_that_answers_no_fetch_is_asked_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = FakeTopics(ours=1)
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await until(lambda: follower.progress().as_of_ms is not None)
        monkeypatch.setattr("streams.consumers.follower._SILENT_S", 0.01)
        topics.silent = True
        await until(lambda: topics.readers > 1)


async def test_a_database_that_is_away_is_waited_for_and_read_again(database: Database, monkeypatch) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, *(b"%d" % number for number in range(20)))
    real, failures = Database.run, iter([0, 1, 1, 0, 1, 0, 1, 1, 1])

    async def sometimes(self, work):
        result = await real(self, work)
        if next(failures, 0):
            raise TransientError("the connection broke after the commit")
        return result

    monkeypatch.setattr(Database, "run", sometimes)
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) >= 20)
    assert [int(value) for *_, value in stored_records(database)] == list(range(20))
    assert next(failures, None) is None, "not every failure took place"


async def test_a_topic_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(PermanentError, match="there is no topic theirs"):
        await Follower(FakeTopics(ours=1), database, POSITIONS, ["theirs"], store_records).run()


async def test_partitions_that_are_added_are_followed_too(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.consumers.follower._COUNT_S", 0.0)
    monkeypatch.setattr("streams.consumers.follower._SILENT_S", 3600.0)  # otherwise it would check by itself
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 1)
        topics.logs[TP("ours", 1)], topics.first[TP("ours", 1)], topics.counts["ours"] = [b"b"], 0, 2
        await until(lambda: len(stored_records(database)) == 2)
    assert stored_records(database)[-1] == ("ours", 1, 0, "b")
