"""One partition of `callwarden.raw`: its events in, records and dead letters out, and the open calls as state.

`streams.ingest.partitions.exclusive_partition` says in which order an owner opens a partition, reads and commits. Of
these steps this module does:

1. `restore`, once the former owner is fenced: read the partition of `callwarden.raw-state` to its end, and make a lane
   for each source that it names. If a source is not known and has open calls, the partition waits.
2. `feed`: end the calls that are still due, since the last transaction was full. Then, record by record: an event goes
   to the lane of its source, and calls that are due end; a tick goes to all lanes, in the order of their names. `feed`
   stops early when the transaction is full, or before an event whose source is not known.
3. `take`: the records, the dead letters, and what has changed in the lanes, for one transaction with the offset. So the
   state in the log is always that after the events before the committed offset.
4. `idle`: nothing has come for a while and calls are open. Append a tick. Its effect follows from its place in the log
   and from the broker's timestamp, so it does no harm if another owner has the partition by now.

What is written is a function of the log, of the mappings and of the limits. Where transactions end, which process owns
the partition and when it restarts changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.stored_call import StateEntry
from monitor.adapters.errors import EXCLUSIONS, Reject, RowErrorCode
from schemas import codec
from streams.ingest.assemble.feeds import Feeds, UnknownFeed
from streams.ingest.assemble.lane import Lane, is_open
from streams.ingest.foreign_rows import Origin, code_of, dead_letter, size_fault
from streams.ingest.partitions.letters import origin_of, unreadable_origin
from streams.ingest.partitions.partition_handler import Fed
from streams.ingest.placement import TopicPlacement
from streams.ingest.raw_events import TICK, feed_of
from streams.kafka.api import TP, Cluster, FetchedBatch, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.runtime.monotonic import steady_s
from streams.topics.state_entries import read_entries

_MOST_BYTES: Final = 4 << 20  # of outputs in a transaction, and those of one event more
_OF_A_RECORD: Final = 300  # what a record takes beside its value, about
_AT_ONCE: Final = 200  # calls that end between two looks at the size
_KEYS: Final = msgspec.json.Decoder(tuple[str, ...])

Outcome = tuple[str, str]
"""`event` or `call`, and `accepted`, `record` or the code of the reason."""


@dataclass(frozen=True, slots=True)
class AssemblyHost:
    """What the partitions of a process share.

    ``state``: the topic of open calls. ``late``: that of late calls. ``counted`` is called after each transaction.
    """

    cluster: Cluster
    feeds: Feeds
    placement: TopicPlacement
    state: str
    late: str
    tick_s: float
    counted: Callable[[Mapping[Outcome, int]], None]
    now_s: Callable[[], float] = steady_s


class RawPartition:
    """See the module; it is a `PartitionHandler`."""

    def __init__(self, tp: TP, host: AssemblyHost) -> None:
        self.tp = tp
        self._host = host
        self._lanes: dict[str, Lane] = {}
        self._outs: list[OutputRecord] = []
        self._waiting = 0  # bytes of `_outs`, and of the changes of the lanes
        self._counts: Counter[Outcome] = Counter()
        # The broker's clock less ours, at the least; a tick that has just been written says it exactly.
        self._ahead_ms: float | None = None
        self._tick_is_read = False

    @property
    def open_calls(self) -> int:
        """The number of open calls."""
        return sum(map(len, list(self._lanes.values())))

    @property
    def clock_ms(self) -> int:
        """The clock of the source that is furthest ahead; 0 before the first event."""
        return max((lane.clock_ms for lane in list(self._lanes.values())), default=0)

    # The state --------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Step 1."""
        state, cluster = TP(self._host.state, self.tp.partition), self._host.cluster
        start, end = (await cluster.starts([state]))[state], (await cluster.ends([state]))[state]
        entries: dict[str, bytes] = {}
        await read_entries(cluster, state, start, end, entries)
        await asyncio.to_thread(self._restore, state, entries)

    def _restore(self, state: TP, entries: Mapping[str, bytes]) -> None:
        by_feed: dict[str, list[StateEntry]] = {}
        try:
            for name, value in entries.items():
                feed, *key = _KEYS.decode(name)
                by_feed.setdefault(feed, []).append((msgspec.json.encode(key), value))
            for feed in sorted(by_feed):
                self._restore_lane(feed, by_feed[feed])
        except ValueError as error:
            raise PermanentError(
                f"{state.topic}-{state.partition}: the open calls cannot be read: {error}; expected entries that this "
                "version or an earlier one has written"
            ) from None

    def _restore_lane(self, feed: str, entries: list[StateEntry]) -> None:
        try:
            lane = self._host.feeds.lane(feed)
        except UnknownFeed:
            if any(map(is_open, entries)):
                raise
            return  # the source was removed, and all of its calls have ended
        lane.restore(entries)
        self._lanes[feed] = lane

    # The events -------------------------------------------------------------------------------------------------

    def feed(self, batch: FetchedBatch) -> Fed:
        """Step 2."""
        if not self._end_due(sorted(self._lanes)):
            return Fed(self._waiting, batch.start, more=True)
        columns = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values, strict=True)
        for row, (offset, timestamp_ms, key, value) in enumerate(columns):
            self._saw(timestamp_ms)
            if offset in batch.unreadable:
                reason = str(batch.unreadable[offset].reason)
                self._rejected(value, reason, unreadable_origin(self.tp, offset, batch), key)
                due: list[str] = []
            else:
                try:
                    due = self._read(offset, timestamp_ms, key, value)
                except UnknownFeed:
                    if row == 0 and not self._waiting:
                        raise
                    return Fed(self._waiting, offset)
            if not self._end_due(due):
                return Fed(self._waiting, offset + 1, more=True)
        return Fed(self._waiting, batch.stop)

    def _read(self, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None) -> list[str]:
        """Read one record. Returns the sources whose calls may be due."""
        if key is None and value == TICK:
            self._tick_is_read = True
            for lane in self._lanes.values():
                lane.tick(timestamp_ms)
            return sorted(self._lanes)
        feed = feed_of(key) if key is not None else None
        if feed is None or value is None:
            expected = "expected an event under its source and call, as the ingest service writes it"
            reason = f"{RowErrorCode.MALFORMED_ROW}: {expected}"
            self._rejected(value, reason, origin_of(self.tp, offset), key)
            return []
        lane = self._lane(feed)
        before = lane.touched_chars
        origin = (*origin_of(self.tp, offset), ("assemble", feed.encode()))
        try:
            results = lane.accept(value, offset, timestamp_ms)
        except Reject as error:
            self._rejected(value, str(error), origin, key)
            return []
        self._waiting += lane.touched_chars - before
        accepted = True
        for each in results:
            if each.record is not None or each.cells:
                self._ended(feed, lane, each)
            else:
                accepted = accepted and each.refs != (offset,)
                self._without_record(each, value, origin, key)
        if accepted:
            self._counts["event", "accepted"] += 1
        return [feed]

    def _lane(self, feed: str) -> Lane:
        lane = self._lanes.get(feed)
        if lane is None:
            lane = self._lanes[feed] = self._host.feeds.lane(feed)
        return lane

    def _end_due(self, feeds: list[str]) -> bool:
        """End the calls that are due. Returns whether the transaction has room for more."""
        for feed in feeds:
            lane = self._lanes[feed]
            while self._waiting < _MOST_BYTES and lane.due:
                before = lane.touched_chars
                for ended in lane.end_due(_AT_ONCE):
                    self._ended(feed, lane, ended)
                self._waiting += lane.touched_chars - before + _OF_A_RECORD
        return self._waiting < _MOST_BYTES

    # What is written --------------------------------------------------------------------------------------------

    def _ended(self, feed: str, lane: Lane, call: AssembledCall) -> None:
        """A call that has ended: a record, or its columns as a dead letter."""
        reason = call.reason
        if call.record is not None:
            raw = codec.encode(call.record)
            if (reason := size_fault(raw)) is None:
                self._counts["call", "record"] += 1
                self._write(self._host.placement.record(call.record, raw))
                return
        code = code_of(reason or "")
        self._counts["call", code] += 1
        if code not in EXCLUSIONS:
            columns = {name: text for name, text in zip(lane.columns, call.cells, strict=True) if text}
            offsets = ",".join(map(str, call.refs)).encode()
            origin = (*origin_of(self.tp, call.refs[0]), ("assemble", feed.encode()), ("offsets", offsets))
            self._letter(orjson.dumps(columns), reason or "", origin, None)

    def _without_record(self, event: AssembledCall, value: bytes, origin: Origin, key: bytes | None) -> None:
        """An event that is rejected, or a version that does not count."""
        if event.late is None:
            self._rejected(value, str(event.reason), origin, key)
            return
        self._counts["event", code_of(str(event.reason))] += 1
        late = self._host.placement.record(event.late, codec.encode(event.late))
        self._write(late._replace(topic=self._host.late, headers=origin))

    def _rejected(self, value: bytes | None, reason: str, origin: Origin, key: bytes | None) -> None:
        code = code_of(reason)
        self._counts["event", code] += 1
        if code not in EXCLUSIONS:
            self._letter(value, reason, origin, key)

    def _letter(self, value: bytes | None, reason: str, origin: Origin, key: bytes | None) -> None:
        place = f"{self.tp.topic}-{self.tp.partition}"
        self._write(dead_letter(self._host.placement, place, value, reason, origin, key))

    def _write(self, out: OutputRecord) -> None:
        self._outs.append(out)
        self._waiting += len(out.value or b"") + _OF_A_RECORD

    def take(self) -> list[OutputRecord]:
        """Step 3."""
        outs, self._outs, self._waiting = self._outs, [], 0
        for feed in sorted(self._lanes):
            for key, value in self._lanes[feed].changes():
                stored = msgspec.json.encode((feed, *_KEYS.decode(key)))
                outs.append(OutputRecord(self._host.state, self.tp.partition, stored, value))
        return outs

    def committed(self) -> None:
        """Publish the counts."""
        counts, self._counts = self._counts, Counter()
        self._host.counted(counts)

    # Ticks ------------------------------------------------------------------------------------------------------

    @property
    def idle_after_s(self) -> float | None:
        """Ticks are needed where calls are open."""
        return self._host.tick_s if self.open_calls else None

    def idle(self) -> OutputRecord | None:
        """Step 4. The first tick of an owner tells it the broker's time; later ones wait until a call is due."""
        if self._tick_is_read and self._ahead_ms is not None:
            broker_ms = int(self._host.now_s() * 1000 + self._ahead_ms)
            if not any(lane.is_due_at(broker_ms) for lane in self._lanes.values()):
                return None
        return OutputRecord(self.tp.topic, self.tp.partition, None, TICK)

    def _saw(self, timestamp_ms: int) -> None:
        ahead_ms = timestamp_ms - self._host.now_s() * 1000
        self._ahead_ms = ahead_ms if self._ahead_ms is None else max(self._ahead_ms, ahead_ms)
