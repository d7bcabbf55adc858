"""Seen versions of a tenant record, an application or a review, to detect duplicates."""

from bisect import bisect_left, bisect_right, insort
from typing import Final

from msgspec import Struct

VERSIONS_TOGETHER: Final = 32
"""The most versions in a run."""

UNPLACED: Final = -1
"""The page of a run that has no page yet."""


class VersionRun(Struct, gc=False):
    """Some versions of one record, ascending. ``last_ms`` is the latest event time of one of them."""

    key: str
    last_ms: int
    versions: list[int]
    page: int = UNPLACED


class SeenVersions(Struct, gc=False):
    """The versions of one record, in ascending ``runs`` of at most `VERSIONS_TOGETHER`.

    A record may have any number of versions. A new version changes or splits only one run.
    """

    runs: list[VersionRun]

    @property
    def last_ms(self) -> int:
        """The latest event time of its versions."""
        return max(run.last_ms for run in self.runs)

    @property
    def newest(self) -> int:
        """The greatest version."""
        return self.runs[-1].versions[-1]

    def has(self, version: int) -> bool:
        """Whether that version was seen."""
        versions = self.runs[self._place(version)].versions
        at = bisect_left(versions, version)
        return at < len(versions) and versions[at] == version

    def take(self, version: int, at_ms: int) -> list[VersionRun]:
        """Add a new version. Returns the runs that changed; a new run has the page `UNPLACED`."""
        place = self._place(version)
        run = self.runs[place]
        changed = [run]
        if len(run.versions) >= VERSIONS_TOGETHER:
            if version > run.versions[-1]:  # versions usually ascend, so full runs stay unchanged
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
