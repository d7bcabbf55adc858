"""The extension that parses lines of calls into columns. Without it, msgspec and numpy make the same columns.

It takes a line only if the result is surely that of `schemas.codec`; all other lines are decoded by that.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import ByteRows
from monitor.core.calls.columns import OUTCOME_WORDS, Calls, set_hours, unknown_places
from monitor.core.calls.fields import BIT, CALLEE_HANGUP_MS, LONG_CALL_MS, FieldLayout
from monitor.core.calls.keys import modulus_of
from monitor.core.calls.string_column import StringColumn
from monitor.extensions import WANTED, load
from schemas import codec
from schemas.inputs import Cdr

if TYPE_CHECKING:
    from monitor.decoding import _calls
else:
    _calls = load("monitor.decoding._calls", interface=2)

COLUMNS: Final = (
    "counts",
    "row",
    "tenant",
    "word",
    "start_ms",
    "end_ms",
    "talk_ms",
    "ring_delay_ms",
    "callee_key",
    "callee_numeric",
    "caller_key",
    "id_key",
    "id_size",
    "block_key",
    "consent_key",
    "ids",
    "name_end",
    "salts",
    "names",
    "slots",
)
"""The order of the columns that the extension writes."""
_SECRET: Final = (secrets.randbits(64), secrets.randbits(64))  # orders a table, and nothing that is read from it

enabled: bool = _calls is not None and WANTED
"""Whether calls are parsed by the extension; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _calls is not None


Odd = Callable[[int, Sequence[bytes]], Sequence[tuple[int, Cdr]]]
"""Receives rows that the extension does not take: the number of the first, and the bytes of all. Returns those that are
valid calls, each with its row.
"""

# A row by itself costs three times what msgspec and numpy take for one of many; a producer must not choose that cost.
# So rows are read one by one while they are few among those that the extension takes, and otherwise many together.
_TAKEN_FOR_ONE = 4
_ONE_BY_ONE = 2  # before any is taken
_TOGETHER, _TOGETHER_BYTES = 512, 256 << 10  # so that they stay in the CPU cache


class NativeParser:
    """Parses rows of bytes into the columns that `monitor.core.calls.columns.to_columns` makes of their calls."""

    def __init__(self, layout: FieldLayout, salt: np.uint64, later: Sequence[tuple[int, FieldLayout]]) -> None:
        self._layouts = [(0, layout), *later]
        key_sets = [one.key_sets for _, one in self._layouts]
        self._blocks = any("blocks" in one for one in key_sets)
        self._consents = any("consents" in one for one in key_sets)
        self._plan = _calls.make_plan(
            int(salt),
            int(modulus_of(int(salt))),
            _SECRET,
            OUTCOME_WORDS.tolist(),
            BIT,
            LONG_CALL_MS,
            CALLEE_HANGUP_MS,
            [(from_ms, *_limits(one)) for from_ms, one in self._layouts],
        )

    def parse(self, rows: ByteRows, odd: Odd) -> "NativeCalls":
        """The calls in these rows, in their order. ``odd`` decodes the rows that the extension does not take."""
        calls = NativeCalls(len(rows), int(np.maximum(rows.sizes, 0).sum()), self._blocks, self._consents)
        base, credit = 0, _TAKEN_FOR_ONE * _ONE_BY_ONE
        for one in rows.blocks:
            row = 0
            while True:
                first = row
                row = _calls.parse_calls(self._plan, one.block, one.start, one.size, row, base, calls.columns)
                if row == len(one):
                    break
                credit += row - first
                if credit >= _TAKEN_FOR_ONE:
                    credit -= _TAKEN_FOR_ONE
                    lines = [one.row(row) or b""]
                else:
                    some = one.slice(row, row + _TOGETHER)
                    fit = int(np.cumsum(some.size).searchsorted(_TOGETHER_BYTES))
                    lines = [line or b"" for line in some.slice(0, max(fit, 1)).rows()]
                if found := odd(base + row, lines):
                    self._write(found, calls)
                row += len(lines)
            base += len(one)
        return calls

    def _write(self, found: Sequence[tuple[int, Cdr]], calls: "NativeCalls") -> None:
        """Write calls that msgspec decoded: as the lines that `codec` encodes, which the extension takes."""
        first, (lines, start, size) = len(calls), _block_of([codec.encode(record) for _, record in found])
        if _calls.parse_calls(self._plan, lines, start, size, 0, 0, calls.columns) != len(found):
            raise AssertionError("the extension does not take a call that the codec has read and written")
        calls.set_rows(first, [row for row, _ in found])

    def columns(self, parsed: "NativeCalls") -> tuple[list[str], "NameBlock", Calls]:
        """The table of tenants, also in UTF-8, and the calls, as `to_columns` returns them."""
        return parsed.names(), parsed.name_block(), parsed.calls(self._layouts)


def _limits(layout: FieldLayout) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    return (
        [(limit, layout.short_bit(limit)) for limit in layout.short_call_ms],
        [(limit, layout.ring_bit(limit)) for limit in layout.short_ring_ms],
    )


class NativeCalls:
    """The buffers that the extension fills with the calls of at most ``rows`` rows of ``size`` bytes."""

    def __init__(self, rows: int, size: int, blocks: bool, consents: bool) -> None:
        self.counts = np.zeros(4, np.int64)
        self._row = np.empty(rows, np.int64)
        self._ids, self._names = np.empty(size, np.uint8), np.empty(size, np.uint8)
        self._name_end = np.empty(rows, np.int64)
        self._of_calls: dict[str, NDArray[Any]] = {
            "tenant": np.empty(rows, np.int32),
            "word": np.empty(rows, np.uint64),
            "start_ms": np.empty(rows, np.int64),
            "end_ms": np.empty(rows, np.int64),
            "talk_ms": np.empty(rows, np.int64),
            "ring_delay_ms": np.empty(rows, np.int64),
            "callee_key": np.empty(rows, np.uint64),
            "callee_numeric": np.empty(rows, np.bool_),
            "caller_key": np.empty(rows, np.uint64),
            "id_key": np.empty(rows, np.uint64),
            "id_size": np.empty(rows, np.int32),
            "block_key": np.empty(rows if blocks else 0, np.uint64),
            "consent_key": np.empty(rows if consents else 0, np.uint64),
        }
        self.columns = (
            self.counts,
            self._row,
            *self._of_calls.values(),
            self._ids,
            self._name_end,
            np.empty(rows, np.uint64),
            self._names,
            np.full(1 << (2 * rows).bit_length(), -1, np.int32),
        )

    def __len__(self) -> int:
        return int(self.counts[0])

    @property
    def rows(self) -> NDArray[np.intp]:
        """The row of each call."""
        return _first(self._row, len(self))

    def set_rows(self, first: int, rows: Sequence[int]) -> None:
        """Set the rows of the calls from number ``first``."""
        self._row[first : first + len(rows)] = rows

    def names(self) -> list[str]:
        """The tenants, in the order of their first calls."""
        names = self._names[: self.counts[3]].tobytes()
        ends = self._name_end[: self.counts[2]].tolist()
        if names.isascii():
            text = names.decode()
            return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return [names[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]

    def name_block(self) -> "NameBlock":
        """The tenants of `names` in UTF-8."""
        size = np.diff(self._name_end[: self.counts[2]], prepend=0)
        return NameBlock(self._names[: self.counts[3]].tobytes(), size.cumsum() - size, size)

    def calls(self, layouts: Sequence[tuple[int, FieldLayout]]) -> Calls:
        """The calls as columns."""
        count = len(self)
        columns = {name: _first(column, count) for name, column in self._of_calls.items()}
        start_ms, id_size = columns.pop("start_ms"), columns.pop("id_size")
        for name in ("block_key", "consent_key"):
            if not len(columns[name]):
                columns[name] = np.zeros(count, np.uint8)
        set_hours(columns["word"], layouts, start_ms, columns["end_ms"])
        return Calls(
            **columns,
            call_id=StringColumn.in_row(self._ids[: self.counts[1]].tobytes(), id_size),
            place=unknown_places(count),
            source=np.zeros(count, np.int16),
            offset=np.zeros(count, np.int64),
            clock_ms=np.zeros(count, np.int64),
            line_ms=np.zeros(count, np.int64),
        )


def _first(column: NDArray[Any], count: int) -> NDArray[Any]:
    """The first entries, copied if there are more, so that the rest takes no memory."""
    return column if len(column) == count else column[:count].copy()


class NameBlock(NamedTuple):
    """Names in UTF-8, one after the other: where each starts in ``block``, and its size in bytes."""

    block: bytes
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str]) -> "NameBlock":
        """The block of these names."""
        return cls(*_block_of([name.encode() for name in names]))


def rows_equal(rows: ByteRows, chosen: NDArray[np.intp], names: NameBlock, number: NDArray[np.int32]) -> bool:
    """Whether each of the chosen rows (ascending) has the bytes of the name with its number."""
    first = place = 0
    for one in rows.blocks:
        last = first + len(one) == len(rows)
        after = len(chosen) if last else place + int(chosen[place:].searchsorted(first + len(one)))
        mine, wanted = chosen[place:after] - first, np.ascontiguousarray(number[place:after], np.int32)
        arguments = (mine.astype(np.int64, copy=False), *names, wanted)
        if _calls.first_difference(one.block, one.start, one.size, *arguments) != len(mine):
            return False
        first, place = first + len(one), after
    return place == len(chosen)


def _block_of(lines: Sequence[bytes]) -> tuple[bytes, NDArray[np.int64], NDArray[np.int64]]:
    size = np.fromiter(map(len, lines), np.int64, len(lines))
    return b"".join(lines), size.cumsum() - size, size
