"""Reading ranges of a real log without a group, and requesting its start and end."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from broker_clusters import (
    assert_seamless,
    cluster_at,
    delete_below,
    end_reaches,
    in_transactions,
    make_topic,
    numbered,
    offsets,
    produce,
    values,
)

from helpers.patience import PATIENCE_S
from streams.kafka.api import TP, FetchedBatch, OffsetOutOfRange, PermanentError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.outputs import OutputRecord

pytestmark = pytest.mark.services


async def read(cluster: KafkaCluster, tp: TP, start: int, stop: int) -> list[FetchedBatch]:
    return [batch async for batch in cluster.read(tp, start, stop)]


async def test_a_read_ends_where_it_was_asked_to_stop(address: str) -> None:
    tp = TP(await make_topic(address), 0)
    await produce(address, tp, numbered(0, 1000))
    async with cluster_at(address) as cluster:
        for start, stop in ((0, 1000), (3, 17), (500, 501), (999, 1000)):
            batches = await read(cluster, tp, start, stop)
            assert_seamless(batches, start)
            assert batches[-1].stop == stop
            assert values(batches) == numbered(start, stop - start)
        assert await read(cluster, tp, 7, 7) == []
        assert await read(cluster, tp, 1000, 1000) == []


async def test_a_read_that_ends_in_markers_ends(address: str) -> None:
    tp = TP(await make_topic(address), 0)
    await in_transactions(address, tp, (True, [b"a"]), (False, [b"x"] * 5), (False, [b"y"]))
    async with cluster_at(address) as cluster:
        await end_reaches(cluster, tp, 10)
        batches = await read(cluster, tp, 0, 10)
        assert_seamless(batches, 0)
        assert (values(batches), batches[-1].stop) == ([b"a"], 10)
        assert values(await read(cluster, tp, 2, 10)) == []


async def test_a_request_about_a_topic_waits_for_the_topics_leader(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise aiokafka repeats the request after a pause, for each topic that a command reads."""
    tps = [TP(await make_topic(address), 0) for _ in range(2)]
    for tp in tps:
        await produce(address, tp, [b"a"])
    paused: list[float] = []
    sleep = asyncio.sleep

    async def seen(delay: float, *result: Any) -> Any:
        if sys._getframe(1).f_globals["__name__"].startswith("aiokafka"):
            paused.append(delay)
        return await sleep(delay, *result)

    async with cluster_at(address) as cluster:
        monkeypatch.setattr(asyncio, "sleep", seen)
        assert await cluster.ends(tps[:1]) == dict.fromkeys(tps[:1], 1)
        assert await cluster.ends(tps) == dict.fromkeys(tps, 1)
        assert paused == []


async def test_a_compacted_log_has_gaps_and_the_newest_of_each_key(address: str) -> None:
    topic = await make_topic(
        address,
        cleanup_policy="compact",
        segment_ms="200",
        min_cleanable_dirty_ratio="0.01",
        delete_retention_ms="100000",
    )
    tp = TP(topic, 0)
    await produce(address, tp, numbered(0, 300))
    async with cluster_at(address) as cluster:
        # The cleaner runs every fifteen seconds, and does not touch the active segment.
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await produce(address, tp, [b"newest"])
                end = (await cluster.ends([tp]))[tp]
                batches = await read(cluster, tp, 0, end)
                assert_seamless(batches, 0)
                assert (offsets(batches)[-1], batches[-1].stop) == (end - 1, end)
                if len(offsets(batches)) < 300:
                    break
                await asyncio.sleep(0.5)
        assert values(batches)[-1] == b"newest"
        assert await cluster.starts([tp]) == {tp: 0}


async def test_deleted_records_are_an_error_and_not_skipped(address: str) -> None:
    tp = TP(await make_topic(address), 0)
    await produce(address, tp, numbered(0, 10))
    await delete_below(address, tp, 4)
    async with cluster_at(address) as cluster:
        assert await cluster.starts([tp]) == {tp: 4}
        with pytest.raises(OffsetOutOfRange) as gone:
            await read(cluster, tp, 3, 10)
        assert (gone.value.tp, gone.value.offset) == (tp, 3)
        assert values(await read(cluster, tp, 4, 10)) == numbered(4, 6)


async def test_topics_that_do_not_exist_are_left_out_of_counts_and_refused_as_partitions(address: str) -> None:
    topic = await make_topic(address, 3)
    async with cluster_at(address) as cluster:
        assert await cluster.partitions([topic, "never-made"]) == {topic: 3}
        assert await cluster.partitions(["never-made"]) == {}
        assert await cluster.ends([]) == {}
        for tp in (TP("never-made", 0), TP(topic, 3)):
            with pytest.raises(PermanentError, match=f"no partition {tp.partition} of topic {tp.topic}"):
                await cluster.ends([TP(topic, 0), tp])
        assert await cluster.ends([TP(topic, 2), TP(topic, 0)]) == {TP(topic, 0): 0, TP(topic, 2): 0}
        # A topic that was created since the last request is found.
        later = await make_topic(address)
        assert await cluster.ends([TP(later, 0)]) == {TP(later, 0): 0}


async def test_whole_records_come_with_their_headers_and_an_early_end_leaves_nothing_open(address: str) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    async with cluster_at(address) as cluster:
        writer = cluster.writer(topic)
        await writer.start()
        await writer.commit([OutputRecord(topic, 0, b"k", b"%d" % n, (("n", b"%d" % n),)) for n in range(5)], {})
        await end_reaches(cluster, tp, 6)
        found = [record async for records in cluster.records(tp, 1, 4) for record in records]
        assert [(record.offset, record.value, record.headers) for record in found] == [
            (n, b"%d" % n, (("n", b"%d" % n),)) for n in (1, 2, 3)
        ]
        tasks = asyncio.all_tasks()
        reading = cluster.read(tp, 0, 6)
        await anext(reading)
        assert isinstance(reading, AsyncGenerator)
        await reading.aclose()
        assert asyncio.all_tasks() == tasks
