"""Records to write: single ones, and many to one partition as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

if TYPE_CHECKING:  # commands that write a few records do without numpy
    from monitor.byte_rows import ByteRows


class OutputRecord(NamedTuple):
    """A record to write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


_AS_RECORD: Final = partial(tuple.__new__, OutputRecord)  # many at once: a third of the time of `OutputRecord(...)`


@dataclass(frozen=True, slots=True, eq=False)
class OutputColumns(Sequence[OutputRecord]):
    """Many records to write to one partition, without headers, as columns ``[n]``: an object for each would cost more.

    As a sequence, it makes these objects.
    """

    topic: str
    partition: int
    keys: "ByteRows"
    values: "ByteRows"

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, rows: int) -> OutputRecord: ...
    @overload
    def __getitem__(self, rows: slice) -> "OutputColumns": ...
    def __getitem__(self, rows: Any) -> "OutputRecord | OutputColumns":
        kind: Any = OutputColumns if isinstance(rows, slice) else OutputRecord
        found: OutputRecord | OutputColumns = kind(self.topic, self.partition, self.keys[rows], self.values[rows])
        return found

    def __iter__(self) -> Iterator[OutputRecord]:
        return map(_AS_RECORD, zip(repeat(self.topic), repeat(self.partition), self.keys, self.values, repeat(())))

    def followed_by(self, others: "Sequence[OutputColumns]") -> "OutputColumns":
        """These records and then ``others``, of the same partition."""
        every = (self, *others)
        keys = self.keys.concat(one.keys for one in every)
        return OutputColumns(self.topic, self.partition, keys, self.values.concat(one.values for one in every))


Outputs = Sequence[OutputRecord | OutputColumns]
"""Records to write, in order."""
