"""Makes calls of events: a pure function of the log, whatever the batches in which it is read.

The clock is the greatest event time so far, of each event at most its Kafka timestamp. Each event is handled in this
order, which the results depend on:

1. An event that is dated too far ahead of its Kafka timestamp is rejected, and moves nothing.
2. The event joins its call, or opens one. An event of a call that has ended is late, and is rejected.
3. If its tenant has too many open calls, or they are too large, the oldest of them ends without a record.
4. The event moves the clock.
5. Calls whose deadline the clock has reached end: by deadline, then in the order in which they were opened.

A tick moves the clock where no event does: to its Kafka timestamp less the smallest delay of an event so far. So the
calls of a live source end in time, and those of a source that sends old events have as long as they would have had.

The clock never goes back. So a timestamp that is more than an hour ahead of all before it, of an event or of a tick,
moves it only once later timestamps confirm it (`LogProgress`): a broker whose clock is wrong for a moment does not keep
later calls from ending. If the broker's clock goes back, the clock waits until it has caught up.

Every step but the last one costs the logarithm of the number of open calls at most, whatever tenants choose; the last
one can be taken in parts (`accept`, `end_due`).
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from monitor.adapters.assembly.call_event import CallEvent, CallKey
from monitor.adapters.assembly.call_program import AssembledCall, CallProgram
from monitor.adapters.assembly.calls_by_tenant import CallsByTenant
from monitor.adapters.assembly.ended_calls import EndedCalls
from monitor.adapters.assembly.log_progress import LogProgress
from monitor.adapters.assembly.open_call import KeptEvent, OpenCall
from monitor.adapters.assembly.stored_call import EndedCall, StateEntry, StoredCalls
from monitor.adapters.errors import RowErrorCode
from schemas.error_codes import ErrorCode

CHARS_A_CALL: Final = 2_048
"""The characters that an open call keeps on average, where its tenant has as many calls as it may have."""

MOST_CALL_CHARS: Final = 60_000
"""The characters that one call keeps at most: its stored state must fit into one record of Kafka."""

_NEVER_MS: Final = 1 << 62
_RECORDS: Final = "records"
# A heap with fewer entries is not worth rebuilding.
_SMALL_HEAP: Final = 64


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """The bounds of the state, and how far an event may be dated ahead of its Kafka timestamp.

    So many calls may have `CHARS_A_CALL` characters each on average. Calls that have ended are remembered for
    ``ring_timeout``, within the same numbers: a tenant that ends many calls is the one whose calls are forgotten.
    """

    open_calls: int = 200_000
    open_calls_per_tenant: int = 20_000
    max_ahead_ms: int = 300_000


class Assembler:
    """The open calls of one format in one partition, or in one file.

    ``counts`` has the number of records made, and of events and calls rejected, by the code word of the reason.
    ``touched_chars`` is about the size of the next `changes`, in characters.
    """

    def __init__(self, program: CallProgram, limits: AssemblyLimits | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._program = program
        self._limits = limits or AssemblyLimits()
        self._progress = LogProgress(self._limits.max_ahead_ms)
        self._stored = StoredCalls(program)
        # The oldest first.
        self._open: OrderedDict[CallKey, OpenCall] = OrderedDict()
        self._of_tenant = CallsByTenant()
        self._ended = EndedCalls(self._limits.open_calls, self._limits.open_calls_per_tenant)
        self._deadlines: list[tuple[int, int, CallKey]] = []
        # The calls that were opened, changed, ended or forgotten since `changes`.
        self._touched: dict[CallKey, None] = {}
        self.touched_chars = 0

    @property
    def clock_ms(self) -> int:
        """The clock; 0 before the first event."""
        return self._progress.clock_ms

    def __len__(self) -> int:
        """The number of open calls."""
        return len(self._open)

    def feed(self, event: CallEvent, ref: int, timestamp_ms: int | None = None) -> list[AssembledCall]:
        """Read the next event of the log, which is at ``ref``; ``timestamp_ms`` is its Kafka timestamp.

        Returns the calls that it ends, and the event itself if it is rejected.
        """
        return self.accept(event, ref, timestamp_ms) + self.end_due()

    def accept(self, event: CallEvent, ref: int, timestamp_ms: int | None = None) -> list[AssembledCall]:
        """Steps 1 to 4 of `feed`; `end_due` must end all calls that are due before the next event."""
        if (reason := self._progress.rejection("time", event.at_ms, timestamp_ms)) is not None:
            return [self._rejected(ref, reason)]
        results = self._join(event, ref)
        self._progress.move(event.at_ms, timestamp_ms)
        return results

    def tick(self, timestamp_ms: int) -> None:
        """Read a tick of the log; then `end_due` must end all calls that are due."""
        self._progress.tick(timestamp_ms)

    def clock_at(self, timestamp_ms: int) -> int:
        """The clock after a tick with that timestamp, if it is not ahead already."""
        return self._progress.clock_at(timestamp_ms)

    def advance(self, clock_ms: int) -> list[AssembledCall]:
        """Move the clock, if it is behind. Returns the calls that end."""
        self._progress.advance(clock_ms)
        return self.end_due()

    @property
    def due(self) -> bool:
        """Whether `end_due` has something left to do."""
        return self._is_due(self.clock_ms) or self._ended.oldest_by(self.clock_ms) is not None

    @property
    def next_due_ms(self) -> int | None:
        """A time on the clock before which no call ends; None if no call is open."""
        return self._deadlines[0][0] if self._open else None

    def end_due(self, most: int | None = None) -> list[AssembledCall]:
        """End calls whose deadline the clock has reached, at most ``most``, and forget calls that ended long ago."""
        results = list(islice(iter(lambda: self._end_next(self.clock_ms), None), most))
        left = None if most is None else most - len(results)
        for key in islice(iter(lambda: self._ended.oldest_by(self.clock_ms), None), left):
            self._forget(key)
        return results

    def finish(self) -> list[AssembledCall]:
        """End all open calls, as the input has ended."""
        return list(iter(lambda: self._end_next(_NEVER_MS, end_of_input=True), None))

    def _join(self, event: CallEvent, ref: int) -> list[AssembledCall]:
        tenant = self._program.tenant(event)
        key = self._key(event.key, tenant)
        if key in self._ended:
            return [self._rejected(ref, f"{RowErrorCode.LATE_EVENT}: the call of the event has ended before")]
        call, kept = self._open.get(key), KeptEvent.of(event, ref)
        if call is not None and call.chars + kept.chars > MOST_CALL_CHARS:
            reason = f"{ErrorCode.TOO_LONG}: expected at most {MOST_CALL_CHARS:,} characters in the events of a call"
            return [self._rejected(ref, reason)]
        if call is None:
            at_ms = max(event.at_ms, self.clock_ms)
            call = OpenCall(key, self._progress.next_serial(), tenant, at_ms, at_ms, event.at_ms, event.at_ms)
            self._open[key] = call
            self._give(call, tenant)
        elif tenant and not call.tenant:
            self._of_tenant.take(call)
            self._give(call, tenant)
        grown = call.add(kept, self.clock_ms, self._program.events)
        self._of_tenant.grow(call.tenant, grown)
        self._touch(key, call.chars if key not in self._touched else grown)
        self._schedule(call)
        return self._make_room(call)

    def _key(self, key: CallKey, tenant: str) -> CallKey:
        """The key of the call: two tenants that choose the same ids have two calls.

        An event that names no tenant belongs to the call that had the ids first.
        """
        if not tenant:
            return key
        own = (*key, tenant)
        if own in self._open or own in self._ended:
            return own
        holder = self._open.get(key)
        ended = self._ended.get(key)
        others = holder.tenant if holder is not None else ended.tenant if ended is not None else ""
        return own if others and others != tenant else key

    def _make_room(self, newest: OpenCall) -> list[AssembledCall]:
        """End the oldest calls of a tenant, and of all, while there are too many beside ``newest``."""
        results, limits = [], self._limits
        most = limits.open_calls_per_tenant
        while (oldest := self._of_tenant.oldest_beyond(newest.tenant, most, most * CHARS_A_CALL)) is not None:
            results.append(self._forced_out(self._open[oldest]))
        while len(self._open) > limits.open_calls or (
            self._of_tenant.chars > limits.open_calls * CHARS_A_CALL and len(self._open) > 1
        ):
            results.append(self._forced_out(self._open[next(iter(self._open))]))
        return results

    def _forced_out(self, oldest: OpenCall) -> AssembledCall:
        cells = self._program.cells(oldest)
        refs = tuple(sorted(event.ref for event in oldest.events.values()))
        message = f"expected at most {self._limits.open_calls_per_tenant:,} open calls of a tenant, "
        message += f"{self._limits.open_calls:,} in all, of {CHARS_A_CALL:,} characters on average: "
        self._close(oldest)
        reason = f"{RowErrorCode.TOO_MANY_OPEN_CALLS}: {message}the oldest ends without a record"
        return self._counted(AssembledCall(refs, None, reason, cells))

    def _schedule(self, call: OpenCall) -> None:
        # A later deadline is found when the earlier one comes; so a call has few entries, however many its events are.
        deadline_ms = call.deadline_ms(self._program.events)
        if not call.due_ms or deadline_ms < call.due_ms:
            call.due_ms = deadline_ms
            heapq.heappush(self._deadlines, (deadline_ms, call.serial, call.key))
            if len(self._deadlines) > _SMALL_HEAP + 2 * len(self._open):
                self._deadlines = [(each.due_ms, each.serial, each.key) for each in self._open.values()]
                heapq.heapify(self._deadlines)

    def _is_due(self, clock_ms: int) -> bool:
        return bool(self._deadlines) and self._deadlines[0][0] <= clock_ms

    def _end_next(self, clock_ms: int, end_of_input: bool = False) -> AssembledCall | None:
        """End the call with the first deadline, if the clock has reached it."""
        while self._is_due(clock_ms):
            due_ms, serial, key = heapq.heappop(self._deadlines)
            call = self._open.get(key)
            if call is None or call.serial != serial or call.due_ms != due_ms:
                continue
            deadline_ms = call.deadline_ms(self._program.events)
            if deadline_ms > due_ms:
                call.due_ms = deadline_ms
                heapq.heappush(self._deadlines, (deadline_ms, serial, key))
                continue
            result = self._counted(self._program.assembled(call, end_of_input))
            self._close(call)
            return result
        return None

    def _close(self, call: OpenCall) -> None:
        del self._open[call.key]
        self._of_tenant.take(call)
        until_ms = self.clock_ms + self._program.events.ring_timeout_ms
        self._ended.add(call.key, EndedCall(until_ms, call.tenant, self._progress.next_serial()))
        self._touch(call.key, sum(map(len, call.key)))
        while (surplus := self._ended.surplus(call.tenant)) is not None:
            self._forget(surplus)

    def _forget(self, key: CallKey) -> None:
        self._ended.forget(key)
        self._touch(key, sum(map(len, key)))

    def _touch(self, key: CallKey, chars: int) -> None:
        self._touched[key] = None
        self.touched_chars += chars

    def _give(self, call: OpenCall, tenant: str) -> None:
        call.tenant, call.owned = tenant, self._progress.next_serial()
        self._of_tenant.give(call)

    def _rejected(self, ref: int, reason: str) -> AssembledCall:
        return self._counted(AssembledCall((ref,), None, reason, []))

    def _counted(self, result: AssembledCall) -> AssembledCall:
        self.counts[_RECORDS if result.reason is None else result.reason.partition(":")[0]] += 1
        return result

    def changes(self) -> list[StateEntry]:
        """The parts of the state that have changed since the last call, as entries of a compacted log.

        The newest entry of each key is the state. It depends on the log alone, not on when this is called.
        """
        touched, self._touched, self.touched_chars = self._touched, {}, 0
        entries = []
        for key in touched:
            call = self._open.get(key)
            entries.append(self._stored.entry(key, call if call is not None else self._ended.get(key)))
        return entries + self._progress.changes()

    def restore(self, entries: Iterable[StateEntry]) -> None:
        """Continue from the newest entries of `changes`, if an assembler has just been created.

        They may be of an earlier version of the mapping: events and columns have names. A column that it did not read
        is empty; events of a kind that the mapping does not have any more are left out. Raises ValueError if an entry
        cannot be read.
        """
        calls: list[OpenCall] = []
        ended: list[tuple[CallKey, EndedCall]] = []
        for entry in entries:
            if self._progress.restore(entry):
                continue
            key, each = self._stored.read(entry)
            if isinstance(each, OpenCall):
                calls.append(each)
            elif isinstance(each, EndedCall):
                ended.append((key, each))
        for call in sorted(calls, key=lambda call: call.serial):
            self._open[call.key] = call
            self._schedule(call)
        for call in sorted(calls, key=lambda call: call.owned):
            self._of_tenant.give(call)
        for key, one in sorted(ended, key=lambda each: each[1].serial):
            self._ended.add(key, one)
