"""The tenants of each owner. Derived from the tenant records, which are stored."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from monitor.core.tenants.tenant_record import TenantRecord


class OwnerMembers:
    """The tenant ids of each owner, in ascending order.

    Owner and tenant ids are chosen by producers. The dictionary compares them by Python's seeded hash, and the lists
    are sorted only when an owner is banned. ``largest`` is the number of tenants of the owner with the most.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, list[str]] = {}
        self._unsorted: set[str] = set()
        self.largest = 0

    def add(self, owner_id: str, tenant_id: str) -> None:
        """Add a tenant that did not belong to the owner before."""
        tenants = self._tenants.setdefault(owner_id, [])
        if tenants and tenant_id < tenants[-1]:
            self._unsorted.add(owner_id)
        tenants.append(tenant_id)
        self.largest = max(self.largest, len(tenants))

    def count(self, owner_id: str) -> int:
        """The number of tenants of an owner."""
        return len(self._tenants.get(owner_id, ()))

    def after(self, owner_id: str, tenant_id: str, most: int) -> Sequence[str]:
        """The next tenants of an owner, at most ``most``, whose ids are greater than ``tenant_id``."""
        tenants = self._sorted(owner_id)
        start = bisect_right(tenants, tenant_id) if tenant_id else 0
        return tenants[start : start + most]

    def count_after(self, owner_id: str, tenant_id: str) -> int:
        """The number of tenants of an owner whose ids are greater than ``tenant_id``."""
        tenants = self._sorted(owner_id)
        return len(tenants) - (bisect_right(tenants, tenant_id) if tenant_id else 0)

    def restore(self, tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the tenants of all owners."""
        for tenant_record in tenant_records:
            for owner_id in tenant_record.owners:
                self.add(owner_id, tenant_record.tenant_id)

    def _sorted(self, owner_id: str) -> list[str]:
        tenants = self._tenants.get(owner_id, [])
        if owner_id in self._unsorted:
            tenants.sort()
            self._unsorted.discard(owner_id)
        return tenants
