"""The process of a follower: the source, the writer, and the operational pages."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from streams.consumers.service import host, pages_app
from streams.ingest.follow.follow_source import FollowSource
from streams.ingest.follow.follower import FollowCluster, SourceFollower
from streams.ingest.follow.position_log import PositionLog
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.telemetry import FollowMetrics
from streams.ingest.foreign_rows import ForeignAdapter
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings, variable

_LOOK_S: Final = 1.0
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

MakeSource = Callable[[RowWriter], FollowSource]
"""The source, whose rows are given to the writer."""


@dataclass(frozen=True, slots=True)
class FollowPlan:
    """What a process follows: under which name, with which mapping."""

    name: str
    adapter: ForeignAdapter
    make_source: MakeSource


def checked_name(name: str) -> str:
    """A follower's name. Raises PermanentError."""
    if not _NAME.fullmatch(name):
        raise PermanentError(f"--name {name[:80]!a}: expected 1 to 64 letters, digits, `.`, `_` and `-`")
    return name


async def run(settings: Settings, cluster: FollowCluster, plan: FollowPlan) -> None:
    """Follow until a stop is requested. Raises PermanentError."""
    names = TopicNames.from_settings(settings)
    registry = CollectorRegistry()
    metrics = FollowMetrics(registry, plan.name)
    placement = TopicPlacement(names, settings.partitioner)
    source = plan.make_source(RowWriter(plan.adapter, placement, plan.name))
    follower = SourceFollower(
        cluster,
        placement,
        PositionLog(cluster, names.output("follow"), plan.name),
        source,
        f"{settings.application_id}-follow-{plan.name}",
        metrics.wrote,
    )

    async def look() -> None:
        while True:
            metrics.look(source.backlog, up=source.away is None)
            if source.at_end:
                metrics.caught_up(time.time())
            await asyncio.sleep(_LOOK_S)

    def not_ready() -> str | None:
        return follower.away or source.away

    metrics.caught_up(time.time())
    address, within_s = (settings.web_host, settings.follow_port), settings.stop_within_ms / 1000
    app = pages_app(registry, not_ready)
    try:
        await host([follower.run(), look()], app, address, variable("follow_port"), within_s, registry)
    finally:
        await asyncio.to_thread(source.close)
