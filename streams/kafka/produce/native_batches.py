"""The extension that encodes the records of a batch. Without it, aiokafka encodes one by one."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from monitor.extensions import WANTED, load
from streams.kafka.outputs import OutputColumns, OutputRecord

if TYPE_CHECKING:  # commands that send a few records do without numpy
    from monitor.byte_rows import ByteRows, RowBlock
    from streams.kafka.produce import _batches
else:
    _batches = load("streams.kafka.produce._batches", interface=2)

enabled: bool = _batches is not None and WANTED
"""Whether the extension is used; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _batches is not None


def encode(records: Sequence[OutputRecord], start: int, most: int) -> tuple[bytes, int]:
    """The records from ``start`` on that fit into ``most`` bytes, but at least one, and the number of the next one."""
    if isinstance(records, OutputColumns):
        return _batches.encode_rows(list(_blocks(records.keys, records.values)), start, most)
    return _batches.encode(records, start, most)


def _blocks(keys: "ByteRows", values: "ByteRows") -> Iterator[tuple[Any, ...]]:
    """Keys and values in blocks of the same rows."""
    ends = [[*accumulate(map(len, rows.blocks))] for rows in (keys, values)]
    pairs = zip(keys.blocks, values.blocks, strict=True) if ends[0] == ends[1] else _aligned(keys, values, *ends)
    return ((key.block, key.start, key.size, value.block, value.start, value.size) for key, value in pairs)


def _aligned(keys: "ByteRows", values: "ByteRows", *ends: list[int]) -> Iterator[tuple["RowBlock", "RowBlock"]]:
    for first, after in pairwise([0, *sorted(set().union(*ends))]):
        yield keys[first:after].blocks[0], values[first:after].blocks[0]
