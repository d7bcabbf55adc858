"""A writer's small transactions on a real broker, whose steps it takes itself once its client knows the topics."""

import asyncio
import gc
import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.producer.sender import SendProduceReqHandler
from broker_clusters import cluster_at, end_reaches, make_topic, values
from test_kafka_writer import all_of, committed, started

from streams.kafka.api import TP, Fenced, OutputRecord, PermanentError, TransientError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.produce.transactional_writer import KafkaWriter

pytestmark = pytest.mark.services


async def small_writer(cluster: KafkaCluster, topic: str, count: int = 1) -> KafkaWriter:
    """A writer that has committed a transaction to each partition: its next ones are small."""
    writer = await started(cluster, topic)
    await writer.commit([OutputRecord(topic, number, None, b"before") for number in range(count)], {})
    return writer


def steps_of(writer: KafkaWriter) -> Any:
    assert writer._small is not None
    return writer._small._steps


def must_not_be_used(writer: KafkaWriter) -> None:
    """Fail if a transaction is not small."""

    async def never(*_: object) -> None:
        raise RuntimeError("the transaction is not small")

    producer: Any = writer._producer
    producer.begin_transaction = never


async def test_small_transactions_have_everything_in_order_and_the_groups_offsets(address: str) -> None:
    topic, source = await make_topic(address, 2), TP(await make_topic(address, 4), 3)
    async with cluster_at(address) as cluster:
        writer = await small_writer(cluster, topic, 2)
        must_not_be_used(writer)
        at: list[int] = []
        for number in range(20):  # immediately: the transaction before may still be completing
            records = [
                OutputRecord(topic, 1, b"k", b"first-%d" % number, (("reason", b"no reason"),)),
                OutputRecord(topic, 0, None, b"elsewhere-%d" % number),
                OutputRecord(topic, 1, b"k", b"last-%d" % number),
            ]
            at.append(await writer.commit(records, {source: number} if number % 2 else {}))
        assert at == [2 + 3 * number + 1 for number in range(20)]
        await end_reaches(cluster, TP(topic, 1), at[-1] + 2)
        seen = values(await all_of(cluster, TP(topic, 1)))
        assert seen == [b"before", *(b"%s-%d" % (what, n) for n in range(20) for what in (b"first", b"last"))]
        assert values(await all_of(cluster, TP(topic, 0)))[1:] == [b"elsewhere-%d" % number for number in range(20)]
        group = cluster.writer("")._clients.settings.group
        assert await committed(address, group, source) == 19
        await writer.stop()


@pytest.mark.parametrize("step", ["begin", "produce", "add_offsets", "commit"])
async def test_a_newer_writer_fences_the_older_at_every_step(
    step: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic, source = await make_topic(address), TP(await make_topic(address), 0)
    caplog.set_level(logging.WARNING)
    async with cluster_at(address) as cluster:
        older, fence = await small_writer(cluster, topic), cluster.writer(topic)
        must_not_be_used(older)
        before(steps_of(older), step, fence.start)
        with pytest.raises(Fenced):
            await older.commit([OutputRecord(topic, 0, None, b"torn")], {source: 2})
        async with asyncio.timeout(4):  # it has nothing left to send
            await older.stop()
        last = await fence.commit([OutputRecord(topic, 0, None, b"after")], {})
        await fence.stop()
        await end_reaches(cluster, TP(topic, 0), last + 2)
        assert values(await all_of(cluster, TP(topic, 0))) == [b"before", b"after"]
        assert await committed(address, cluster.writer("")._clients.settings.group, source) is None
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


@pytest.mark.parametrize("step", ["begin", "produce", "add_offsets", "commit"])
async def test_a_cancelled_transaction_is_aborted_by_the_next_writer(step: str, address: str) -> None:
    """Its own writer can then be stopped at once."""
    topic, source = await make_topic(address), TP(await make_topic(address), 0)
    async with cluster_at(address) as cluster:
        writer = await small_writer(cluster, topic)
        must_not_be_used(writer)
        reached = asyncio.Event()

        async def stay() -> None:
            reached.set()
            await asyncio.sleep(60)

        before(steps_of(writer), step, stay)
        writing = asyncio.create_task(writer.commit([OutputRecord(topic, 0, None, b"torn")], {source: 2}))
        await reached.wait()
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        async with asyncio.timeout(4):
            await writer.stop()
        following = await started(cluster, topic)
        last = await following.commit([OutputRecord(topic, 0, None, b"after")], {})
        await following.stop()
        await end_reaches(cluster, TP(topic, 0), last + 2)
        assert values(await all_of(cluster, TP(topic, 0))) == [b"before", b"after"]


async def test_a_batch_that_has_to_be_sent_again_is_written_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's sender sends it again, and the transaction ends as a large one does."""
    topic, source = await make_topic(address), TP(await make_topic(address), 0)
    async with cluster_at(address) as cluster:
        writer = await small_writer(cluster, topic)
        original, refused = SendProduceReqHandler.handle_response, list[object]()

        def refusing(handler: Any, response: Any) -> None:
            if refused:
                original(handler, response)
                return
            refused.append(response)
            for batch in handler._batches.values():  # the broker has them: it recognizes them when they come again
                assert handler._can_retry(NotLeaderForPartitionError(), batch)
                handler._to_reenqueue.append(batch)

        monkeypatch.setattr(SendProduceReqHandler, "handle_response", refusing)
        last = await writer.commit([OutputRecord(topic, 0, None, b"again")], {source: 5})
        assert len(refused) == 1
        must_not_be_used(writer)
        assert await writer.commit([OutputRecord(topic, 0, None, b"more")], {source: 6}) == last + 2
        await end_reaches(cluster, TP(topic, 0), last + 4)
        assert values(await all_of(cluster, TP(topic, 0))) == [b"before", b"again", b"more"]
        assert await committed(address, cluster.writer("")._clients.settings.group, source) == 6
        await writer.stop()


async def test_records_that_the_broker_rejects_are_refused(address: str) -> None:
    topic = await make_topic(address, max_message_bytes="1000")
    async with cluster_at(address) as cluster:
        writer = await small_writer(cluster, topic)
        must_not_be_used(writer)
        with pytest.raises(PermanentError, match=r"refuses a batch of 1 records for its size .* of 8,000 bytes"):
            await writer.commit([OutputRecord(topic, 0, None, b"".join(uuid.uuid4().bytes for _ in range(500)))], {})
        async with asyncio.timeout(4):
            await writer.stop()


async def test_an_unexpected_error_of_the_client_is_one_that_may_pass(address: str) -> None:
    topic = await make_topic(address)
    async with cluster_at(address) as cluster:
        writer = await small_writer(cluster, topic)
        must_not_be_used(writer)

        async def broken() -> None:
            raise KeyError("a fault of the client")

        before(steps_of(writer), "commit", broken)
        with pytest.raises(TransientError, match="KeyError"):
            await writer.commit([OutputRecord(topic, 0, None, b"torn")], {})
        async with asyncio.timeout(4):
            await writer.stop()


def before(steps: Any, step: str, what: Callable[[], Any]) -> None:
    """Await ``what`` before that step of the next transactions."""
    original = getattr(steps, step)

    async def first(*args: object) -> object:
        await what()
        return await original(*args)

    setattr(steps, step, first)
