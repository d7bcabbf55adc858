"""Makes calls of events: a pure function of the log, whatever the batches in which it is read.

The clock is the greatest event time so far, of each event at most its Kafka timestamp. Each event is handled in this
order, which the results depend on:

1. An event that is dated too far ahead of its Kafka timestamp is refused, and moves nothing.
2. The event joins its call, or opens one. An event of a call that has ended is late, and is refused.
3. If its tenant has too many open calls, or they are too large, the oldest of them ends without a record.
4. The event moves the clock.
5. Calls whose deadline the clock has reached end: by deadline, then in the order in which they were opened.

Every step costs the logarithm of the number of open calls at most, whatever tenants choose.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from monitor.adapters.assembly.call_event import CallEvent, CallKey
from monitor.adapters.assembly.call_program import AssembledCall, CallProgram
from monitor.adapters.assembly.open_call import KeptEvent, OpenCall
from monitor.adapters.assembly.stored_call import EndedCall, StateEntry, StoredCalls
from monitor.adapters.errors import RowErrorCode
from monitor.text.durations import format_duration

CHARS_A_CALL: Final = 2_048
"""The characters that an open call keeps on average, where its tenant has as many calls as it may have."""

_NEVER_MS: Final = 1 << 62
_RECORDS: Final = "records"
# A heap with fewer entries is not worth rebuilding.
_SMALL_HEAP: Final = 64


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """The bounds of the state, and how far an event may be dated ahead of its Kafka timestamp.

    So many calls may have `CHARS_A_CALL` characters each on average. Calls that have ended are remembered for
    ``ring_timeout``, at most ``open_calls`` of them.
    """

    open_calls: int = 200_000
    open_calls_per_tenant: int = 20_000
    max_ahead_ms: int = 300_000


class Assembler:
    """The open calls of one format in one partition, or in one file.

    ``counts`` has the number of records made, and of events and calls refused, by the code word of the reason.
    """

    def __init__(self, program: CallProgram, limits: AssemblyLimits | None = None) -> None:
        self.clock_ms = 0
        self.counts: Counter[str] = Counter()
        self._program = program
        self._limits = limits or AssemblyLimits()
        self._stored = StoredCalls(program)
        self._serial = 0
        # The oldest first.
        self._open: OrderedDict[CallKey, OpenCall] = OrderedDict()
        # In the order in which they became the tenant's.
        self._of_tenant: dict[str, OrderedDict[CallKey, None]] = {}
        # The characters of the open calls, and of each tenant's.
        self._chars = 0
        self._chars_of_tenant: Counter[str] = Counter()
        # In the order of their ends.
        self._ended: OrderedDict[CallKey, EndedCall] = OrderedDict()
        self._deadlines: list[tuple[int, int, CallKey]] = []
        # The calls that were opened, changed, ended or forgotten since `changes`.
        self._touched: dict[CallKey, None] = {}
        self._stored_progress = (0, 0)

    def __len__(self) -> int:
        """The number of open calls."""
        return len(self._open)

    def feed(self, event: CallEvent, ref: int, timestamp_ms: int | None = None) -> list[AssembledCall]:
        """Read the next event of the log, which is at ``ref``; ``timestamp_ms`` is its Kafka timestamp.

        Returns the calls that it ends, and the event itself if it is refused.
        """
        if timestamp_ms is not None and event.at_ms > timestamp_ms + self._limits.max_ahead_ms:
            ahead = format_duration(self._limits.max_ahead_ms)
            message = f"expected at most {ahead} after its timestamp {timestamp_ms}, got {event.at_ms}"
            return [self._refused(ref, f"{RowErrorCode.FUTURE_EVENT}: time: {message}")]
        results = self._join(event, ref)
        results += self.advance(event.at_ms if timestamp_ms is None else min(event.at_ms, timestamp_ms))
        return results

    def advance(self, clock_ms: int) -> list[AssembledCall]:
        """Move the clock, if it is behind. Returns the calls that end."""
        self.clock_ms = max(self.clock_ms, clock_ms)
        return self._end_due(self.clock_ms)

    def finish(self) -> list[AssembledCall]:
        """End all open calls, as the input has ended."""
        return self._end_due(_NEVER_MS, end_of_input=True)

    def _join(self, event: CallEvent, ref: int) -> list[AssembledCall]:
        tenant = self._program.tenant(event)
        key = self._key(event.key, tenant)
        if key in self._ended:
            return [self._refused(ref, f"{RowErrorCode.LATE_EVENT}: the call of the event has ended before")]
        call = self._open.get(key)
        if call is None:
            at_ms = max(event.at_ms, self.clock_ms)
            call = OpenCall(key, self._next(), tenant, at_ms, at_ms, event.at_ms, event.at_ms)
            self._open[key] = call
            self._give(call, tenant)
        elif tenant and not call.tenant:
            self._take(call)
            self._give(call, tenant)
        grown = call.add(KeptEvent.of(event, ref), self.clock_ms, self._program.events)
        self._chars += grown
        self._chars_of_tenant[call.tenant] += grown
        self._touched[key] = None
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
        of_tenant = self._of_tenant[newest.tenant]
        while len(of_tenant) > limits.open_calls_per_tenant or (
            self._chars_of_tenant[newest.tenant] > limits.open_calls_per_tenant * CHARS_A_CALL and len(of_tenant) > 1
        ):
            results.append(self._forced_out(self._open[next(iter(of_tenant))]))
        while len(self._open) > limits.open_calls or (
            self._chars > limits.open_calls * CHARS_A_CALL and len(self._open) > 1
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

    def _end_due(self, clock_ms: int, end_of_input: bool = False) -> list[AssembledCall]:
        results = []
        while self._deadlines and self._deadlines[0][0] <= clock_ms:
            due_ms, serial, key = heapq.heappop(self._deadlines)
            call = self._open.get(key)
            if call is None or call.serial != serial or call.due_ms != due_ms:
                continue
            deadline_ms = call.deadline_ms(self._program.events)
            if deadline_ms > due_ms:
                call.due_ms = deadline_ms
                heapq.heappush(self._deadlines, (deadline_ms, serial, key))
                continue
            results.append(self._counted(self._program.assembled(call, end_of_input)))
            self._close(call)
        while self._ended and next(iter(self._ended.values())).until_ms <= self.clock_ms:
            self._forget_oldest()
        return results

    def _close(self, call: OpenCall) -> None:
        del self._open[call.key]
        self._take(call)
        self._chars -= call.chars
        until_ms = self.clock_ms + self._program.events.ring_timeout_ms
        self._ended[call.key] = EndedCall(until_ms, call.tenant, self._next())
        self._touched[call.key] = None
        if len(self._ended) > self._limits.open_calls:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key, _ = self._ended.popitem(last=False)
        self._touched[key] = None

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _give(self, call: OpenCall, tenant: str) -> None:
        call.tenant, call.owned = tenant, self._next()
        self._of_tenant.setdefault(tenant, OrderedDict())[call.key] = None
        self._chars_of_tenant[tenant] += call.chars

    def _take(self, call: OpenCall) -> None:
        of_tenant = self._of_tenant[call.tenant]
        del of_tenant[call.key]
        self._chars_of_tenant[call.tenant] -= call.chars
        if not of_tenant:
            del self._of_tenant[call.tenant], self._chars_of_tenant[call.tenant]

    def _refused(self, ref: int, reason: str) -> AssembledCall:
        return self._counted(AssembledCall((ref,), None, reason, []))

    def _counted(self, result: AssembledCall) -> AssembledCall:
        self.counts[_RECORDS if result.reason is None else result.reason.partition(":")[0]] += 1
        return result

    def changes(self) -> list[StateEntry]:
        """The parts of the state that have changed since the last call, as entries of a compacted log.

        The newest entry of each key is the state. It depends on the log alone, not on when this is called.
        """
        touched, self._touched = self._touched, {}
        entries = []
        for key in touched:
            call = self._open.get(key)
            entries.append(self._stored.entry(key, call if call is not None else self._ended.get(key)))
        if self._stored_progress != (progress := (self.clock_ms, self._serial)):
            self._stored_progress = progress
            entries.append(self._stored.progress(*progress))
        return entries

    def restore(self, entries: Iterable[StateEntry]) -> None:
        """Continue from the newest entries of `changes`, if an assembler has just been created.

        They may be of an earlier version of the mapping: events and columns have names. A column that it did not read
        is empty; events of a kind that the mapping does not have any more are left out. Raises ValueError if an entry
        cannot be read.
        """
        calls: list[OpenCall] = []
        ended: list[tuple[CallKey, EndedCall]] = []
        for entry in entries:
            key, each = self._stored.read(entry)
            if isinstance(each, OpenCall):
                calls.append(each)
            elif isinstance(each, EndedCall):
                ended.append((key, each))
            elif each is not None:
                self._stored_progress = self.clock_ms, self._serial = each
        for call in sorted(calls, key=lambda call: call.serial):
            self._open[call.key] = call
            self._chars += call.chars
            self._schedule(call)
        for call in sorted(calls, key=lambda call: call.owned):
            self._of_tenant.setdefault(call.tenant, OrderedDict())[call.key] = None
            self._chars_of_tenant[call.tenant] += call.chars
        self._ended.update(sorted(ended, key=lambda each: each[1].serial))
