"""The consumer of `streams.kafka.api`, on a broker in memory."""

import asyncio
import contextlib
from collections.abc import Sequence

from crash import memory_fetched
from crash.group import Member
from crash.memory_fetched import fetched_batch
from crash.memory_link import BACKOFF_S, Link
from streams.kafka.api import (
    TP,
    CorruptLog,
    FetchedBatch,
    Listener,
    OffsetOutOfRange,
    TransientError,
)

HEARTBEAT_S = 3.0
STALE_SHARE = 0.3


class MemoryConsumer:
    """`streams.kafka.api.Consumer`.

    A batch that was fetched for an earlier position may be returned after a `seek` or a rebalance, with its true start.
    It has then moved the position: a caller that does not want it must seek back.
    """

    def __init__(self, link: Link, topics: Sequence[str], collect_s: float = 0.0) -> None:
        self._link, self._topics, self._collect_s = link, topics, collect_s
        self._came_s: float | None = None
        self._positions: dict[TP, int | None] = {}
        self._paused: set[TP] = set()
        self._stale: dict[TP, FetchedBatch] = {}
        self._member: Member | None = None
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._unreached_s: float | None = None

    async def start(self, listener: Listener) -> None:
        await self._link.passes("consumer.start")
        self._task = asyncio.create_task(self._belong(listener))
        if self._link.rng.random() < 0.5:
            await self._first.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._positions.clear()
        member, self._member = self._member, None
        if member is not None:
            try:
                await self._link.call("leave", lambda: self._link.broker.group.leave(member))
            except TransientError:
                self._link.broker.group.silence(member)

    def assignment(self) -> frozenset[TP]:
        return frozenset(self._positions)

    def pause(self, tps: Sequence[TP]) -> None:
        self._paused.update(tp for tp in tps if tp in self._positions)

    def resume(self, tps: Sequence[TP]) -> None:
        self._paused.difference_update(tps)

    def seek(self, tp: TP, offset: int) -> None:
        position = self._positions.get(tp)
        if position is not None:
            self._keep_stale(tp, position)
        if tp in self._positions:
            self._positions[tp] = offset

    async def poll(self, tps: Sequence[TP], timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        loop = self._link.broker.loop
        until = loop.time() + timeout_s
        await self._link.passes("poll?")
        self._note_reach()
        if self._came_s is not None and loop.time() - self._came_s < 2 * self._collect_s:
            await asyncio.sleep(min(self._collect_s, timeout_s))
        while not (taken := self._take(tps, most)) and loop.time() < until:
            await self._link.broker.arrival(until - loop.time())
            self._note_reach()
            if not self._link.reaches and self._link.rng.random() < 0.5:
                raise self._link.refusal()
        await asyncio.sleep(0)
        self._link.passing(self._link.process, "poll!")
        await self._link.process.pause_point()
        if any(map(len, taken.values())):
            self._came_s = loop.time()
        for tp, fetched in taken.items():  # only now: records that do not reach the caller are not skipped
            if self._positions.get(tp) is not None:
                self._positions[tp] = fetched.stop
        return taken

    def _note_reach(self) -> None:
        since_s = self._link.broker.loop.time() if self._unreached_s is None else self._unreached_s
        self._unreached_s = None if self._link.reaches else since_s

    @property
    def unanswered_s(self) -> float:
        return 0.0 if self._unreached_s is None else self._link.broker.loop.time() - self._unreached_s

    def undecided(self) -> dict[TP, int]:
        logs = {tp: self._link.broker.logs[tp] for tp in self._positions}
        return {tp: log.last_stable for tp, log in logs.items() if log.end > log.last_stable}

    def _take(self, tps: Sequence[TP], most: int) -> dict[TP, FetchedBatch]:
        """Fetch from the current positions without moving them."""
        rng, taken = self._link.rng, dict[TP, FetchedBatch]()
        for tp in rng.sample(tps, len(tps)):
            position = self._positions.get(tp)
            if most <= 0 or position is None or tp in self._paused:
                continue
            fetched = self._stale.pop(tp, None)
            if fetched is None and self._link.reaches:
                fetched = self._fetch(tp, position, most)
            if fetched is not None and len(fetched) <= most:
                taken[tp] = fetched
                most -= len(fetched)
        if taken and rng.random() < self._link.slow_share / 10:
            raise TransientError("a fetch has failed")
        return taken

    def _fetch(self, tp: TP, position: int, most: int) -> FetchedBatch | None:
        log = self._link.broker.logs.get(tp)
        if log is None:
            return None  # deleted: the client keeps retrying
        if not log.start <= position <= log.end:
            raise OffsetOutOfRange(tp, position)
        stable = log.last_stable
        if position >= stable:
            return None
        stable = self._link.readable(tp, position, stable)
        entries, stop = memory_fetched.some_entries(self._link.rng, log.committed(position, stable), most, stable)
        return fetched_batch(position, stop, entries)

    def _keep_stale(self, tp: TP, position: int) -> None:
        log = self._link.broker.logs.get(tp)
        if self._link.rng.random() < STALE_SHARE and log is not None and log.start <= position:
            with contextlib.suppress(CorruptLog):
                fetched = self._fetch(tp, position, 100)
                if fetched is not None:
                    self._stale[tp] = fetched

    async def _belong(self, listener: Listener) -> None:
        """Act as a member: join, process heartbeat responses, revoke, rejoin."""
        group, member_id = self._link.broker.group, None
        while True:
            if member_id is None:
                member_id = f"{self._link.rank}{self._link.rng.getrandbits(32):08x}-{self._link.process.name}"
            try:
                tps = await self._joined(member_id)
            except TransientError:
                await asyncio.sleep(BACKOFF_S)
                continue
            member = self._member
            if tps is None or member is None:
                member_id = None
                continue
            self._positions = dict.fromkeys(sorted(tps))
            self._paused = set(tps)
            silence = group.silence(member)  # no heartbeats while the listener runs
            await listener.assigned(tps)
            self._first.set()
            group.heard(member, silence)
            await asyncio.shield(member.must_rejoin)
            await asyncio.sleep(self._link.rng.uniform(0.0, HEARTBEAT_S))
            await listener.revoked(frozenset(self._positions))
            for tp, position in self._positions.items():
                if position is not None:
                    self._keep_stale(tp, position)
            if self._link.rng.random() < 0.5:
                self._positions = {}
            if not group.knows(member):
                member_id = None

    async def _joined(self, member_id: str) -> frozenset[TP] | None:
        """Return the assignment of a new generation; None if the member was expelled before the response."""
        loop, group = self._link.broker.loop, self._link.broker.group
        member = self._member
        if member is None or member.id != member_id:
            member = self._member = Member(member_id, self._topics, loop.create_future())
            self._link.members.append(member)
        await self._link.passes("join?")
        joined = group.join(member)
        await asyncio.wait([joined, member.must_rejoin], return_when=asyncio.FIRST_COMPLETED)
        await self._link.passes("join!")
        return joined.result() if joined.done() and group.knows(member) else None
