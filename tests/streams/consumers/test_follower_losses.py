"""Records that were deleted before they were handled, and logs that were rewritten, are refused or passed over."""

import asyncio

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, until
from sqlalchemy import Connection

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.kafka.api import TP

pytestmark = pytest.mark.usefixtures("quick")


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
            await asyncio.wait_for(run, PATIENCE_S)


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
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([task])
        with pytest.raises(RecordsLost, match="the last handled record has changed"):
            task.result()
    with pytest.raises(RecordsLost, match="the last handled record has changed"):  # at every start
        await Follower(topics, database, POSITIONS, ["ours"], store_records).run()
