"""The queue of pending records of a shard, in decision order."""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import islice

from monitor.core.decisions.pending_record import PendingRecord, Place
from monitor.core.owners.ban_causes import may_ban
from monitor.core.tenants.heaps import in_order, those_before
from schemas.inputs import Complaint, Tenant


class PendingRecords:
    """The waiting records. ``decided`` is the place of the last one that was taken out to be decided."""

    def __init__(self) -> None:
        self.decided: Place = ()
        self._waiting: list[PendingRecord] = []  # a heap
        self._newest_ms = 0
        # By source, in its order: all from its first waiting record on, and before it perhaps some that are decided.
        self._arrived: defaultdict[int, deque[PendingRecord]] = defaultdict(deque)

    def add(self, waiting: PendingRecord) -> None:
        """Add a record to decide at its event time. Records of a source must come in its order."""
        heapq.heappush(self._waiting, waiting)
        self._newest_ms = max(self._newest_ms, waiting.at_ms)
        source = waiting.ref.source
        arrived = self._arrived[source]
        arrived.append(waiting)
        if len(arrived) > 2 * len(self._waiting):  # most are decided; to look at each record would cost more
            self._first_waiting(source)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def newest_ms(self) -> int | None:
        """The event time of the last waiting record; None if none waits."""
        return self._newest_ms if self._waiting else None  # the last in event time is taken out last

    def by_offset(self) -> list[PendingRecord]:
        """The waiting records, by source and offset."""
        return sorted(self._waiting, key=lambda waiting: (waiting.ref.source, waiting.ref.offset))

    def next_at(self, before: Place) -> int | None:
        """The event time of the first waiting record; None if it does not come before ``before``."""
        return self._waiting[0].at_ms if self._waiting and self._waiting[0] < before else None

    def first_after(self, at_ms: int, before: Place, most: int) -> int | None:
        """The event time of the first record after ``at_ms``, if it is among the first ``most`` before ``before``."""
        some = (one for one in islice(in_order(self._waiting), most) if one.at_ms > at_ms)
        found = next(some, None)
        return found.at_ms if found is not None and found < before else None

    def beyond(self, most: int, before: Place) -> Place | None:
        """The place of the first waiting record that has records of a total weight of at least ``most`` before it.

        None if there is none, or if it does not come before ``before``.
        """
        if sum(waiting.weight for waiting in islice(self._waiting, most + 1)) <= most:
            return None  # the usual case: few records wait
        weight = 0
        for found in in_order(self._waiting):
            if weight >= max(most, 1):
                return found.place if found < before else None
            weight += found.weight
        return None

    def due(self, before: Place, most: int) -> int:
        """The weight of the waiting records that come before ``before``, counted up to ``most``."""
        weight = 0
        for waiting in those_before(self._waiting, before):
            weight += waiting.weight
            if weight >= most:
                return most
        return weight

    def first_ban_cause(self, before: Place) -> int | None:
        """The time of the first record before ``before`` that may ban a tenant or end a ban; None if there is none.

        The cost depends on the records before that one.
        """
        found = next((one for one in in_order(self._waiting) if not one < before or may_ban(one.record)), None)
        return found.at_ms if found is not None and found < before else None

    def ban_causes(self, before: Place) -> list[tuple[int, str]]:
        """The times and tenants of the records before ``before`` that may ban a tenant or end a ban, in order."""
        waiting = those_before(self._waiting, before)
        return sorted((one.at_ms, one.record.tenant_id) for one in waiting if may_ban(one.record))

    def owners_named(self, before: Place) -> dict[str, set[str]]:
        """The owners that the `tenant` records before ``before`` name, by tenant."""
        named: dict[str, set[str]] = {}
        for waiting in those_before(self._waiting, before):
            if isinstance(waiting.record, Tenant) and waiting.record.owner_id:
                named.setdefault(waiting.record.tenant_id, set()).add(waiting.record.owner_id)
        return named

    def complaints(self) -> Iterator[PendingRecord]:
        """The waiting complaints, in any order."""
        return (one for one in self._waiting if isinstance(one.record, Complaint))

    def waiting_since(self) -> dict[int, tuple[int, int]]:
        """For each source with waiting records: the offset of the first of them, and the source's clock before it."""
        first = {source: self._first_waiting(source) for source in self._arrived}
        return {
            source: (waiting.ref.offset, waiting.ref.clock_ms)
            for source, waiting in first.items()
            if waiting is not None
        }

    def _first_waiting(self, source: int) -> PendingRecord | None:
        arrived = self._arrived[source]
        while arrived and arrived[0].place <= self.decided:
            arrived.popleft()
        return arrived[0] if arrived else None

    def pop(self) -> PendingRecord:
        """Take out the first waiting record."""
        waiting = heapq.heappop(self._waiting)
        self.decided = waiting.place
        return waiting
