"""The journal of a task: entries about its partition as a whole, until they are written to the clock log."""

from monitor.partition.journal import JournalEntry


class TaskJournal:
    """The entries to write with the next transaction, in order. The entries about a source are in `Sources`."""

    def __init__(self) -> None:
        self._entries: list[JournalEntry] = []

    def add(self, entry: JournalEntry) -> None:
        """Write an entry with the next transaction."""
        self._entries.append(entry)

    def drop(self, kind: type[JournalEntry]) -> None:
        """Do not write the entries of a kind: the clock log has them already."""
        self._entries = [entry for entry in self._entries if not isinstance(entry, kind)]

    def __len__(self) -> int:
        return len(self._entries)

    def take(self) -> list[JournalEntry]:
        """The entries to write since the last call."""
        taken, self._entries = self._entries, []
        return taken
