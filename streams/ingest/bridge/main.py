"""The bridge's process: the group that reads the source topic, and the pages for operators."""

from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from streams.consumers.service import host, once_available, pages_app
from streams.consumers.topic_reader import TopicReader
from streams.ingest.bridge.handler import BridgeHandler, Decode
from streams.ingest.bridge.telemetry import BridgeMetrics
from streams.ingest.document_mapper import DocumentMapper
from streams.ingest.foreign_rows import EventAdapter, ForeignAdapter
from streams.ingest.partitions.partition_group import PartitionGroup
from streams.ingest.partitions.start_position import GroupCluster, GroupOptions
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TP, PermanentError
from streams.kafka.topic_names import CONSOLE, INGEST, TopicNames
from streams.settings.load import Settings, variable

log = structlog.get_logger("callwarden")

_RETRY_S: Final = 5.0


class BridgeCluster(GroupCluster, TopicReader, Protocol):
    """A cluster as the bridge uses it; `streams.kafka.cluster.KafkaCluster` implements it."""

    async def topic_config(self, topic: str, name: str) -> str | None:
        """The value of a topic's configuration; None if there is none of that name."""
        ...


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What is bridged: the source topic, its group, its format's adapter, and the name of the feed."""

    topic: str
    group: str
    adapter: ForeignAdapter
    feed: str
    from_end: bool = False


async def run(settings: Settings, cluster: BridgeCluster, options: BridgeOptions, decode: Decode | None = None) -> None:
    """Serve until a stop is requested. ``decode``: see `BridgeHandler`. Raises PermanentError."""
    await Bridge(settings, cluster, options, decode).host()


class Bridge:
    """The components of one process."""

    def __init__(
        self, settings: Settings, cluster: BridgeCluster, options: BridgeOptions, decode: Decode | None
    ) -> None:
        names = TopicNames.from_settings(settings)
        if options.topic in _ours(names):
            raise PermanentError(f"--source-topic {options.topic}: it is one of Callwarden's own topics")
        self._settings, self._cluster, self._options, self._decode = settings, cluster, options, decode
        self._placement = TopicPlacement(names, settings.partitioner)
        self._raw = names.output("raw")
        self._registry = CollectorRegistry()
        self._metrics = BridgeMetrics(self._registry)
        self._mapper = DocumentMapper(options.adapter, self._placement, options.feed)
        group = GroupOptions(options.topic, options.group, options.group, "callwarden bridge", options.from_end)
        self._group = PartitionGroup(cluster, group, self._handler, PartitionMetrics("bridge", self._registry))
        self._started = False

    def _handler(self, tp: TP) -> BridgeHandler:
        return BridgeHandler(tp, self._mapper, self._metrics, self._decode)

    async def host(self) -> None:
        """Serve until a stop is requested; a transaction under way is ended first."""
        settings = self._settings
        address, within_s = (settings.web_host, settings.bridge_port), settings.stop_within_ms / 1000
        app = pages_app(self._registry, self._not_ready)
        work = [self._work(), self._placement.follow(self._cluster)]
        await host(work, app, address, variable("bridge_port"), within_s, self._registry)

    def _not_ready(self) -> str | None:
        return self._group.not_ready if self._started else "has not reached the topics yet: see the log"

    async def _work(self) -> None:
        await once_available(self._check, _RETRY_S)
        self._started = True
        await self._group.run()

    async def _check(self) -> None:
        """Look the topics up. Raises TransientError and PermanentError."""
        topic = self._options.topic
        await self._placement.refresh(self._cluster)
        if isinstance(self._options.adapter, EventAdapter) and not self._placement.takes_events:
            raise PermanentError(
                f"this format has events of calls, and there is no topic {self._raw}; `callwarden topics create` "
                "creates it"
            )
        if topic not in await self._cluster.partitions([topic]):
            raise PermanentError(f"--source-topic {topic}: there is no such topic, or no permission to see it")
        policy = await self._cluster.topic_config(topic, "cleanup.policy")
        if policy is not None and "compact" in policy:
            raise PermanentError(
                f"--source-topic {topic}: it is compacted (cleanup.policy={policy}), so that records of one key vanish "
                "before they are read; expected cleanup.policy=delete"
            )


def _ours(names: TopicNames) -> set[str]:
    return {*names.all, *map(names.output, (*INGEST, *CONSOLE))}
