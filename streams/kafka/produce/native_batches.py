"""The extension that encodes the records of a batch. Without it, aiokafka encodes one by one."""

from typing import TYPE_CHECKING

from monitor.extensions import WANTED, load
from streams.kafka.api import OutputRecord

if TYPE_CHECKING:
    from streams.kafka.produce import _batches
else:
    _batches = load("streams.kafka.produce._batches", interface=1)

enabled: bool = _batches is not None and WANTED
"""Whether the extension is used; tests switch it."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _batches is not None


def encode(records: list[OutputRecord], start: int, most: int) -> tuple[bytes, int]:
    """The records from ``start`` on that fit into ``most`` bytes, but at least one, and the number of the next one."""
    return _batches.encode(records, start, most)
