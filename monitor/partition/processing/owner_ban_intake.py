"""The bans of owners that a partition takes: from the topic of owners, from its own decisions, and from the journal."""

from collections.abc import Iterable, Sequence
from typing import Final

from monitor.core.owners.owner_effect import first_effect
from monitor.core.results import Output
from monitor.core.shard import Shard
from monitor.partition.journal import JournalEntry, OwnerBanTaken
from monitor.partition.processing.task_journal import TaskJournal
from monitor.partition.processing.watermark import Watermark
from schemas.owners import OwnerBan

_MOST_ENTRIES: Final = 5_000  # of bans that were taken, in one transaction


class OwnerBanIntake:
    """Gives bans of owners and their liftings to the shard, and records in the journal when each takes effect.

    A value that the shard already has changes nothing, so it may come again. ``offset`` is the next offset to read of
    the topic of owners; it is stored with the state.
    """

    def __init__(self, watermark: Watermark, journal: TaskJournal) -> None:
        self.offset = 0
        self._watermark = watermark
        self._journal = journal
        self._recalled: list[OwnerBanTaken] = []

    def take(self, shard: Shard, bans: Iterable[OwnerBan], offset: int) -> int:
        """Take the values of the topic before ``offset`` that were not taken yet. Returns how many had an effect."""
        watermark_ms, taken = self._watermark.ms, 0
        for ban in bans:
            from_ms = shard.owner_bans.take(ban, watermark_ms)
            if from_ms is not None:
                self._journal.add(OwnerBanTaken(ban, from_ms, watermark_ms))
                taken += 1
        self.offset = offset
        return taken

    @property
    def full(self) -> bool:
        """Whether the journal has as many entries to write as one transaction should."""
        return len(self._journal) >= _MOST_ENTRIES

    def record(self, output: Output) -> Output:
        """Record the bans and liftings by decisions of the partition, which its shard took when it decided them."""
        for ban in output.owner_bans:
            at_ms = ban.decided_ms if ban.lifted_ms is None else ban.lifted_ms
            self._journal.add(OwnerBanTaken(ban, first_effect(at_ms), at_ms))
        return output

    def recall(self, entries: Sequence[JournalEntry]) -> None:
        """Keep the journal's entries for `begin`. A partition whose input is read again takes bans from these alone."""
        self._recalled = [entry for entry in entries if isinstance(entry, OwnerBanTaken)]

    def begin(self, shard: Shard) -> None:
        """Take what was recalled, in a shard that has not decided anything since its state was restored."""
        for entry in self._recalled:
            # What took effect before is in the restored state, or was forgotten long after its lifting.
            if entry.from_ms >= self._watermark.decided_ms:
                shard.owner_bans.take(entry.ban, entry.watermark_ms)
