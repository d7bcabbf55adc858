"""Reads the topic of owners for the partitions of a worker, which take each value once.

The topic does not hold the watermark back: a partition that cannot read it continues to decide, and takes what it
missed later. The journal records when that takes effect.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from monitor.text.timestamps import rfc3339
from schemas.owners import OwnerBan
from streams.kafka.api import CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.topics.owners_topic import owner_bans_in
from streams.wording.worker_wording import worker_text
from streams.worker.context import WorkerContext
from streams.worker.running.running_partition import RunningPartition

log = structlog.get_logger("callwarden")

_EVERY_S: Final = 1.0
_MOST_BANS: Final = 5_000  # bans given to a partition at once
_LOG_AT_MOST: Final = 20  # invalid values that are logged in a check
_UNREAD_S: Final = 30.0  # after this time without reading the topic, a worker is not ready


class OwnerBanFeed:
    """Gives the bans of owners to the partitions that ``running`` returns: those of the worker that run now."""

    def __init__(self, context: WorkerContext, running: Callable[[], Iterable[RunningPartition]]) -> None:
        self._context, self._running = context, running
        self._tp = context.names.owners
        self._skip_to = 0  # damaged records before this offset are not read
        self._rejected_to = 0  # invalid values before this offset are counted
        self._failed_s: float | None = None
        self._failed_ms = 0
        self._why = ""
        self._checking: asyncio.Task[None] | None = None
        self._checked_s: float | None = None

    @property
    def fault(self) -> str | None:
        """Why the topic cannot be read, once it could not be read for a while; else None."""
        if self._failed_s is None or asyncio.get_running_loop().time() - self._failed_s < _UNREAD_S:
            return None
        return worker_text("owners_unread", topic=self._tp.topic, since=rfc3339(self._failed_ms), why=self._why)

    def start_due(self) -> None:
        """Start a check of the topic if one is due. Raises an unexpected error of the last one."""
        now_s = asyncio.get_running_loop().time()
        if self._checking is not None and self._checking.done():
            self._checking.result()
            self._checking = None
        if self._checking is None and (self._checked_s is None or now_s - self._checked_s >= _EVERY_S):
            self._checked_s = now_s
            self._checking = asyncio.create_task(self._check(), name="owners")

    async def stop(self) -> None:
        """Cancel the check in progress."""
        if self._checking is not None and not self._checking.done():
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _check(self) -> None:
        try:
            await self.check()
        except (TransientError, PermanentError) as error:
            self._failed(str(error))
        else:
            self._failed(None)

    async def check(self) -> None:
        """Read what the running partitions have not taken. Raises TransientError and PermanentError."""
        mine = [one for one in self._running() if not one.busy]
        if not mine:
            return
        cluster, tp, telemetry = self._context.cluster, self._tp, self._context.telemetry
        end = (await cluster.ends([tp]))[tp]
        for one in mine:
            if one.task.owners.offset > end:
                log.warning("the topic of owners was created again; it is read from its start", topic=tp.topic)
                one.task.owners.offset = 0
        behind = [one for one in mine if one.task.owners.offset < end]
        at = min((one.task.owners.offset for one in behind), default=end)
        start = max(at, (await cluster.starts([tp]))[tp], self._skip_to) if behind else end
        telemetry.owners_lag(end - start)
        while start < end and behind:
            found, start = await self._read(start, end)
            # One that cannot take these takes no later ones either: the next check reads on where it is.
            behind = [one for one in behind if self._give(one, found, start)]
        for one in behind:
            self._give(one, {}, start)
        telemetry.owners_lag(end - min((one.task.owners.offset for one in mine), default=end))
        running = list(self._running())  # without those that were revoked meanwhile, whose gauges are removed
        for one in filter(running.__contains__, mine):
            telemetry.owner_bans(one.task.place.number, one.task.shard.owner_bans.standing)

    async def _read(self, start: int, end: int) -> tuple[dict[str, tuple[int, OwnerBan]], int]:
        """The newest value of each ban from ``start`` on, with its offset, as a compacted topic has it; and the end.

        That may be before ``end``: at most `_MOST_BANS` bans are read.
        """
        found: dict[str, tuple[int, OwnerBan]] = {}
        try:
            async for fetched in self._context.cluster.read(self._tp, start, end):
                rejected: list[tuple[int, str]] = []
                stop = fetched.stop
                for offset, ban in owner_bans_in(fetched):
                    if len(found) >= _MOST_BANS:
                        stop = offset
                        break
                    if isinstance(ban, str):
                        rejected.append((offset, ban))
                    elif ban.lifted_ms is not None or ban.enforcement_id not in found:
                        found[ban.enforcement_id] = offset, ban
                self._reject(rejected)
                start = stop
                if len(found) >= _MOST_BANS:
                    return found, start
        except CorruptLog as torn:
            # No partition may stop because of it. A ban among these records takes no effect in other partitions.
            log.error("skipped damaged records of the topic of owners", through=torn.last, why=str(torn))
            self._context.telemetry.owner_bans_rejected(1)
            self._skip_to = torn.last + 1
            return found, torn.last + 1
        except OffsetOutOfRange as truncated:
            raise TransientError(str(truncated)) from None
        return found, end

    def _reject(self, rejected: Sequence[tuple[int, str]]) -> None:
        """Count and log invalid values, once in a worker, regardless of how many partitions read them."""
        fresh = [(offset, why) for offset, why in rejected if offset >= self._rejected_to]
        for offset, why in fresh[:_LOG_AT_MOST]:
            at = f"{self._tp.topic}-{self._tp.partition} offset {offset}"
            log.error("skipped a value that is no ban of an owner: another program writes to the topic", at=at, why=why)
        if fresh:
            self._rejected_to = fresh[-1][0] + 1
            self._context.telemetry.owner_bans_rejected(len(fresh))

    def _give(self, one: RunningPartition, found: Mapping[str, tuple[int, OwnerBan]], stop: int) -> bool:
        """Give a partition what it has not taken before ``stop``. Returns whether it can take values now."""
        if one.discarded or one.busy or one.task.switching or one.task.owners.full:
            return False
        since = one.task.owners.offset
        if since < stop:
            self._context.telemetry.owner_bans_taken(
                one.take_owner_bans([ban for offset, ban in found.values() if offset >= since], stop)
            )
        return True

    def _failed(self, why: str | None) -> None:
        loop, telemetry = asyncio.get_running_loop(), self._context.telemetry
        if why is not None and self._failed_s is None:
            log.warning("the topic of owners cannot be read; partitions continue to decide without it", why=why)
            self._failed_s, self._failed_ms = loop.time(), self._context.now_ms()
        if why is None and self._failed_s is not None:
            log.info("the topic of owners can be read again")
            self._failed_s = None
        self._why = why or ""
        telemetry.owners_unreadable(0.0 if self._failed_s is None else loop.time() - self._failed_s)
