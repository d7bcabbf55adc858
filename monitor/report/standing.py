"""The outcome of each decision and each tenant's final status: a fold over the decisions in order."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from schemas.outputs import Alert, Enforcement

DecisionOutcome = Literal["stands", "open", "upheld", "reversed", "lapsed"]


@dataclass(slots=True)
class TenantStanding:
    """One tenant at the end of the replay. ``holds`` are the ids that still freeze its refunds (section 6)."""

    tenant: str
    decisions: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    shadow: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    violations: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    open: dict[str, Enforcement] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    @property
    def standing(self) -> str:
        """The most severe status in force, as a key of `monitor.report.labels.STANDINGS`."""
        kinds = set(self.ended.values())
        if "ban" in kinds:
            return "banned"
        if "termination" in kinds:
            return "terminated"
        if self.open:
            return "pending"
        if self.violations:
            return "warned"
        if self.refused:
            return "refused"
        return "clear" if self.decisions or self.shadow else "watched"


class TenantSummaries:
    """All tenants with a decision, an alert or a shadow decision, and the outcome of every decision."""

    def __init__(self, decisions: Iterable[Enforcement], alerts: Iterable[Alert], shadow: dict[str, int]) -> None:
        self.tenants: dict[str, TenantStanding] = {}
        self._undone: dict[str, DecisionOutcome] = {}
        for event in decisions:
            self._decide(event)
        for alert in alerts:
            self._of(alert.tenant_id).alerts.append(alert)
        for tenant, count in shadow.items():
            self._of(tenant).shadow = count

    def outcome(self, event: Enforcement) -> DecisionOutcome:
        """The outcome of ``event``; a pending one without a later event is open."""
        return self._undone.get(event.id) or ("open" if event.data.status == "pending_review" else "stands")

    def ranked(self) -> list[TenantStanding]:
        """The tenants, most severe first: by status, number of decisions, alerts and shadow decisions, then name."""
        rank = ("banned", "terminated", "pending", "warned", "refused", "clear", "watched")
        return sorted(
            self.tenants.values(),
            key=lambda t: (rank.index(t.standing), -len(t.decisions), -len(t.alerts), -t.shadow, t.tenant),
        )

    def _of(self, tenant: str) -> TenantStanding:
        return self.tenants.setdefault(tenant, TenantStanding(tenant))

    def _decide(self, event: Enforcement) -> None:
        data, tenant = event.data, self._of(event.subject)
        tenant.decisions.append(event)
        if data.supersedes is not None:
            self._undo(tenant, data.supersedes, "upheld")
        if data.reverses is not None:
            self._undo(tenant, data.reverses, "lapsed" if data.kind == "lapse" else "reversed")
        if data.kind in ("reversal", "lapse"):
            return
        tenant.tiers[data.tier or "none"] += 1
        if event.id in self._undone:
            return
        if data.refunds == "frozen":
            tenant.holds.add(event.id)
        if data.status == "pending_review":
            tenant.open[event.id] = event
            return
        if "record_violation" in data.actions:
            tenant.violations.add(event.id)
        if data.kind in ("termination", "ban"):
            tenant.ended[event.id] = data.kind
        if data.kind == "admission_rejected":
            tenant.refused.add(event.id)

    def _undo(self, tenant: TenantStanding, old: str, outcome: DecisionOutcome) -> None:
        self._undone[old] = outcome
        tenant.holds.discard(old)
        tenant.violations.discard(old)
        tenant.open.pop(old, None)
        tenant.ended.pop(old, None)
        tenant.refused.discard(old)
