"""What only Kafka knows: what the workers wait for, and the dead letters, which can be written back."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from streams.kafka.api import TransientError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.ops.control_client import partition_count
from streams.ops.dead_letters import DeadLetter, read, retry, return_partition, unreturnable_letters
from streams.settings.load import Settings
from streams.topics.reported_waits import ReportedWaits, TickReader
from streams.wording.kafka_wording import kafka_text

log = structlog.get_logger("callwarden")

LETTERS: Final = 20
TAIL: Final = 500
"""The newest offsets of each partition of the dead-letter topic that are read for a page."""
_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """``waits``: what the workers' newest ticks say. ``letters``: the newest dead letters, the newest first."""

    waits: ReportedWaits
    letters: list[DeadLetter]
    retried: set[str]


class ClusterReports:
    """Reads from Kafka on demand; one request at a time, so that readers of the page cannot load the brokers."""

    def __init__(self, cluster: KafkaCluster, settings: Settings) -> None:
        self._cluster, self._settings = cluster, settings
        self._names = TopicNames.from_settings(settings)
        self._turn = asyncio.Lock()

    async def report(self) -> ClusterReport:
        """The report of now. Raises TransientError, also if Kafka does not answer in time, and PermanentError."""
        try:
            async with asyncio.timeout(_WITHIN_S), self._turn:
                count = await partition_count(self._cluster, self._names)
                waits = await TickReader(self._names, range(count)).read(self._cluster)
                letters, retried = await read(self._cluster, self._names, lambda letter: True, LETTERS, tail=TAIL)
        except TimeoutError:
            raise TransientError(kafka_text("silent", seconds=f"{_WITHIN_S:.0f}")) from None
        return ClusterReport(waits, letters[::-1], retried)

    async def retry(self, letter_id: str) -> bool:
        """Write a dead letter back to its topic; False if there is none, or it was retried, or it cannot be.

        Raises TransientError and PermanentError.
        """
        async with self._turn:
            letters, retried = await read(self._cluster, self._names, lambda letter: letter.id == letter_id)
            count = await partition_count(self._cluster, self._names)
            fit = [letter for letter in letters if letter.id not in retried and not letter.incomplete]
            if not fit or unreturnable_letters(fit, self._names, count):
                return False
            home = return_partition(count, self._settings.partitioner)
            written = await retry(self._cluster, self._names, self._settings.application_id, fit, home)
            log.info("a dead letter was written back", letter=letter_id)
            return bool(written)
