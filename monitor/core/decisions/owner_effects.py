"""Bans of owners and their liftings take effect: the owner's other tenants get a pending ban, or it is reversed."""

from monitor import reasons
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.proposals import Proposals
from monitor.core.owners.owner_bans import OwnerStep
from monitor.core.owners.owner_effect import OWNER_BANNED
from monitor.core.record_places import PlacedEvidence
from monitor.core.tenants.ids import Origin, enforcement_id
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.model import Policy
from schemas.outputs import Evidence
from schemas.owners import OwnerBan


class OwnerEffects:
    """Applies the effects of bans of owners, in parts if there are many tenants.

    ``numbers`` has the number of each tenant id. Effects before ``from_ms`` decide nothing.
    """

    def __init__(
        self,
        policy: Policy,
        decisions: DecisionLifecycle,
        tenant_records: TenantRecords,
        numbers: dict[str, int],
    ) -> None:
        self._owner_bans = decisions.owner_bans
        self._proposals = Proposals(policy)
        self._review_within_ms = policy.review_within_ms
        self._decisions = decisions
        self._tenant_records = tenant_records
        self._numbers = numbers
        self.from_ms = 0

    def apply(self, most: int | None = None) -> int:
        """Apply the next effect, or a part of it: at most ``most`` tenants. Returns how many were visited."""
        step = self._owner_bans.next_step(most)
        for tenant_id in step.tenants:
            if step.lifting:
                self._reverse(step, tenant_id)
            elif step.at_ms >= self.from_ms and tenant_id != step.held.ban.tenant_id:
                self._ban(step, tenant_id)
        self._owner_bans.complete(step)
        return max(len(step.tenants), 1)

    def apply_at(self, at_ms: int, most: int) -> None:
        """Apply the effects of this instant, as far as ``most`` tenants to visit allow."""
        while most > 0 and self._owner_bans.next_at(at_ms) is not None:
            most -= self.apply(most)

    def _ban(self, step: OwnerStep, tenant_id: str) -> None:
        number = self._numbers[tenant_id]
        tenant_record = self._tenant_records.known(number)
        ban = step.held.ban
        if tenant_record is None or tenant_record.sanctions:
            return
        if _pending_id(ban, tenant_id) in tenant_record.cases:
            return  # it got the pending ban in a partition that was merged into this one
        reason = reasons.owner_banned(ban, step.at_ms + self._review_within_ms)
        proposed = self._proposals.of_owner_ban(ban, reason)
        self._decisions.decide(self._tenant_records.of(number), step.at_ms, proposed)

    def _reverse(self, step: OwnerStep, tenant_id: str) -> None:
        number = self._numbers[tenant_id]
        tenant_record = self._tenant_records.known(number)
        ban = step.held.ban
        case = None if tenant_record is None else tenant_record.cases.get(_pending_id(ban, tenant_id))
        if case is None or case.status != "pending":
            return
        grounds = PlacedEvidence(Evidence(enforcement_ids=(ban.enforcement_id,)))
        tenant_record = self._tenant_records.of(number)
        self._decisions.reverse(tenant_record, case, step.at_ms, grounds, reasons.owner_ban_lifted(ban))


def _pending_id(ban: OwnerBan, tenant_id: str) -> str:
    """The id of the pending ban that a tenant gets by the ban of its owner."""
    origin = Origin("enforcement", ban.enforcement_id)
    return enforcement_id(tenant_id, "ban", "pending_review", OWNER_BANNED, ban.decided_ms, origin)
