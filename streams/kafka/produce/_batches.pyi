from collections.abc import Sequence
from typing import Any

from streams.kafka.outputs import OutputRecord

INTERFACE: int

def encode(records: Sequence[OutputRecord], start: int, most: int, /) -> tuple[bytes, int]:
    """The records from ``start`` on that fit into ``most`` bytes, but at least one, and the number of the next one."""

def encode_rows(blocks: list[tuple[Any, ...]], start: int, most: int, /) -> tuple[bytes, int]:
    """As `encode`, of records without headers.

    They are given in blocks: of the keys a block of bytes, and for each its offset and size, -1 for None; then the same
    of the values. Raises ValueError if arguments do not fit.
    """
