"""The process `callwarden assemble`: a member of the group that reads `callwarden.raw`, and its HTTP endpoints."""

from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from monitor.adapters.assembly.assembler import AssemblyLimits
from streams.consumers.service import host, once_available, pages_app
from streams.consumers.topic_reader import TopicReader
from streams.ingest.assemble.feeds import Feeds
from streams.ingest.assemble.late_sources import LateSourceWarnings
from streams.ingest.assemble.raw_partition import AssemblyHost, RawPartition
from streams.ingest.assemble.telemetry import AssembleMetrics
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.ingest.partitions.partition_group import PartitionGroup
from streams.ingest.partitions.start_position import GroupCluster, GroupOptions
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings, variable

log = structlog.get_logger("callwarden")

_LONGEST_RETRY_S: Final = 5.0


def group_of(settings: Settings) -> str:
    """The consumer group, and the beginning of the transactional ids."""
    return f"{settings.application_id}-assemble"


def limits_of(settings: Settings) -> AssemblyLimits:
    """The limits of open calls."""
    calls, of_tenant = settings.assemble_max_open_calls, settings.assemble_max_open_calls_per_tenant
    return AssemblyLimits(calls, of_tenant, settings.max_ahead_ms)


async def run(settings: Settings, cluster: "AssembleCluster") -> None:
    """Assemble until a stop is requested. Raises PermanentError. ``cluster`` is a member of `group_of`."""
    await Assemble(settings, cluster).host()


class AssembleCluster(GroupCluster, TopicReader, Protocol):
    """A cluster as this process uses it; `streams.kafka.cluster.KafkaCluster` implements it."""


class Assemble:
    """The components of one process."""

    def __init__(self, settings: Settings, cluster: AssembleCluster) -> None:
        """Raises PermanentError with every fault of the sources file."""
        names, group = TopicNames.from_settings(settings), group_of(settings)
        self._settings, self._cluster = settings, cluster
        self._registry = CollectorRegistry()
        self._metrics = AssembleMetrics(self._registry)
        self._placement = TopicPlacement(names, settings.partitioner)
        # Signatures are the ingest service's business: this process needs no secret.
        sources = ForeignSources(settings.ingest_sources_file, signed=False)
        feeds = Feeds(sources, limits_of(settings))
        self._warnings = LateSourceWarnings(names, sources)
        self._host = AssemblyHost(
            cluster,
            feeds,
            self._placement,
            names.output("raw-state"),
            names.output("late"),
            settings.assemble_tick_ms / 1000,
            self._metrics.counted,
        )
        options = GroupOptions(
            names.output("raw"), group, group, "callwarden assemble", ours=True, state=names.output("raw-state")
        )
        self.group = PartitionGroup(cluster, options, self._partition, PartitionMetrics("assemble", self._registry))

    def _partition(self, tp: TP) -> RawPartition:
        partition = RawPartition(tp, self._host)
        self._metrics.follow(partition)
        return partition

    async def host(self) -> None:
        """Serve until a stop is requested; the transaction under way ends first."""
        settings = self._settings
        app, address = pages_app(self._registry, self.not_ready), (settings.web_host, settings.assemble_port)
        within_s = settings.stop_within_ms / 1000
        work = [self.work(), self._placement.follow(self._cluster), self._warnings.run(self._cluster)]
        await host(work, app, address, variable("assemble_port"), within_s, self._registry)

    def not_ready(self) -> str | None:
        """Why the process is not ready, in one line; None if it is."""
        if not self._placement.known:
            return "has not reached the topics yet: see the log"
        return self.group.not_ready

    async def work(self) -> None:
        """Assemble until cancelled."""
        await once_available(lambda: self._placement.refresh(self._cluster), _LONGEST_RETRY_S)
        await self.group.run()
