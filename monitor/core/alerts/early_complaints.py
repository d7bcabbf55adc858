"""Waiting complaints as they will be once decided. Early evaluation counts them besides the decided ones."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.decisions.pending_record import PendingRecord, Place
from monitor.core.tenants.complaints import ComplaintEntry
from monitor.core.tenants.tenant_records import TenantRecords
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

    A record is counted in the early windows by `catch_up`. A complaint is forgotten ``kept_ms`` after its last record.
    The cost of a record does not depend on how many wait. ``newest_ms`` is the latest event time of a record.
    """

    def __init__(self, kept_ms: int, tenant_records: TenantRecords) -> None:
        self._kept_ms = kept_ms
        self._tenant_records = tenant_records
        self.newest_ms = -1
        self._arrived: list[tuple[int, EarlyComplaintCounts]] = []  # with their tenants, not counted yet
        self._counted: set[int] = (
            set()
        )  # the tenants of records that were counted since the last call of `take_counted`
        self._waiting: dict[_Name, list[EarlyComplaintCounts]] = {}
        self._order: list[tuple[Place, _Name]] = []  # a heap

    def arrive(self, tenant: int, waiting: PendingRecord) -> None:
        """Take a waiting record, if it is of a complaint."""
        if isinstance(waiting.record, Complaint):
            self._arrived.append((tenant, EarlyComplaintCounts(waiting.place, waiting.record)))
            self.newest_ms = max(self.newest_ms, waiting.at_ms)

    @property
    def arrived(self) -> int:
        """The number of records that `catch_up` would count."""
        return len(self._arrived)

    def take_counted(self) -> set[int]:
        """The tenants whose records were counted since the last call."""
        counted, self._counted = self._counted, set()
        return counted

    def catch_up(self, early_windows: Iterable[EarlyWindow], tenants: int) -> None:
        """Count the new records in these windows. Call this before any of them is decided."""
        if not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        every = list(early_windows)
        for early_window in every:
            early_window.reach(tenants)
        for tenant, ahead in arrived:
            self._counted.add(tenant)
            name = tenant, ahead.complaint.complaint_id
            decided = self._decided(name)
            reached = [early_window for early_window in every if ahead.at_ms < early_window.end_ms]
            before = [self._stands(name, decided, early_window.end_ms) for early_window in reached]
            self._add(name, ahead)
            for early_window, stood in zip(reached, before, strict=True):
                after = self._stands(name, decided, early_window.end_ms)
                if after is not None:
                    early_window.complaints.change(stood, after)

    def count_waiting(self, early_window: EarlyWindow) -> None:
        """Count the waiting complaints in a new window."""
        for name, some in self._waiting.items():
            if some[0].at_ms < early_window.end_ms:
                decided = self._decided(name)
                after = self._stands(name, decided, early_window.end_ms)
                assert after is not None
                early_window.complaints.change(decided, after)

    def _decided(self, name: _Name) -> ComplaintEntry | None:
        tenant_record = self._tenant_records.known(name[0])
        return None if tenant_record is None else tenant_record.complaints.get(name[1])

    def _add(self, name: _Name, ahead: EarlyComplaintCounts) -> None:
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

    def _stands(self, name: _Name, decided: ComplaintEntry | None, before_ms: int) -> ComplaintEntry | None:
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
