"""Seen records: which versions of a tenant record, an application or a review were taken, to find a duplicate."""

from bisect import bisect_left, bisect_right, insort
from typing import Final

from msgspec import Struct

VERSIONS_TOGETHER: Final = 32
"""How many versions a run holds at most."""

UNPLACED: Final = -1
"""The page of a run that is in none yet."""


class VersionRun(Struct, gc=False):
    """Some versions of one record, ascending. ``last_ms`` is the latest event time at which one of them was taken."""

    key: str
    last_ms: int
    versions: list[int]
    page: int = UNPLACED


class SeenVersions:
    """The versions of one record, in ``runs`` of at most `VERSIONS_TOGETHER` that ascend.

    A record may come in any number of versions: one more changes one run, or splits one.
    """

    __slots__ = ("runs",)

    def __init__(self, runs: list[VersionRun]) -> None:
        self.runs = runs

    @property
    def last_ms(self) -> int:
        """The event time of the version that was taken last."""
        return max(run.last_ms for run in self.runs)

    def has(self, version: int) -> bool:
        """Whether that version was taken."""
        versions = self.runs[self._place(version)].versions
        at = bisect_left(versions, version)
        return at < len(versions) and versions[at] == version

    def take(self, version: int, at_ms: int) -> list[VersionRun]:
        """Take a version that it does not have; the runs that changed, a new one with the page `UNPLACED`."""
        place = self._place(version)
        run = self.runs[place]
        changed = [run]
        if len(run.versions) >= VERSIONS_TOGETHER:
            if version > run.versions[-1]:  # versions ascend as a rule: full runs stay as they are
                upper, changed = VersionRun(run.key, at_ms, []), []
            else:
                middle = len(run.versions) // 2
                upper = VersionRun(run.key, run.last_ms, run.versions[middle:])
                del run.versions[middle:]
            self.runs.insert(place + 1, upper)
            changed.append(upper)
            if version > run.versions[-1]:
                run = upper
        insort(run.versions, version)
        run.last_ms = max(run.last_ms, at_ms)
        return changed

    def _place(self, version: int) -> int:
        return max(bisect_right(self.runs, version, key=_first) - 1, 0)


def _first(run: VersionRun) -> int:
    return run.versions[0]
