"""A real broker's time in the acknowledgement of a record, and no other time in its place."""

import time
import uuid

import pytest
from broker_clusters import cluster_at, make_topic

from streams.kafka.api import TP, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord

pytestmark = pytest.mark.services


async def test_a_stamp_is_the_brokers_time_and_its_record_can_be_read(address: str) -> None:
    topic = await make_topic(address, 2, message_timestamp_type="LogAppendTime")
    async with cluster_at(address) as cluster:
        before_ms = time.time_ns() // 1_000_000
        stamps = [await cluster.stamp(OutputRecord(topic, 1, b"1", b"tick")) for _ in range(3)]
        after_ms = time.time_ns() // 1_000_000
        assert before_ms <= stamps[0] <= stamps[1] <= stamps[2] <= after_ms
        (batch,) = [one async for one in cluster.read(TP(topic, 1), 0, 3)]
        assert batch.timestamps_ms.tolist() == stamps


async def test_a_topic_with_producer_timestamps_gives_no_broker_time(address: str) -> None:
    """The acknowledgement would return the time that the producer claims."""
    topic = await make_topic(address, message_timestamp_type="CreateTime")
    async with cluster_at(address) as cluster:
        with pytest.raises(PermanentError, match=r"LogAppendTime"):
            await cluster.stamp(OutputRecord(topic, 0, b"0", b"tick"))


async def test_a_stamp_that_fails_says_why_and_the_next_one_may_succeed(address: str) -> None:
    topic = await make_topic(address, message_timestamp_type="LogAppendTime")
    async with cluster_at(address) as cluster:
        with pytest.raises((TransientError, PermanentError)):
            await cluster.stamp(OutputRecord(f"absent-{uuid.uuid4().hex}", 7, b"0", b"tick"))
        assert await cluster.stamp(OutputRecord(topic, 0, b"0", b"tick")) > 0
