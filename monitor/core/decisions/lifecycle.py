"""The decision life cycle: cases open, are upheld or reversed, and lapse; violations are recorded and escalate."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from monitor import reasons
from monitor.core.calls.newest_calls import NEWEST
from monitor.core.decisions.consequences import STOPS, actions_of, kind_in_id
from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.enforcement_events import ClosingEvent, EventFactory
from monitor.core.decisions.escalation_uses import EscalationUses, by_age, counting
from monitor.core.decisions.owner_reports import OwnerReports
from monitor.core.decisions.pending_reviews import PendingReviews
from monitor.core.decisions.proposals import Proposals, ProposedDecision
from monitor.core.decisions.retention import CaseRetention
from monitor.core.owners.owner_bans import OwnerBans
from monitor.core.record_places import PlacedEvidence, pack_places
from monitor.core.results import Output
from monitor.core.tenants.ids import Origin, enforcement_id
from monitor.core.tenants.tenant_record import CASES, DecisionCase, RecordedViolation, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.model import Escalation, Policy
from schemas.outputs import AffectedEscalation, Kind, Reason


class PlacedReview(NamedTuple):
    """A review by its id, and the place of its record."""

    id: str
    place: int


class DecisionLifecycle:
    """Turns proposed decisions into cases and enforcement events, and keeps the record of violations.

    ``reviews`` holds the decisions that wait for a review; `lapse` ends them. ``events`` writes the events, and
    ``retention`` deletes what is past.
    ``owner_bans`` holds the bans of owners, which bans of tenants begin and end.
    """

    def __init__(
        self,
        policy: Policy,
        tenant_records: TenantRecords,
        cooldowns: Cooldowns,
        owner_bans: OwnerBans,
        output: Output,
    ) -> None:
        self._policy = policy
        self._tenant_records = tenant_records
        self._cooldowns = cooldowns
        self.events = EventFactory(policy, output)
        self.reviews = PendingReviews()
        self._proposals = Proposals(policy)
        self._uses = EscalationUses(policy)
        self.retention = CaseRetention(policy.retention_ms, tenant_records)
        self.owner_bans = owner_bans
        self._owners = OwnerReports(owner_bans, output)

    def decide(self, tenant_record: TenantRecord, at_ms: int, proposed: ProposedDecision) -> str | None:
        """Make a decision, final or pending. Returns its id; None if the same decision was already made."""
        final, kind = proposed.final, proposed.kind
        status = "final" if final else "pending_review"
        made_ms = at_ms if proposed.made_ms is None else proposed.made_ms
        id_kind = kind_in_id(self._policy, proposed.behaviour, kind)
        new_id = enforcement_id(
            tenant_record.tenant_id, id_kind, status, proposed.rule_id, made_ms, proposed.origin, proposed.further
        )
        if new_id in tenant_record.case_of:
            return None
        case = _new_case(self._policy, proposed, new_id, at_ms)
        tenant_record.cases[new_id] = case
        tenant_record.case_of[new_id] = new_id
        tenant_record.place(CASES, case)
        if case.escalation is not None:
            self._uses.track(tenant_record, case, proposed.used)
        if final:
            self._in_force(tenant_record, case, proposed.origin, supersedes=None)
        else:
            self._await_review(tenant_record, case, at_ms + self._policy.retention_ms)
            self.events.decision(tenant_record, case, proposed=actions_of(self._policy, case.kind, case.tier))
        return new_id

    # After a decision -------------------------------------------------------------------------------------------

    def decide_on_review(
        self,
        tenant_record: TenantRecord,
        case: DecisionCase,
        at_ms: int,
        kind: Kind,
        review: PlacedReview,
        reason: Reason,
    ) -> None:
        """Make a pending decision final with this kind, or change the kind of a final one.

        The actions take effect now. A decision that was pending is a violation only from now on; one that was final
        stays the same violation.
        """
        superseded, review_id = case.id, review.id
        origin = Origin("review", review_id)
        tenant_record.touch(CASES, case)
        if case.status == "pending":
            self._no_longer_pending(tenant_record, case)
            reviews: tuple[tuple[int, str], ...] = ((at_ms, review_id),)
        else:
            self._out_of_force(tenant_record, case, at_ms)
            tenant_record.supersede(case, superseded)
            case.reviews = reviews = _newest_reviews(case, at_ms, review_id)
        id_kind = kind_in_id(self._policy, case.behaviour, kind)
        case.final_id = enforcement_id(tenant_record.tenant_id, id_kind, "final", case.rule_id, at_ms, origin)
        case.kind, case.status = kind, "final"
        case.decided_ms = case.last_ms = at_ms
        case.review_by_ms = None
        case.frozen = case.tier is not None and self._policy.tiers[case.tier].freezes
        case.reason = reason
        names = sorted(name for _, name in reviews)
        case.evidence = replace(case.evidence, review_ids=tuple(names))
        places = case.review_places | {review_id: review.place}
        case.review_places = {name: places[name] for name in names if name in places}
        tenant_record.case_of[case.final_id] = case.first_id
        self._in_force(tenant_record, case, origin, supersedes=superseded)

    def reverse(
        self, tenant_record: TenantRecord, case: DecisionCase, at_ms: int, grounds: PlacedEvidence, reason: Reason
    ) -> None:
        """Reverse a pending or final decision, and with it the violation, termination or ban.

        A pending escalation is reversed too if too few of the violations that it used are left. Those become unused.
        """
        affected = self._uses.lose(tenant_record, case)
        told = tuple(use.affected() for use in affected)
        self._close(tenant_record, case, at_ms, "reversal", grounds, reason, told)
        for use in affected:
            if use.unsupported:
                self._uses.release(tenant_record, use)
                unsupported = reasons.escalation_unsupported(use.case.escalation or "", use.left, use.at_least)
                self._close(tenant_record, use.case, at_ms, "reversal", grounds, unsupported)

    def lapse(self, at_ms: int, most: int | None = None) -> None:
        """Lapse the pending decisions with a review deadline at this instant, or the first ``most`` of them."""
        while self.reviews.next_lapse(at_ms) is not None and most != 0:
            most = None if most is None else most - 1
            tenant, case = self.reviews.pop()
            kind: Kind = "lapse"
            reason = reasons.lapsed(at_ms - case.decided_ms)  # as the policy was then
            if case.review_by_ms is None:
                (application_id,) = case.evidence.application_ids
                kind, reason = "reversal", reasons.application_forgotten(application_id, self._policy.retention_ms)
            self._close(self._tenant_records.of(tenant), case, at_ms, kind, PlacedEvidence(), reason)

    def escalation_counts(self, at_ms: int) -> Iterator[tuple[TenantRecord, Escalation, int]]:
        """How many violations count towards each escalation at ``at_ms``, see `EscalationUses.counts`."""
        return self._uses.counts(self._tenant_records, at_ms)

    def restore(self, tenant_records: Sequence[TenantRecord], from_ms: int) -> None:
        """Restore the cases and violations from before a restart. Nothing ends before ``from_ms``."""
        for tenant_record in tenant_records:
            for key, until_ms in tenant_record.cooldown_until_ms.items():
                self._cooldowns.extend(key, tenant_record.tenant, until_ms)
            if tenant_record.sanctions:
                self._cooldowns.sanctioned(tenant_record.tenant, len(tenant_record.sanctions))
            used: dict[str, list[RecordedViolation]] = {}
            for violation in sorted(tenant_record.violations.values(), key=by_age):
                self._uses.add(tenant_record, violation)
                for first_id in violation.used_by.values():
                    used.setdefault(first_id, []).append(violation)
            for case in tenant_record.cases.values():
                if case.escalation is not None and case.status != "closed":
                    self._uses.track(tenant_record, case, used.get(case.first_id, ()))
                if case.status == "pending":
                    kept_until_ms = _kept_until_ms(tenant_record, case, self._policy.retention_ms)
                    self._await_review(tenant_record, case, max(kept_until_ms, from_ms))
        self.retention.restore(tenant_records)

    # Steps ------------------------------------------------------------------------------------------------------

    def _await_review(self, tenant_record: TenantRecord, case: DecisionCase, kept_until_ms: int) -> None:
        self.reviews.add(tenant_record, case, kept_until_ms)
        if case.kind == "admission_review":
            tenant_record.waiting[case.evidence.application_ids[0]] = case.first_id
        if case.measured:
            self._cooldowns.pending(case.behaviour, tenant_record.tenant, 1)

    def _no_longer_pending(self, tenant_record: TenantRecord, case: DecisionCase) -> None:
        self.reviews.remove(case)
        if case.kind == "admission_review":
            del tenant_record.waiting[case.evidence.application_ids[0]]
        if case.measured:
            self._cooldowns.pending(case.behaviour, tenant_record.tenant, -1)

    def _in_force(
        self, tenant_record: TenantRecord, case: DecisionCase, origin: Origin, supersedes: str | None
    ) -> None:
        """Put a final case in force: write the decision, record the violation, and check the escalations.

        A case that is a violation already stays the same one, under its new id.
        """
        actions = actions_of(self._policy, case.kind, case.tier)
        violation = None
        if case.violation is not None:
            del tenant_record.violations[case.violation.id]
            case.violation.id = case.id
            tenant_record.violations[case.id] = case.violation
        elif "record_violation" in actions:
            violation = RecordedViolation(case.id, case.decided_ms, origin, counts=case.escalation is None)
            tenant_record.violations[case.id] = case.violation = violation
            self._uses.add(tenant_record, violation)
        if case.kind in STOPS:
            tenant_record.stop(case)
            self._cooldowns.sanctioned(tenant_record.tenant, len(tenant_record.sanctions))
            self._owners.in_force(tenant_record, case)
        ahead = self._uses.ahead(tenant_record, case.decided_ms) if violation is not None and violation.counts else ()
        self.events.decision(tenant_record, case, actions=actions, supersedes=supersedes, ahead=ahead)
        self.retention.add(tenant_record, case)
        if violation is not None and violation.counts:
            for escalation in self._policy.escalations:
                self._escalate(tenant_record, escalation, violation, case.rule_id)

    def _escalate(
        self, tenant_record: TenantRecord, escalation: Escalation, latest: RecordedViolation, rule_id: str
    ) -> None:
        """Decide if the escalation's window has enough violations that it has not used.

        ``rule_id`` is the rule of ``latest``, the violation that triggers the check.
        """
        if tenant_record.sanctions:
            return
        at_ms = latest.decided_ms
        counted, unused = self._uses.unused_in_window(tenant_record, escalation, at_ms)
        if counted < escalation.at_least:
            return
        shown = counting(tenant_record, unused, escalation.once_per_rule)
        proposed = self._proposals.of_escalation(escalation, unused, shown, latest, rule_id, tenant_record)
        first_id = self.decide(tenant_record, at_ms, proposed)
        if first_id is not None:  # without a decision, no violation is used
            self._uses.use(tenant_record, escalation, first_id)

    def _close(
        self,
        tenant_record: TenantRecord,
        case: DecisionCase,
        at_ms: int,
        kind: Kind,
        grounds: PlacedEvidence,
        reason: Reason,
        affected: tuple[AffectedEscalation, ...] = (),
    ) -> None:
        """End a case by a reversal or a lapse. Nothing of it stays in force."""
        in_force = case.id
        closing_id = enforcement_id(
            tenant_record.tenant_id, kind, "final", case.rule_id, at_ms, Origin("enforcement", in_force)
        )
        if case.status == "pending":
            self._no_longer_pending(tenant_record, case)
        if case.escalation is not None:
            self._uses.untrack(case)
        tenant_record.touch(CASES, case)
        tenant_record.violations.pop(in_force, None)
        case.violation = None
        self._out_of_force(tenant_record, case, at_ms)
        case.status = "closed"
        case.closing_id = closing_id
        case.places, case.review_places = b"", {}
        case.last_ms = at_ms
        tenant_record.case_of[closing_id] = case.first_id
        self.retention.add(tenant_record, case)
        closing = ClosingEvent(id=closing_id, kind=kind, reverses=in_force, at_ms=at_ms, grounds=grounds, reason=reason)
        self.events.closing(tenant_record, case, closing, affected)

    def _out_of_force(self, tenant_record: TenantRecord, case: DecisionCase, at_ms: int) -> None:
        """Take a case out of force, before its state and kind change."""
        if tenant_record.release(case):
            self._cooldowns.sanctioned(tenant_record.tenant, len(tenant_record.sanctions))
            self._owners.out_of_force(tenant_record, case, at_ms)


def _new_case(policy: Policy, proposed: ProposedDecision, new_id: str, at_ms: int) -> DecisionCase:
    """The case of a proposed decision with that id."""
    final, tier = proposed.final, proposed.tier
    freezes = tier is not None and policy.tiers[tier].freezes
    return DecisionCase(
        first_id=new_id,
        status="final" if final else "pending",
        kind=proposed.kind,
        behaviour=proposed.behaviour,
        clause=proposed.clause,
        tier=tier,
        rule_id=proposed.rule_id,
        decided_ms=at_ms,
        last_ms=at_ms,
        review_by_ms=None if final or not proposed.lapses else at_ms + policy.review_within_ms,
        frozen=freezes and (final or proposed.freeze),
        window=proposed.window,
        measure=proposed.measure,
        evidence=proposed.evidence,
        reason=proposed.reason,
        pending_id=None if final else new_id,
        final_id=new_id if final else None,
        measured=proposed.measured,
        escalation=proposed.escalation,
        once_per_rule=proposed.once_per_rule,
        places=pack_places(proposed.places),
    )


def _newest_reviews(case: DecisionCase, at_ms: int, review_id: str) -> tuple[tuple[int, str], ...]:
    """The newest reviews of a final case, with a new one, by time then id.

    Before a kind was changed, the only review is the uphold, at the time of the decision.
    """
    earlier = case.reviews or tuple((case.decided_ms, name) for name in case.evidence.review_ids)
    times = {name: reviewed_ms for reviewed_ms, name in earlier} | {review_id: at_ms}
    return tuple(sorted((reviewed_ms, name) for name, reviewed_ms in times.items())[-NEWEST:])


def _kept_until_ms(tenant_record: TenantRecord, case: DecisionCase, retention_ms: int) -> int:
    """When the id of an application that waits is forgotten; 0 for any other case."""
    if case.kind != "admission_review":
        return 0
    return tenant_record.seen[f"application:{case.evidence.application_ids[0]}"].last_ms + retention_ms
