"""The decisions of an output prefix: the events, and how far each partition has judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import NamedTuple

import msgspec
from msgspec import Struct

from monitor.partition.checkpoint import PartitionIdentity, packed_head
from monitor.partition.partitioner import Partitioner, partition_of
from monitor.whatif.event_diff import Event
from schemas import codec
from schemas.inputs import END_MS, MIN_MS
from streams.kafka.api import TP, Cluster, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics.state_entries import newest_entries


class PartitionProgress(Struct):
    """The fields of a stored head with the progress and the partitioner of its partition."""

    watermark_ms: int
    place: PartitionIdentity


class UnreadableEvent(NamedTuple):
    """A record of the enforcement topic that is not an event, and why."""

    topic: str
    partition: int
    offset: int
    why: str


@dataclass(frozen=True, slots=True)
class DecidedEvents:
    """``events`` of all partitions in the order of the logs, complete up to ``judged_ms`` of each partition.

    ``unreadable`` are the records among them that are not events.
    """

    events: list[Event]
    judged_ms: list[int]
    partitioner: Partitioner = "murmur2"
    unreadable: list[UnreadableEvent] = field(default_factory=list)

    def between(self, from_ms: int, until_ms: Sequence[int]) -> list[Event]:
        """The events decided from ``from_ms`` on and before the ``until_ms`` of their tenant's partition.

        ``until_ms`` has one value for each partition; tenants are placed among that many.
        """
        found = []
        for event in self.events:
            number = partition_of(str(event.get("subject")).encode(), len(until_ms), self.partitioner)
            if from_ms <= event["data"]["decided_ms"] < until_ms[number]:
                found.append(event)
        return found


def until_both(a: DecidedEvents, b: DecidedEvents) -> list[int]:
    """The time up to which both have judged, by partition.

    If the counts differ, the result has their least common multiple of partitions: each of these is part of one
    partition of either side.
    """
    count = lcm(len(a.judged_ms), len(b.judged_ms))
    return [min(one.judged_ms[number % len(one.judged_ms)] for one in (a, b)) for number in range(count)]


async def decided(cluster: Cluster, names: TopicNames) -> DecidedEvents:
    """All committed decisions.

    Raises TransientError, and PermanentError if topics are missing.
    """
    enforcement, state = names.output("enforcement"), names.output("state")
    counts = await cluster.partitions([enforcement, state])
    if missing := [topic for topic in (enforcement, state) if topic not in counts]:
        raise PermanentError(
            f"there is no topic {', '.join(missing)}; expected the output prefix of workers, with the dot at its end"
        )
    numbers = range(counts[enforcement])
    # Read the heads first: the events up to them are in the log by then.
    heads = [await _judged(cluster, TP(state, number)) for number in numbers]
    events: list[Event] = []
    unreadable: list[UnreadableEvent] = []
    for number in numbers:
        tp = TP(enforcement, number)
        start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
        async for fetched in cluster.read(tp, start, end):
            for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                try:
                    events.append(event_of(value))
                except codec.DECODE_ERRORS as error:
                    unreadable.append(UnreadableEvent(*tp, offset, f"expected an enforcement event: {error}"))
    judged = [0 if head is None else head.watermark_ms for head in heads]
    partitioners = [head.place.partitioner for head in heads if head is not None]  # workers refuse a mixture
    return DecidedEvents(events, judged, partitioners[0] if partitioners else "murmur2", unreadable)


async def judged_ms(cluster: Cluster, state: TP) -> int:
    """The time up to which the partition has judged, 0 if it has no state."""
    judged = await _judged(cluster, state)
    return 0 if judged is None else judged.watermark_ms


async def _judged(cluster: Cluster, state: TP) -> PartitionProgress | None:
    packed = packed_head(await newest_entries(cluster, state))
    return None if packed is None else msgspec.msgpack.decode(packed, type=PartitionProgress)


def event_of(value: bytes | None) -> Event:
    """The event in a value, with all its fields, also those of another release. Raises one of `codec.DECODE_ERRORS`."""
    value = value or b""
    if flaw := codec.flaw(value):
        raise codec.InvalidRecordError(flaw)
    decided_ms = _CORE.decode(value).data.decided_ms
    if not MIN_MS <= decided_ms < END_MS:
        raise codec.InvalidRecordError(f"decided_ms is {decided_ms}; expected a time in the years 1990 to 2099")
    event: Event = msgspec.json.decode(value)
    return event


class _Window(Struct):
    start_ms: int
    end_ms: int


class _CoreData(Struct):
    decided_ms: int
    window: _Window | None = None


class _Core(Struct):
    """What a comparison rests on."""

    id: str
    subject: str
    data: _CoreData


_CORE = msgspec.json.Decoder(_Core)
