"""What a consumer polls from the broker in memory: positions, errors, damaged logs, outages."""

import asyncio
from collections import Counter

import pytest

from crash.log import Record
from crash.memory_stage import ALSO, IN, SEEDS, STATE, Stage, filled, joined, out, play
from streams.kafka.api import (
    TP,
    CorruptLog,
    TransientError,
)


def test_a_polled_batch_has_its_start_offset_and_may_precede_a_seek() -> None:
    """aiokafka's `getmany` returns prefetched records; a seek or a rebalance may come in between."""
    stale = 0

    async def go(stage: Stage) -> None:
        nonlocal stale
        consumer = await joined(stage.cluster())
        values = [b"%d" % n for n in range(40)]
        stage.broker.append(IN, *[Record(None, value) for value in values])
        consumer.seek(IN, 0)
        assert await consumer.poll([IN], 0.5, 10) == {}, "it is paused at first"
        consumer.resume([IN])
        at = 0
        while at < 40:
            if stage.rng.random() < 0.3:
                at = stage.rng.randrange(40)
                consumer.seek(IN, at)
            for fetched in (await consumer.poll([IN], 1.0, 10)).values():
                assert len(fetched) <= 10
                assert list(fetched.values) == [values[o] for o in fetched.offsets.tolist()]
                if fetched.start != at:
                    stale += 1
                    consumer.seek(IN, at)
                else:
                    at = fetched.stop
        consumer.pause([IN])
        assert await consumer.poll([IN], 0.5, 10) in ({}, {IN: consumer._stale.get(IN)})
        consumer.resume([ALSO])
        assert await consumer.poll([ALSO], 0.5, 10) == {}, "it was not sought to"
        assert await consumer.poll([], 0.5, 10) == {}

    for seed in SEEDS:
        play(seed, go)
    assert stale > 0


def test_a_poll_that_comes_to_nothing_passes_over_nothing() -> None:
    """The interface: `After an error, or when it was cancelled, nothing of any partition is passed over`."""
    failed = Counter[str]()

    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        consumer = await joined(cluster)
        values = filled(stage, consumer)
        at, seen = {IN: 0, ALSO: 0}, dict[TP, list[bytes | None]]({IN: [], ALSO: []})
        while sum(at.values()) < 80:
            slow = stage.rng.random() < 0.5
            cluster._link.slow_share = float(slow)
            polling = asyncio.create_task(consumer.poll([IN, ALSO], 1.0, 10))
            if not slow:
                for _ in range(stage.rng.randint(1, 5)):
                    await asyncio.sleep(0)
                polling.cancel()
            try:
                fetched = await polling
            except TransientError:
                failed["error"] += 1
                fetched = {}
            except asyncio.CancelledError:
                failed["cancelled"] += 1
                fetched = {}
            for tp, batch in fetched.items():
                assert batch.start == at[tp]
                at[tp] = batch.stop
                seen[tp] += batch.values
        assert seen == {IN: values, ALSO: values}

    for seed in SEEDS:
        play(seed, go)
    assert failed["error"] >= 10
    assert failed["cancelled"] >= 10


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_log_is_read_up_to_the_damage_and_other_logs_are_unaffected(seed: int) -> None:
    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        consumer = await joined(cluster)
        values = filled(stage, consumer)
        stage.broker.damaged[IN] = (15, 20)
        seen = dict[TP, list[bytes | None]]({IN: [], ALSO: []})
        wanted, reported = [IN, ALSO], list[tuple[TP, int]]()
        while len(seen[ALSO]) < 40 or len(reported) < 3:
            try:
                fetched = await consumer.poll(wanted, 1.0, 10)
            except CorruptLog as error:
                reported.append((error.tp, error.offset))
                wanted = [IN, ALSO] if len(reported) < 3 else [ALSO]
                continue
            for tp, batch in fetched.items():
                assert batch.start == len(seen[tp])
                seen[tp] += batch.values
        assert reported == [(IN, 15)] * 3
        assert seen == {IN: values[:15], ALSO: values}

        read: list[bytes | None] = []

        async def read_on() -> None:
            async for batch in cluster.read(IN, 0, 40):
                read.extend(batch.values)

        with pytest.raises(CorruptLog, match=r"^in-0: what is stored at offset 15 to 20 cannot be read"):
            await read_on()
        assert read == values[:15]
        assert [v async for batch in cluster.read(IN, 21, 40) for v in batch.values] == values[21:]

    play(seed, go)


def test_a_poll_waits_for_what_comes() -> None:
    async def go(stage: Stage) -> None:
        consumer = await joined(stage.cluster())
        consumer.seek(IN, 0)
        consumer.resume([IN])
        stage.loop.call_later(3, lambda: stage.broker.append(IN, Record(b"k", b"v")))
        began = stage.loop.time()
        fetched = (await consumer.poll([IN], 10.0, 10))[IN]
        assert (fetched.start, fetched.stop, list(fetched.keys), list(fetched.values)) == (0, 1, [b"k"], [b"v"])
        assert 2.9 < stage.loop.time() - began < 3.1

    play(1, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_while_the_broker_is_away_nothing_happens_and_afterwards_all_is_there(seed: int) -> None:
    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        consumer, writer = await joined(cluster), cluster.writer("a")
        await writer.start()
        await writer.commit([out("before")], {})
        stage.broker.up = False
        for ask in (cluster.ends([IN]), cluster.partitions(["in"]), writer.commit([out("lost")], {})):
            with pytest.raises(TransientError):
                await ask
        await asyncio.sleep(100)
        stage.broker.up = True
        await asyncio.sleep(100)
        assert (stage.broker.group.expelled, len(consumer.assignment())) == (0, 6)
        again = cluster.writer("a")
        await again.start()
        await again.commit([out("after")], {})
        await asyncio.sleep(1)
        assert stage.values(STATE) == [b"before", b"after"]

    play(seed, go)
