"""Positions belong to one Kafka cluster: a follower refuses those of another one."""

import asyncio

import pytest
from recording_consumer import POSITIONS, store_records, stored_records
from running_follower import following, until

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from streams.consumers.data_loss import OtherCluster, RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.kafka.api import TP

pytestmark = pytest.mark.usefixtures("quick")


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
            async with asyncio.timeout(PATIENCE_S):
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
            await asyncio.wait_for(run, PATIENCE_S)


async def test_positions_of_an_earlier_release_become_those_of_the_cluster_that_is_followed(database: Database) -> None:
    await database.run(lambda connection: POSITIONS.begin(connection, {TP("ours", 0): 1}, None))
    assert await database.run(POSITIONS.clusters) == set()
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, b"a", b"b")
    async with following(Follower(topics, database, POSITIONS, ["ours"], store_records)):
        await until(lambda: len(stored_records(database)) == 1)
    assert await database.run(POSITIONS.clusters) == {"this-one"}
