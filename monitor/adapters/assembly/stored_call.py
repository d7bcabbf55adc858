"""The state of calls as entries of a compacted log: one entry a call, which names its events and columns.

One entry more, under the empty key, is the progress: see `monitor.adapters.assembly.log_progress`.
"""

from typing import Final, NamedTuple

import msgspec

from monitor.adapters.assembly.call_event import CallKey
from monitor.adapters.assembly.call_program import CallProgram
from monitor.adapters.assembly.open_call import KeptEvent, OpenCall

StateEntry = tuple[bytes, bytes | None]
"""Key and value; without a value the entry of that key is gone."""


class EndedCall(NamedTuple):
    """A call that has ended: until when that is remembered, its tenant, and the number of its end."""

    until_ms: int
    tenant: str
    serial: int


class _Event(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    sequence: int
    at_ms: int
    end: str
    ref: int
    cells: dict[str, str]


class _Open(msgspec.Struct, array_like=True, frozen=True, tag="open"):
    serial: int
    tenant: str
    owned: int
    opened_ms: int
    touched_ms: int
    first_ms: int
    last_ms: int
    events: list[_Event]


class _Ended(msgspec.Struct, array_like=True, frozen=True, tag="ended"):
    until_ms: int
    tenant: str
    serial: int


_KEYS: Final = msgspec.json.Decoder(CallKey)
_CALLS: Final = msgspec.json.Decoder(_Open | _Ended)


class StoredCalls:
    """Writes and reads the entries of one mapping."""

    def __init__(self, program: CallProgram) -> None:
        self._columns = program.columns
        self._names = [kind.name for kind in program.events.kinds]
        self._kinds = {name: n for n, name in enumerate(self._names)}

    def entry(self, key: CallKey, call: OpenCall | EndedCall | None) -> StateEntry:
        """The entry of a call; None: it is forgotten."""
        if call is None:
            return msgspec.json.encode(key), None
        value: _Open | _Ended
        if isinstance(call, EndedCall):
            value = _Ended(*call)
        else:
            events = [self._event(each) for each in call.in_order()]
            times = (call.opened_ms, call.touched_ms, call.first_ms, call.last_ms)
            value = _Open(call.serial, call.tenant, call.owned, *times, events)
        return msgspec.json.encode(key), msgspec.json.encode(value)

    def read(self, entry: StateEntry) -> tuple[CallKey, OpenCall | EndedCall | None]:
        """The call of an entry. Raises ValueError if it cannot be read."""
        key = _KEYS.decode(entry[0])
        if entry[1] is None:
            return key, None
        value = _CALLS.decode(entry[1])
        if isinstance(value, _Ended):
            return key, EndedCall(value.until_ms, value.tenant, value.serial)
        events = {each.kind: each for each in map(self._kept, value.events) if each.kind >= 0}
        times = (value.opened_ms, value.touched_ms, value.first_ms, value.last_ms)
        return key, OpenCall(key, value.serial, value.tenant, *times, 0, value.owned, events)

    def _event(self, kept: KeptEvent) -> _Event:
        cells = {name: text for name, text in zip(self._columns, kept.cells, strict=True) if text}
        return _Event(self._names[kept.kind], kept.sequence, kept.at_ms, kept.end, kept.ref, cells)

    def _kept(self, event: _Event) -> KeptEvent:
        cells = tuple(event.cells.get(name, "") for name in self._columns)
        return KeptEvent(event.sequence, event.at_ms, self._kinds.get(event.kind, -1), cells, event.end, event.ref)
