"""The tenant records of a shard, with those that may have changed since they were last stored."""

from collections.abc import Iterable, Sequence

from monitor.core.tenants.first_calls import FirstCalls
from monitor.core.tenants.tenant_record import TenantRecord


class TenantRecords:
    """Tenant records by tenant number. ``names`` is the list of tenant ids, which grows.

    Call `of` to change a tenant record; every call marks the record as changed. Do not keep the result for later:
    queues of items to forget or to lapse hold the tenant number. ``first_calls`` holds their first calls.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.first_calls = FirstCalls()
        self._all: dict[int, TenantRecord] = {}
        self._changed: set[int] = set()

    def of(self, tenant: int) -> TenantRecord:
        """The record of a tenant, for writing. Creates an empty one if there is none."""
        self._changed.add(tenant)
        tenant_record = self._all.get(tenant)
        if tenant_record is None:
            tenant_record = self._all[tenant] = TenantRecord(self.names[tenant], tenant)
        return tenant_record

    def known(self, tenant: int) -> TenantRecord | None:
        """The record of a tenant, if there is one, for reading. Do not keep it."""
        return self._all.get(tenant)

    def changed(self) -> list[TenantRecord]:
        """The records that may have changed since the last call, by tenant number."""
        changed = [self._all[tenant] for tenant in sorted(self._changed)]
        self._changed.clear()
        return changed

    def restore(self, tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the records from before a restart."""
        self._all = {tenant_record.tenant: tenant_record for tenant_record in tenant_records}
