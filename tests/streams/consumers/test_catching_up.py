"""A follower that catches up handles what is there, and ends."""

import asyncio
import time

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import until

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.kafka.api import TP, TransientError

pytestmark = pytest.mark.usefixtures("quick")


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
    async with asyncio.timeout(PATIENCE_S):
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
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(6):
            await asyncio.gather(
                *(Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up() for _ in range(4))
            )
    offsets = [offset for _, partition, offset, _ in stored_records(database) if not partition]
    assert offsets == list(range(len(offsets)))
    assert len(offsets) > 20


async def test_catching_up_ends_at_a_transaction_that_stays_open(database: Database) -> None:
    topics = FakeTopics(ours=1)
    topics.now_ms = int(time.time() * 1000) - 6_000
    topics.put("ours", 0, *[b"x"] * 8)
    topics.open[TP("ours", 0)] = 7
    with pytest.raises(TransientError, match=r"a transaction of ours-0 has been open at offset 7 for \d+ s"):
        async with asyncio.timeout(PATIENCE_S):
            await Follower(topics, database, POSITIONS, ["ours"], store_records).catch_up()
    assert len(stored_records(database)) == 7
