"""Reads a range of a partition's committed records, from one offset to another, without a group."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.kafka.api import TP, FetchedBatch, OffsetOutOfRange
from streams.kafka.clients import Clients, close
from streams.kafka.fetch.columnar_fetch import CorruptBatch, bounded, settled
from streams.kafka.fetch.damage import DamageRetries
from streams.kafka.fetch.record_columns import RecordColumns, before, columns
from streams.kafka.metadata.queries import REQUEST_MS

_STOP_S = 5.0
_WAIT_MS = 20  # wait for records; used in full if only markers come, as often at the end of a state
_SILENT_S = 30.0


class WholeRecord(NamedTuple):
    """See `streams.kafka.api.LogRecord`. ``unreadable``: why it is not valid, though some of its parts may be set."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    unreadable: str | None = None


async def read(clients: Clients, tp: TP, start: int, stop: int) -> AsyncGenerator[FetchedBatch]:
    """See `streams.kafka.api.Cluster`."""
    async with aclosing(_read(clients, tp, start, stop, headers=False)) as fetches:
        async for at, position, records in fetches:
            yield before(columns(at, position, records), stop)


async def records(clients: Clients, tp: TP, start: int, stop: int) -> AsyncGenerator[list[WholeRecord]]:
    """See `streams.kafka.api.Cluster`."""
    async with aclosing(_read(clients, tp, start, stop, headers=True)) as fetches:
        async for at, position, records in fetches:
            yield [record for record in _whole(tp, at, position, records) if record.offset < stop]


async def _read(
    clients: Clients, tp: TP, start: int, stop: int, *, headers: bool
) -> AsyncGenerator[tuple[int, int, Any]]:
    """Records with the positions before and after them; the last ones may lie at ``stop`` or beyond."""
    if start >= stop:
        return
    at, mine, clock, damage = start, TopicPartition(*tp), asyncio.get_running_loop().time, DamageRetries()
    reader = clients.reader(headers=headers, request_timeout_ms=REQUEST_MS)
    try:
        await reader.start()
        reader.assign([mine])
        reader.seek(mine, start)
        answer, since = None, clock()
        while at < stop:
            try:
                with bounded():
                    batches = await reader.getmany(mine, timeout_ms=_WAIT_MS)
                await settled(batches)
                records = batches.get(mine, [])
            except CorruptBatch as torn:
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
        raise OffsetOutOfRange(tp, at) from None
    except (KafkaError, OSError, TimeoutError) as error:
        raise await clients.explain_error(error, f"reading {tp.topic}-{tp.partition}") from None
    finally:
        await close(reader.stop(), _STOP_S)


def _whole(tp: TP, start: int, stop: int, records: RecordColumns | list[Any]) -> list[WholeRecord]:
    """Records with their headers; a header without a value gets an empty one."""
    if not isinstance(records, RecordColumns):
        return []
    fetched = columns(start, stop, records)
    found = zip(fetched.offsets.tolist(), fetched.timestamps_ms.tolist(), fetched.keys, fetched.values, strict=True)
    whole = []
    for (offset, at_ms, key, value), headers in zip(found, records.headers, strict=True):
        bad = fetched.unreadable.get(offset)
        named = tuple((name, content or b"") for name, content in headers)
        whole.append(WholeRecord(tp.partition, offset, at_ms, key, value, named, bad.reason if bad else None))
    return whole
