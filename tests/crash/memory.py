"""The cluster as one worker sees it (`streams.kafka.api`), on a broker in memory.

Every call has a request, an effect at the broker, and a response. A worker may be killed or stopped at the request or
the response (`Link.passing`), and the response to a completed call may be lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from crash import memory_fetched
from crash.log import Entry, Record
from crash.memory_consumer import MemoryConsumer
from crash.memory_fetched import fetched_batch
from crash.memory_link import Link
from crash.memory_writer import MemoryWriter
from streams.kafka.api import (
    TP,
    CommittedOffset,
    FetchedBatch,
    OffsetOutOfRange,
    PermanentError,
    TopicInfo,
    TransientError,
)
from streams.kafka.outputs import OutputRecord


class Whole(NamedTuple):
    """`streams.kafka.api.LogRecord`."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class MemoryCluster:
    """`streams.kafka.api.Cluster`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._logs = link.broker.logs

    def consumer(self, topics: Sequence[str], collect_s: float = 0.0) -> "MemoryConsumer":
        return MemoryConsumer(self._link, topics, collect_s)

    def writer(self, transactional_id: str) -> "MemoryWriter":
        return MemoryWriter(self._link, transactional_id)

    async def stamp(self, out: OutputRecord) -> int:
        tp, record = TP(out.topic, out.partition), Record(out.key, out.value, out.headers)

        def append() -> int:
            self._link.broker.append(tp, record)
            return self._link.broker.clock.now_ms()

        return await self._link.call("stamp", append)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        known = self._link.broker.topics
        return await self._link.call("partitions", lambda: {topic: known[topic] for topic in topics if topic in known})

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        broker = self._link.broker
        return await self._link.call(
            "topics", lambda: {topic: broker.describe(topic) for topic in names if topic in broker.topics}
        )

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        self._must_exist(tps)
        return await self._link.call("starts", lambda: {tp: self._logs[tp].start for tp in tps})

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        self._must_exist(tps)
        return await self._link.call("ends", lambda: {tp: self._logs[tp].last_stable for tp in tps})

    async def high_watermarks(self, tps: Sequence[TP]) -> dict[TP, int]:
        self._must_exist(tps)
        return await self._link.call("watermarks", lambda: {tp: self._logs[tp].end for tp in tps})

    async def committed(self, tps: Sequence[TP]) -> dict[TP, CommittedOffset]:
        group = self._link.broker.group

        def look() -> dict[TP, CommittedOffset]:
            if any(map(self._link.broker.undecided_offset, tps)):
                raise TransientError("an offset of the group is being committed")
            return {
                tp: CommittedOffset(group.offsets[tp], group.notes.get(tp, "")) for tp in tps if tp in group.offsets
            }

        return await self._link.call("committed", look)

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        async for at, at_next, entries in self._read(tp, start, stop):
            yield fetched_batch(at, at_next, entries)

    async def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[list["Whole"]]:
        async for _, _, entries in self._read(tp, start, stop):
            yield [Whole(one.offset, *one.record[:3]) for one in entries if one.record is not None]

    async def _read(self, tp: TP, start: int, stop: int) -> AsyncIterator[tuple[int, int, Sequence[Entry]]]:
        self._must_exist([tp])
        log, at = self._logs[tp], start
        while at < stop:
            await self._link.passes("read?")
            if not log.start <= at <= log.end:
                raise OffsetOutOfRange(tp, at)
            until = min(stop, log.last_stable)
            if at >= until:
                await asyncio.sleep(0.01)
                continue
            until = self._link.readable(tp, at, until)
            entries, at_next = memory_fetched.some_entries(self._link.rng, log.committed(at, until), 500, until)
            await self._link.passes("read!")
            if entries:
                yield at, at_next, entries
            at = at_next

    async def stop(self) -> None:
        await asyncio.sleep(0)

    def _must_exist(self, tps: Sequence[TP]) -> None:
        for tp in tps:
            if tp not in self._logs:
                raise PermanentError(f"there is no {tp.topic}-{tp.partition}")
