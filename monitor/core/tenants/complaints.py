"""Complaints in windows: how many each tenant has, how many were verified, and by how many people.

Counting follows the decision order, one complaint at a time: there are few of them, and a dismissal takes one off
again wherever it still counts.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.tenants.dirty import DirtyTenants
from schemas.inputs import Complaint

Counts = NDArray[np.int64]
_COUNTED = ("records", "complaints", "verified", "complainants")


class ComplaintEntry(Struct, gc=False):
    """What is kept of one complaint. Times are event times in ms as they were decided.

    ``received_ms``, ``verified_ms`` and ``dismissed_ms`` are the times of the statuses that were taken. ``written_ms``
    is the largest ``updated_ms`` as written, whose record's complainant counts. ``case`` is the id of its decision.
    ``first_in`` and ``verified_in`` say in which windows (a bit each) it counts just now; they are not stored.
    """

    complaint_id: str
    tenant: int
    first_ms: int
    last_ms: int
    written_ms: int
    complainant: str | None
    received_ms: int | None = None
    verified_ms: int | None = None
    dismissed_ms: int | None = None
    case: str | None = None
    page: int = 0
    first_in: int = 0
    verified_in: int = 0

    @classmethod
    def of(cls, complaint: Complaint, tenant: int, at_ms: int) -> "ComplaintEntry":
        """That of a complaint whose first record is to be taken at ``at_ms``."""
        complainant = complaint.complainant or None
        return cls(complaint.complaint_id, tenant, at_ms, at_ms, complaint.updated_ms, complainant)

    def take(self, complaint: Complaint, at_ms: int) -> None:
        """A record of it that is no duplicate."""
        if complaint.updated_ms >= self.written_ms:
            self.complainant = complaint.complainant or None
            self.written_ms = complaint.updated_ms
        self.last_ms = at_ms
        match complaint.status:
            case "received":
                self.received_ms = at_ms
            case "verified":
                self.verified_ms = at_ms
            case "dismissed":
                self.dismissed_ms = at_ms

    def has(self, status: str) -> bool:
        """Whether a record of that status was taken."""
        at_ms = {"received": self.received_ms, "verified": self.verified_ms, "dismissed": self.dismissed_ms}[status]
        return at_ms is not None

    @property
    def times(self) -> list[int]:
        """The times of the statuses that were taken."""
        return [ms for ms in (self.received_ms, self.verified_ms, self.dismissed_ms) if ms is not None]

    @property
    def dismissed(self) -> bool:
        """Whether it was ever dismissed, which is for good."""
        return self.dismissed_ms is not None


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
        self._counts = {name: array("q") for name in _COUNTED}
        self._records: deque[tuple[int, int]] = deque()
        self._firsts: deque[ComplaintEntry] = deque()
        self._verified: deque[ComplaintEntry] = deque()
        self._people: dict[int, Counter[str]] | None = {} if people else None
        self.version = 0
        self.watched: list[DirtyTenants] = []  # told of the tenants whose counts change

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

    def leave(self, before_ms: int) -> None:
        """Take away what happened before ``before_ms``, the window's start."""
        while self._records and self._records[0][0] < before_ms:
            self._add("records", self._records.popleft()[1], -1)
        while self._firsts and self._firsts[0].first_ms < before_ms:
            entry = self._firsts.popleft()
            if entry.first_in & self._bit:
                self._count_first(entry, -1)
        while self._verified and (self._verified[0].verified_ms or 0) < before_ms:
            entry = self._verified.popleft()
            if entry.verified_in & self._bit:
                entry.verified_in &= ~self._bit
                self._add("verified", entry.tenant, -1)

    def leaving(self, before_ms: int) -> Iterator[int]:
        """The tenants of the records that happened before ``before_ms``, once for each."""
        return (tenant for _, tenant in takewhile(lambda record: record[0] < before_ms, self._records))

    def leaving_firsts(self, before_ms: int) -> Iterator[ComplaintEntry]:
        """The complaints that count, and will not when what happened before ``before_ms`` has left."""
        some = takewhile(lambda entry: entry.first_ms < before_ms, self._firsts)
        return (entry for entry in some if entry.first_in & self._bit)

    def leaving_verified(self, before_ms: int) -> Iterator[ComplaintEntry]:
        """The complaints that count as verified, and then will not."""
        some = takewhile(lambda entry: (entry.verified_ms or 0) < before_ms, self._verified)
        return (entry for entry in some if entry.verified_in & self._bit)

    def people(self, tenant: int) -> Counter[str]:
        """How many of a tenant's complaints that count each complainant has; empty where no rule asks."""
        return Counter((self._people or {}).get(tenant, ()))

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
        for touched in self.watched:
            touched.add_one(tenant)


class ComplaintForecast:
    """What a `ComplaintWindow` will count at an end to come, of all that has been read.

    It begins with what the window counts now, without what will have left, and is brought up to date by `change`.
    """

    def __init__(self, window: ComplaintWindow, end_ms: int, tenants: int) -> None:
        self._start_ms, self._end_ms = end_ms - window.window_ms, end_ms
        self._window = window
        self._counts = {name: window.count(name, tenants) for name in _COUNTED}
        self._records = len(window)
        self._people: dict[int, Counter[str]] = {}  # of those of whom something differs from the window
        for tenant in window.leaving(self._start_ms):
            self._count("records", tenant, -1)
        for entry in window.leaving_firsts(self._start_ms):
            self._first(entry, -1)
        for entry in window.leaving_verified(self._start_ms):
            self._count("verified", entry.tenant, -1)

    def change(self, before: ComplaintEntry | None, after: ComplaintEntry) -> None:
        """A complaint that stood as ``before`` at the end will stand as ``after``."""
        for entry, step in ((before, -1), (after, 1)):
            if entry is None:
                continue
            for at_ms in entry.times:
                if self._holds(at_ms):
                    self._count("records", entry.tenant, step)
            if entry.dismissed:
                continue
            if self._holds(entry.first_ms):
                self._first(entry, step)
            if self._holds(entry.verified_ms):
                self._count("verified", entry.tenant, step)

    def _first(self, entry: ComplaintEntry, step: int) -> None:
        self._count("complaints", entry.tenant, step)
        if entry.complainant is None:
            return
        people = self._people.get(entry.tenant)
        if people is None:
            people = self._people[entry.tenant] = self._window.people(entry.tenant)
        known = len(people)
        people[entry.complainant] += step
        if not people[entry.complainant]:
            del people[entry.complainant]
        self._count("complainants", entry.tenant, len(people) - known)

    def _count(self, name: str, tenant: int, step: int) -> None:
        self._counts[name][tenant] += step
        if name == "records":
            self._records += step

    def reach(self, tenants: int) -> None:
        """So many tenants are known by now."""
        more = tenants - len(self._counts["records"])
        if more > 0:
            self._counts = {name: np.pad(counts, (0, more)) for name, counts in self._counts.items()}

    def _holds(self, at_ms: int | None) -> bool:
        return at_ms is not None and self._start_ms <= at_ms < self._end_ms

    def count(self, name: str, tenants: int) -> Counts:
        """As `ComplaintWindow.count`."""
        return self._counts[name][:tenants]

    def __len__(self) -> int:
        return self._records
