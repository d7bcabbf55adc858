"""What a partition has published: its decisions, and how far its measures are written."""

from typing import Final

import msgspec

from monitor.core.windows.window import HOUR_MS
from monitor.partition.processing.published_output import MeasuredPlace, Published
from streams.kafka.api import TP, Cluster
from streams.kafka.topic_names import TopicNames

_AHEAD_MS: Final = 86_400_000  # output may lie `max_ahead` after the present, which is a day at most
_LAST: Final = 5_000  # offsets at the end of the topic of measures; some are markers of transactions
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _EventData(msgspec.Struct):
    decided_ms: int = 0


class _Event(msgspec.Struct):
    id: str = ""
    data: _EventData = msgspec.field(default_factory=_EventData)


class _Measures(msgspec.Struct):
    tenant_id: str
    hour_ms: int


_EVENT: Final = msgspec.json.Decoder(_Event)
_MEASURES: Final = msgspec.json.Decoder(_Measures)


async def published_output(cluster: Cluster, names: TopicNames, number: int) -> Published:
    """What partition ``number`` has published, shadow decisions included.

    A record that claims to have been decided well after it was written is not a worker's, and is left out: the
    rebuilding of a state, which lasts until that time has passed, would never end. The audit reports it as invented.
    """
    decisions: dict[str, int] = {}
    for topic in ("enforcement", "shadow"):
        tp = TP(names.output(topic), number)
        start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
        async for fetched in cluster.read(tp, start, end):
            for value, written_ms in zip(fetched.values, fetched.timestamps_ms.tolist(), strict=True):
                try:
                    event = _EVENT.decode(value or b"{}")
                except _UNREADABLE:
                    continue  # not a decision of ours
                if event.data.decided_ms <= written_ms + _AHEAD_MS:
                    decisions[event.id] = event.data.decided_ms
    return Published(decisions, await _measured(cluster, TP(names.output("measures"), number)))


async def _measured(cluster: Cluster, tp: TP) -> MeasuredPlace | None:
    """The place of the last measures; None without measures."""
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    last: MeasuredPlace | None = None
    async for fetched in cluster.read(tp, max(start, end - _LAST), end):
        for value, written_ms in zip(fetched.values, fetched.timestamps_ms.tolist(), strict=True):
            try:
                measures = _MEASURES.decode(value or b"{}")
            except _UNREADABLE:
                continue
            if measures.hour_ms + HOUR_MS <= written_ms + _AHEAD_MS:
                place = MeasuredPlace(measures.hour_ms, measures.tenant_id)
                last = place if last is None else max(last, place)
    return last
