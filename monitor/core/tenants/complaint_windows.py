"""The complaint counts of windows of all lengths, as complaints are decided."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from monitor.core.tenants.complaints import ComplaintEntry, ComplaintWindow


class ComplaintWindows:
    """Passes complaints on to each window: their records to all, their status to those that count complaints."""

    def __init__(self, windows: Iterable[ComplaintWindow]) -> None:
        self._windows = list(windows)
        self._counting = [window for window in self._windows if window.counting]

    def renamed(self, entry: ComplaintEntry, complainant: str | None) -> None:
        """Count another complainant for an entry that still has the old one."""
        for window in self._counting:
            window.renamed(entry, complainant)

    def record(self, entry: ComplaintEntry, status: str, at_ms: int, new: bool) -> None:
        """Count a record with that status, after the entry took it. ``new``: it is the complaint's first record."""
        for window in self._windows:
            window.record(at_ms, entry.tenant)
        for window in self._counting:
            if new:
                window.first(entry)
            if status == "verified":
                window.verified(entry)
            if status == "dismissed":
                window.dismissed(entry)

    def restore(self, complaints: Sequence[ComplaintEntry], since_ms: Sequence[int]) -> None:
        """Count stored complaints. Each window, still empty, gets those since its ``since_ms``."""
        for entry in complaints:
            entry.first_in = entry.verified_in = 0
        times = sorted((at_ms, entry.tenant) for entry in complaints for at_ms in entry.times)
        first = sorted((entry.first_ms, place) for place, entry in enumerate(complaints))
        dated = [(entry.verified_ms, place) for place, entry in enumerate(complaints)]
        verified = sorted((at_ms, place) for at_ms, place in dated if at_ms is not None)
        for window, from_ms in zip(self._windows, since_ms, strict=True):
            for at_ms, tenant in times[bisect_left(times, (from_ms,)) :]:
                window.record(at_ms, tenant)
            if window.counting:
                for _, place in first[bisect_left(first, (from_ms,)) :]:
                    window.first(complaints[place])
                for _, place in verified[bisect_left(verified, (from_ms,)) :]:
                    window.verified(complaints[place])
