"""The broker in memory behaves as Kafka's documentation says: each test quotes the sentence that it checks."""

import asyncio
import random
from itertools import pairwise

import pytest

from crash.log import Log, Record, Txn
from crash.memory_stage import ALSO, IN, SEEDS, STATE, Stage, joined, out, play, read_all
from crash.memory_writer import MemoryWriter
from crash.virtual import Process
from streams.kafka.api import TP, Fenced, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reader_stops_at_the_last_stable_offset(seed: int) -> None:
    """`A read_committed consumer will only read up to the LSO and filter out any transactional messages which have
    been aborted`; the LSO is `the offset of the first message in the partition belonging to an open transaction`.
    """

    async def go(stage: Stage) -> None:
        cluster, broker = stage.cluster(), stage.broker
        broker.append(STATE, Record(None, b"plain"))
        epoch = broker.fence("a")
        txn = broker.begin("a", epoch)
        broker.produce("a", txn, STATE, [Record(None, b"undecided")])
        broker.append(STATE, Record(None, b"behind it"))
        assert (await cluster.ends([STATE]))[STATE] == 1
        assert stage.values(STATE) == [b"plain"]
        broker.commit("a", txn)
        await asyncio.sleep(1)
        assert stage.values(STATE) == [b"plain", b"undecided", b"behind it"]

    play(seed, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_markers_take_offsets_and_are_never_returned(seed: int) -> None:
    """`Partitions with transactional messages will include commit or abort markers ... There markers are not returned
    to applications, yet have an offset in the log. As a result, applications reading from topics with transactional
    messages will see gaps in the consumed offsets.`
    """

    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        writer = cluster.writer("a")
        await writer.start()
        await writer.commit([out("1"), out("2")], {})
        await writer.commit([out("3")], {})
        await writer.commit([out("4")], {})
        await asyncio.sleep(1)
        pieces = await read_all(cluster, STATE)
        assert [o for piece in pieces for o in piece.offsets.tolist()] == [0, 1, 3, 5]
        for before, after in pairwise(pieces):
            assert before.stop <= after.start
        assert (await cluster.ends([STATE]))[STATE] == 7

    play(seed, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_writer_fences_the_old_one_and_aborts_what_it_had_begun(seed: int) -> None:
    """initTransactions `ensures any transactions initiated by previous instances of the producer with the same
    transactional.id are completed. If the previous instance had failed with a transaction in progress, it will be
    aborted.`
    """

    async def go(stage: Stage) -> None:
        old, new = stage.cluster("old"), stage.cluster("new")
        first, second = old.writer("a"), new.writer("a")
        await first.start()
        await first.commit([out("kept")], {IN: 1})

        def stop_before_the_end(process: Process, point: str) -> None:
            if point == "commit.end?":
                raise TransientError("as if")

        old._link.passing = stop_before_the_end
        with pytest.raises(TransientError):
            await first.commit([out("lost"), out("lost, too", IN)], {IN: 2})
        await second.start()
        assert stage.broker.logs[STATE].last_stable == stage.broker.logs[STATE].end
        assert stage.values(STATE) == [b"kept"]
        assert stage.values(IN) == []
        assert stage.broker.group.offsets == {IN: 1}
        await second.commit([out("new")], {IN: 3})
        await asyncio.sleep(1)
        assert stage.values(STATE) == [b"kept", b"new"]
        assert stage.broker.group.offsets == {IN: 3}

    play(seed, go)


@pytest.mark.parametrize("point", ["commit.begin?", "commit.produce?", "commit.offsets?", "commit.end?"])
def test_every_request_of_a_zombie_is_refused(point: str) -> None:
    """ProducerFencedException: `another producer with the same transactional.id is active`."""

    async def go(stage: Stage) -> None:
        old, new = stage.cluster("old"), stage.cluster("new")
        first, second = old.writer("a"), new.writer("a")
        await first.start()
        arrived, go_on = asyncio.Event(), asyncio.Event()

        def stop_there(process: Process, at: str) -> None:
            if at == point:
                arrived.set()
                process.stop()

        old._link.passing = stop_there
        zombie = old._link.process.run(lambda: first.commit([out("zombie")], {IN: 9}))
        await arrived.wait()
        await second.start()
        await second.commit([out("new")], {IN: 3})
        old._link.process.resume()
        go_on.set()
        with pytest.raises(Fenced):
            await zombie
        await asyncio.sleep(1)
        assert stage.values(STATE) == [b"new"]
        assert stage.broker.group.offsets == {IN: 3}

    play(1, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_writer_waits_until_a_decided_transaction_can_be_seen(seed: int) -> None:
    """`If the last transaction had begun completion, but not yet finished, this method awaits its completion.` Without
    this wait the response to a commit comes before its markers are in all logs.
    """
    seen_at_once = 0

    async def go(stage: Stage) -> None:
        nonlocal seen_at_once
        cluster = stage.cluster()
        writer = cluster.writer("a")
        await writer.start()
        await writer.commit([out("1"), out("2", IN), out("3", ALSO)], {})
        seen_at_once += len(stage.values(STATE)) + len(stage.values(IN)) + len(stage.values(ALSO)) == 3
        await stage.cluster("two").writer("a").start()
        assert [stage.values(STATE), stage.values(IN), stage.values(ALSO)] == [[b"1"], [b"2"], [b"3"]]

    for one in range(seed * 4, seed * 4 + 4):
        play(one, go)
    assert seen_at_once < 4


def test_a_commit_may_have_been_done_although_its_answer_is_lost() -> None:
    """KafkaProducer.commitTransaction: `TimeoutException if the time taken for committing the transaction has surpassed
    max.block.ms`. The caller cannot tell whether the transaction was committed.
    """

    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        writer = cluster.writer("a")
        await writer.start()
        cluster._link.passing = lambda _, point: lose(point, "commit.end!")
        with pytest.raises(TransientError):
            await writer.commit([out("done")], {})
        await asyncio.sleep(1)
        assert stage.values(STATE) == [b"done"]
        with pytest.raises(AssertionError, match="has failed"):
            await writer.commit([out("never")], {})

    def lose(point: str, lost: str) -> None:
        if point == lost:
            raise TransientError("as if")

    play(1, go)


def test_a_transaction_that_stays_open_is_aborted_and_its_writer_fenced() -> None:
    """transaction.timeout.ms: `the maximum amount of time in milliseconds that a transaction will remain open before
    the coordinator proactively aborts it`.
    """

    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        writer = cluster.writer("a")
        await writer.start()

        def sleep(process: Process, point: str) -> None:
            if point == "commit.end?":
                process.stop()
                stage.loop.outside(31, process.resume)

        cluster._link.passing = sleep
        with pytest.raises(Fenced):
            await cluster._link.process.run(lambda: writer.commit([out("slow")], {}))
        assert stage.values(STATE) == []

    play(1, go)


def test_pending_work_of_a_killed_process_is_not_done() -> None:
    async def go(stage: Stage) -> None:
        for point in ("commit.begin?", "commit.produce?", "commit.offsets?", "commit.end?"):
            link = stage.link(point)
            writer = MemoryWriter(link, point)

            def kill_there(process: Process, at: str, point: str = point) -> None:
                if at == point:
                    process.kill()

            link.passing = kill_there

            async def work(writer: MemoryWriter = writer) -> None:
                await writer.start()
                try:
                    await writer.commit([out("dead")], {IN: 1})
                finally:
                    await writer.commit([out("from beyond")], {IN: 2})

            link.process.run(work)
        await asyncio.sleep(120)
        assert stage.values(STATE) == []
        assert stage.broker.group.offsets == {}

    play(1, go)


def test_timestamps_are_the_brokers() -> None:
    """message.timestamp.type=LogAppendTime: `the timestamp will be overridden by the broker local time when it
    appends the message to its log`.
    """

    async def go(stage: Stage) -> None:
        stage.broker.append(IN, Record(None, b"1"))
        await asyncio.sleep(2.5)
        stage.broker.append(IN, Record(None, b"2"))
        stamps = [t for piece in await read_all(stage.cluster(), IN) for t in piece.timestamps_ms.tolist()]
        assert stamps == [1_000_000, 1_002_500]

    play(1, go)


def test_a_position_before_the_start_or_after_the_end_is_an_error() -> None:
    """auto.offset.reset=none: `throw exception to the consumer if no previous offset is found`; retention deletes from
    the start of the log.
    """

    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        stage.broker.append(IN, *[Record(None, b"%d" % n) for n in range(10)])
        stage.broker.logs[IN].trim(4)
        assert await cluster.starts([IN]) == {IN: 4}
        for gone in (3, 11):
            with pytest.raises(OffsetOutOfRange, match=f"offset {gone}"):
                [fetched async for fetched in cluster.read(IN, gone, 12)]
            consumer = await joined(cluster)
            consumer.seek(IN, gone)
            consumer.resume([IN])
            with pytest.raises(OffsetOutOfRange, match=f"offset {gone}"):
                await consumer.poll([IN], 1.0, 100)
            await consumer.stop()
        assert [v for piece in await read_all(cluster, IN, 4) for v in piece.values] == [
            b"%d" % n for n in range(4, 10)
        ]
        with pytest.raises(PermanentError, match="no nothing-0"):
            await cluster.starts([TP("nothing", 0)])
        assert await cluster.partitions(["in", "nothing"]) == {"in": 3}

    play(1, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_compaction_keeps_the_last_of_each_key_where_it_was(seed: int) -> None:
    """`Compaction will never re-order messages, just remove some. The offset for a message never changes. Any consumer
    progressing from the start of the log will see at least the final state of all records in the order they were
    written.`
    """

    async def go(stage: Stage) -> None:
        cluster, rng = stage.cluster(), stage.rng
        writer = cluster.writer("a")
        await writer.start()
        final: dict[bytes | None, bytes | None] = {}
        offsets: dict[bytes | None, int] = {}
        removed = 0
        for n in range(20):
            keys = rng.sample("abcdef", 3)
            outs = [
                out(f"{n}", key=key) if rng.random() < 0.7 else OutputRecord("state", 0, key.encode(), None)
                for key in keys
            ]
            last = await writer.commit(outs, {})
            final |= {one.key: one.value for one in outs}
            offsets |= {one.key: last - 2 + i for i, one in enumerate(outs)}
            if n % 5 == 2:
                removed += stage.broker.compact(STATE)
        await asyncio.sleep(1)
        removed += sum(stage.broker.compact(STATE) for _ in range(3))
        pieces = await read_all(cluster, STATE)
        seen = [o for piece in pieces for o in piece.offsets.tolist()]
        assert seen == sorted(seen)
        assert removed > 0
        assert await cluster.starts([STATE]) == {STATE: 0}
        got: dict[bytes | None, tuple[int, bytes | None]] = {}
        for piece in pieces:
            for offset, key, value in zip(piece.offsets.tolist(), piece.keys, piece.values, strict=True):
                got[key] = (offset, value)
        assert got == {key: (offsets[key], value) for key, value in final.items()}

    play(seed, go)


def test_tombstones_stay_long_enough_to_be_read_and_are_then_removed() -> None:
    """delete.retention.ms: `the amount of time to retain delete tombstone markers for log compacted topics`."""
    log = Log()
    log.append([Record(b"k", b"v"), Record(b"k", None), Record(b"x", b"end")], 100)
    rng = random.Random(3)
    for _ in range(50):
        log.compact(rng, keep_tombstones_since_ms=100)
    assert [entry.offset for entry in log.committed(0)] == [1, 2]
    for _ in range(50):
        log.compact(rng, keep_tombstones_since_ms=101)
    assert [entry.offset for entry in log.committed(0)] == [2]


def test_what_is_undecided_is_not_compacted_and_what_is_aborted_goes() -> None:
    log, gone, kept = Log(), Txn("gone", 0), Txn("kept", 1)
    log.append([Record(b"k", b"before")], 1)
    log.append([Record(b"k", b"aborted")], 2, gone)
    log.append([Record(b"k", b"undecided")], 3, kept)
    rng = random.Random(1)
    for _ in range(20):
        log.compact(rng, 0)
    assert log.last_stable == 1
    log.mark(gone, False, 4)
    log.mark(kept, True, 5)
    for _ in range(50):
        log.compact(rng, 0)
    assert [entry.record for entry in log.committed(0)] == [Record(b"k", b"undecided")]
