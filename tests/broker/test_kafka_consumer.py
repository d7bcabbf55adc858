"""A real consumer's batches: no record twice, none missing, and never a wrong start, whatever the group does."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import (
    Member,
    assert_seamless,
    cluster_at,
    delete_below,
    end_reaches,
    in_transactions,
    make_topic,
    numbered,
    offsets,
    produce,
    until,
    values,
)
from deadlines import deadline

from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP, CorruptLog, FetchedBatch, OffsetOutOfRange, PermanentError, TransientError

pytestmark = pytest.mark.services


async def test_nothing_is_fetched_before_the_consumer_loop_seeks_and_resumes(address: str) -> None:
    topic = await make_topic(address, 2)
    zero, one = TP(topic, 0), TP(topic, 1)
    await produce(address, zero, numbered(0, 10))
    await produce(address, one, numbered(0, 10))
    async with cluster_at(address) as cluster:
        member = Member(cluster.consumer([topic]))
        await member.start()
        assert member.assigned == [{zero, one}]
        assert member.consumer.assignment() == {zero, one}
        # Longer than aiokafka takes to fetch committed offsets, which do not exist.
        assert await member.consumer.poll([zero, one], 1.0, 100) == {}
        # A partition that is resumed without a position is not fetched: the consumer chooses no position itself.
        member.consumer.resume([one])
        assert await member.consumer.poll([one], 0.5, 100) == {}
        member.go((zero, 4))
        batches = await member.take(zero, 6)
        assert_seamless(batches, 4)
        assert values(batches) == numbered(4, 6)


async def test_a_batch_has_keys_values_and_the_brokers_timestamps_as_columns(address: str) -> None:
    topic = await make_topic(address, message_timestamp_type="LogAppendTime")
    tp = TP(topic, 0)
    before_ms = time.time_ns() // 1_000_000
    await produce(address, tp, numbered(0, 3), compression_type="lz4")
    await produce(address, tp, numbered(3, 3), compression_type="zstd")
    await produce(address, tp, numbered(6, 3), compression_type="snappy")
    async with cluster_at(address) as cluster:
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0))
        batches = await member.take(tp, 9)
        assert_seamless(batches, 0)
        assert values(batches) == numbered(0, 9)
        assert {key for batch in batches for key in batch.keys} == {b"k"}
        stamps = [int(stamp) for batch in batches for stamp in batch.timestamps_ms]
        assert all(before_ms <= stamp <= time.time_ns() // 1_000_000 for stamp in stamps)


async def test_most_cuts_a_fetch_and_the_next_batch_continues_there(address: str) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    await produce(address, tp, numbered(0, 1000))
    async with cluster_at(address) as cluster:
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0))
        batches = await member.take(tp, 1000, most=7)
        assert max(map(len, batches)) == 7
        assert_seamless(batches, 0)
        assert values(batches) == numbered(0, 1000)


async def test_records_fetched_before_a_seek_or_a_pause_do_not_come_after_it(address: str) -> None:
    topic = await make_topic(address, 2)
    tp, other = TP(topic, 0), TP(topic, 1)
    await produce(address, tp, numbered(0, 500))
    await produce(address, other, numbered(0, 500))
    async with cluster_at(address) as cluster:
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0), (other, 0))
        # The rest of the fetch of both partitions is now buffered in aiokafka.
        first = await member.take(tp, 10, most=10)
        assert_seamless(first, 0)
        member.consumer.seek(tp, 300)
        assert_seamless(again := await member.take(tp, 200), 300)
        assert values(again) == numbered(300, 200)
        await member.take(other, 10, most=10)
        member.consumer.pause([other])
        assert await member.consumer.poll([other], 0.3, 100) == {}
        member.consumer.resume([other])
        assert_seamless(rest := await member.take(other, 490), 10)
        assert values(rest) == numbered(10, 490)
        # Back to an offset for which a fetch request may be in flight.
        for _ in range(20):
            member.consumer.seek(tp, 500)
            await asyncio.sleep(0)
            member.consumer.seek(tp, 0)
            batches = await member.take(tp, 1, most=1)
            assert (batches[0].start, offsets(batches)) == (0, [0])


async def test_only_committed_records_come_and_the_position_passes_the_others(address: str) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    await in_transactions(address, tp, (True, [b"a", b"b"]), (False, [b"x", b"y"]), (True, [b"c"]), (False, [b"z"]))
    async with cluster_at(address) as cluster:
        end = 10  # six records and four markers
        await end_reaches(cluster, tp, end)
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0))
        batches = await member.take(tp, 3)
        async with deadline("the position behind the last marker"):
            while batches[-1].stop < end:  # a batch may be empty: it reports the new position
                batches += (await member.consumer.poll([tp], 0.2, 100)).values()
        assert_seamless(batches, 0)
        assert values(batches) == [b"a", b"b", b"c"]
        assert offsets(batches) == [0, 1, 6]
        # An aborted transaction adds no record but a new end, which a source must reach to be caught up.
        await in_transactions(address, tp, (False, [b"w"]))
        await end_reaches(cluster, tp, end + 2)
        more: list[FetchedBatch] = []
        async with deadline("the position behind the marker"):
            while not more or more[-1].stop < end + 2:
                more += (await member.consumer.poll([tp], 0.2, 100)).values()
        assert (more[0].start, more[-1].stop, sum(map(len, more))) == (end, end + 2, 0)


async def test_an_open_transaction_holds_back_the_end_and_all_records_behind_it(address: str) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    async with (
        cluster_at(address) as cluster,
        AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic) as slow,
    ):
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0))
        await slow.begin_transaction()
        await slow.send_and_wait(topic, b"slow", partition=0)
        await produce(address, tp, [b"behind it"])
        assert await cluster.ends([tp]) == {tp: 0}
        assert await member.consumer.poll([tp], 1.0, 100) == {}
        await slow.commit_transaction()
        await end_reaches(cluster, tp, 3)
        assert values(await member.take(tp, 2)) == [b"slow", b"behind it"]


async def test_a_position_outside_the_log_is_an_error(address: str) -> None:
    topic = await make_topic(address, 2)
    tp, other = TP(topic, 0), TP(topic, 1)
    await produce(address, tp, numbered(0, 10))
    await produce(address, other, numbered(0, 10))
    await delete_below(address, tp, 6)
    async with cluster_at(address) as cluster:
        assert await cluster.starts([tp, other]) == {tp: 6, other: 0}
        member = Member(cluster.consumer([topic]))
        await member.start()
        for offset in (5, 11):
            member.go((tp, offset))
            with pytest.raises(OffsetOutOfRange) as gone:
                await member.take(tp, 1)
            assert (gone.value.tp, gone.value.offset) == (tp, offset)
        member.consumer.pause([tp])
        # The other partition is unaffected, and this one continues at an offset that exists.
        member.go((other, 0))
        assert values(await member.take(other, 10)) == numbered(0, 10)
        member.go((tp, 6))
        assert_seamless(batches := await member.take(tp, 4), 6)
        assert values(batches) == numbered(6, 4)


async def test_a_corrupt_batch_stops_its_partition_and_no_other(jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path, jars) as node:
        topic = await make_topic(node.address, 2)
        whole, torn = TP(topic, 0), TP(topic, 1)
        for tp in (whole, torn):
            await produce(node.address, tp, numbered(0, 5))
            await produce(node.address, tp, numbered(5, 5))
        (segment,) = (node.data / "storage" / f"{topic}-1").glob("*.log")
        stored = segment.read_bytes()
        segment.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))  # a broker sends stored bytes without checking them

        async with cluster_at(node.address) as cluster:
            member = Member(cluster.consumer([topic]))
            await member.start()
            member.go((whole, 0), (torn, 0))
            batches: dict[TP, list[FetchedBatch]] = {whole: [], torn: []}
            output: list[tuple[TP, int]] = []
            produced = 10
            async with deadline("all records of the partition that is whole, and five errors of the other"):
                while sum(len(batch) for batch in batches[whole]) < produced or len(output) < 5:
                    if len(output) < 5:
                        await produce(node.address, whole, numbered(produced, 1))
                        produced += 1
                    try:
                        fetched = await member.consumer.poll([whole, torn], 0.2, 100)
                    except CorruptLog as error:
                        output.append((error.tp, error.offset))
                        continue
                    for tp, batch in fetched.items():
                        batches[tp].append(batch)
            assert set(output) == {(torn, 5)}
            for tp in (whole, torn):
                assert_seamless(batches[tp], 0)
            assert values(batches[torn]) == numbered(0, 5)
            assert values(batches[whole]) == numbered(0, produced)

            async def read_all() -> None:
                async for _ in cluster.read(torn, 0, 10):
                    pass

            async def read_with_headers() -> None:
                async for _ in cluster.records(torn, 0, 10):
                    pass

            for reading in (read_all(), read_with_headers()):
                with pytest.raises(CorruptLog) as unreadable:
                    await reading
                assert unreadable.value.tp == torn


async def test_partition_n_of_all_topics_goes_to_one_member_and_no_record_is_lost_in_rebalances(
    address: str,
) -> None:
    """Members join and leave under load; each partition's next owner continues where the previous one stopped."""
    topics = [await make_topic(address, 4) for _ in range(2)]
    tps = [TP(topic, partition) for topic in topics for partition in range(4)]
    reached = dict.fromkeys(tps, 0)
    seen: dict[TP, list[bytes | None]] = {tp: [] for tp in tps}
    stopping = asyncio.Event()

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for number in range(600):
                for tp in tps:
                    await producer.send(tp.topic, b"%d" % number, partition=tp.partition)
                await asyncio.sleep(0.01)

    async def work(member: Member) -> None:
        """Owns its assigned partitions, as the consumer loop does, and checks that all numbers arrive."""
        generations = 0
        while not stopping.is_set():
            if len(member.assigned) > generations:
                generations = len(member.assigned)
                mine = sorted(member.assigned[-1])
                assert {tp for tp in tps if tp.partition in {each.partition for each in mine}} == set(mine)
                member.go(*((tp, reached[tp]) for tp in mine))
            fetched = await member.consumer.poll(sorted(member.consumer.assignment()), 0.1, 50)
            for tp, batch in fetched.items():
                assert_seamless([batch], reached[tp])
                seen[tp] += batch.values
                reached[tp] = batch.stop

    application = f"group-{topics[0]}"
    async with contextlib.AsyncExitStack() as clusters:
        members = []
        for _ in range(3):
            cluster = await clusters.enter_async_context(
                cluster_at(address, application_id=application, session_timeout_ms="60s", heartbeat_ms="1s")
            )
            members.append(Member(cluster.consumer(topics)))
        # A failure in any task ends the test at once, and the other tasks with it.
        async with deadline("600 records of each partition, from any member"), asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write())
            await members[0].start()
            tasks.create_task(work(members[0]))
            for member in members[1:]:
                await until(lambda: sum(map(len, seen.values())) > 300)
                await member.start()
                working = tasks.create_task(work(member))

            def shared_out() -> bool:
                """Whether each member owns partitions and none is owned twice: during a rebalance some still list
                revoked partitions.
                """
                shares = [member.consumer.assignment() for member in members]
                return all(shares) and sorted(tp for share in shares for tp in share) == sorted(tps)

            await until(shared_out)
            working.cancel()
            await asyncio.wait([working])
            await members.pop().consumer.stop()
            await writing
            await until(lambda: all(reached[tp] == 600 for tp in tps))
            stopping.set()
        assert members[0].revoked
    for tp in tps:
        assert seen[tp] == numbered(0, 600), tp


async def test_a_member_without_partitions_stays_and_receives_errors(address: str) -> None:
    topic = await make_topic(address)
    options = {"application_id": f"group-{topic}"}
    async with cluster_at(address, **options) as first, cluster_at(address, **options) as second:
        one, two = Member(first.consumer([topic])), Member(second.consumer([topic]))
        await one.start()
        await two.start()
        idle = one if not one.assigned[-1] else two
        assert await idle.consumer.poll([], 0.2, 100) == {}
        busy = two if idle is one else one
        await busy.consumer.stop()
        await until(lambda: idle.consumer.assignment() == {TP(topic, 0)})


async def test_a_failed_join_is_retried_by_the_same_consumer(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    await produce(address, tp, numbered(0, 5))
    async with cluster_at(address) as cluster:
        member = Member(cluster.consumer([topic]))
        with monkeypatch.context() as hurry:
            hurry.setattr("streams.kafka.consumer._JOIN_S", 0.0)
            with pytest.raises(TransientError, match=r"joining group .*: no answer in time"):
                await member.start()
        # Calls of a listener that does not know of the failure yet have no effect, and raise no error.
        assert member.consumer.assignment() == frozenset()
        member.consumer.pause([tp])
        member.consumer.seek(tp, 3)
        await member.start()
        assert member.assigned == [{tp}]
        member.go((tp, 0))
        assert values(await member.take(tp, 5)) == numbered(0, 5)


async def test_a_topic_that_does_not_exist_is_refused_by_name(address: str) -> None:
    async with cluster_at(address) as cluster:
        with pytest.raises(PermanentError, match="no such topic, or no permission to see it: never-made"):
            await Member(cluster.consumer(["never-made"])).start()
