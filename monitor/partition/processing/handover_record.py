"""The handover in a stored state: what a previous owner had read and not decided. The next snapshot deletes it."""

import msgspec

from monitor.core.shard_state import ShardState
from monitor.partition.checkpoint import HANDOVER, PartitionHandover
from monitor.partition.processing.stored_records import Changes
from monitor.partition.sources import Sources


class HandoverRecord:
    """The record of the handover. ``stored``: there is one in the stored state."""

    def __init__(self) -> None:
        self.stored = False
        self._blob: bytes | None = None

    def changes(self, state: ShardState, sources: Sources, decided_ms: int, wanted: bool) -> Changes:
        """What to store: a handover if it is ``wanted`` and not too large, else the deletion of an earlier one."""
        handover = state.handover(decided_ms) if wanted else None
        before, self.stored = self.stored, handover is not None
        if handover is not None:
            handed_over = PartitionHandover(sources.offsets, sources.clocks_ms, handover.encode())
            return [(HANDOVER, msgspec.msgpack.encode(handed_over))]
        return [(HANDOVER, None)] if before else []

    def restore(self, blob: bytes | None, valid: bool) -> None:
        """Restore the stored record, if there is one. Unless ``valid``, it is outdated: it is only deleted."""
        self.stored = blob is not None
        self._blob = blob if valid else None

    def take(self) -> PartitionHandover | None:
        """The handover of the previous owner, once."""
        blob, self._blob = self._blob, None
        return None if blob is None else msgspec.msgpack.decode(blob, type=PartitionHandover)
