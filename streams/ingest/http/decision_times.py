"""When the records of a request will be decided, by what the workers report in their clock ticks."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec
import structlog

from monitor.partition.waiting.watermark_holds import END_OUTAGE
from monitor.text.durations import MINUTE, SECOND, format_duration
from monitor.text.timestamps import rfc3339
from streams.consumers.topic_reader import TopicReader
from streams.ingest.http.answer import DecidedBetween
from streams.ingest.http.verdicts import CheckedRequest
from streams.kafka.api import CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.reported_waits import STALE_MS, ReportedWaits, TickReader
from streams.topics.transaction_records import DecisionDelays

log = structlog.get_logger("callwarden")

_REFRESH_S: Final = 5.0
_SPARE_MS: Final = MINUTE
"""For the time that the request takes, a check of the clocks, a transaction, and clocks that differ."""

_SHORT_GRACE_MS: Final = 30 * SECOND  # such a grace is not worth a command


class DecisionTimes:
    """Reads the ticks every few seconds. A request reads only what is in memory."""

    def __init__(self, names: TopicNames) -> None:
        self._names = names
        self._reader, self._partitions = TickReader(names, ()), 0
        self.reported = ReportedWaits()
        self._logged = ""

    async def run(self, cluster: TopicReader) -> None:
        """Refresh until cancelled. What cannot be read leaves the times unknown once the last ticks are old."""
        while True:
            try:
                await self.refresh(cluster)
                self._logged = ""
            except (TransientError, PermanentError, CorruptLog, OffsetOutOfRange) as error:
                if self._logged != str(error):
                    log.info("when records are decided is not known: the clock topic cannot be read", why=str(error))
                self._logged = str(error)
            await asyncio.sleep(_REFRESH_S)

    async def refresh(self, cluster: TopicReader) -> None:
        """Read the ticks since the last refresh. Raises as a cluster does."""
        clock = self._names.output("clock")
        count = (await cluster.partitions([clock])).get(clock, 0)
        if count != self._partitions:
            self._reader, self._partitions = TickReader(self._names, range(count)), count
        self.reported = await self._reader.read(cluster)

    def added_to(self, checked: CheckedRequest, now_ms: int) -> CheckedRequest:
        """The request with the time in its answer, if it is known."""
        if checked.newest_ms is None:
            return checked
        found = decided_between(self.reported, checked.newest_ms, checked.partitions, now_ms)
        if found is None:
            return checked
        return replace(checked, answer=msgspec.structs.replace(checked.answer, decided=found))


def decided_between(
    reported: ReportedWaits, newest_ms: int, partitions: frozenset[int], now_ms: int
) -> DecidedBetween | None:
    """When everything up to ``newest_ms`` in these partitions is decided; None if it is not known.

    Clocks never run ahead of the broker's time, so nothing is decided before its event time and the lateness have
    passed. If no call comes any more, the clock of calls is behind by the outage grace. A record below the late line
    is taken as of that line, which is at most the lateness in the past.
    """
    if reported.newest_ms is None or now_ms - reported.newest_ms > STALE_MS or not partitions <= reported.delays.keys():
        return None
    delays = {number: reported.delays[number] for number in partitions}
    shortest_ms = min(one.lateness_ms for one in delays.values())
    longest_ms = max(one.lateness_ms for one in delays.values())
    grace_ms = max(one.outage_grace_ms for one in delays.values())
    idle_after_ms = max(one.idle_after_ms for one in delays.values())
    earliest = rfc3339(max(newest_ms + 1 + shortest_ms, now_ms))
    if any(number in one.held for number, one in delays.items()):
        why = "a source holds decisions back, or a worker is not ready: /readyz of the workers says which"
        return DecidedBetween(earliest, None, why, "callwarden topics check")
    latest_ms = max(newest_ms, now_ms - longest_ms) + 1 + longest_ms + grace_ms + idle_after_ms + _SPARE_MS
    why, command = _why(delays, longest_ms, grace_ms)
    return DecidedBetween(earliest, rfc3339(latest_ms), why, command)


def _why(delays: Mapping[int, DecisionDelays], lateness_ms: int, grace_ms: int) -> tuple[str, str | None]:
    late = f"records may come {format_duration(lateness_ms)} late (lateness)"
    if grace_ms <= _SHORT_GRACE_MS:
        return late, None
    grace = f"decisions wait {format_duration(grace_ms)} longer for calls that may be missing (outage grace)"
    if any(number in one.no_calls for number, one in delays.items()):
        return f"{late}; no calls arrive in any partition, and {grace}", END_OUTAGE
    return f"{late}; if no more calls arrive in any partition, {grace}", END_OUTAGE
