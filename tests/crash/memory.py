"""The cluster as one worker sees it (`streams.kafka.api`), on a broker in memory.

Every call has a request, an effect at the broker, and a response. A worker may be killed or stopped at the request or
the response (`Link.passing`), and the response to a completed call may be lost.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from crash.broker import Broker
from crash.group import Member
from crash.log import Entry, Record, Txn
from crash.virtual import Process
from monitor.decoding import native
from monitor.decoding.byte_rows import ByteRows
from monitor.partition.record_batch import UnreadableRecord
from schemas.review_signature import Signatures, signatures_in
from streams.kafka.api import (
    TP,
    CommittedOffset,
    CorruptLog,
    FetchedBatch,
    Listener,
    OffsetOutOfRange,
    OutputRecord,
    PermanentError,
    TopicInfo,
    TransientError,
)

T = TypeVar("T")

HEARTBEAT_S = 3.0
REQUEST_TIMEOUT_S = 2.0
BACKOFF_S = 0.5
STALE_SHARE = 0.3


class Link:
    """A process's connection to the broker, through which all its calls pass.

    ``passing`` is called before each request (``name?``) and response (``name!``). It may kill or stop the process, or
    raise TransientError. ``cut`` is a network partition of this process. ``rank`` is the prefix of its member ids;
    members are assigned in the order of ids. ``slow_share`` of the calls are slow, and a tenth of that share of the
    polls that have fetched records fail.
    """

    def __init__(self, broker: Broker, process: Process, rng: random.Random) -> None:
        self.broker, self.process, self.rng = broker, process, rng
        self.cut = False
        self.rank = ""
        self.slow_share = 0.02
        self.passing: Callable[[Process, str], None] = lambda process, point: None
        self.members: list[Member] = []
        self._silences: list[tuple[Member, object]] = []

    @property
    def reaches(self) -> bool:
        """Whether a request of the process reaches the broker now."""
        return self.broker.up and not self.cut

    def fall_silent(self) -> None:
        """Stop the heartbeats of this process. Call it when the process is killed, stopped or cut off."""
        self._silences += [(member, self.broker.group.silence(member)) for member in self.members]

    def be_heard(self) -> None:
        """Resume the heartbeats."""
        for member, silence in self._silences:
            self.broker.group.heard(member, silence)
        self._silences.clear()

    async def call(self, name: str, effect: Callable[[], T]) -> T:
        """Send a request, run its effect, receive the response. After a TransientError the effect may have happened."""
        await self.passes(f"{name}?")
        result = effect()
        await self.passes(f"{name}!")
        return result

    async def passes(self, point: str) -> None:
        """One direction of a call. Raises TransientError."""
        await asyncio.sleep(self._latency_s())
        self.passing(self.process, point)
        await self.process.pause_point()
        if not self.reaches:
            await asyncio.sleep(self.rng.choice((0.0, REQUEST_TIMEOUT_S)))
            if not self.reaches:
                raise self.refusal()

    def refusal(self) -> TransientError:
        """The error that a client raises when it receives no response."""
        self.broker.refusals += 1
        return TransientError("the broker cannot be reached")

    def readable(self, tp: TP, start: int, stop: int) -> int:
        """Return how far ``[start, stop)`` can be read. Raises CorruptLog."""
        first, last = self.broker.damaged.get(tp, (stop, stop))
        if last < start or first >= stop:
            return stop
        if start < first:
            return first
        raise CorruptLog(tp, start, "as if it were torn", last, b"damaged")

    def _latency_s(self) -> float:
        luck = self.rng.random()
        if luck < self.slow_share:
            return self.rng.uniform(0.1, REQUEST_TIMEOUT_S)
        return 0.0 if luck < 0.7 else self.rng.uniform(0.0, 0.005)


class Whole(NamedTuple):
    """`streams.kafka.api.LogRecord`."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class MemoryCluster:
    """`streams.kafka.api.Cluster`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._logs = link.broker.logs

    def consumer(self, topics: Sequence[str], collect_s: float = 0.0) -> "MemoryConsumer":
        return MemoryConsumer(self._link, topics, collect_s)

    def writer(self, transactional_id: str) -> "MemoryWriter":
        return MemoryWriter(self._link, transactional_id)

    async def stamp(self, out: OutputRecord) -> int:
        tp, record = TP(out.topic, out.partition), Record(out.key, out.value, out.headers)

        def append() -> int:
            self._link.broker.append(tp, record)
            return self._link.broker.clock.now_ms()

        return await self._link.call("stamp", append)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        known = self._link.broker.topics
        return await self._link.call("partitions", lambda: {topic: known[topic] for topic in topics if topic in known})

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        broker = self._link.broker
        return await self._link.call(
            "topics", lambda: {topic: broker.describe(topic) for topic in names if topic in broker.topics}
        )

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        self._must_exist(tps)
        return await self._link.call("starts", lambda: {tp: self._logs[tp].start for tp in tps})

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        self._must_exist(tps)
        return await self._link.call("ends", lambda: {tp: self._logs[tp].last_stable for tp in tps})

    async def committed(self, tps: Sequence[TP]) -> dict[TP, CommittedOffset]:
        group = self._link.broker.group

        def look() -> dict[TP, CommittedOffset]:
            if any(map(self._link.broker.undecided_offset, tps)):
                raise TransientError("an offset of the group is being committed")
            return {
                tp: CommittedOffset(group.offsets[tp], group.notes.get(tp, "")) for tp in tps if tp in group.offsets
            }

        return await self._link.call("committed", look)

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        async for at, at_next, entries in self._read(tp, start, stop):
            yield _fetched(at, at_next, entries)

    async def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[list["Whole"]]:
        async for _, _, entries in self._read(tp, start, stop):
            yield [Whole(one.offset, *one.record[:3]) for one in entries if one.record is not None]

    async def _read(self, tp: TP, start: int, stop: int) -> AsyncIterator[tuple[int, int, Sequence[Entry]]]:
        self._must_exist([tp])
        log, at = self._logs[tp], start
        while at < stop:
            await self._link.passes("read?")
            if not log.start <= at <= log.end:
                raise OffsetOutOfRange(tp, at)
            until = min(stop, log.last_stable)
            if at >= until:
                await asyncio.sleep(0.01)
                continue
            until = self._link.readable(tp, at, until)
            entries, at_next = _some(self._link.rng, log.committed(at, until), 500, until)
            await self._link.passes("read!")
            if entries:
                yield at, at_next, entries
            at = at_next

    async def stop(self) -> None:
        await asyncio.sleep(0)

    def _must_exist(self, tps: Sequence[TP]) -> None:
        for tp in tps:
            if tp not in self._logs:
                raise PermanentError(f"there is no {tp.topic}-{tp.partition}")


class MemoryWriter:
    """`streams.kafka.api.Writer`."""

    def __init__(self, link: Link, transactional_id: str) -> None:
        self._link, self._id = link, transactional_id
        self._epoch: int | None = None

    async def start(self) -> None:
        self._epoch = await self._link.call("writer.start", lambda: self._link.broker.fence(self._id))
        await self._until_ended()

    async def commit(self, records: Sequence[OutputRecord], offsets: Mapping[TP, int], note: str = "") -> int:
        epoch, self._epoch = self._epoch, None  # after an error the epoch is no longer valid
        assert epoch is not None, "commit on a writer that was not started, is committing, or has failed"
        assert records or offsets, "a transaction needs a record or an offset"
        broker, link = self._link.broker, self._link
        await self._until_ended()
        txn = await link.call("commit.begin", lambda: broker.begin(self._id, epoch))
        sent = await self._produce(txn, records) if records else -1
        await link.call("commit.offsets", lambda: broker.add_offsets(self._id, txn, offsets, note))
        await link.call("commit.end", lambda: broker.commit(self._id, txn))
        self._epoch = epoch
        return sent

    async def stop(self) -> None:
        self._epoch = None
        await asyncio.sleep(0)

    async def _until_ended(self) -> None:
        """`CONCURRENT_TRANSACTIONS`: the client retries until the markers of the last transaction are written."""
        while self._link.broker.busy(self._id):
            await asyncio.sleep(0.01)
            await self._link.passes("writer.retry")

    async def _produce(self, txn: Txn, records: Sequence[OutputRecord]) -> int:
        """Each log receives its records in order. The order of the logs and the number of pieces are random."""
        queues: dict[TP, list[Record]] = {}
        for out in records:
            queues.setdefault(TP(out.topic, out.partition), []).append(Record(out.key, out.value, out.headers))
        last_tp, last = TP(records[-1].topic, records[-1].partition), -1
        while queues:
            tp = self._link.rng.choice(list(queues))
            size = self._link.rng.randint(1, len(queues[tp])) if self._link.rng.random() < 0.2 else len(queues[tp])
            piece, queues[tp] = queues[tp][:size], queues[tp][size:]
            if not queues[tp]:
                del queues[tp]
            sent = await self._link.call(
                "commit.produce", lambda tp=tp, piece=piece: self._link.broker.produce(self._id, txn, tp, piece)
            )
            last = sent if tp == last_tp else last
        return last


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
        entries, stop = _some(self._link.rng, log.committed(position, stable), most, stable)
        return _fetched(position, stop, entries)

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


def _some(rng: random.Random, entries: Sequence[Entry], most: int, stop: int) -> tuple[Sequence[Entry], int]:
    """Return a random prefix of the entries and the position after it: each fetch cuts batches differently."""
    wanted = rng.choice((1, 2, 7, 60, 1000))
    if len(entries) <= min(wanted, most):
        return entries, stop
    entries = entries[: min(wanted, most)]
    return entries, entries[-1].offset + 1


def as_fetched(rows: list[bytes | None]) -> Sequence[bytes | None]:
    """The keys or values of records as the client returns them."""
    return ByteRows.of(rows) if native.enabled else rows


def _fetched(start: int, stop: int, entries: Sequence[Entry]) -> FetchedBatch:
    records = [entry.record for entry in entries if entry.record is not None]
    return FetchedBatch(
        start,
        stop,
        np.array([entry.offset for entry in entries], np.int64),
        np.array([entry.timestamp_ms for entry in entries], np.int64),
        as_fetched([record.key for record in records]),
        as_fetched([record.value for record in records]),
        unreadable_among(entries),
        signatures_among(entries),
    )


def signatures_among(entries: Sequence[Entry]) -> dict[int, Signatures]:
    """Return the signature headers of those records that have any, as a client reports them."""
    found = {entry.offset: signatures_in(entry.record.headers) for entry in entries if entry.record is not None}
    return {offset: headers for offset, headers in found.items() if headers}


def unreadable_among(entries: Sequence[Entry]) -> dict[int, UnreadableRecord]:
    """Return the unreadable records, as a client reports them."""
    found = {}
    for entry in entries:
        if entry.record is not None and entry.record.fault:
            first = entry.offset - entry.record.offsets + 1 if entry.record.whole_batch else None
            found[entry.offset] = UnreadableRecord(entry.record.fault, first)
    return found
