"""A follower says up to when it has handled all records, and what it waits for."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, is_as_of, until
from sqlalchemy import Connection

from helpers.fake_topics import FakeTopics
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Follower
from streams.consumers.service import lag_reason
from streams.kafka.api import TP
from streams.runtime.monotonic import steady_s

pytestmark = pytest.mark.usefixtures("quick")


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
        # The clocks of this machine are read one after the other, so times differ by what lies between.
        assert follower.progress().as_of_s == pytest.approx(known, abs=1), "it knows no more than what was there before"
        del topics.open[tp]
        await until(lambda: len(stored_records(database)) == 4 and not follower.progress().waiting)
        assert lag_reason(follower) is None


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
