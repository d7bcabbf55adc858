"""The events of one source in one partition: what makes records of them, as a pure function of the log."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.assembly.assembler import Assembler, AssemblyLimits
from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.stored_call import StateEntry
from monitor.adapters.assembly.version_assembler import VersionAssembler
from streams.ingest.foreign_rows import EventAdapter

_PROGRESS: Final = b"[]"
_ENDED: Final = (b'["ended"', b'["written"')


class Lane(Protocol):
    """See the module. The log is its events and the ticks of its partition, in their order.

    After each event and each tick, `end_due` is called until nothing is due.
    """

    @property
    def clock_ms(self) -> int:
        """The clock of the source, in event time."""
        ...

    def __len__(self) -> int:
        """The number of open calls, or of whatever waits for further events."""
        ...

    @property
    def touched_chars(self) -> int:
        """About the size of the next `changes`."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of `AssembledCall.cells`; none if there are no cells."""
        ...

    def accept(self, value: bytes, ref: int, timestamp_ms: int) -> list[AssembledCall]:
        """Read the event at the offset ``ref``. Raises `Reject` if it is none."""
        ...

    def tick(self, timestamp_ms: int) -> None:
        """Read a tick."""
        ...

    @property
    def due(self) -> bool:
        """Whether `end_due` has something left to do."""
        ...

    def end_due(self, most: int) -> list[AssembledCall]:
        """End at most ``most`` of the calls that are due."""
        ...

    def is_due_at(self, timestamp_ms: int) -> bool:
        """Whether a call may end by a tick with that timestamp."""
        ...

    def changes(self) -> list[StateEntry]:
        """What has changed since the last call, as entries of a compacted log."""
        ...

    def restore(self, entries: Iterable[StateEntry]) -> None:
        """Continue from the newest entries. Raises ValueError if one cannot be read."""
        ...


class AssembledLane:
    """A lane of calls that several events make, or whose corrections are waited for."""

    def __init__(self, adapter: EventAdapter, limits: AssemblyLimits) -> None:
        self._assembler: Assembler | VersionAssembler
        if isinstance(adapter, AssembledAdapter):
            assembler = Assembler(adapter.program, limits)
            self.columns = tuple(adapter.program.index)
            self._assembler, self._accept = assembler, _accepting(adapter.logged, assembler.accept)
        else:
            versions = VersionAssembler(adapter.versions.settle_ms, limits)
            self.columns = ()
            self._assembler, self._accept = versions, _accepting(adapter.logged, versions.accept)

    def __len__(self) -> int:
        return len(self._assembler)

    @property
    def clock_ms(self) -> int:
        return self._assembler.clock_ms

    @property
    def touched_chars(self) -> int:
        return self._assembler.touched_chars

    def accept(self, value: bytes, ref: int, timestamp_ms: int) -> list[AssembledCall]:
        return self._accept(value, ref, timestamp_ms)

    def tick(self, timestamp_ms: int) -> None:
        self._assembler.tick(timestamp_ms)

    @property
    def due(self) -> bool:
        return self._assembler.due

    def end_due(self, most: int) -> list[AssembledCall]:
        return self._assembler.end_due(most)

    def is_due_at(self, timestamp_ms: int) -> bool:
        due_ms = self._assembler.next_due_ms
        return due_ms is not None and due_ms <= self._assembler.clock_at(timestamp_ms)

    def changes(self) -> list[StateEntry]:
        return self._assembler.changes()

    def restore(self, entries: Iterable[StateEntry]) -> None:
        self._assembler.restore(entries)


Accept = Callable[[bytes, int, int], list[AssembledCall]]
T = TypeVar("T")


def _accepting(logged: Callable[[bytes], T], accept: Callable[[T, int, int], list[AssembledCall]]) -> Accept:
    return lambda value, ref, timestamp_ms: accept(logged(value), ref, timestamp_ms)


def is_open(entry: StateEntry) -> bool:
    """Whether an entry of a state is a call that gives a record later, not the progress nor a call that has ended."""
    key, value = entry
    return key != _PROGRESS and value is not None and not value.startswith(_ENDED)
