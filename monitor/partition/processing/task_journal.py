"""The journal of a task: notes about its partition as a whole, until they are written to the clock log."""

from monitor.partition.journal import Note


class TaskJournal:
    """The notes to write with the next transaction, in order. The notes about a source are in `Sources`."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def add(self, note: Note) -> None:
        """Write a note with the next transaction."""
        self._notes.append(note)

    def drop(self, kind: type[Note]) -> None:
        """Do not write the notes of a kind: the clock log has them already."""
        self._notes = [note for note in self._notes if not isinstance(note, kind)]

    def take(self) -> list[Note]:
        """The notes to write since the last call."""
        taken, self._notes = self._notes, []
        return taken
