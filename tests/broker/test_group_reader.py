"""A group's reader says which records were deleted before the group had read them."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from broker_clusters import cluster_at, create_topics, delete_below, make_topic, numbered, produce
from deadlines import deadline

from streams.kafka.api import TP, CommittedOffset, GroupLoss, GroupReader

pytestmark = pytest.mark.services


@asynccontextmanager
async def member_of(address: str, topic: str, group: str) -> AsyncIterator[GroupReader]:
    async with cluster_at(address) as cluster:
        member = cluster.group_reader([topic], group)
        try:
            await member.start()
            yield member
        finally:
            await member.stop()


async def read(member: GroupReader, tp: TP, count: int) -> Sequence[bytes | None]:
    """The next values, all committed."""
    found: list[bytes | None] = []
    async with deadline(f"{count} records of {tp.topic}"):
        while len(found) < count:
            for fetched in (await member.poll(0.5, 100)).values():
                found += fetched.values
                await member.commit(tp, fetched.stop)
    return found


async def lost(member: GroupReader) -> Sequence[GroupLoss]:
    async with deadline("a loss is found"):
        while not (found := member.take_lost()):
            await member.poll(0.5, 100)
    return found


async def test_records_that_were_deleted_before_the_group_read_them_are_a_loss(address: str) -> None:
    tp, group = TP(await make_topic(address), 0), uuid.uuid4().hex
    await produce(address, tp, numbered(0, 3))
    async with member_of(address, tp.topic, group) as member:
        assert await read(member, tp, 3) == numbered(0, 3)
        assert member.take_lost() == []
    await produce(address, tp, numbered(3, 7))
    await delete_below(address, tp, 8)
    async with member_of(address, tp.topic, group) as member:
        assert await read(member, tp, 2) == numbered(8, 2)
        assert member.take_lost() == [GroupLoss(tp, 3, 8)]
        assert member.take_lost() == []
    async with member_of(address, tp.topic, group) as member:
        await produce(address, tp, numbered(10, 1))
        assert await read(member, tp, 1) == numbered(10, 1)
        assert member.take_lost() == []


async def test_a_loss_is_found_without_a_record_behind_it_until_it_is_committed(address: str) -> None:
    tp, group = TP(await make_topic(address), 0), uuid.uuid4().hex
    await produce(address, tp, numbered(0, 3))
    async with member_of(address, tp.topic, group) as member:
        await read(member, tp, 3)
    await produce(address, tp, numbered(3, 3))
    await delete_below(address, tp, 6)
    for _ in range(2):
        async with member_of(address, tp.topic, group) as member:
            assert await lost(member) == [GroupLoss(tp, 3, 6)]
    async with member_of(address, tp.topic, group) as member:
        assert await lost(member) == [GroupLoss(tp, 3, 6)]
        await member.commit(tp, 6)
    async with member_of(address, tp.topic, group) as member:
        await produce(address, tp, [b"next"])
        assert await read(member, tp, 1) == [b"next"]
        assert member.take_lost() == []


async def test_records_that_were_deleted_before_the_group_read_any_are_a_loss(address: str) -> None:
    tp, group = TP(await make_topic(address), 0), uuid.uuid4().hex
    async with (
        member_of(address, tp.topic, group) as member,
        cluster_at(address, group) as cluster,
        deadline("the group has an offset"),
    ):
        while not await cluster.committed([tp]):
            assert await member.poll(0.1, 100) == {}
    await produce(address, tp, numbered(0, 3))
    await delete_below(address, tp, 2)
    async with member_of(address, tp.topic, group) as member:
        assert await read(member, tp, 1) == numbered(2, 1)
        assert member.take_lost() == [GroupLoss(tp, 0, 2)]


@pytest.mark.parametrize("records", [2, 9])
async def test_an_offset_of_a_topic_that_was_created_again_does_not_count(address: str, records: int) -> None:
    """Also if it exists in the new topic. Kafka deletes the offsets of a topic with it, but an agent that had a batch
    then commits afterwards."""
    tp, group = TP(await make_topic(address), 0), uuid.uuid4().hex
    await produce(address, tp, numbered(0, 5))
    async with cluster_at(address) as cluster:
        former = (await cluster.topics([tp.topic]))[tp.topic].id
    async with member_of(address, tp.topic, group) as member:
        await read(member, tp, 5)
    async with cluster_at(address, group) as cluster:
        assert await cluster.committed([tp]) == {tp: CommittedOffset(5, former)}
    await create_again(address, tp.topic)
    await produce(address, tp, numbered(100, records))
    await commit(address, group, tp, 5, former)
    async with member_of(address, tp.topic, group) as member:
        assert await read(member, tp, records) == numbered(100, records)
        assert member.take_lost() == [GroupLoss(tp, 5, 0, other_log=True)]
    async with member_of(address, tp.topic, group) as member:
        await produce(address, tp, [b"next"])
        assert await read(member, tp, 1) == [b"next"]
        assert member.take_lost() == []


async def test_an_offset_that_an_operator_has_set_counts(address: str) -> None:
    tp, group = TP(await make_topic(address), 0), uuid.uuid4().hex
    await produce(address, tp, numbered(0, 5))
    await commit(address, group, tp, 4, "")
    async with member_of(address, tp.topic, group) as member:
        assert await read(member, tp, 1) == numbered(4, 1)
        assert member.take_lost() == []


async def commit(address: str, group: str, tp: TP, offset: int, note: str) -> None:
    async with AIOKafkaConsumer(bootstrap_servers=address, group_id=group, enable_auto_commit=False) as client:
        client.assign([TopicPartition(*tp)])
        await client.commit({TopicPartition(*tp): (offset, note)})


async def create_again(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    async with cluster_at(address) as cluster, deadline(f"{topic} is deleted"):
        while await cluster.topics([topic]):
            pass
    await create_topics(address, [topic])
