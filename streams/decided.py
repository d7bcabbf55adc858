"""What the workers of an output prefix have decided: their events, and how far each partition has judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from monitor.comparison import Event
from monitor.head import packed_head
from streams.cluster import TP, Cluster, Refused
from streams.names import Names
from streams.state.look import newest_entries


class Judged(Struct):
    """What a stored head tells of its partition: how far it has judged."""

    watermark_ms: int


@dataclass(frozen=True, slots=True)
class Decided:
    """``events`` of all partitions in their logs' order; up to ``judged_ms`` (by partition) there are no others."""

    events: list[tuple[int, Event]]
    judged_ms: list[int]

    def between(self, from_ms: int, until_ms: Sequence[int]) -> list[Event]:
        """The events decided from then on and, by partition, before ``until_ms``."""
        return [event for number, event in self.events if from_ms <= event["data"]["decided_ms"] < until_ms[number]]


def until_both(a: Decided, b: Decided) -> list[int]:
    """By partition, up to when both have judged: what either decides before that, it has decided."""
    return [min(both) for both in zip(a.judged_ms, b.judged_ms, strict=True)]


async def decided(cluster: Cluster, names: Names) -> Decided:
    """All that stands committed. Refused where topics are missing, or an event cannot be read; Unavailable."""
    enforcement, state = names.output("enforcement"), names.output("state")
    counts = await cluster.partitions([enforcement, state])
    if missing := [topic for topic in (enforcement, state) if topic not in counts]:
        raise Refused(
            f"there is no topic {', '.join(missing)}; an output prefix as workers have it, with the dot that it ends "
            f"in, would be right"
        )
    numbers = range(counts[enforcement])
    # The heads first: what these tell of is in the events' log by then.
    judged = [await judged_ms(cluster, TP(state, number)) for number in numbers]
    events: list[tuple[int, Event]] = []
    for number in numbers:
        tp = TP(enforcement, number)
        start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
        async for fetched in cluster.read(tp, start, end):
            for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                events.append((number, _event(f"{tp.topic}-{number} offset {offset}", value)))
    return Decided(events, judged)


async def judged_ms(cluster: Cluster, state: TP) -> int:
    """Up to when the partition has judged, 0 where it has not begun."""
    packed = packed_head(await newest_entries(cluster, state))
    return 0 if packed is None else msgspec.msgpack.decode(packed, type=Judged).watermark_ms


def _event(at: str, value: bytes | None) -> Event:
    try:
        _CORE.decode(value or b"")
        event: Event = msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{at}: expected an enforcement event: {error}") from None
    return event


class _CoreData(Struct):
    decided_ms: int


class _Core(Struct):
    id: str
    data: _CoreData


_CORE = msgspec.json.Decoder(_Core)
