"""Sharding: which shard a tenant belongs to, and the shards of a replay that live in this process."""

import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from monitor.core.calls.columns import Calls
from monitor.core.policy_chain import PolicyChain
from monitor.core.results import Output
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances, merge_distances
from monitor.decoding.decode import MergedRows, PlacedRows
from monitor.policy.timeline import PolicyVersion


def shard_of(tenant_id: str, shards: int) -> int:
    """Which of so many shards a tenant belongs to."""
    return zlib.crc32(tenant_id.encode()) % shards


def split(names: list[str], calls: Calls, shards: int) -> list[tuple[list[str], Calls]]:
    """The calls of each shard's tenants, in reading order."""
    home = np.array([shard_of(name, shards) for name in names], np.int32)
    parts = []
    for shard in range(shards):
        mine = np.flatnonzero(home == shard)
        place = np.full(len(names), -1, np.int32)
        place[mine] = np.arange(len(mine), dtype=np.int32)
        part = calls.take(np.flatnonzero(home[calls.tenant] == shard))
        part.tenant = place[part.tenant]
        parts.append(([names[i] for i in mine], part))
    return parts


class Shards(Protocol):
    """Where the calls and records of a replay go: the shards in this process, or in others (`monitor.replay`)."""

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order: ``batch`` is the merged ``ready``; ``watermark_ms`` is that before them."""
        ...

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        ...

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """The input has ended."""
        ...

    def collect(self) -> list[Output]:
        """What has been brought about since the last call, or is known of it by now; after `finish` all of it."""
        ...

    @property
    def tenants(self) -> int:
        """How many tenants there were."""
        ...

    @property
    def settled(self) -> bool:
        """Whether all shards have decided equally far, so that no window is still to come before those collected."""
        ...

    def look(self) -> ThresholdDistances | None:
        """What is to be seen of the tenants after `finish`, if that was asked for."""
        ...


class LocalShards:
    """Shards in this process."""

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        shards: int,
        windows: bool,
        looking: DistanceOptions | None = None,
        enforce_from_ms: int = 0,
    ) -> None:
        self.shards = [PolicyChain(versions, windows, enforce_from_ms) for _ in range(shards)]
        self._looking = looking
        self._duplicates = 0

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order."""
        count = len(self.shards)
        for waiting in batch.waiting:
            self.shards[shard_of(waiting.record.tenant_id, count)].wait(waiting)
        if batch.calls is None:
            return
        parts = [(batch.names, batch.calls)] if count == 1 else split(batch.names, batch.calls, count)
        for shard, (names, calls) in zip(self.shards, parts, strict=True):
            self._duplicates += int(shard.apply(names, calls, watermark_ms).sum())

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        for shard in self.shards:
            shard.advance(watermark_ms)

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """The input has ended."""
        for shard in self.shards:
            shard.finish(last_ms, until_ms)

    def collect(self) -> list[Output]:
        """What has been brought about since the last call."""
        sinks = [shard.take() for shard in self.shards]
        sinks[0].duplicates += self._duplicates
        self._duplicates = 0
        return sinks

    @property
    def tenants(self) -> int:
        """How many tenants there were."""
        return sum(chain.shard.tenants for chain in self.shards)

    @property
    def settled(self) -> bool:
        """Always: they advance together."""
        return True

    def look(self) -> ThresholdDistances | None:
        """What is to be seen of the tenants."""
        looking = self._looking
        return (
            merge_distances([measure_distances(chain.shard, looking) for chain in self.shards], looking)
            if looking
            else None
        )
