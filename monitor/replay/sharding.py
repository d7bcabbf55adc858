"""Sharding: the shard of a tenant, and the shards of a replay in this process."""

import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls
from monitor.core.policy_chain import PolicyChain
from monitor.core.record_places import RecordLogs
from monitor.core.results import Output, WantedOutput
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances, merge_distances
from monitor.decoding.decode import MergedRows, PlacedRows
from monitor.policy.timeline import PolicyVersion
from monitor.replay.owner_barriers import OwnerBarriers
from schemas.owners import OwnerBan


def shard_of(tenant_id: str, shards: int) -> int:
    """The shard of a tenant, from 0 to ``shards - 1``."""
    return zlib.crc32(tenant_id.encode()) % shards


def split(names: list[str], calls: Calls, shards: int) -> list[tuple[list[str], Calls]]:
    """Split calls by shard, each in reading order. Returns the tenant ids and the calls of each shard."""
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


def event_times(ready: Sequence[tuple[PlacedRows, int, int]]) -> list[NDArray[np.int64]]:
    """The event times of these rows."""
    return [placed.decoded.event_ms[start:stop] for placed, start, stop in ready]


def take_bans(chain: PolicyChain, bans: Sequence[OwnerBan]) -> None:
    """Give the bans of owners that other shards decided to a shard. In files they take effect as early as they can."""
    for ban in bans:
        chain.shard.owner_bans.take(ban, ban.decided_ms if ban.lifted_ms is None else ban.lifted_ms)


class Shards(Protocol):
    """The shards that receive the calls and records of a replay, in this process or in others (`monitor.replay`)."""

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order. ``batch`` is the merged ``ready``, ``watermark_ms`` the watermark before them."""
        ...

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        ...

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """End the input."""
        ...

    def collect(self) -> list[Output]:
        """The output received since the last call; after `finish`, all of it."""
        ...

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        ...

    @property
    def settled(self) -> bool:
        """Whether all shards have decided up to the same time, so that no earlier window can still come."""
        ...

    def distances(self) -> ThresholdDistances | None:
        """The threshold distances after `finish`, if requested."""
        ...


class LocalShards:
    """Shards in this process."""

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        shards: int,
        wanted: WantedOutput,
        distance_options: DistanceOptions | None = None,
        enforce_from_ms: int = 0,
        logs: RecordLogs | None = None,
    ) -> None:
        self.chains = [PolicyChain(versions, wanted, enforce_from_ms, logs=logs) for _ in range(shards)]
        self._logs = logs
        self._distance_options = distance_options
        self._barriers = OwnerBarriers([version.policy for version in versions])
        self._duplicates = 0
        self._ended_ms: int | None = None

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order."""
        count = len(self.chains)
        self._barriers.read(batch.waiting, event_times(ready))
        for waiting in batch.waiting:
            self.chains[shard_of(waiting.record.tenant_id, count)].shard.wait(waiting)
        if batch.calls is None:
            return
        if self._logs is not None:
            starts = np.array([self._logs.start(source) for source in range(len(self._logs.current))], np.int64)
            batch.calls.place = starts[batch.calls.source] + batch.calls.offset
        parts = [(batch.names, batch.calls)] if count == 1 else split(batch.names, batch.calls, count)
        for chain, (names, calls) in zip(self.chains, parts, strict=True):
            self._duplicates += int(chain.shard.apply(names, calls, watermark_ms).sum())

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        self._exchange_bans(watermark_ms)
        for chain in self.chains:
            chain.advance(watermark_ms)

    def _exchange_bans(self, until_ms: int) -> None:
        """Stop where bans of owners may take effect, and give those of each shard to the others."""
        barriers = self._barriers.until(until_ms) if len(self.chains) > 1 else ()
        for at_ms in barriers:
            for chain in self.chains:
                chain.advance(at_ms, at_ms - 1)
            for chain in self.chains:
                bans, chain.shard.output.owner_bans = chain.shard.output.owner_bans, []
                for other in self.chains:
                    if other is not chain:
                        take_bans(other, bans)

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """End the input."""
        self._ended_ms = last_ms if until_ms is None else until_ms
        self._exchange_bans(self._ended_ms)
        for chain in self.chains:
            chain.finish(last_ms, until_ms)

    def collect(self) -> list[Output]:
        """The output since the last call."""
        outputs = []
        for chain in self.chains:
            bans = chain.shard.output.owner_bans
            outputs.append(chain.shard.output.take())
            if len(self.chains) > 1:
                chain.shard.output.owner_bans = bans  # they stay until they are exchanged
        outputs[0].duplicates += self._duplicates
        self._duplicates = 0
        return outputs

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        return sum(chain.shard.tenants for chain in self.chains)

    @property
    def settled(self) -> bool:
        """Always true: local shards advance together."""
        return True

    def distances(self) -> ThresholdDistances | None:
        """The threshold distances, if requested."""
        distance_options = self._distance_options
        return (
            merge_distances(
                [measure_distances(chain.shard, distance_options, self._ended_ms) for chain in self.chains],
                distance_options,
            )
            if distance_options
            else None
        )
