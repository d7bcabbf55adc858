"""Makes calls of events: a pure function of the log, whatever the batches in which it is read.

The clock is the greatest event time so far, of each event at most its Kafka timestamp. Each event is handled in this
order, which the results depend on:

1. An event that is dated too far ahead of its Kafka timestamp is refused, and moves nothing.
2. The event joins its call, or opens one. An event of a call that has ended is late, and is refused.
3. If its tenant has too many open calls, the oldest of them ends without a record.
4. The event moves the clock.
5. Calls whose deadline the clock has reached end: by deadline, then in the order in which they were opened.

Every step costs the logarithm of the number of open calls at most, whatever tenants choose.
"""

import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from monitor.adapters.assembly.call_event import CallEvent, CallKey
from monitor.adapters.assembly.call_program import AssembledCall, CallProgram
from monitor.adapters.assembly.open_call import KeptEvent, OpenCall
from monitor.adapters.errors import RowErrorCode
from monitor.text.durations import format_duration

_NEVER_MS: Final = 1 << 62
_RECORDS: Final = "records"
# A heap with fewer entries is not worth rebuilding.
_SMALL_HEAP: Final = 64


@dataclass(frozen=True, slots=True)
class AssemblyLimits:
    """The bounds of the state, and how far an event may be dated ahead of its Kafka timestamp.

    Calls that have ended are remembered for ``ring_timeout``, at most ``open_calls`` of them.
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
        self._serial = 0
        # The oldest first.
        self._open: OrderedDict[CallKey, OpenCall] = OrderedDict()
        # In the order in which they became the tenant's.
        self._of_tenant: dict[str, OrderedDict[CallKey, None]] = {}
        # Of each call that has ended: until when that is remembered, and its tenant; in the order of their ends.
        self._ended: OrderedDict[CallKey, tuple[int, str]] = OrderedDict()
        self._deadlines: list[tuple[int, int, CallKey]] = []

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
        results: list[AssembledCall] = []
        if call is None:
            results = self._make_room(tenant)
            at_ms = max(event.at_ms, self.clock_ms)
            call = OpenCall(key, self._next(), tenant, at_ms, at_ms, event.at_ms, event.at_ms)
            self._open[key] = call
            self._give(call, tenant)
        elif tenant and not call.tenant:
            results = self._make_room(tenant, call)
            self._take(call)
            self._give(call, tenant)
        call.add(KeptEvent.of(event, ref), self.clock_ms, self._program.events)
        self._schedule(call)
        return results

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
        others = holder.tenant if holder is not None else self._ended.get(key, (0, ""))[1]
        return own if others and others != tenant else key

    def _make_room(self, tenant: str, unless: OpenCall | None = None) -> list[AssembledCall]:
        """End the oldest call of ``tenant``, or of all, if there are too many."""
        of_tenant = self._of_tenant.get(tenant)
        if of_tenant is not None and len(of_tenant) >= self._limits.open_calls_per_tenant:
            oldest = self._open[next(iter(of_tenant))]
        elif unless is None and len(self._open) >= self._limits.open_calls:
            oldest = self._open[next(iter(self._open))]
        else:
            return []
        cells = self._program.cells(oldest)
        refs = tuple(sorted(event.ref for event in oldest.events.values()))
        message = f"expected at most {self._limits.open_calls_per_tenant:,} open calls of a tenant, "
        message += f"{self._limits.open_calls:,} in all: the oldest ends without a record"
        self._close(oldest)
        return [self._counted(AssembledCall(refs, None, f"{RowErrorCode.TOO_MANY_OPEN_CALLS}: {message}", cells))]

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
        while self._ended and next(iter(self._ended.values()))[0] <= self.clock_ms:
            self._ended.popitem(last=False)
        return results

    def _close(self, call: OpenCall) -> None:
        del self._open[call.key]
        self._take(call)
        self._ended[call.key] = (self.clock_ms + self._program.events.ring_timeout_ms, call.tenant)
        if len(self._ended) > self._limits.open_calls:
            self._ended.popitem(last=False)

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _give(self, call: OpenCall, tenant: str) -> None:
        call.tenant, call.owned = tenant, self._next()
        self._of_tenant.setdefault(tenant, OrderedDict())[call.key] = None

    def _take(self, call: OpenCall) -> None:
        of_tenant = self._of_tenant[call.tenant]
        del of_tenant[call.key]
        if not of_tenant:
            del self._of_tenant[call.tenant]

    def _refused(self, ref: int, reason: str) -> AssembledCall:
        return self._counted(AssembledCall((ref,), None, reason, []))

    def _counted(self, result: AssembledCall) -> AssembledCall:
        self.counts[_RECORDS if result.reason is None else result.reason.partition(":")[0]] += 1
        return result

    def snapshot(self) -> bytes:
        """The state, as bytes that depend only on the log."""
        events = self._program.events
        calls = [
            (
                call.key,
                call.serial,
                call.tenant,
                call.owned,
                (call.opened_ms, call.touched_ms, call.first_ms, call.last_ms),
                sorted(call.events.values()),
            )
            for call in self._open.values()
        ]
        ended = [(key, until_ms, tenant) for key, (until_ms, tenant) in self._ended.items()]
        layout = ([kind.name for kind in events.kinds], self._program.columns)
        return msgspec.json.encode((layout, self.clock_ms, self._serial, calls, ended))

    def restore(self, snapshot: bytes) -> None:
        """Continue from a state of `snapshot`. Raises ValueError if it is of another mapping."""
        events = self._program.events
        layout, self.clock_ms, self._serial, calls, ended = msgspec.json.decode(snapshot, type=_Stored)
        if layout != ([kind.name for kind in events.kinds], list(self._program.columns)):
            raise ValueError(f"expected a state with the events and columns of this mapping, got {layout}")
        for key, serial, tenant, owned, times, kept in calls:
            events_of = {event.kind: event for event in kept}
            call = OpenCall(key, serial, tenant, times[0], times[1], times[2], times[3], 0, owned, events_of)
            self._open[key] = call
            self._schedule(call)
        for call in sorted(self._open.values(), key=lambda call: call.owned):
            self._of_tenant.setdefault(call.tenant, OrderedDict())[call.key] = None
        self._ended.update({key: (until_ms, tenant) for key, until_ms, tenant in ended})


_StoredCall = tuple[CallKey, int, str, int, tuple[int, int, int, int], list[KeptEvent]]
_Stored: Final[Any] = tuple[tuple[list[str], list[str]], int, int, list[_StoredCall], list[tuple[CallKey, int, str]]]
