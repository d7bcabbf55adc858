"""Retention: which cases and records are deleted ``retention`` after their last event."""

import heapq
from collections import deque
from collections.abc import Iterable

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

    def forget(self, now_ms: int) -> None:
        """Delete the cases whose last event is more than ``retention`` ago."""
        while self._ended and self._ended[0][0] + self._retention_ms < now_ms:
            ended_ms, tenant, first_id = self._ended.popleft()
            tenant_record = self._tenant_records.of(tenant)
            case = tenant_record.cases.get(first_id)
            if case is not None and case.last_ms == ended_ms and _forgettable(tenant_record, case):
                tenant_record.forget(CASES, first_id)

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

    def forget(self, now_ms: int) -> None:
        """Delete the items whose last record is more than ``retention`` ago."""
        while self._to_forget and self._to_forget[0][0] + self._retention_ms < now_ms:
            _, tenant, kind, key = heapq.heappop(self._to_forget)
            tenant_record = self._tenant_records.of(tenant)
            last_ms = tenant_record.last_ms(kind, key)
            if last_ms + self._retention_ms < now_ms:
                tenant_record.forget(kind, key)
            else:
                heapq.heappush(self._to_forget, (last_ms, tenant, kind, key))

    def restore(self, tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the items from before a restart."""
        self._to_forget = [
            (last_ms, tenant_record.tenant, kind, key)
            for tenant_record in tenant_records
            for kind, key, last_ms in tenant_record.kept()
        ]
        heapq.heapify(self._to_forget)


def _forgettable(tenant_record: TenantRecord, case: DecisionCase) -> bool:
    return case.status != "pending" and case.final_id not in tenant_record.violations
