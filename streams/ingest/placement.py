"""Where records are written: the topic of their type, the partition of their tenant; events by their call."""

import asyncio
from contextlib import suppress
from typing import Final

from monitor.adapters.assembly.call_event import CallEvent
from monitor.adapters.assembly.version_event import VersionEvent
from monitor.decoding.input_topics import CARRIES
from monitor.partition.partitioner import Partitioner, partition_of
from schemas.inputs import Record
from streams.consumers.topic_reader import TopicReader
from streams.ingest.raw_events import event_key
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames, require_topics

_REFRESH_S: Final = 30.0
_MOST_TENANTS: Final = 100_000  # whose partition is remembered


class TopicPlacement:
    """The topics as they are. `refresh` must have succeeded once before anything is placed."""

    def __init__(self, names: TopicNames, partitioner: Partitioner) -> None:
        self._names, self._partitioner = names, partitioner
        self._topics = {one: names.input_prefix + name for name, ones in CARRIES.items() for one in ones}
        self._partitions = self._letters = self._raw = 0
        self._known: dict[str, int] = {}

    @property
    def known(self) -> bool:
        """Whether `refresh` has succeeded."""
        return self._partitions > 0

    @property
    def takes_events(self) -> bool:
        """Whether there is a topic of raw events."""
        return self._raw > 0

    async def refresh(self, cluster: TopicReader) -> None:
        """Look up the numbers of partitions. Raises TransientError, and PermanentError if a topic is missing.

        The topic of raw events may be missing until there is an event.
        """
        state, letters, raw = (self._names.output(name) for name in ("state", "dead-letter", "raw"))
        wanted = [*self._names.inputs, state, letters]
        counts = await cluster.partitions([*wanted, raw])
        require_topics(counts, wanted)
        # If topics were given more partitions, those that workers read.
        least = min(counts[topic] for topic in (*self._names.inputs, state))
        if least != self._partitions:
            self._known.clear()
        self._partitions, self._letters, self._raw = least, counts[letters], counts.get(raw, 0)

    async def follow(self, cluster: TopicReader) -> None:
        """Follow changes of the topics until cancelled. Raises PermanentError if one is missing."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            with suppress(TransientError):  # what reads and writes reports a cluster that is away
                await self.refresh(cluster)

    def record(self, record: Record, raw: bytes) -> OutputRecord:
        """The record as it is written: as it came, under its tenant."""
        tenant_id = record.tenant_id
        key = tenant_id.encode()
        partition = self._known.get(tenant_id)
        if partition is None:
            if len(self._known) >= _MOST_TENANTS:
                self._known.clear()
            partition = self._known[tenant_id] = partition_of(key, self._partitions, self._partitioner)
        return OutputRecord(self._topics[type(record)], partition, key, raw)

    def event(self, feed: str, event: CallEvent | VersionEvent, value: bytes) -> OutputRecord:
        """An event or a version of a call. Raises PermanentError if there is no topic of raw events."""
        topic, key = self._names.output("raw"), event_key(feed, event)
        if not self._raw:
            raise PermanentError(f"there is no topic {topic}; `callwarden topics create` creates it")
        return OutputRecord(topic, partition_of(key, self._raw, "murmur2"), key, value)

    def letter(
        self, source: str, raw: bytes | None, headers: tuple[tuple[str, bytes], ...], key: bytes | None = None
    ) -> OutputRecord:
        """A rejected record of a source, as a dead letter; ``key`` is the one that it came with."""
        partition = partition_of(source.encode(), self._letters, "murmur2")
        return OutputRecord(self._names.output("dead-letter"), partition, key, raw, headers)
