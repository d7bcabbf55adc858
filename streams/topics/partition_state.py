"""The stored state of one partition, and its head."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from monitor.partition.checkpoint import must_be_whole, packed_head
from streams.topics.stored_head import StoredHead


@dataclass(frozen=True, slots=True)
class PartitionState:
    """The entries of one partition's state, and the ends of the output logs at that time.

    ``ends`` has, by bare name, two offsets: records before the first were decided by this state or an earlier one,
    records from the second on by a later one. They differ if a transaction was under way.
    """

    number: int
    entries: Mapping[str, bytes]
    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def judged(self) -> StoredHead | None:
        """The head, None if there is no state. Raises msgspec.DecodeError, or MissingChunkError if it is incomplete."""
        packed = packed_head(self.entries)
        if packed is None:
            return None
        judged = msgspec.msgpack.decode(packed, type=StoredHead)
        must_be_whole(judged.entries, (name.removesuffix("/0") for name in self.entries if name.endswith("/0")))
        return judged
