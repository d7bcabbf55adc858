"""The records of a partition's stored state: the entries in chunks, and the head, which is stored last."""

from collections.abc import Iterable, Mapping

import msgspec

from monitor.core.codec import StateFormatError, check_head
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, PartitionIdentity, must_be_whole
from monitor.partition.checkpoint_fields import is_head_part
from monitor.partition.chunking import Chunker
from monitor.text.state_wording import state_text

Changes = list[tuple[str, bytes | None]]
"""Entries or records to store, by key. None marks one to delete."""


class StoredRecords:
    """Which records and entries are stored. ``restored``: the task continues from them."""

    def __init__(self) -> None:
        self._chunker = Chunker()
        self._entries: set[str] = set()  # the keys of the stored shard entries
        self._left: frozenset[str] = frozenset()
        self.restored = False

    def clear(self, left: Iterable[str]) -> None:
        """Discard a lost state. Its remaining records, ``left``, are deleted with the first snapshot."""
        self._left, self._chunker = frozenset(left), Chunker()

    def take_left(self, most: int) -> list[str]:
        """The next ``most`` keys of a lost state to delete at once, the head first; none if no more than that are left.

        Those are deleted with the first snapshot.
        """
        if len(self._left) <= most:
            return []
        taken = sorted(self._left, key=lambda key: (not is_head_part(key), key))[:most]
        self._left = self._left.difference(taken)
        return taken

    def count(self, changes: Changes) -> None:
        """Count the entries of the shard that these changes add or delete."""
        for key, blob in changes:
            (self._entries.discard if blob is None else self._entries.add)(key)

    @property
    def entries(self) -> int:
        """The number of stored entries of the shard, with the counted changes."""
        return len(self._entries)

    def changes(self, changes: Changes, head: CheckpointMetadata) -> Changes:
        """The records to store for these entries and the head."""
        records = self._chunker.cut([*changes, (HEAD, msgspec.msgpack.encode(head))])
        gone, self._left = self._left.difference(key for key, _ in records), frozenset()
        return [*((key, None) for key in sorted(gone)), *records]

    def restore(
        self, records: Mapping[str, bytes], place: PartitionIdentity, secret: str
    ) -> tuple[CheckpointMetadata, dict[str, bytes]]:
        """The head and the other entries of the stored records.

        Raises StateFormatError if this release cannot read the head, MismatchError if the identity or the secret
        differs, and MissingChunkError if a part is missing; after `clear`, nothing is stored.
        """
        blobs = self._chunker.join(records)
        packed = blobs.pop(HEAD)
        check_head(packed)
        try:
            head = msgspec.msgpack.decode(packed, type=CheckpointMetadata)
        except msgspec.ValidationError as error:
            raise StateFormatError(state_text("other_release", error=error)) from None
        head.must_match(place, secret)
        self._entries = must_be_whole(head.entries, blobs)
        self.restored = True
        return head, blobs
