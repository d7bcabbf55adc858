"""Standings: the standing of every tenant that has one, and whose may have changed since they were last stored."""

from collections.abc import Iterable, Sequence

from monitor.core.tenants.tenant_record import TenantRecord


class TenantRecords:
    """Standings by the tenant's number; ``names`` has every tenant's id, and grows.

    `of` is the only way to a standing that is to be changed, and whoever asks is taken to change it. So nothing may
    keep one for later: what waits to be forgotten or to lapse keeps the tenant's number.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._all: dict[int, TenantRecord] = {}
        self._changed: set[int] = set()

    def of(self, tenant: int) -> TenantRecord:
        """A tenant's standing, to be changed; an empty one when there was none."""
        self._changed.add(tenant)
        standing = self._all.get(tenant)
        if standing is None:
            standing = self._all[tenant] = TenantRecord(self.names[tenant], tenant)
        return standing

    def known(self, tenant: int) -> TenantRecord | None:
        """A tenant's standing if there is one, to be read and let go."""
        return self._all.get(tenant)

    def changed(self) -> list[TenantRecord]:
        """Those that may have changed since the last call, by number."""
        changed = [self._all[tenant] for tenant in sorted(self._changed)]
        self._changed.clear()
        return changed

    def restore(self, standings: Iterable[TenantRecord]) -> None:
        """Take over what stood before a restart."""
        self._all = {standing.tenant: standing for standing in standings}
