"""A Kafka cluster as one worker sees it: makes consumers and writers, answers questions, reads without a group."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.cluster import TP, Fetched, OffsetGone, Out, Refused, TopicInfo
from streams.kafka.clients import Clients, close
from streams.kafka.columns import Columns, before, columns
from streams.kafka.consumer import KafkaConsumer
from streams.kafka.damage import Damage
from streams.kafka.errors import quiet
from streams.kafka.fastfetch import TornBatch
from streams.kafka.questions import REQUEST_MS, Questions
from streams.kafka.reader import KafkaReader
from streams.kafka.stamps import Stamps
from streams.kafka.writer import KafkaWriter
from streams.settings import Settings

_STOP_S = 5.0
_WAIT_MS = 200  # for records; it is not cut short by what holds markers alone
_SILENT_S = 30.0


class WholeRecord(NamedTuple):
    """See `streams.cluster.Record`. ``unreadable``: why it is no record, though parts of it may be there."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    unreadable: str | None = None


class KafkaCluster:
    """See `streams.cluster.Cluster`. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises OSError for certificates that cannot be read."""
        quiet()
        self._clients = Clients(settings)
        self.questions = Questions(self._clients)
        self._stamps = Stamps(self._clients)

    def consumer(self, topics: Sequence[str]) -> KafkaConsumer:
        return KafkaConsumer(self._clients, self.questions, topics)

    def writer(self, transactional_id: str) -> KafkaWriter:
        return KafkaWriter(self._clients, transactional_id)

    def reader(self) -> KafkaReader:
        return KafkaReader(self._clients)

    async def stamp(self, out: Out) -> int:
        return await self._stamps.stamp(out)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return await self.questions.partitions(topics)

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        return await self.questions.topics(names)

    async def cluster_id(self) -> str | None:
        """See `streams.consumers.topics.Topics`."""
        return await self.questions.cluster_id()

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return await self._offsets(tps, AIOKafkaConsumer.beginning_offsets)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return await self._offsets(tps, AIOKafkaConsumer.end_offsets)

    async def offsets_from(self, tps: Sequence[TP], at_ms: int) -> dict[TP, int]:
        """The first offset of each whose record has that timestamp or a later one; without those that have none.

        Unavailable, Refused.
        """

        async def which(reader: AIOKafkaConsumer, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
            found = await reader.offsets_for_times(dict.fromkeys(asked, at_ms))
            return {tp: at.offset for tp, at in found.items() if at is not None}

        return await self._offsets(tps, which)

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[Fetched]:
        async with aclosing(self._read(tp, start, stop, headers=False)) as fetches:
            async for at, position, records in fetches:
                yield before(columns(at, position, records), stop)

    async def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[list[WholeRecord]]:
        async with aclosing(self._read(tp, start, stop, headers=True)) as fetches:
            async for at, position, records in fetches:
                yield [record for record in _whole(tp, at, position, records) if record.offset < stop]

    async def _read(self, tp: TP, start: int, stop: int, *, headers: bool) -> AsyncGenerator[tuple[int, int, Any]]:
        """Records with the positions before and after them; the last may lie at ``stop`` or beyond."""
        if start >= stop:
            return
        at, mine, clock, damage = start, TopicPartition(*tp), asyncio.get_running_loop().time, Damage()
        reader = self._clients.reader(headers=headers, request_timeout_ms=REQUEST_MS)
        try:
            await reader.start()
            reader.assign([mine])
            reader.seek(mine, start)
            answer, since = None, clock()
            while at < stop:
                try:
                    records = (await reader.getmany(mine, timeout_ms=_WAIT_MS)).get(mine, [])
                except TornBatch as torn:
                    if (unreadable := damage.met(torn)) is not None:
                        raise unreadable from None
                    continue
                position = await reader.position(mine)
                if position > at:
                    since_at, at = at, position
                    yield since_at, position, records
                if reader.last_poll_timestamp(mine) != answer:
                    answer, since = reader.last_poll_timestamp(mine), clock()
                elif clock() - since > _SILENT_S:
                    raise TimeoutError
        except OffsetOutOfRangeError:
            raise OffsetGone(tp, at) from None
        except (KafkaError, OSError, TimeoutError) as error:
            raise await self._clients.why(error, f"reading {tp.topic}-{tp.partition}") from None
        finally:
            await close(reader.stop(), _STOP_S)

    async def stop(self) -> None:
        await self._stamps.stop()
        await self.questions.stop()

    async def _offsets(
        self, tps: Sequence[TP], which: Callable[..., Awaitable[dict[TopicPartition, int]]]
    ) -> dict[TP, int]:
        if not tps:
            return {}
        for topic, partition in tps:
            if not await self.questions.exist(topic, partition):  # aiokafka would wait for it
                raise Refused(f"there is no partition {partition} of topic {topic}")

        async def look(reader: AIOKafkaConsumer, _: AIOKafkaAdminClient) -> dict[TP, int]:
            return {TP(*tp): int(at) for tp, at in (await which(reader, [TopicPartition(*tp) for tp in tps])).items()}

        return await self.questions.ask("looking up offsets", look)


def _whole(tp: TP, start: int, stop: int, records: Columns | list[Any]) -> list[WholeRecord]:
    """Records with their headers; a header without a value is taken for one with an empty one."""
    if not isinstance(records, Columns):
        return []
    fetched = columns(start, stop, records)
    found = zip(fetched.offsets.tolist(), fetched.timestamps_ms.tolist(), fetched.keys, fetched.values, strict=True)
    whole = []
    for (offset, at_ms, key, value), headers in zip(found, records.headers, strict=True):
        bad = fetched.unreadable.get(offset)
        named = tuple((name, content or b"") for name, content in headers)
        whole.append(WholeRecord(tp.partition, offset, at_ms, key, value, named, bad.reason if bad else None))
    return whole
