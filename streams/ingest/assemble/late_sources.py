"""Names the sources whose calls will be late: they are held as long as the policy waits for records, or longer."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from monitor.text.durations import format_duration
from streams.consumers.topic_reader import TopicReader
from streams.ingest.http.sources.sources_file import CallWait, ForeignSources
from streams.kafka.api import CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.reported_waits import TickReader

log = structlog.get_logger("callwarden")

_REFRESH_S: Final = 60.0


def late_sources(waits: Mapping[str, CallWait], lateness_ms: int) -> list[str]:
    """A line for each source whose calls are held for ``lateness_ms`` or longer."""
    least = f"expected less than the policy's lateness of {format_duration(lateness_ms)}"
    return [
        f"source {name}: its calls will be late: {least}, got {wait.field} {format_duration(wait.ms)}"
        for name, wait in waits.items()
        if wait.ms >= lateness_ms
    ]


class LateSourceWarnings:
    """Compares the sources with the lateness that the workers report in their clock ticks, and logs each line once.

    The calls are still written: the policy may change, and a call is in time if no newer one has advanced the clock.
    """

    def __init__(self, names: TopicNames, sources: ForeignSources) -> None:
        self._names, self._sources = names, sources
        self._reader, self._partitions = TickReader(names, ()), 0
        self._logged: set[str] = set()

    async def run(self, cluster: TopicReader) -> None:
        """Compare every minute until cancelled: policies and the sources file change."""
        while True:
            try:
                await self.refresh(cluster)
            except (TransientError, PermanentError, CorruptLog, OffsetOutOfRange) as error:
                self._log(f"the lateness of the policy is not known: {error}")
            await asyncio.sleep(_REFRESH_S)

    async def refresh(self, cluster: TopicReader) -> None:
        """Compare once. Raises as a cluster does."""
        clock = self._names.output("clock")
        count = (await cluster.partitions([clock])).get(clock, 0)
        if count != self._partitions:
            self._reader, self._partitions = TickReader(self._names, range(count)), count
        reported = await self._reader.read(cluster)
        if reported.delays:
            lateness_ms = min(delays.lateness_ms for delays in reported.delays.values())
            for line in late_sources(self._sources.waits(), lateness_ms):
                self._log(line)

    def _log(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            log.warning(line)
