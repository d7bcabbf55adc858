"""The records of a topic are handled exactly once, despite failures of the broker, the database and the process."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import recording_consumer
from recording_consumer import POSITIONS, store_records, stored_records
from sqlalchemy import Connection

from helpers.fake_topics import FakeTopics
from streams.consumers.data_loss import OtherCluster, RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import DatabaseRolledBack, FollowedRecord, Follower, FollowerHooks
from streams.consumers.offsets import ConcurrentWriter
from streams.consumers.service import lag_reason
from streams.kafka.api import TP, PermanentError, TransientError
from streams.runtime.monotonic import steady_s


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before retrying the broker."""
    monkeypatch.setattr("streams.consumers.follower.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.LONGEST_S", 0.001)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await recording_consumer.new_database(tmp_path)
    yield database
    database.close()


@asynccontextmanager
async def following(follower: Follower) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(follower.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)


def is_as_of(follower: Follower, ms: int) -> bool:
    """Whether it is current as of that time; two clocks cannot be read at the same instant."""
    return abs((follower.progress().as_of_ms or 0) - ms) < 500


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


async def test_catching_up_handles_what_is_there_and_ends(database: Database) -> None:
    topics = FakeTopics(ours=2)
    topics.now_ms = 4_000_000_000_000  # ahead of this machine's clock: every answer is newer than the request
    topics.put("ours", 0, *(b"%d" % number for number in range(10)))
    await Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up()
    assert len(stored_records(database)) == 10
    topics.put("ours", 1, b"later")
    await Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up()
    assert len(stored_records(database)) == 11
    topics.away = True
    with pytest.raises(TransientError, match="the broker is away"):
        await Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up()


async def test_catching_up_waits_for_an_answer_of_the_present(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.now_ms = 1_000
    topics.put("ours", 0, b"x")
    caught_up = asyncio.create_task(Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up())
    await until(lambda: len(stored_records(database)) == 1)
    await asyncio.sleep(0.02)
    assert not caught_up.done()
    topics.put("ours", 0, b"y")
    topics.now_ms = 4_000_000_000_000
    async with asyncio.timeout(20):
        await caught_up
    assert len(stored_records(database)) == 2


async def test_many_catch_up_at_once_while_records_come(database: Database, monkeypatch) -> None:
    """Others move the positions between any two checks."""
    monkeypatch.setattr("streams.consumers.follower._POLL_S", 0.001)
    topics = FakeTopics(ours=2)
    topics.now_ms = 4_000_000_000_000
    real = FakeTopics.ends

    async def ends_and_then_more(self, tps):
        ends = await real(self, tps)
        if len(topics.logs[TP("ours", 0)]) < 60:
            topics.put("ours", 0, b"x", b"x")
        await asyncio.sleep(0.001)
        return ends

    monkeypatch.setattr(FakeTopics, "ends", ends_and_then_more)
    async with asyncio.timeout(20):
        for _ in range(6):
            await asyncio.gather(
                *(Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up() for _ in range(4))
            )
    offsets = [offset for _, partition, offset, _ in stored_records(database) if not partition]
    assert offsets == list(range(len(offsets)))
    assert len(offsets) > 20


async def test_it_says_up_to_when_all_was_handled(database: Database) -> None:
    topics = FakeTopics(ours=2)
    topics.put("ours", 0, *[b"x"] * 10)
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    assert follower.progress().as_of_ms is None
    async with following(follower):
        await until(lambda: is_as_of(follower, 1_000))
        topics.now_ms = 2_000
        await until(lambda: is_as_of(follower, 2_000))
        assert set(follower.progress().behind.values()) == {0}


async def test_a_partition_that_is_not_handled_to_its_end_holds_the_time_back(database: Database) -> None:
    topics = FakeTopics(ours=2)
    topics.put("ours", 0, b"x")
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(connection: Connection, records: Sequence[FollowedRecord]) -> None:
        if any(record.value == b"slow" for record in records):
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result(10)
        store_records(connection, records)

    follower = Follower(topics, database, POSITIONS, ["ours"], wait)
    async with following(follower):
        await until(lambda: is_as_of(follower, 1_000))
        topics.now_ms = 3_000
        topics.put("ours", 1, b"slow")
        await asyncio.sleep(0.02)
        assert is_as_of(follower, 1_000) or not stored_records(database)[1:]
        held.set()
        await until(lambda: is_as_of(follower, 3_000))
        assert len(stored_records(database)) == 2


async def test_what_is_committed_behind_an_open_transaction_is_missed_and_known_to_be(database: Database) -> None:
    """For a reader of committed records the log ends there, and yet not every committed record has been read."""
    topics, tp = FakeTopics(ours=2), TP("ours", 0)
    topics.now_ms = int(time.time() * 1000) - 6_000
    topics.put("ours", 0, b"a", b"b")
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await until(lambda: follower.progress().as_of_s is not None and not follower.progress().waiting)
        assert lag_reason(follower) is None
        topics.open[tp] = 2
        topics.put("ours", 0, b"open", b"committed by another")
        await until(lambda: bool(follower.progress().waiting))
        [waiting] = follower.progress().waiting
        assert (waiting.tp, waiting.offset, waiting.in_transaction) == (tp, 2, True)
        assert follower.progress().behind == {tp: 2, TP("ours", 1): 0}
        assert follower.progress().overdue(steady_s()) == waiting
        assert "a transaction of ours-0 has been open at offset 2 for 6 s" in (lag_reason(follower) or "")
        known = follower.progress().as_of_s
        topics.now_ms += 60_000
        polls = topics.polls
        await until(lambda: topics.polls > polls + 3)
        assert follower.progress().as_of_s == known, "it knows no more than what was there before"
        del topics.open[tp]
        await until(lambda: len(stored_records(database)) == 4 and not follower.progress().waiting)
        assert lag_reason(follower) is None


async def test_catching_up_ends_at_a_transaction_that_stays_open(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.now_ms = int(time.time() * 1000) - 6_000
    topics.put("ours", 0, *[b"x"] * 8)
    topics.open[TP("ours", 0)] = 7
    with pytest.raises(TransientError, match=r"a transaction of ours-0 has been open at offset 7 for \d+ s"):
        async with asyncio.timeout(60):
            await Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up()
    assert len(stored_records(database)) == 7


async def test_deleted_records_that_were_not_handled_are_refused(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b", b"c")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 3)
    topics.put("ours", 0, b"d", b"e")
    topics.delete_before("ours", 0, 4)
    with pytest.raises(
        RecordsLost, match="ours-0: the next record to handle is 3, but all records before 4 were deleted"
    ):
        await Follower(topics, database, POSITIONS, ["ours"], store_records).run()
    assert len(stored_records(database)) == 3


async def test_a_start_where_records_were_deleted_is_refused(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    topics.delete_before("ours", 0, 1)
    with pytest.raises(RecordsLost, match="the next record to handle is 0"):
        await Follower(topics, database, POSITIONS, ["ours"], store_records).run()


async def test_a_topic_that_ends_before_the_position_is_refused_once_it_stays_so(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b", b"c")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 3)
    recreated = FakeTopics(ours=1)
    recreated.put("ours", 0, b"other")
    with pytest.raises(RecordsLost, match="the topic ends at 1: it was recreated"):
        await Follower(recreated, database, POSITIONS, ["ours"], store_records).run()
    late = FakeTopics(ours=1)
    late.put("ours", 0, b"a", b"b")  # a leader that has not learned yet that the third record is committed
    async with following(Follower(late, database, POSITIONS, ["ours"], store_records)):
        await asyncio.sleep(0.001)
        late.put("ours", 0, b"c", b"d")
        await until(lambda: len(stored_records(database)) == 4)


async def test_deleted_records_are_passed_over_where_that_is_wanted_and_told_with_it(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b", b"c")
    topics.delete_before("ours", 0, 2)
    output: list[RecordsLost] = []

    def pass_over(connection: Connection, gone: RecordsLost) -> None:
        assert POSITIONS.known(connection) == {TP("ours", 0): 2}, "not in the transaction that passes them over"
        output.append(gone)

    async with following(
        Follower(topics, database, POSITIONS, ["ours"], store_records, hooks=FollowerHooks(pass_over=pass_over))
    ):
        await until(lambda: len(stored_records(database)) == 1)
    assert stored_records(database) == [("ours", 0, 2, "c")]
    assert [(gone.tp, gone.offset, gone.start) for gone in output] == [(TP("ours", 0), 0, 2)]


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


async def test_a_topic_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(PermanentError, match="there is no topic theirs"):
        await Follower(FakeTopics(ours=1), database, POSITIONS, ["theirs"], store_records).run()


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


async def test_a_log_that_was_rewritten_beyond_the_position_is_refused(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)
    recreated = FakeTopics(ours=1)
    recreated.put("ours", 0, b"a", b"other", b"c", b"d")
    with pytest.raises(RecordsLost, match=r"the next record to handle is 2, but the last handled record has changed"):
        await Follower(recreated, database, POSITIONS, ["ours"], store_records).run()
    assert len(stored_records(database)) == 2


async def test_a_log_that_was_cut_and_rewritten_while_the_broker_was_away_is_refused(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)) as run:
        await until(lambda: len(stored_records(database)) == 2)
        topics.away = True
        topics.logs[TP("ours", 0)] = [b"a", b"instead of b", b"c"]
        await asyncio.sleep(0.01)
        topics.away = False
        with pytest.raises(RecordsLost, match="the last handled record has changed"):
            await asyncio.wait_for(run, 20)


async def test_where_the_record_that_was_handled_last_has_expired_nothing_is_held_against_the_log(
    database: Database,
) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)
    topics.put("ours", 0, b"c")
    topics.delete_before("ours", 0, 2)
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 3)


async def test_after_accepting_lost_records_it_continues_at_the_end_of_a_rewritten_log(
    database: Database,
) -> None:
    topics, output = FakeTopics(ours=1), list[RecordsLost]()
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)
    topics.logs[TP("ours", 0)] = [b"a", b"instead of b", b"c"]
    follower = Follower(
        topics, database, POSITIONS, ["ours"], store_records, hooks=FollowerHooks(lambda _, gone: output.append(gone))
    )
    async with following(follower):
        await until(lambda: follower.progress().as_of_ms is not None)
        topics.put("ours", 0, b"new")
        await until(lambda: len(stored_records(database)) == 3)
    assert [(gone.offset, gone.start) for gone in output] == [(2, 3)]
    assert stored_records(database)[-1] == ("ours", 0, 3, "new")


async def test_a_clock_that_is_set_makes_nothing_fresh(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = FakeTopics(ours=1)
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    topics.now_ms = time.time_ns() // 1_000_000 - 3_600_000
    async with following(follower):
        await until(lambda: follower.progress().as_of_s is not None)
        topics.away = True
        now_s = time.time()
        monkeypatch.setattr(time, "time", lambda: now_s - 86_400)  # back by a day
        assert "is 36" in (lag_reason(follower) or ""), "not an hour ago any more"


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


async def test_unrequested_partitions_make_nothing_current(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions may have been added since the last request."""
    monkeypatch.setattr("streams.consumers.follower._COUNT_S", 3600.0)
    topics = FakeTopics(ours=1)
    topics.now_ms = time.time_ns() // 1_000_000 + 3_600_000
    began_s = steady_s()
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    async with following(follower):
        await until(lambda: follower.progress().as_of_s is not None)
        assert began_s <= (follower.progress().as_of_s or 0) <= steady_s()


async def test_a_topic_that_is_made_again_meanwhile_and_has_got_further_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error occurs: the reader would continue in the middle of another log."""
    monkeypatch.setattr("streams.consumers.follower._COUNT_S", 0.0)
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)) as task:
        await until(lambda: len(stored_records(database)) == 2)
        topics.logs[TP("ours", 0)], topics.made = [b"other"] * 5, 2
        async with asyncio.timeout(20):
            await asyncio.wait([task])
        with pytest.raises(RecordsLost, match="the last handled record has changed"):
            task.result()
    with pytest.raises(RecordsLost, match="the last handled record has changed"):  # at every start
        await Follower(topics, database, POSITIONS, ["ours"], store_records).run()


async def test_positions_that_were_kept_for_another_cluster_are_refused(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 1)
    topics.id = "another-one"
    topics.put("ours", 0, b"b")
    output: list[RecordsLost] = []
    pass_over = [None, lambda _, gone: output.append(gone)]
    for each in pass_over:
        with pytest.raises(
            OtherCluster, match="offsets of the Kafka cluster this-one; expected those of another-one"
        ) as no:
            async with asyncio.timeout(5):
                await Follower(topics, database, POSITIONS, ["ours"], store_records, hooks=FollowerHooks(each)).run()
        assert "or CALLWARDEN_NOTEBOOK_DATABASE. If " in str(no.value)
        assert "use a new, empty database" in str(no.value)
    assert (len(stored_records(database)), output) == (1, [])
    topics.id = None  # a broker that does not report its id
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 2)


async def test_another_cluster_at_the_same_address_is_noticed_while_it_runs(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)) as run:
        await until(lambda: len(stored_records(database)) == 1)
        topics.away = True
        await asyncio.sleep(0.01)
        topics.id, topics.away = "another-one", False
        with pytest.raises(OtherCluster):
            await asyncio.wait_for(run, 20)


async def test_positions_of_an_earlier_release_become_those_of_the_cluster_that_is_followed(database: Database) -> None:
    await database.run(lambda connection: POSITIONS.begin(connection, {TP("ours", 0): 1}, None))
    assert await database.run(POSITIONS.clusters) == set()
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 1)
    assert await database.run(POSITIONS.clusters) == {"this-one"}
