"""Retention: which cases and records are deleted ``retention`` after their last event."""

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import islice

from monitor.core.tenants.heaps import in_order, those_before
from monitor.core.tenants.tenant_record import CASES, DecisionCase, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords


class CaseRetention:
    """Deletes closed cases, and decisions that are not a violation. Violations and pending cases stay."""

    def __init__(self, retention_ms: int, tenant_records: TenantRecords) -> None:
        self._retention_ms = retention_ms
        self._tenant_records = tenant_records
        self._ended: deque[tuple[int, int, str]] = deque()  # (last_ms, tenant, case id)

    def add(self, tenant_record: TenantRecord, case: DecisionCase) -> None:
        """Add a case after an event of it, which must be the latest event of all cases."""
        if _forgettable(tenant_record, case):
            self._ended.append((case.last_ms, tenant_record.tenant, case.first_id))

    def forget(self, now_ms: int, most: int | None = None) -> bool:
        """Delete the cases whose last event is more than ``retention`` ago, or the first ``most`` of them.

        Returns whether none is left.
        """
        while self._ended and self._ended[0][0] + self._retention_ms < now_ms:
            if most is not None:
                if not most:
                    return False
                most -= 1
            ended_ms, tenant, first_id = self._ended.popleft()
            tenant_record = self._tenant_records.of(tenant)
            case = tenant_record.cases.get(first_id)
            if case is not None and case.last_ms == ended_ms and _forgettable(tenant_record, case):
                tenant_record.forget(CASES, first_id)
        return True

    def kept_until(self, most: int) -> int | None:
        """The time until which `forget` deletes no more than ``most`` cases; None if there are no more."""
        return self._ended[most][0] + self._retention_ms if len(self._ended) > most else None

    def restore(self, tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the cases from before a restart."""
        ended = [
            (case.last_ms, tenant_record.tenant, case.first_id)
            for tenant_record in tenant_records
            for case in tenant_record.cases.values()
            if _forgettable(tenant_record, case)
        ]
        self._ended = deque(sorted(ended, key=lambda one: one[0]))


class RecordRetention:
    """Deletes complaints, findings and the seen versions of other records."""

    def __init__(self, retention_ms: int, tenant_records: TenantRecords) -> None:
        self._retention_ms = retention_ms
        self._tenant_records = tenant_records
        # A heap with one entry per kept item: (time of its last record or an earlier one, tenant, kind, key).
        self._to_forget: list[tuple[int, int, str, str]] = []

    def add(self, at_ms: int, tenant_record: TenantRecord, kind: str, key: str) -> None:
        """Add a new item of a tenant record."""
        heapq.heappush(self._to_forget, (at_ms, tenant_record.tenant, kind, key))

    def forget(self, now_ms: int, most: int | None = None) -> bool:
        """Delete the items whose last record is more than ``retention`` ago, or visit the first ``most`` of them.

        Returns whether none is left.
        """
        while self._to_forget and self._to_forget[0][0] + self._retention_ms < now_ms:
            if most is not None:
                if not most:
                    return False
                most -= 1
            _, tenant, kind, key = heapq.heappop(self._to_forget)
            tenant_record = self._tenant_records.of(tenant)
            last_ms = tenant_record.last_ms(kind, key)
            if last_ms + self._retention_ms < now_ms:
                tenant_record.forget(kind, key)
            else:
                heapq.heappush(self._to_forget, (last_ms, tenant, kind, key))
        return True

    def due(self, until_ms: int, most: int) -> int:
        """The number of items that `forget` visits at ``until_ms``, counted up to ``most``."""
        return sum(1 for _ in islice(those_before(self._to_forget, (until_ms - self._retention_ms,)), most))

    def kept_until(self, most: int, until_ms: int) -> int | None:
        """The time, before ``until_ms``, until which `forget` visits no more than ``most`` items; None if never more.

        The cost depends on the items to forget by ``until_ms``.
        """
        if self.due(until_ms, most + 1) <= most:
            return None
        at_ms: int = next(islice(in_order(self._to_forget), most, None))[0]
        return at_ms + self._retention_ms

    def restore(self, tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the items from before a restart."""
        self._to_forget = [
            (last_ms, tenant_record.tenant, kind, key)
            for tenant_record in tenant_records
            for kind, key, last_ms in tenant_record.kept()
        ]
        heapq.heapify(self._to_forget)


class Retention:
    """Both together: ``cases`` of decisions, and ids and records (``records``)."""

    def __init__(self, cases: CaseRetention, records: RecordRetention) -> None:
        self.cases, self.records = cases, records

    def forget(self, now_ms: int, most: int | None = None) -> bool:
        """Forget what is older than ``retention``, of both kinds the first ``most``. Returns whether none is left."""
        cases, records = self.cases.forget(now_ms, most), self.records.forget(now_ms, most)
        return cases and records

    def due(self, until_ms: int, most: int) -> int:
        """The number of records that `forget` visits at ``until_ms``, counted up to ``most``."""
        return self.records.due(until_ms, most)

    def kept_until(self, most: int, until_ms: int) -> int | None:
        """The time until which `forget` visits no more than ``most`` of each; None if there are no more before
        ``until_ms``.
        """
        both = self.cases.kept_until(most), self.records.kept_until(most, until_ms)
        return min((at_ms for at_ms in both if at_ms is not None and at_ms < until_ms), default=None)


def _forgettable(tenant_record: TenantRecord, case: DecisionCase) -> bool:
    return case.status != "pending" and case.final_id not in tenant_record.violations
