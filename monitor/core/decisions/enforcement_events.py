"""Enforcement events of a case, as in section 6 of the contract."""

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.core.decisions.consequences import actions_of
from monitor.core.record_places import UNKNOWN_PLACE, PlacedEvidence
from monitor.core.results import Output
from monitor.core.tenants.ids import MEASURED, enforcement_id
from monitor.core.tenants.tenant_record import DecisionCase, TenantRecord
from monitor.policy.model import Policy, Rule
from monitor.text.timestamps import rfc3339
from schemas.outputs import (
    Action,
    AffectedEscalation,
    Enforcement,
    EnforcementData,
    EscalationAhead,
    Kind,
    Measure,
    PolicyRef,
    Reason,
    Window,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingEvent:
    """A reversal or a lapse, at ``at_ms``, of the event ``reverses``."""

    id: str
    kind: Kind
    reverses: str
    at_ms: int
    grounds: PlacedEvidence
    reason: Reason


class EventFactory:
    """Writes events to the output buffer: decisions, reversals, lapses, and shadow decisions."""

    def __init__(self, policy: Policy, output: Output) -> None:
        self._policy = policy
        self._ref = PolicyRef(policy.id, policy.version, policy.sha256)
        self._output = output

    def decision(
        self,
        tenant_record: TenantRecord,
        case: DecisionCase,
        actions: tuple[Action, ...] = (),
        proposed: tuple[Action, ...] = (),
        supersedes: str | None = None,
        ahead: tuple[EscalationAhead, ...] = (),
    ) -> None:
        """Write the decision of a pending or final case."""
        data = EnforcementData(
            tenant_id=tenant_record.tenant_id,
            kind=case.kind,
            status="final" if case.final_id else "pending_review",
            behaviour=case.behaviour,
            clause=case.clause,
            tier=case.tier,
            actions=actions,
            proposed_actions=proposed,
            refunds="frozen" if case.frozen else "unaffected",
            rule_id=case.rule_id,
            policy=self._ref,
            decided_ms=case.decided_ms,
            review_by_ms=case.review_by_ms,
            window=case.window,
            measure=case.measure,
            evidence=case.evidence,
            violations_on_record=len(tenant_record.violations),
            reverses=None,
            supersedes=supersedes,
            reason=case.reason,
            escalations_ahead=ahead,
        )
        self._output.enforcement.append(_event(case.id, data))
        self._place(case.id, case.record_places)

    def closing(
        self,
        tenant_record: TenantRecord,
        case: DecisionCase,
        closing: ClosingEvent,
        affected: tuple[AffectedEscalation, ...] = (),
    ) -> None:
        """Write a reversal or a lapse of the event ``closing.reverses``, which was in force."""
        data = EnforcementData(
            tenant_id=tenant_record.tenant_id,
            kind=closing.kind,
            status="final",
            behaviour=case.behaviour,
            clause=case.clause,
            tier=case.tier,
            actions=(),
            proposed_actions=(),
            refunds="released" if case.frozen else "unaffected",
            rule_id=case.rule_id,
            policy=self._ref,
            decided_ms=closing.at_ms,
            review_by_ms=None,
            window=None,
            measure=None,
            evidence=closing.grounds.evidence,
            violations_on_record=len(tenant_record.violations),
            reverses=closing.reverses,
            supersedes=None,
            reason=closing.reason,
            escalations_affected=affected,
        )
        self._output.enforcement.append(_event(closing.id, data))
        self._place(closing.id, closing.grounds.places)

    def shadow(
        self,
        tenant_record: TenantRecord,
        rule: Rule,
        window: Window,
        measure: Measure,
        grounds: PlacedEvidence,
        reason: Reason,
    ) -> None:
        """Write the decision that `enforce` mode would make, to the shadow output only."""
        behaviour = self._policy.behaviours[rule.behaviour]
        tier = self._policy.tiers[behaviour.tier]
        kind = self._policy.kind_of(behaviour.id)
        actions = actions_of(self._policy, kind, tier.id)
        data = EnforcementData(
            tenant_id=tenant_record.tenant_id,
            kind=kind,
            status="final",
            behaviour=behaviour.id,
            clause=behaviour.clause,
            tier=tier.id,
            actions=actions,
            proposed_actions=(),
            refunds="frozen" if tier.freezes else "unaffected",
            rule_id=rule.id,
            policy=self._ref,
            decided_ms=window.end_ms,
            review_by_ms=None,
            window=window,
            measure=measure,
            evidence=grounds.evidence,
            violations_on_record=len(tenant_record.violations) + ("record_violation" in actions),
            reverses=None,
            supersedes=None,
            reason=reason,
        )
        event_id = enforcement_id(tenant_record.tenant_id, tier.kind, "final", rule.id, window.end_ms, MEASURED)
        self._output.shadow.append(_event(event_id, data))
        self._place(event_id, grounds.places)

    def _place(self, event_id: str, places: Iterable[int]) -> None:
        """Keep the known places of the records that an event names."""
        known = tuple(place for place in places if place != UNKNOWN_PLACE)
        if known:
            self._output.places[event_id] = known


def _event(event_id: str, data: EnforcementData) -> Enforcement:
    return Enforcement(id=event_id, subject=data.tenant_id, time=rfc3339(data.decided_ms), data=data)
