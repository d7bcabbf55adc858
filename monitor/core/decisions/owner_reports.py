"""Reports the bans of owners by the shard's own decisions: a final ban of a tenant bans its owner until it ends."""

import msgspec

from monitor.core.owners.owner_bans import OwnerBans
from monitor.core.owners.owner_effect import OWNER_BANNED
from monitor.core.results import Output
from monitor.core.tenants.tenant_record import CASES, DecisionCase, TenantRecord
from schemas.owners import OwnerBan


class OwnerReports:
    """Reports bans and liftings to the other shards, and takes them for this shard at once.

    So within a shard they take effect at the same instants live and in a replay.
    """

    def __init__(self, owner_bans: OwnerBans, output: Output) -> None:
        self._owner_bans = owner_bans
        self._output = output

    def in_force(self, tenant_record: TenantRecord, case: DecisionCase) -> None:
        """A final termination or ban comes into force. A ban bans the owner that the newest tenant record names."""
        if case.kind != "ban" or case.behaviour == OWNER_BANNED or tenant_record.owner is None:
            return
        assert case.tier is not None
        tenant_record.touch(CASES, case)
        case.owner = tenant_record.owner
        ban = OwnerBan(case.owner, tenant_record.tenant_id, case.id, case.clause, case.tier, case.decided_ms)
        self._report(ban, case.decided_ms)

    def out_of_force(self, tenant_record: TenantRecord, case: DecisionCase, at_ms: int) -> None:
        """A final termination or ban is reversed or superseded. Call this before its id, kind and time change."""
        if case.owner is None:
            return
        assert case.tier is not None
        ban = OwnerBan(case.owner, tenant_record.tenant_id, case.id, case.clause, case.tier, case.decided_ms)
        tenant_record.touch(CASES, case)
        case.owner = None
        self._report(msgspec.structs.replace(ban, lifted_ms=at_ms), at_ms)

    def _report(self, ban: OwnerBan, at_ms: int) -> None:
        self._output.owner_bans.append(ban)
        self._owner_bans.take(ban, at_ms)
