"""Complaints in windows: how many each tenant has, how many were verified, and by how many people.

Counting follows the decision order, one complaint at a time: there are few of them, and a dismissal takes one off
again wherever it still counts.
"""

from array import array
from collections import Counter, deque

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class ComplaintEntry(Struct, gc=False):
    """What is kept of one complaint. Times are event times in ms as they were decided.

    ``decided`` has the time of each status that was taken. ``written_ms`` is the largest ``updated_ms`` as written,
    whose record's complainant counts. ``first_in`` and ``verified_in`` say in which windows (a bit each) it counts
    just now. ``case`` is the id of its decision.
    """

    complaint_id: str
    tenant: int
    first_ms: int
    last_ms: int
    written_ms: int
    complainant: str | None
    decided: dict[str, int]
    case: str | None = None
    first_in: int = 0
    verified_in: int = 0

    @property
    def dismissed(self) -> bool:
        """Whether it was ever dismissed, which is for good."""
        return "dismissed" in self.decided


class ComplaintWindow:
    """The complaints of ``[end - window_ms, end)``, by tenant.

    That there was a record is kept for every window, since it makes a tenant's windows judged; what complaints
    count (``counting``) and by how many people they were (``people``) only where a rule asks.
    """

    def __init__(self, window_ms: int, bit: int, counting: bool, people: bool) -> None:
        self.window_ms = window_ms
        self.counting = counting
        self._bit = 1 << bit
        # Arrays of the standard library: one element is read and written three times as fast as numpy's.
        self._counts = {name: array("q") for name in ("records", "complaints", "verified", "complainants")}
        self._records: deque[tuple[int, int]] = deque()
        self._firsts: deque[ComplaintEntry] = deque()
        self._verified: deque[ComplaintEntry] = deque()
        self._people: dict[int, Counter[str]] | None = {} if people else None
        self.version = 0

    def record(self, at_ms: int, tenant: int) -> None:
        """Any record of a complaint."""
        self._records.append((at_ms, tenant))
        self._add("records", tenant, 1)

    def first(self, entry: ComplaintEntry) -> None:
        """A complaint's first record was decided."""
        self._firsts.append(entry)
        if not entry.dismissed:
            self._count_first(entry, 1)

    def verified(self, entry: ComplaintEntry) -> None:
        """A complaint was verified."""
        self._verified.append(entry)
        if not entry.dismissed:
            entry.verified_in |= self._bit
            self._add("verified", entry.tenant, 1)

    def dismissed(self, entry: ComplaintEntry) -> None:
        """A complaint was dismissed: it counts no longer, for good."""
        if entry.first_in & self._bit:
            self._count_first(entry, -1)
        if entry.verified_in & self._bit:
            entry.verified_in &= ~self._bit
            self._add("verified", entry.tenant, -1)

    def renamed(self, entry: ComplaintEntry, complainant: str | None) -> None:
        """A newer record names another complainant; the entry still has the former one."""
        if self._people is not None and entry.first_in & self._bit:
            self._person(self._people, entry.tenant, entry.complainant, -1)
            self._person(self._people, entry.tenant, complainant, 1)
            self.version += 1

    def leave(self, before_ms: int) -> None:
        """Take away what happened before ``before_ms``, the window's start."""
        while self._records and self._records[0][0] < before_ms:
            self._add("records", self._records.popleft()[1], -1)
        while self._firsts and self._firsts[0].first_ms < before_ms:
            entry = self._firsts.popleft()
            if entry.first_in & self._bit:
                self._count_first(entry, -1)
        while self._verified and self._verified[0].decided["verified"] < before_ms:
            entry = self._verified.popleft()
            if entry.verified_in & self._bit:
                entry.verified_in &= ~self._bit
                self._add("verified", entry.tenant, -1)

    def count(self, name: str, tenants: int) -> Counts:
        """``records``, ``complaints``, ``verified`` or ``complainants`` of each tenant ``[tenants]``."""
        counts = np.zeros(tenants, np.int64)
        known = np.frombuffer(self._counts[name], np.int64)[:tenants]
        counts[: len(known)] = known
        return counts

    def __len__(self) -> int:
        return len(self._records)

    def _count_first(self, entry: ComplaintEntry, step: int) -> None:
        entry.first_in = entry.first_in | self._bit if step > 0 else entry.first_in & ~self._bit
        self._add("complaints", entry.tenant, step)
        if self._people is not None:
            self._person(self._people, entry.tenant, entry.complainant, step)

    def _person(self, people: dict[int, Counter[str]], tenant: int, complainant: str | None, step: int) -> None:
        if complainant is None:
            return
        theirs = people.setdefault(tenant, Counter())
        before = len(theirs)
        theirs[complainant] += step
        if not theirs[complainant]:
            del theirs[complainant]
        self._add("complainants", tenant, len(theirs) - before)
        if not theirs:
            del people[tenant]

    def _add(self, name: str, tenant: int, step: int) -> None:
        counts = self._counts[name]
        if tenant >= len(counts):
            counts.frombytes(bytes(8 * (max(tenant + 1, 2 * len(counts), 64) - len(counts))))
        counts[tenant] += step
        self.version += 1
