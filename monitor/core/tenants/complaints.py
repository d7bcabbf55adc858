"""Complaints in windows: for each tenant the complaints, the verified complaints, and the distinct complainants.

Complaints are few and are counted one at a time, in decision order. A dismissal removes a complaint from each window
in which it counts.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.record_places import UNKNOWN_PLACE
from monitor.core.tenants.dirty import DirtyTenants
from schemas.inputs import Complaint

Counts = NDArray[np.int64]
_COUNTED = ("records", "complaints", "verified", "complainants")


class ComplaintEntry(Struct, gc=False):
    """One complaint. Times are the event times in ms at which its records were decided.

    ``received_ms``, ``verified_ms`` and ``dismissed_ms`` are the times of its statuses. ``written_ms`` is the largest
    ``updated_ms`` as written; the complainant of that record counts. ``case`` is the id of its decision.
    ``record_place`` is the place of the record that was decided last. ``first_in``
    and ``verified_in`` have one bit for each window in which it counts now; they are not stored.
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
    record_place: int = UNKNOWN_PLACE
    page: int = 0
    first_in: int = 0
    verified_in: int = 0

    @classmethod
    def of(cls, complaint: Complaint, tenant: int, at_ms: int) -> "ComplaintEntry":
        """Create the entry for a complaint whose first record is decided at ``at_ms``."""
        complainant = complaint.complainant or None
        return cls(complaint.complaint_id, tenant, at_ms, at_ms, complaint.updated_ms, complainant)

    def take(self, complaint: Complaint, at_ms: int, place: int = UNKNOWN_PLACE) -> None:
        """Apply a record that is not a duplicate, and lies at that place."""
        self.record_place = place
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
        """Whether the complaint had a record with that status."""
        at_ms = {"received": self.received_ms, "verified": self.verified_ms, "dismissed": self.dismissed_ms}[status]
        return at_ms is not None

    @property
    def times(self) -> list[int]:
        """The times of its statuses."""
        return [ms for ms in (self.received_ms, self.verified_ms, self.dismissed_ms) if ms is not None]

    @property
    def dismissed(self) -> bool:
        """Whether it was ever dismissed. A dismissal is permanent."""
        return self.dismissed_ms is not None


class ComplaintWindow:
    """The complaints in ``[end - window_ms, end)``, by tenant.

    Every window counts records, because a record makes the tenant's window subject to evaluation. Complaints are
    counted only if a rule needs them (``counting``), complainants only if a rule needs those (``people``).
    """

    def __init__(self, window_ms: int, bit: int, counting: bool, people: bool) -> None:
        self.window_ms = window_ms
        self.counting = counting
        self._bit = 1 << bit
        # Standard library arrays: access to one element is three times as fast as in numpy.
        self._counts = {name: array("q") for name in _COUNTED}
        self._records: deque[tuple[int, int]] = deque()
        self._firsts: deque[ComplaintEntry] = deque()
        self._verified: deque[ComplaintEntry] = deque()
        self._people: dict[int, Counter[str]] | None = {} if people else None
        self.version = 0
        self.watched: list[DirtyTenants] = []  # notified of the tenants whose counts change

    def record(self, at_ms: int, tenant: int) -> None:
        """Count a record of a complaint."""
        self._records.append((at_ms, tenant))
        self._add("records", tenant, 1)

    def first(self, entry: ComplaintEntry) -> None:
        """Count a complaint, whose first record was decided."""
        self._firsts.append(entry)
        if not entry.dismissed:
            self._count_first(entry, 1)

    def verified(self, entry: ComplaintEntry) -> None:
        """Count a complaint as verified."""
        self._verified.append(entry)
        if not entry.dismissed:
            entry.verified_in |= self._bit
            self._add("verified", entry.tenant, 1)

    def dismissed(self, entry: ComplaintEntry) -> None:
        """Remove a dismissed complaint permanently."""
        if entry.first_in & self._bit:
            self._count_first(entry, -1)
        if entry.verified_in & self._bit:
            entry.verified_in &= ~self._bit
            self._add("verified", entry.tenant, -1)

    def renamed(self, entry: ComplaintEntry, complainant: str | None) -> None:
        """Count another complainant for an entry that still has the old one."""
        if self._people is not None and entry.first_in & self._bit:
            self._person(self._people, entry.tenant, entry.complainant, -1)
            self._person(self._people, entry.tenant, complainant, 1)

    def leave(self, before_ms: int) -> None:
        """Remove everything before ``before_ms``, the window start."""
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
        """The tenant of each record before ``before_ms``."""
        return (tenant for _, tenant in takewhile(lambda record: record[0] < before_ms, self._records))

    def leaving_firsts(self, before_ms: int) -> Iterator[ComplaintEntry]:
        """The counted complaints that leave the window with everything before ``before_ms``."""
        some = takewhile(lambda entry: entry.first_ms < before_ms, self._firsts)
        return (entry for entry in some if entry.first_in & self._bit)

    def leaving_verified(self, before_ms: int) -> Iterator[ComplaintEntry]:
        """The complaints counted as verified that leave with everything before ``before_ms``."""
        some = takewhile(lambda entry: (entry.verified_ms or 0) < before_ms, self._verified)
        return (entry for entry in some if entry.verified_in & self._bit)

    def people(self, tenant: int) -> Counter[str]:
        """The counted complaints of a tenant by complainant; empty if no rule needs them."""
        return Counter((self._people or {}).get(tenant, ()))

    def count(self, name: str, tenants: int) -> Counts:
        """The ``records``, ``complaints``, ``verified`` or ``complainants`` of each tenant, ``[tenants]``."""
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
    """What a `ComplaintWindow` will count at a future end, from everything read so far.

    It starts with the current counts of the window, less what will have left. `change` keeps it up to date.
    """

    def __init__(self, window: ComplaintWindow, end_ms: int, tenants: int) -> None:
        self._start_ms, self._end_ms = end_ms - window.window_ms, end_ms
        self._window = window
        self._counts = {name: window.count(name, tenants) for name in _COUNTED}
        self._records = len(window)
        self._people: dict[int, Counter[str]] = {}  # of tenants that differ from the window
        for tenant in window.leaving(self._start_ms):
            self._count("records", tenant, -1)
        for entry in window.leaving_firsts(self._start_ms):
            self._first(entry, -1)
        for entry in window.leaving_verified(self._start_ms):
            self._count("verified", entry.tenant, -1)

    def change(self, before: ComplaintEntry | None, after: ComplaintEntry) -> None:
        """Replace the state ``before`` of a complaint at the end by ``after``."""
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
        """Grow to at least ``tenants`` tenants."""
        have = len(self._counts["records"])
        if tenants > have:  # by more than asked for: new tenants come one at a time
            more = max(tenants, have + have // 8) - have
            self._counts = {name: np.pad(counts, (0, more)) for name, counts in self._counts.items()}

    def _holds(self, at_ms: int | None) -> bool:
        return at_ms is not None and self._start_ms <= at_ms < self._end_ms

    def count(self, name: str, tenants: int) -> Counts:
        """As `ComplaintWindow.count`."""
        return self._counts[name][:tenants]

    def __len__(self) -> int:
        return self._records
