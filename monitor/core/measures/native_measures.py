"""The extension that encodes measures. Without it, msgspec and numpy make the same bytes."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.byte_rows import NULL, RowBlock
from monitor.core.measures.measure_columns import MeasuredHour, RuleColumns
from monitor.core.rules.native_pairs import CountBlocks
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.measures import _measures
else:
    _measures = load("monitor.core.measures._measures", interface=3)

_IS_COUNT, _IS_SURE, _IS_DIVIDED = 1, 2, 4
_BLOCK_BYTES: Final = 1 << 20  # of records that are written at once, which holds the interpreter for a millisecond
_RECORD_BYTES: Final = 2_000  # as long as it is not known; a guess
_OTHER_BYTES: Final = 2_000  # the most that a record has besides its rules
_NUMBERS_BYTES: Final = 96  # the most that the numbers of a rule have
_KEPT: Final = 256  # texts of each rule
_KEPT_BYTES: Final = 64
_ID_AT: Final = len('{"tenant_id":"')

enabled: bool = _measures is not None and WANTED
"""Whether measures are encoded by the extension; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _measures is not None


class NativeRules:
    """The columns of rules as the extension reads them. Memory: 16 KB for each rule and process, for texts that recur.

    All partitions have one thread at a time here, which holds the interpreter, and share that memory.
    """

    def __init__(self, columns: RuleColumns) -> None:
        before, after = [], []
        for rule, is_count in zip(columns.rules, columns.is_count.tolist(), strict=True):
            before.append(b"[%b," % msgspec.json.encode(rule.id))
            limits = rule.threshold, None if is_count else rule.min_denominator
            after.append(b",%b,%b]," % tuple(map(msgspec.json.encode, limits)))
        sizes = np.array([[len(first), len(second)] for first, second in zip(before, after, strict=True)], np.int64)
        ends = sizes.cumsum().reshape(-1, 2)
        own, flags = columns.own, np.where(columns.is_count, _IS_COUNT, 0) | np.where(columns.is_sure, _IS_SURE, 0)
        flags |= np.where(own.divisor == own.denominator, _IS_DIVIDED, 0)
        numbers = columns.scale, columns.sign, columns.threshold, columns.least, columns.quantile
        self.columns: tuple[NDArray[Any] | bytes, ...] = (
            *(own.numerator, own.denominator, own.present),
            flags.astype(np.uint8),
            *numbers,
            np.ascontiguousarray(ends[:, 0]),
            np.ascontiguousarray(ends[:, 1]),
            b"".join(text for both in zip(before, after, strict=True) for text in both),
        )
        self._rules_bytes = len(self.columns[-1]) + _NUMBERS_BYTES * len(before)
        self._record_bytes: float = _RECORD_BYTES
        # What a text depends on: partitions with the same rules have the same.
        self._key = b"".join(bytes(column) for column in self.columns[3:]), len(before)

    def bytes_of(self, records: int) -> int:
        """The bytes to reserve for so many records, but at most `_BLOCK_BYTES`."""
        return min(int(records * self._record_bytes), _BLOCK_BYTES) + self._rules_bytes + _OTHER_BYTES

    def written(self, records: int, used: int) -> None:
        """So many records were written, of ``used`` bytes."""
        self._record_bytes = used / records * 1.2  # those of the next hour may be longer

    @property
    def memo(self) -> NDArray[np.uint8]:
        """Memory for texts that recur."""
        return _memo(*self._key)


@lru_cache(maxsize=2)
def _memo(columns: bytes, rules: int) -> NDArray[np.uint8]:
    size = rules * _KEPT * _KEPT_BYTES
    memory = np.zeros(size + _KEPT_BYTES, np.uint8)
    first = -memory.ctypes.data % _KEPT_BYTES  # each in a line of the processor's cache
    return memory[first : first + size]


class EncodedBlock(NamedTuple):
    """Records of tenants from the index ``first`` on, and their ids. The size of one that is not encoded is `NULL`."""

    first: int
    ids: RowBlock
    values: RowBlock


def encode(rules: NativeRules, counts: CountBlocks, hour: MeasuredHour, names: list[str]) -> Iterator[EncodedBlock]:
    """The records of all tenants of an hour, in their order. ``names`` are the ids of all tenants, by number."""
    who, due = hour.who.astype(np.int64), np.array(hour.due, np.int32)
    middle = b'","hour_ms":%d,"worst":' % hour.hour_ms
    start, size, id_size = np.empty((3, len(who)), np.int64)
    given = rules.columns, counts.width, counts.blocks, counts.tenants, due, hour.skipped, rules.memo, names, middle
    first = 0
    while first < len(who):
        memory = np.empty(rules.bytes_of(len(who) - first), np.uint8)
        after, used = _measures.encode(*given, first, memory, who, start, size, id_size)
        rules.written(after - first, used)
        block, rows = memory.data[:used], slice(first, after)
        ids = RowBlock(block, np.where(size[rows] == NULL, 0, start[rows] + _ID_AT), id_size[rows])
        yield EncodedBlock(first, ids, RowBlock(block, start[rows], size[rows]))
        first = after
