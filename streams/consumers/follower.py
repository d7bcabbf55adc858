"""Delivers committed topic records to a consumer, each once, in the transaction that advances its offset."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from schemas.review_signature import kept
from streams.consumers.data_loss import RecordsLost, lost, rewritten, same_cluster
from streams.consumers.database import Database
from streams.consumers.offsets import ConcurrentWriter, LastRecord, Offsets, hash_of
from streams.consumers.topic_reader import TopicReader
from streams.consumers.watermarks import HighWatermarks, LaggingPartition
from streams.kafka.api import (
    TP,
    CorruptLog,
    FetchedBatch,
    LogEnds,
    OffsetOutOfRange,
    Reader,
    TopicInfo,
    TransientError,
)
from streams.kafka.topic_names import require_topics
from streams.runtime.monotonic import steady_s
from streams.runtime.retry import FIRST_S, Backoff

log = structlog.get_logger("callwarden")

_POLL_S = 0.25
_MOST = 2_000
_SILENT_S = 10.0
_LOOKS_AGAIN = 5
_CHECK_S = 2.0
_COUNT_S = 2.0


class FollowedRecord(NamedTuple):
    """One record of a topic. ``timestamp_ms`` is set by the broker or the producer, as the topic is configured.

    ``signature`` is the header that signed a review, if there was one.
    """

    tp: TP
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    signature: bytes | None = None


Handle = Callable[[Connection, Sequence[FollowedRecord]], Callable[[], None] | None]
"""Handles the records of one transaction. The returned callback, if any, is called after the commit."""


PassOver = Callable[[Connection, RecordsLost], Callable[[], None] | None]
"""Handles lost records in the transaction that skips them. The returned callback, if any, runs after the commit."""


@dataclass(frozen=True, slots=True)
class FollowerHooks:
    """What a follower does besides handling records.

    ``pass_over`` handles deleted records, in the transaction that skips them; without it they raise `RecordsLost`.
    ``before`` is awaited before everything else, and again after records are read and before they are handled.
    """

    pass_over: PassOver | None = None
    before: Callable[[], Awaitable[None]] | None = None


class DatabaseRolledBack(TransientError):
    """The database has lost commits, as after a failover or a restore from backup."""


class _PartitionsAdded(TransientError):
    """A topic has more partitions than are followed, or was recreated under the same name."""


class _TooEarly(TransientError):
    """The broker does not know the committed end of a log yet."""


@dataclass(frozen=True, slots=True)
class FollowerProgress:
    """A follower's progress. ``as_of_ms``: everything written by then is handled; None if that was never the case.

    ``as_of_s`` is the same time by `steady_s`; lag is measured by it, since no clock adjustment changes it.
    ``behind`` counts the offsets up to the high watermarks. ``waiting`` lists the partitions that have not reached a
    previously reported high watermark, longest wait first. ``failure``: why the newest try failed; None if it did not.
    """

    as_of_ms: int | None
    behind: Mapping[TP, int]
    as_of_s: float | None = None
    waiting: Sequence[LaggingPartition] = ()
    failure: str | None = None

    def overdue(self, now_s: float) -> LaggingPartition | None:
        """The first partition that has waited longer than transactions take; None if no answer lacks older records."""
        return next((each for each in self.waiting if each.overdue(now_s)), None)


class Follower:
    """Follows topics from their beginning, or from the stored offsets, until it is cancelled.

    ``handle`` is called in the database's thread with the records of one transaction, those of a partition in order.
    An exception from it ends `run`. It must have no effect that the transaction does not roll back. Several processes
    may follow with one database: each reads all records, and each record is handled by the first process to reach it.
    """

    def __init__(
        self,
        cluster: TopicReader,
        database: Database,
        positions: Offsets,
        topics: Sequence[str],
        handle: Handle,
        *,
        from_end: Collection[str] = (),
        hooks: FollowerHooks = FollowerHooks(),
    ) -> None:
        """``from_end``: topics that a new follower reads from the end."""
        self._cluster, self._database, self._positions = cluster, database, positions
        self._topics, self._handle = list(topics), handle
        self._from_end, self._pass_over, self._before = from_end, hooks.pass_over, hooks.before
        self._at: dict[TP, int] = {}
        self._watermarks: dict[TP, HighWatermarks] = {}
        self._ends: dict[TP, LogEnds] = {}
        self._cut_short = 0
        self._put_back = False
        self._failure: str | None = None
        self._described: dict[str, TopicInfo] = {}
        self._described_s = -math.inf
        self._checked_s = self._heard_s = time.monotonic()

    def positions(self) -> Mapping[TP, int]:
        """The next offset of each partition. Everything before it is committed in the database."""
        return dict(self._at)

    def check(self, at: Mapping[TP, int], known: Mapping[TP, int]) -> None:
        """Raises DatabaseRolledBack if a position in ``known``, read from the database after `positions` returned
        ``at``, is below ``at``. `progress` then reports no ``as_of_ms`` until `run` has reloaded the positions."""
        for tp, offset in at.items():
            if (found := known.get(tp, 0)) < offset:
                if self._at.get(tp, 0) >= offset:
                    self._put_back = True
                raise DatabaseRolledBack(
                    f"the database is at offset {found} of {tp.topic}-{tp.partition}; expected {offset} or more"
                )

    def progress(self) -> FollowerProgress:
        """The current progress."""
        each = [self._watermarks[tp].as_of_s for tp in self._at]
        known = [as_of_s for as_of_s in each if as_of_s is not None]
        # Nothing is known of a partition added since.
        complete = known and len(known) == len(each) and not self._put_back
        as_of_s = min(*known, self._described_s) if complete else None
        return FollowerProgress(
            as_of_ms=None if as_of_s is None else round((time.time() - steady_s() + as_of_s) * 1000),
            behind={tp: max(0, ends.high_watermark - self._at[tp]) for tp, ends in self._ends.items()},
            as_of_s=as_of_s,
            waiting=sorted(self._waiting(), key=lambda each: (each.since_s, each.tp)),
            failure=self._failure,
        )

    def _waiting(self) -> Iterator[LaggingPartition]:
        for tp, at in self._at.items():
            if (since_s := self._watermarks[tp].since_s) is not None:
                yield LaggingPartition(tp, at, since_s, in_transaction=self._ends[tp].last_stable <= at)

    async def run(self) -> None:
        """Follow until cancelled; retry while a broker or the database is unavailable. Raises PermanentError (including
        `RecordsLost`), CorruptLog, and whatever ``handle`` raises."""
        backoff = Backoff()
        while True:
            reader = self._cluster.reader()
            try:
                await self._begin(reader)
                while True:
                    await self._step(reader)
                    backoff.reset()
                    self._failure = None
            except CorruptLog:
                raise
            except (ConcurrentWriter, DatabaseRolledBack, _PartitionsAdded) as error:
                log.info("reloading the positions", why=str(error))
                self._database.forget()  # a connection may be to the database before its rollback
                await asyncio.sleep(FIRST_S)
            except OffsetOutOfRange as error:
                log.warning("looking up the start of the topic", why=str(error))
            except TransientError as error:
                self._failure, delay_s = str(error), backoff.next_s()
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            finally:
                await reader.stop()

    async def catch_up(self) -> None:
        """Follow until everything committed by now is handled. Raises what `run` raises, and TransientError without a
        retry, also if a transaction stays open: records behind it cannot be read."""
        now_s = steady_s()
        while True:
            reader = self._cluster.reader()
            try:
                await self._begin(reader)
                while (as_of_s := (progress := self.progress()).as_of_s) is None or as_of_s <= now_s:
                    open_ = next((each for each in progress.waiting if each.in_transaction), None)
                    if open_ is not None and open_.overdue(steady_s()):
                        raise TransientError(open_.reason(steady_s()))
                    await self._step(reader)
            except (ConcurrentWriter, DatabaseRolledBack, OffsetOutOfRange, _PartitionsAdded, _TooEarly):
                await asyncio.sleep(_POLL_S)
            else:
                return
            finally:
                await reader.stop()

    async def _begin(self, reader: Reader) -> None:
        """Load the positions and start reading there."""
        if self._before is not None:
            await self._before()
        described_s = steady_s()
        described = await self._describe()
        require_topics(described, self._topics)
        tps = [TP(topic, number) for topic in self._topics for number in range(described[topic].partitions)]
        # Another process may move the positions between two reads: the ends must be beyond the positions read first.
        before = await self._database.run(self._positions.known)
        starts, ends = await self._cluster.starts(tps), await self._cluster.ends(tps)
        cluster = await self._cluster.cluster_id()
        same_cluster(self._database.name, await self._database.run(self._positions.clusters), cluster, starts)
        known = await self._database.run(self._positions.known)
        # A partition added to a topic that is already followed has only newer records: it is read from its start.
        ended = set(self._from_end) - {tp.topic for tp in known}
        new = {tp: ends[tp] if tp.topic in ended else 0 for tp in tps if tp not in known}
        at = {tp: known.get(tp, new.get(tp, 0)) for tp in tps}
        cut = [tp for tp in tps if before.get(tp, 0) > ends[tp]]
        self._cut_short = self._cut_short + 1 if cut else 0
        if cut and self._cut_short < _LOOKS_AGAIN:
            # A newly elected leader learns late how far its log is committed.
            raise _TooEarly(f"{cut[0].topic}-{cut[0].partition} ends before the next record to handle")
        last = await self._database.run(self._positions.last)
        there = {tp: last[tp] for tp in tps if tp in last and starts[tp] <= last[tp].offset < ends[tp]}
        others = await rewritten(self._cluster, there)
        losses = lost(at, starts, ends, cut, others, to_end=self._pass_over is not None)
        for each in losses.values():
            if self._pass_over is None:
                raise each
            log.warning("records were deleted before they were handled", why=str(each))

        def begin(connection: Connection) -> list[Callable[[], None]]:
            self._positions.begin(connection, new, cluster)
            left = []
            for tp, each in losses.items():
                self._positions.move(connection, tp, each.offset, each.start)
                left += [self._pass_over(connection, each)] if self._pass_over is not None else []
            return [each for each in left if each is not None]

        for committed in await self._database.run(begin):
            committed()
        at |= {tp: each.start for tp, each in losses.items()}
        # A partition that is read again from an earlier offset loses its as-of time.
        self._watermarks = {tp: self._watermarks[tp] if self._is_known(tp, at[tp]) else HighWatermarks() for tp in tps}
        self._at, self._put_back = at, False
        self._ends = {tp: LogEnds(ends[tp], ends[tp], -math.inf) for tp in tps}
        self._described, self._described_s = described, described_s
        self._checked_s = self._heard_s = time.monotonic()
        await reader.start(self._at)

    async def _describe(self) -> dict[str, TopicInfo]:
        """The followed topics. For a recreated topic, this stores that the last handled record is not in it: records
        of the new topic may be handled already, and nothing else would reveal the change."""
        found = await self._cluster.topics(self._topics)
        again = [name for name, was in self._described.items() if name in found and found[name].id != was.id]
        if again:
            await self._database.run(lambda connection: self._positions.distrust(connection, again))
        return found

    def _is_known(self, tp: TP, at: int) -> bool:
        return tp in self._watermarks and at >= self._at[tp]

    async def _step(self, reader: Reader) -> None:
        if self._put_back:
            raise DatabaseRolledBack("the database was restored from a backup")
        if time.monotonic() - self._checked_s > _CHECK_S:
            self.check(self._at, await self._database.run(self._positions.known))
            self._checked_s = time.monotonic()
        if (now_s := steady_s()) - self._described_s > _COUNT_S:
            if await self._describe() != self._described:
                raise _PartitionsAdded("the partitions of a topic have changed, or it was recreated")
            self._described_s = now_s
        fetched = await reader.poll(_POLL_S, _MOST)
        if fetched:
            if self._before is not None:
                await self._before()
            committed = await self._database.run(lambda connection: self._take(connection, fetched))
            self._at |= {tp: batch.stop for tp, batch in fetched.items()}
            if committed is not None:
                committed()
        heard = False
        for tp, ends in reader.ends().items():
            if ends == self._ends[tp] and tp not in fetched:
                continue
            heard |= ends.asked_s > self._ends[tp].asked_s and self._at[tp] >= ends.last_stable
            self._ends[tp] = ends
            watermarks = self._watermarks[tp]
            watermarks.reach(self._at[tp])
            watermarks.report(ends.high_watermark, ends.asked_s)
            watermarks.reach(self._at[tp])
        if fetched or heard:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > _SILENT_S:
            raise await reader.why_silent()

    def _take(self, connection: Connection, fetched: Mapping[TP, FetchedBatch]) -> Callable[[], None] | None:
        records = []
        for tp in sorted(fetched):  # in one order everywhere, or two processes could deadlock
            batch = fetched[tp]
            last = LastRecord(int(batch.offsets[-1]), hash_of(batch.keys[-1], batch.values[-1])) if len(batch) else None
            first = self._positions.advance(connection, tp, batch.start, batch.stop, last)
            columns = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values, strict=True)
            signed = {offset: kept(headers) for offset, headers in batch.signatures.items()}
            records += [FollowedRecord(tp, *row, signed.get(row[0])) for row in columns if row[0] >= first]
        return self._handle(connection, records) if records else None
