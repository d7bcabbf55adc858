"""Shared by the tests of assembled calls: Telnyx' events, as a process reads them from its log."""

import json
from typing import Any, Generic, NamedTuple, TypeVar

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.assembly.assembler import Assembler, AssemblyLimits
from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.version_assembler import VersionAssembler
from monitor.adapters.shipped import open_adapter
from schemas import codec
from schemas.inputs import Cdr

START = 1_772_415_000_000  # 2026-03-02T01:30:00Z
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Logged(NamedTuple):
    """An event in the log: its value, and its Kafka timestamp."""

    value: bytes
    timestamp_ms: int


def at(ms: int) -> str:
    from monitor.text.timestamps import rfc3339

    return rfc3339(START + ms)


def event(kind: str, ms: int, call: str = "leg-1", tenant: str = "acme", **payload: Any) -> Logged:
    """An event of Telnyx, that many ms after START, logged when it happens."""
    payload = {
        "call_leg_id": call,
        "connection_id": tenant,
        "from": "+15550001111",
        "to": "+15557654321",
        **({"direction": "outgoing", "start_time": at(ms)} if kind == "initiated" else {}),
        **({"end_time": at(ms), "hangup_cause": "normal_clearing"} if kind == "hangup" else {}),
    } | payload
    data = {"event_type": f"call.{kind}", "occurred_at": at(ms), "payload": payload}
    return Logged(json.dumps({"data": data}).encode(), START + ms)


def call(name: str = "leg-1", begin_ms: int = 0, talk_ms: int = 5 * SECOND, tenant: str = "acme") -> list[Logged]:
    """A call that is answered after 8 s."""
    answer_ms = begin_ms + 8 * SECOND
    return [
        event("initiated", begin_ms, name, tenant),
        event("answered", answer_ms, name, tenant),
        event("hangup", answer_ms + talk_ms, name, tenant),
    ]


def adapter(name: str = "telnyx", **constants: str) -> AssembledAdapter:
    found = open_adapter(name, constants)
    assert isinstance(found, AssembledAdapter)
    return found


A = TypeVar("A", Assembler, VersionAssembler)


class StoredLog(Generic[A]):
    """An assembler, its results, and the compacted log of its state."""

    def __init__(self, assembler: A) -> None:
        self.assembler = assembler
        self.results: list[AssembledCall] = []
        self.state: dict[bytes, bytes] = {}
        self._offset = 0

    def finish(self) -> list[AssembledCall]:
        found = self.assembler.finish()
        self.results += found
        return found

    def store(self) -> None:
        """Write the changes to the log of the state."""
        for key, value in self.assembler.changes():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def continue_with(self, assembler: A) -> None:
        """Continue with a new assembler, from the stored state."""
        self.store()
        self.assembler = assembler
        self.assembler.restore(self.state.items())
        assert self.assembler.changes() == []


class Log(StoredLog[Assembler]):
    """An assembler that reads from a log; an event that belongs to no call is rejected before it."""

    def __init__(self, limits: AssemblyLimits | None = None, reader: AssembledAdapter | None = None) -> None:
        self.reader = reader or adapter()
        super().__init__(Assembler(self.reader.program, limits))

    def feed(self, *logged: Logged) -> list[AssembledCall]:
        """The results of the events."""
        found: list[AssembledCall] = []
        for each in logged:
            (row,) = self.reader.events(each.value)
            assert row.event is not None, row.reason
            found += self.assembler.feed(row.event, self._offset, each.timestamp_ms)
            self._offset += 1
        self.results += found
        return found

    def restart(self, reader: AssembledAdapter | None = None) -> None:
        """Continue in another process; with another mapping if ``reader`` is given."""
        self.reader = reader or self.reader
        self.continue_with(Assembler(self.reader.program, self.assembler._limits))


def written(results: list[AssembledCall]) -> list[bytes]:
    """The bytes of results, in their order."""
    return [codec.encode(each.record) if each.record is not None else str(each.reason).encode() for each in results]


def records(results: list[AssembledCall]) -> list[Cdr]:
    return [each.record for each in results if isinstance(each.record, Cdr)]


def codes(results: list[AssembledCall]) -> list[str]:
    """The error codes of the results, "" for a record."""
    return [(each.reason or "").partition(":")[0] for each in results]
