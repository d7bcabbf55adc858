"""Holds each call until its corrections have come: a pure function of the log, whatever its batches.

It has the interface of `monitor.adapters.assembly.assembler.Assembler`, for mappings with `version` and `settle`. The
clock is the greatest event time so far, of each version at most its Kafka timestamp; ticks move it as they move that
of events, and a timestamp that jumps ahead counts only once it is confirmed (`LogProgress`). Each version is handled in
this order, which the results depend on:

1. A version that is dated too far ahead of its Kafka timestamp is rejected, and moves nothing.
2. The version moves the clock.
3. If the first version of its call came ``settle`` before the clock, the call is written.
4. A version of a call that was written is late. Else it is held, if it is the first of its call or greater than the
   one that is; of two versions one is superseded, of equal ones the second.
5. While its tenant has too many calls held, or they are too large, the oldest is written before its time.
6. All other calls whose first version came ``settle`` before the clock are written, in the order of these versions.

So each version is in exactly one result. Each step but the last one takes constant time on average, whatever tenants
choose; the last one can be taken in parts (`accept`, `end_due`).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, TypeGuard

import msgspec

from monitor.adapters.assembly.assembler import CHARS_A_CALL, AssemblyLimits
from monitor.adapters.assembly.call_event import CallKey
from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.call_queue import CallQueue, QueueLimits
from monitor.adapters.assembly.log_progress import LogProgress
from monitor.adapters.assembly.stored_call import StateEntry
from monitor.adapters.assembly.version_event import VersionEvent
from monitor.adapters.errors import RowErrorCode
from monitor.text.durations import HOUR
from schemas import codec
from schemas.inputs import Cdr

REMEMBERED_MS: Final = 24 * HOUR
"""How long a call that was written is remembered. A version that comes later is held and written as if it were the
first: the engine, which counts a call once, finds it late or a duplicate.
"""

WRITTEN_EARLY: Final = "written_early"
"""The count of calls that were written before their time, as their tenant had too many."""

_RECORDS: Final = "records"
_NEVER_MS: Final = 1 << 62
_SUPERSEDED: Final = f"{RowErrorCode.SUPERSEDED}: another version of the call counts"


class _Held(msgspec.Struct, array_like=True, frozen=True, tag="held"):
    """A call whose corrections may still come. ``opened_ms`` is the clock at its first version."""

    serial: int
    opened_ms: int
    version: int
    ref: int
    record: msgspec.Raw


class _Written(msgspec.Struct, array_like=True, frozen=True, tag="ended"):
    """A call that was written when the clock was at ``written_ms``."""

    serial: int
    written_ms: int


_KEYS: Final = msgspec.json.Decoder(CallKey)
_CALLS: Final = msgspec.json.Decoder(_Held | _Written)


class VersionAssembler:
    """The calls of one format that are held in one partition, or in one file.

    ``counts`` has the number of records made, of versions superseded or rejected by the code word of the reason, and of
    calls written early. ``touched_chars`` is about the size of the next `changes`, in characters.
    """

    def __init__(self, settle_ms: int, limits: AssemblyLimits | None = None) -> None:
        limits = limits or AssemblyLimits()
        self.counts: Counter[str] = Counter()
        self._settle_ms = settle_ms
        self._progress = LogProgress(limits.max_ahead_ms)
        bounds = QueueLimits(limits.open_calls, limits.open_calls_per_tenant, CHARS_A_CALL)
        self._held: CallQueue[_Held] = CallQueue(bounds)
        self._written: CallQueue[_Written] = CallQueue(bounds)
        # The calls that were held, changed, written or forgotten since `changes`.
        self._touched: dict[CallKey, None] = {}
        self.touched_chars = 0

    @property
    def clock_ms(self) -> int:
        """The clock; 0 before the first version."""
        return self._progress.clock_ms

    def __len__(self) -> int:
        """The number of calls held."""
        return len(self._held)

    def feed(self, event: VersionEvent, ref: int, timestamp_ms: int | None = None) -> list[AssembledCall]:
        """Read the next version of the log, which is at ``ref``; ``timestamp_ms`` is its Kafka timestamp.

        Returns the calls that are written, and the versions that are superseded, late or rejected.
        """
        return self.accept(event, ref, timestamp_ms) + self.end_due()

    def accept(self, event: VersionEvent, ref: int, timestamp_ms: int | None = None) -> list[AssembledCall]:
        """Steps 1 to 5 of `feed`; `end_due` must write all calls that are due before the next version."""
        if (reason := self._progress.rejection("version", event.at_ms, timestamp_ms)) is not None:
            return [self._without_record(ref, reason)]
        self._progress.move(event.at_ms, timestamp_ms)
        return self._end_own(event.key) + self._join(event, ref)

    def tick(self, timestamp_ms: int) -> None:
        """Read a tick of the log; then `end_due` must write all calls that are due."""
        self._progress.tick(timestamp_ms)

    def clock_at(self, timestamp_ms: int) -> int:
        """The clock after a tick with that timestamp, if it is not ahead already."""
        return self._progress.clock_at(timestamp_ms)

    def advance(self, clock_ms: int) -> list[AssembledCall]:
        """Move the clock, if it is behind. Returns the calls that are written."""
        self._progress.advance(clock_ms)
        return self.end_due()

    @property
    def due(self) -> bool:
        """Whether `end_due` has something left to do."""
        return self._is_due(self._held.oldest()) or self._is_forgotten(self._written.oldest())

    @property
    def next_due_ms(self) -> int | None:
        """A time on the clock before which no call is written; None if no call is held."""
        oldest = self._held.oldest()
        return None if oldest is None else self._due_ms(oldest[1])

    def end_due(self, most: int | None = None) -> list[AssembledCall]:
        """Write calls whose time has come, at most ``most``, and forget calls that were written long ago."""
        results: list[AssembledCall] = []
        while len(results) != most and self._is_due(oldest := self._held.oldest()):
            results.append(self._write(oldest[0]))
        left = _NEVER_MS if most is None else most - len(results)
        while left > 0 and self._is_forgotten(old := self._written.oldest()):
            self._forget(old[0])
            left -= 1
        return results

    def finish(self) -> list[AssembledCall]:
        """Write all calls that are held, as the input has ended."""
        results = []
        while (oldest := self._held.oldest()) is not None:
            results.append(self._write(oldest[0]))
        return results

    def _is_due(self, call: tuple[CallKey, _Held] | None) -> TypeGuard[tuple[CallKey, _Held]]:
        return call is not None and self._due_ms(call[1]) <= self.clock_ms

    def _due_ms(self, call: _Held) -> int:
        return self._progress.since(call.serial, call.opened_ms) + self._settle_ms

    def _is_forgotten(self, call: tuple[CallKey, _Written] | None) -> TypeGuard[tuple[CallKey, _Written]]:
        if call is None:
            return False
        return self._progress.since(call[1].serial, call[1].written_ms) + REMEMBERED_MS <= self.clock_ms

    def _end_own(self, key: CallKey) -> list[AssembledCall]:
        """Write or forget the call of a version, if its time has come: `end_due` may be taken in parts."""
        held, written = self._held.get(key), self._written.get(key)
        if written is not None and self._is_forgotten((key, written)):
            self._forget(key)
        return [self._write(key)] if held is not None and self._is_due((key, held)) else []

    def _join(self, event: VersionEvent, ref: int) -> list[AssembledCall]:
        key = event.key
        if self._written.get(key) is not None:
            reason = f"{RowErrorCode.SUPERSEDED_LATE}: the record of the call was written before this version came"
            return [self._counted(AssembledCall((ref,), None, reason, [], event.record))]
        held, results = self._held.get(key), []
        if held is not None:
            if event.version <= held.version:
                return [self._without_record(ref, _SUPERSEDED)]
            results.append(self._without_record(held.ref, _SUPERSEDED))
        serial = self._progress.next_serial() if held is None else held.serial
        opened_ms = self.clock_ms if held is None else held.opened_ms
        raw = codec.encode(event.record)
        self._held.put(key, _Held(serial, opened_ms, event.version, ref, msgspec.Raw(raw)), len(raw))
        self._touch(key, len(raw))
        while (surplus := self._held.surplus(key)) is not None:
            self.counts[WRITTEN_EARLY] += 1
            results.append(self._write(surplus))
            if surplus == key:
                break
        return results

    def _write(self, key: CallKey) -> AssembledCall:
        held = self._held.pop(key)
        self._written.put(key, _Written(self._progress.next_serial(), self.clock_ms), 0)
        self._touch(key, 0)
        while (surplus := self._written.surplus(key)) is not None:
            self._forget(surplus)
        return self._counted(AssembledCall((held.ref,), _record(held), None, []))

    def _forget(self, key: CallKey) -> None:
        self._written.pop(key)
        self._touch(key, 0)

    def _touch(self, key: CallKey, chars: int) -> None:
        self._touched[key] = None
        self.touched_chars += sum(map(len, key)) + chars

    def _without_record(self, ref: int, reason: str) -> AssembledCall:
        return self._counted(AssembledCall((ref,), None, reason, []))

    def _counted(self, result: AssembledCall) -> AssembledCall:
        self.counts[_RECORDS if result.reason is None else result.reason.partition(":")[0]] += 1
        return result

    def changes(self) -> list[StateEntry]:
        """Like `Assembler.changes`."""
        touched, self._touched, self.touched_chars = self._touched, {}, 0
        entries: list[StateEntry] = []
        for key in touched:
            value: _Held | _Written | None = self._held.get(key) or self._written.get(key)
            entries.append((msgspec.json.encode(key), None if value is None else msgspec.json.encode(value)))
        return entries + self._progress.changes()

    def restore(self, entries: Iterable[StateEntry]) -> None:
        """Continue from the newest entries of `changes`, if the assembler has just been created.

        They may be of another ``settle``: it counts from the first version. Raises ValueError if an entry cannot be
        read.
        """
        held: list[tuple[CallKey, _Held]] = []
        written: list[tuple[CallKey, _Written]] = []
        for entry in entries:
            if self._progress.restore(entry):
                continue
            key, value = _KEYS.decode(entry[0]), entry[1]
            if value is None:
                continue
            call = _CALLS.decode(value)
            if isinstance(call, _Held):
                held.append((key, call))
            else:
                written.append((key, call))
        for key, one in sorted(held, key=lambda each: each[1].serial):
            self._held.put(key, one, len(bytes(one.record)))
        for key, each in sorted(written, key=lambda each: each[1].serial):
            self._written.put(key, each, 0)


def _record(held: _Held) -> Cdr:
    record = codec.read(bytes(held.record))
    assert isinstance(record, Cdr)
    return record
