"""The state of one partition, as its topic has it, and what its head tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from monitor.partition.checkpoint import must_be_whole, packed_head
from streams.topics.stored_head import StoredHead


@dataclass(frozen=True, slots=True)
class PartitionState:
    """The entries of one partition's state, and where the logs of the outputs ended then.

    ``ends`` has, by bare name, the ends before and after the state was read: what lies before the first was decided by
    this state or an earlier one, what lies behind the second by a later one. They differ only where workers were so
    busy that no moment was found without a transaction.
    """

    number: int
    entries: Mapping[str, bytes]
    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def judged(self) -> StoredHead | None:
        """What its head tells, None where there is no state. msgspec.DecodeError; MissingPartError where it is not
        whole."""
        packed = packed_head(self.entries)
        if packed is None:
            return None
        judged = msgspec.msgpack.decode(packed, type=StoredHead)
        must_be_whole(judged.entries, (name.removesuffix("/0") for name in self.entries if name.endswith("/0")))
        return judged
