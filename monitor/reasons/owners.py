"""The reasons of decisions because of the owner behind a tenant."""

from monitor.reasons.wording import named, referred
from schemas.outputs import Reason
from schemas.owners import OwnerBan


def banned_owner(record_type: str, record_id: str, ban: OwnerBan) -> Reason:
    """Why an application or a `tenant` record is refused: the owner is banned, and gets no new service."""
    why_zh, why_en = _ban(ban)
    if record_type == "tenant":
        return Reason(
            f"{why_zh}，不再开通，驳回租户{named(record_id)}归属该主体的登记",
            f"The registration of tenant {named(record_id)} under this owner is refused, and no new service is opened: "
            f"{why_en}",
        )
    return Reason(
        f"{why_zh}，不再开通，驳回号码申请{named(record_id)}",
        f"Application {named(record_id)} is refused, and no new service is opened: {why_en}",
    )


def owner_banned(ban: OwnerBan, review_by_ms: int) -> Reason:
    """Why a tenant gets a pending ban: another tenant of its owner was banned."""
    why_zh, why_en = _ban(ban)
    pending_zh, pending_en = referred(review_by_ms)
    return Reason(
        f"{why_zh}，该主体名下的本租户一并提请封号{pending_zh}",
        f"A ban is proposed for this tenant of the same owner: {why_en}{pending_en}",
    )


def owner_ban_lifted(ban: OwnerBan) -> Reason:
    """Why the pending ban of a tenant is reversed: the ban of its owner has ended."""
    owner, tenant, decision = named(ban.owner_id), named(ban.tenant_id), named(ban.enforcement_id)
    return Reason(
        f"主体{owner}名下租户{tenant}的封号（决定{decision}）已解除，待复核的封号随之撤销",
        f"The ban of the owner {owner} by decision {decision} on its tenant {tenant} has ended, so the pending ban is "
        "reversed",
    )


def _ban(ban: OwnerBan) -> tuple[str, str]:
    """Which ban follows the owner."""
    owner, tenant, decision = named(ban.owner_id), named(ban.tenant_id), named(ban.enforcement_id)
    return (
        f"主体{owner}名下的租户{tenant}已被封号（决定{decision}）",
        f"the owner {owner} is banned by decision {decision} on its tenant {tenant}",
    )
