"""A real writer: transactions are atomic and ordered, and a writer is fenced once a newer one has started."""

import asyncio
import gc
import logging
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from broker_clusters import cluster_at, end_reaches, make_topic, offsets, produce, values

from helpers.patience import PATIENCE_S
from streams.kafka.api import TP, CommittedOffset, Fenced, FetchedBatch, PermanentError, TransientError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.outputs import OutputRecord
from streams.kafka.produce.transactional_writer import KafkaWriter

pytestmark = pytest.mark.services


async def started(cluster: KafkaCluster, transactional_id: str) -> KafkaWriter:
    writer = cluster.writer(transactional_id)
    await writer.start()
    return writer


async def all_of(cluster: KafkaCluster, tp: TP) -> list[FetchedBatch]:
    return [batch async for batch in cluster.read(tp, 0, (await cluster.ends([tp]))[tp])]


async def committed(address: str, group: str, tp: TP) -> int | None:
    async with AIOKafkaConsumer(bootstrap_servers=address, group_id=group, enable_auto_commit=False) as consumer:
        offset: int | None = await consumer.committed(TopicPartition(*tp))
        return offset


async def test_a_transaction_has_everything_in_order_and_the_groups_offsets(address: str) -> None:
    one, two = await make_topic(address, 2), await make_topic(address)
    head, other, source = TP(one, 1), TP(two, 0), TP(await make_topic(address, 4), 3)
    await produce(address, TP(one, 1), [b"before"])
    async with cluster_at(address) as cluster:
        writer = await started(cluster, one)
        records = [
            OutputRecord(one, 1, b"k", b"first", (("reason", b"no reason"),)),
            OutputRecord(two, 0, None, b"elsewhere"),
            OutputRecord(one, 1, b"k", None),
            OutputRecord(two, 0, None, None),
            OutputRecord(one, 1, b"", b"last"),
        ]
        last = await writer.commit(records, {source: 77})
        await end_reaches(cluster, head, 5)
        await end_reaches(cluster, other, 3)
        batches = await all_of(cluster, head)
        assert values(batches) == [b"before", b"first", None, b"last"]
        assert offsets(batches) == [0, 1, 2, last]
        assert [key for batch in batches for key in batch.keys] == [b"k", b"k", b"k", b""]
        assert values(await all_of(cluster, other)) == [b"elsewhere", None]
        group = cluster.writer("")._clients.settings.group
        assert await committed(address, group, source) == 77
        # Without offsets, and immediately again: the previous transaction may still be completing.
        assert await writer.commit([OutputRecord(one, 1, None, b"more")], {}) == last + 2


async def test_offsets_of_a_group_are_read_with_their_notes_once_their_transaction_is_decided(address: str) -> None:
    topic = await make_topic(address, 2)
    source, other = TP(topic, 0), TP(topic, 1)
    async with cluster_at(address, group=f"group-{topic}") as cluster:
        assert await cluster.committed([source, other]) == {}
        for number in range(20):  # an acknowledged commit is seen at once by the next writer of the id
            writer = await started(cluster, topic)
            if number:
                assert await cluster.committed([source]) == {source: CommittedOffset(number, f"note {number}")}
            assert await writer.commit([], {source: number + 1}, f"note {number + 1}") == -1
            await writer.stop()
        writer = await started(cluster, topic)
        producer = writer._producer
        assert producer is not None
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({TopicPartition(*source): 99}, f"group-{topic}")
        with pytest.raises(TransientError, match="is being committed"):
            await cluster.committed([source])
        await started(cluster, topic)
        assert (await cluster.committed([source, other]))[source].offset == 20


async def test_large_transactions_are_sent_in_batches_that_the_broker_accepts(address: str) -> None:
    topic, source = await make_topic(address, 2), TP(await make_topic(address), 0)
    async with cluster_at(address) as cluster:
        writer = await started(cluster, topic)
        large = [OutputRecord(topic, 0, b"pane-%d" % n, uuid.uuid4().bytes * 56_000) for n in range(10)]  # 896 KB each
        small = [OutputRecord(topic, 1, b"%d" % n, uuid.uuid4().bytes * 4) for n in range(50_000)]
        last = await writer.commit([*large, *small, OutputRecord(topic, 0, b"head", b"h")], {source: 1})
        assert last == 10
        await end_reaches(cluster, TP(topic, 1), 50_001)
        await end_reaches(cluster, TP(topic, 0), 12)
        assert values(await all_of(cluster, TP(topic, 0))) == [*(out.value for out in large), b"h"]
        assert values(await all_of(cluster, TP(topic, 1))) == [out.value for out in small]


async def test_a_compressible_record_may_exceed_the_message_size(address: str) -> None:
    """A dead letter may have arrived in a compressed batch; uncompressed it is too large for any topic."""
    topic = await make_topic(address)
    value = b"x" * 5_000_000
    await produce(address, TP(topic, 0), [value], compression_type="gzip", max_request_size=10_000_000)
    async with cluster_at(address) as cluster:
        writer = await started(cluster, topic)
        await writer.commit([OutputRecord(topic, 0, None, value, (("reason", b"too long"),))], {})
        await end_reaches(cluster, TP(topic, 0), 3)
        assert values(await all_of(cluster, TP(topic, 0))) == [value, value]


async def test_a_newer_writer_fences_the_older_at_every_step(address: str, caplog: pytest.LogCaptureFixture) -> None:
    topic, source = await make_topic(address), TP(await make_topic(address), 0)
    tp = TP(topic, 0)
    caplog.set_level(logging.WARNING)
    async with cluster_at(address) as cluster:
        zombie = await started(cluster, topic)
        await zombie.commit([OutputRecord(topic, 0, None, b"by the zombie, in time")], {})
        newer = await started(cluster, topic)
        with pytest.raises(Fenced, match=topic):
            await zombie.commit([OutputRecord(topic, 0, None, b"by the zombie, too late")], {source: 1})
        await newer.commit([OutputRecord(topic, 0, None, b"by the newer")], {})
        await end_reaches(cluster, tp, 4)
        assert values(await all_of(cluster, tp)) == [b"by the zombie, in time", b"by the newer"]
        # A third writer starts between any two steps while the second one's transaction is open.
        for step in ("_send", "_offsets", "_end"):
            older, fence = await started(cluster, topic), cluster.writer(topic)
            await _fence_before(older, step, fence)
            with pytest.raises(Fenced):
                await older.commit([OutputRecord(topic, 0, None, b"torn")], {source: 2})
            await older.stop()
            await fence.commit([OutputRecord(topic, 0, None, b"after")], {})
            await fence.stop()
        async with asyncio.timeout(PATIENCE_S):
            while (seen := values(await all_of(cluster, tp))).count(b"after") < 3:
                await asyncio.sleep(0.05)
        assert seen == [b"by the zombie, in time", b"by the newer", b"after", b"after", b"after"]
        group = cluster.writer("")._clients.settings.group
        assert await committed(address, group, source) is None
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def _fence_before(writer: KafkaWriter, step: str, fence: KafkaWriter) -> None:
    """Start ``fence`` right before that step of the writer's next transaction."""
    producer = writer._producer
    assert producer is not None
    name = {"_send": "send_batch", "_offsets": "send_offsets_to_transaction", "_end": "commit_transaction"}[step]
    original = getattr(producer, name)

    async def fenced_first(*args: object, **named: object) -> object:
        await fence.start()
        return await original(*args, **named)

    setattr(producer, name, fenced_first)


async def test_an_open_transaction_of_a_killed_writer_is_aborted_when_the_next_one_starts(address: str) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    await produce(address, tp, [b"before"])
    # Written, never committed, and its process has ended.
    dead = AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic)
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(topic, b"half", partition=0)
    await dead.client.close()
    async with cluster_at(address) as cluster:
        await produce(address, tp, [b"behind it"])
        assert await cluster.ends([tp]) == {tp: 1}  # the open transaction hides later records
        assert values(await all_of(cluster, tp)) == [b"before"]
        await started(cluster, topic)
        assert await cluster.ends([tp]) == {tp: 4}  # immediately: no wait after `start`
        assert values(await all_of(cluster, tp)) == [b"before", b"behind it"]
    await dead.stop()


async def test_records_that_the_broker_rejects_are_refused(address: str) -> None:
    topic = await make_topic(address, max_message_bytes="1000")
    async with cluster_at(address) as cluster:
        writer = await started(cluster, topic)
        with pytest.raises(PermanentError, match=r"refuses a batch of 1 records for its size .* of 8,000 bytes"):
            await writer.commit([OutputRecord(topic, 0, None, b"".join(uuid.uuid4().bytes for _ in range(500)))], {})
        # The failed transaction left nothing, and the next one succeeds.
        writer = await started(cluster, topic)
        await writer.commit([OutputRecord(topic, 0, None, b"small")], {})
        await end_reaches(cluster, TP(topic, 0), 3)  # the marker of the aborted transaction comes first
        assert values(await all_of(cluster, TP(topic, 0))) == [b"small"]
