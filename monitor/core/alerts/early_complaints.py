"""Waiting complaints as they will be once decided. Early evaluation counts them besides the decided ones."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from monitor.core.decisions.pending_record import Place
from monitor.core.tenants.complaints import ComplaintEntry
from schemas.inputs import Complaint

_Name = tuple[int, str]  # tenant, complaint_id


class EarlyComplaintCounts(NamedTuple):
    """A waiting record of a complaint. Sorts in decision order."""

    place: Place
    complaint: Complaint

    @property
    def at_ms(self) -> int:
        """The event time of the record."""
        at_ms: int = self.place[0]
        return at_ms


class EarlyComplaints:
    """The waiting records by complaint, only the first of each status, because any other is a duplicate.

    A complaint is forgotten ``kept_ms`` after its last record. The cost of a record does not depend on how many wait.
    """

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._waiting: dict[_Name, list[EarlyComplaintCounts]] = {}
        self._order: list[tuple[Place, _Name]] = []  # a heap

    def add(self, tenant: int, ahead: EarlyComplaintCounts) -> None:
        """Add a record that is not decided."""
        name = tenant, ahead.complaint.complaint_id
        some = self._waiting.setdefault(name, [])
        if any(one.complaint.status == ahead.complaint.status and one.place < ahead.place for one in some):
            return
        some[:] = [one for one in some if one.complaint.status != ahead.complaint.status]
        some.append(ahead)
        some.sort(key=lambda one: one.place)
        heapq.heappush(self._order, (ahead.place, name))

    def forget(self, decided: Place) -> None:
        """Remove the records up to that place, which were decided."""
        while self._order and self._order[0][0] <= decided:
            _, name = heapq.heappop(self._order)
            some = [one for one in self._waiting.get(name, ()) if one.place > decided]
            if some:
                self._waiting[name] = some
            else:
                self._waiting.pop(name, None)

    def __len__(self) -> int:
        """The number of complaints with waiting records."""
        return len(self._waiting)

    def names(self) -> Iterator[_Name]:
        """The complaints with waiting records."""
        yield from self._waiting

    def first_ms(self, name: _Name) -> int:
        """The event time of the complaint's first waiting record."""
        return self._waiting[name][0].at_ms

    def stands(self, name: _Name, decided: ComplaintEntry | None, before_ms: int) -> ComplaintEntry | None:
        """The complaint as it will be at ``before_ms``, given its decided state; None if it is unknown then."""
        entry, own = decided, False
        for one in self._waiting.get(name, ()):
            if one.at_ms >= before_ms:
                break
            if entry is None or entry.last_ms + self._kept_ms < one.at_ms:
                entry, own = ComplaintEntry.of(one.complaint, name[0], one.at_ms), True
            elif entry.has(one.complaint.status):
                continue
            elif not own:
                entry, own = replace(entry), True
            entry.take(one.complaint, one.at_ms)
        return entry
