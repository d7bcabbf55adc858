"""Proposed decisions: what a record, a rule or an escalation asks for, by the policy."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor import reasons
from monitor.core.calls.newest_calls import NEWEST
from monitor.core.owners.owner_effect import OWNER_BANNED
from monitor.core.record_places import PlacedEvidence
from monitor.core.tenants.ids import MEASURED, Origin
from monitor.core.tenants.tenant_record import RecordedViolation, TenantRecord
from monitor.policy.model import Escalation, Policy, Rule
from schemas.outputs import Evidence, Kind, Measure, Reason, TierName, Window
from schemas.owners import OwnerBan

REPEATED = "repeat_violation"
APPLICATION_REVIEW = "application_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedDecision:
    """A decision to make about a tenant, and its grounds.

    A ``final`` decision is in force at once. Any other waits for a review, with refunds frozen meanwhile if ``freeze``.
    ``origin`` is the deciding record. ``further`` distinguishes decisions of the same instant (contract, section 6).
    ``used`` are the violations that led to an ``escalation``, which counts a rule once if ``once_per_rule``.
    ``made_ms`` is the time from which the id is derived, if it is not that of the decision. ``lapses`` tells whether a
    pending decision lapses without a review. ``places`` are those of the evidence.
    """

    final: bool
    kind: Kind
    behaviour: str
    clause: int | None
    tier: TierName | None
    rule_id: str
    origin: Origin
    freeze: bool
    evidence: Evidence
    reason: Reason
    window: Window | None = None
    measure: Measure | None = None
    measured: bool = False
    escalation: str | None = None
    used: Sequence[RecordedViolation] = ()
    once_per_rule: bool = False
    further: tuple[int | str, ...] = ()
    made_ms: int | None = None
    lapses: bool = True
    places: tuple[int, ...] = ()


class Proposals:
    """Proposes decisions by the behaviours, tiers and escalations of a policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def of_record(
        self, behaviour_id: str, certain: bool, origin: Origin, reason: Reason, place: int
    ) -> ProposedDecision:
        """For a verified complaint or a confirmed finding, whose record lies at ``place``: final if certain, otherwise
        referred for review."""
        behaviour = self._policy.behaviours[behaviour_id]
        tier = self._policy.tiers[behaviour.tier]
        return ProposedDecision(
            final=certain,
            kind=self._policy.kind_of(behaviour.id),
            behaviour=behaviour.id,
            clause=behaviour.clause,
            tier=tier.id,
            rule_id=behaviour.id,
            origin=origin,
            freeze=behaviour.freeze,
            evidence=evidence_of(origin),
            reason=reason,
            places=(place,),
        )

    def of_admission(
        self, behaviour_id: str, certain: bool, origin: Origin, updated_ms: int, reason: Reason
    ) -> ProposedDecision:
        """Reject an application or a declared business, or refer the rejection for review. This is not a violation.

        ``updated_ms`` is that of the record as written.
        """
        return ProposedDecision(
            final=certain,
            kind="admission_rejected",
            behaviour=behaviour_id,
            clause=None,
            tier=None,
            rule_id=behaviour_id,
            origin=origin,
            further=(updated_ms,),
            freeze=False,
            evidence=evidence_of(origin),
            reason=reason,
        )

    def of_owner_ban(self, ban: OwnerBan, reason: Reason) -> ProposedDecision:
        """Refer a ban for review, because another tenant of the owner was banned. Clause and tier are of that ban."""
        return ProposedDecision(
            final=False,
            kind="ban",
            behaviour=OWNER_BANNED,
            clause=ban.clause,
            tier=ban.tier,
            rule_id=OWNER_BANNED,
            origin=Origin("enforcement", ban.enforcement_id),
            made_ms=ban.decided_ms,
            freeze=True,
            evidence=Evidence(enforcement_ids=(ban.enforcement_id,)),
            reason=reason,
        )

    def of_waiting_application(self, origin: Origin, updated_ms: int, reason: Reason) -> ProposedDecision:
        """Let an application wait for its approval or rejection, without a deadline."""
        return ProposedDecision(
            final=False,
            kind="admission_review",
            behaviour=APPLICATION_REVIEW,
            clause=None,
            tier=None,
            rule_id=APPLICATION_REVIEW,
            origin=origin,
            further=(updated_ms,),
            freeze=False,
            evidence=evidence_of(origin),
            reason=reason,
            lapses=False,
        )

    def of_measure(
        self, rule: Rule, window: Window, measure: Measure, grounds: PlacedEvidence, reason: Reason
    ) -> ProposedDecision:
        """For a tenant in breach of a rule: final in mode `enforce`, otherwise referred for review."""
        behaviour = self._policy.behaviours[rule.behaviour]
        tier = self._policy.tiers[behaviour.tier]
        return ProposedDecision(
            final=rule.mode == "enforce",
            kind=self._policy.kind_of(behaviour.id),
            behaviour=behaviour.id,
            clause=behaviour.clause,
            tier=tier.id,
            rule_id=rule.id,
            origin=MEASURED,
            freeze=rule.freeze,
            evidence=grounds.evidence,
            places=grounds.places,
            reason=reason,
            window=window,
            measure=measure,
            measured=True,
        )

    def of_escalation(
        self,
        escalation: Escalation,
        used: Sequence[RecordedViolation],
        counted: Sequence[RecordedViolation],
        latest: RecordedViolation,
        rule_id: str,
        tenant_record: TenantRecord,
    ) -> ProposedDecision:
        """For the ``used`` violations; only ``counted`` count. ``rule_id`` is the rule of the ``latest`` one."""
        count = len(counted)
        review_by_ms = latest.decided_ms + self._policy.review_within_ms if escalation.mode == "review" else None
        newest = sorted((violation.decided_ms, violation.id) for violation in counted)[-NEWEST:]
        return ProposedDecision(
            final=escalation.mode == "enforce",
            kind=self._policy.tiers[escalation.tier].kind,
            behaviour=REPEATED,
            clause=None,
            tier=escalation.tier,
            rule_id=escalation.id,
            origin=Origin(*latest.origin),
            further=(rule_id,),
            freeze=escalation.freeze,
            evidence=Evidence(enforcement_ids=tuple(sorted(violation_id for _, violation_id in newest))),
            reason=reasons.repeated(escalation, count, tenant_record.name, review_by_ms, (tenant_record.tenant_id,)),
            measure=Measure("violations", count, None, count, escalation.at_least, None),
            escalation=escalation.id,
            used=used,
            once_per_rule=escalation.once_per_rule,
        )


def evidence_of(origin: Origin) -> Evidence:
    """The evidence for a decision by a record: the record itself."""
    match origin.type:
        case "complaint":
            return Evidence(complaint_ids=(origin.id,))
        case "finding":
            return Evidence(finding_ids=(origin.id,))
        case "tenant":
            return Evidence()  # evidence has no list of tenants
        case _:
            return Evidence(application_ids=(origin.id,))
