"""Sharding: the shard of a tenant, the tenants of a process, and the shards of a replay in this process."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls
from monitor.core.policy_chain import PolicyChain
from monitor.core.record_places import RecordLogs
from monitor.core.results import Output, WantedOutput
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances, merge_distances
from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.merge import MergedRows
from monitor.decoding.source import PlacedRows
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
    """The shards of a replay, in this process or in others, at the end."""

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        ...

    def distances(self) -> ThresholdDistances | None:
        """The threshold distances, if requested."""
        ...


class TenantShare(dict[str, bool]):
    """Whether a tenant belongs to the process ``number`` of ``of``. Each process reads all input."""

    def __init__(self, number: int, of: int) -> None:
        super().__init__()
        self.number = number
        self._of = of

    def __missing__(self, tenant_id: str) -> bool:
        found = self[tenant_id] = shard_of(tenant_id, self._of) == self.number
        return found

    def keep(self, decoded: DecodedRows) -> DecodedRows:
        """A decoded piece without the calls of other tenants. Their event times stay: they move the clock.

        A rejected row has no tenant; the first process keeps it.
        """
        if self.number:
            decoded.rejected = []
        if decoded.calls is not None:
            mine = np.fromiter(map(self.__getitem__, decoded.names), np.bool_, len(decoded.names))
            kept = np.flatnonzero(mine.take(decoded.calls.tenant))  # `[]` converts narrow indices slowly
            if len(kept) < len(decoded.calls):
                decoded.calls, decoded.call_rows = decoded.calls.take(kept), decoded.call_rows[kept]
        return decoded


class SharedReplay(NamedTuple):
    """The part of one process in a replay of several: its tenants, and how it exchanges bans of owners.

    ``exchange`` takes the bans that its tenants have caused, and returns those of the other processes.
    """

    share: TenantShare
    exchange: Callable[[list[OwnerBan]], list[OwnerBan]]


def _taken_bans(chain: PolicyChain) -> list[OwnerBan]:
    bans, chain.shard.output.owner_bans = chain.shard.output.owner_bans, []
    return bans


class LocalShards:
    """Shards in this process: those of all tenants, or one for its part of them if it shares the replay with others."""

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        shards: int,
        wanted: WantedOutput,
        distance_options: DistanceOptions | None = None,
        enforce_from_ms: int = 0,
        logs: RecordLogs | None = None,
        shared: SharedReplay | None = None,
    ) -> None:
        self._shared = shared
        self.chains = [PolicyChain(versions, wanted, enforce_from_ms, logs=logs) for _ in range(shards)]
        self._logs = logs
        self._distance_options = distance_options
        self._barriers = OwnerBarriers([version.policy for version in versions])
        self._duplicates = 0
        self._ended_ms: int | None = None

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order. ``batch`` is the merged ``ready``, ``watermark_ms`` the watermark before them."""
        count = len(self.chains)
        self._barriers.read(batch.waiting, event_times(ready))
        for waiting in batch.waiting:
            if self._shared is not None and not self._shared.share[waiting.record.tenant_id]:
                continue
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
        barriers = self._barriers.until(until_ms) if self._exchanges else ()
        for at_ms in barriers:
            for chain in self.chains:
                chain.advance(at_ms, at_ms - 1)
            if self._shared is not None:
                [chain] = self.chains
                take_bans(chain, self._shared.exchange(_taken_bans(chain)))
                continue
            for chain in self.chains:
                bans = _taken_bans(chain)
                for other in self.chains:
                    if other is not chain:
                        take_bans(other, bans)

    @property
    def _exchanges(self) -> bool:
        return self._shared is not None or len(self.chains) > 1

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
            if self._exchanges:
                chain.shard.output.owner_bans = bans  # they stay until they are exchanged
        outputs[0].duplicates += self._duplicates
        self._duplicates = 0
        return outputs

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        return sum(chain.shard.tenants for chain in self.chains)

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
