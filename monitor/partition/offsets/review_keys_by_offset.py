"""The review keys of a partition: from which offset of its reviews which keys are in force."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from monitor.partition.journal import ReviewKeysChange


class ReviewKeysByOffset:
    """The changes of the keys, by offset, each once. Before the first, reviews need no signature."""

    def __init__(self, changes: Iterable[ReviewKeysChange] = ()) -> None:
        self._changes: list[ReviewKeysChange] = []
        for change in changes:
            self.add(change)

    @property
    def changes(self) -> list[ReviewKeysChange]:
        """All changes that are known."""
        return list(self._changes)

    @property
    def newest(self) -> Mapping[str, str]:
        """The keys of the last change, by name; empty: reviews need no signature."""
        return self._changes[-1].keys if self._changes else {}

    def at(self, offset: int) -> Mapping[str, str]:
        """The keys in force at an offset."""
        place = bisect_right(self._changes, offset, key=_offset)
        return self._changes[place - 1].keys if place else {}

    def add(self, change: ReviewKeysChange) -> None:
        """Add a change. It replaces one at the same offset, under which no review was read."""
        place = bisect_right(self._changes, change.offset, key=_offset)
        first = place - 1 if place and self._changes[place - 1].offset == change.offset else place
        self._changes[first:place] = [change]

    def change(self, offset: int, keys: Mapping[str, str] | None) -> ReviewKeysChange | None:
        """Set the keys from ``offset`` on, or after the last change. Returns the change, None if there is none.

        ``keys`` None: they stay as they are.
        """
        if keys is None or dict(self.newest) == dict(keys):
            return None
        # A state restored from an export may have changes that were recorded beyond what it has read.
        change = ReviewKeysChange(max([offset, *(one.offset for one in self._changes[-1:])]), dict(keys))
        self.add(change)
        return change

    def start_over(self, offset: int) -> None:
        """Keep the newest keys, from ``offset`` of a recreated log on: all known offsets are of the old log."""
        keys = dict(self.newest)
        self._changes = [ReviewKeysChange(offset, keys)] if keys else []

    def forget(self, resume: int) -> None:
        """Drop what applies only before ``resume``, where the source will not be read again."""
        self._changes = self._changes[max(bisect_right(self._changes, resume, key=_offset) - 1, 0) :]

    def clear(self) -> None:
        """Drop all changes."""
        self._changes = []


def _offset(change: ReviewKeysChange) -> int:
    return change.offset
