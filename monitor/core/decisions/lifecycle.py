"""Decisions: cases are opened, upheld, reversed and lapse, violations go on record and repeated ones escalate."""

import heapq
from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from monitor import reasons
from monitor.core.calls.evidence import NEWEST
from monitor.core.decisions.cooldowns import Cooldowns, keys_quieted_by
from monitor.core.decisions.enforcement_events import EventFactory
from monitor.core.results import Output
from monitor.core.tenants.heaps import in_order, those_before
from monitor.core.tenants.ids import MEASURED, Origin, enforcement_id
from monitor.core.tenants.tenant_record import CASES, DecisionCase, RecordedViolation, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.model import Escalation, Policy, Rule
from schemas.inputs import Application
from schemas.outputs import Action, Evidence, Kind, Measure, Reason, TierName, Window

REPEATED = "repeat_violation"


@dataclass(slots=True, eq=False)
class _Use:
    """What a pending escalation has used: the violations, and how many of them are left unreversed."""

    case: DecisionCase
    violations: Sequence[RecordedViolation]
    left: int
    at_least: int


class DecisionLifecycle:
    """Everything that turns a finding of fact into enforcement events and keeps the record of violations."""

    def __init__(self, policy: Policy, standings: TenantRecords, gates: Cooldowns, sink: Output) -> None:
        self._policy = policy
        self._standings = standings
        self._gates = gates
        self._events = EventFactory(policy, sink)
        self._lapses: list[
            tuple[int, str, str, int, DecisionCase]
        ] = []  # heap: (review_by_ms, tenant id, case id, tenant, ..)
        self._ended: deque[tuple[int, int, str]] = deque()  # (last_ms, tenant, case id)
        # So that a tenant with 100,000 violations costs as much a violation as one with ten: what each escalation has
        # not used, by (escalation, tenant), oldest first, and the pending escalations that used a violation, by its id.
        self._unused: dict[tuple[str, int], list[RecordedViolation]] = {}
        self._users: dict[str, list[_Use]] = {}
        self._uses: dict[str, _Use] = {}  # by the first id of the pending escalation

    # What decides -----------------------------------------------------------------------------------------------

    def of_record(
        self, standing: TenantRecord, at_ms: int, behaviour_id: str, certain: bool, origin: Origin, reason: Reason
    ) -> str | None:
        """A verified complaint or a confirmed finding decides: final where certain, else referred for review."""
        behaviour = self._policy.behaviours[behaviour_id]
        tier = self._policy.tiers[behaviour.tier]
        case = self._open(
            standing,
            at_ms,
            final=certain,
            kind=tier.kind,
            behaviour=behaviour.id,
            clause=behaviour.clause,
            tier=tier.id,
            rule_id=behaviour.id,
            origin=origin,
            freeze=behaviour.freeze,
            evidence=_evidence_of(origin),
            reason=reason,
        )
        return case.first_id if case else None

    def of_application(
        self,
        standing: TenantRecord,
        at_ms: int,
        behaviour_id: str,
        certain: bool,
        application: Application,
        reason: Reason,
    ) -> None:
        """An application for numbers is rejected, or the rejection is referred for review. No violation."""
        origin = Origin("application", application.application_id)
        self._open(
            standing,
            at_ms,
            final=certain,
            kind="admission_rejected",
            behaviour=behaviour_id,
            clause=None,
            tier=None,
            rule_id=behaviour_id,
            origin=origin,
            further=(application.updated_ms,),
            freeze=False,
            evidence=_evidence_of(origin),
            reason=reason,
        )

    def of_measure(
        self, standing: TenantRecord, rule: Rule, window: Window, measure: Measure, evidence: Evidence, reason: Reason
    ) -> str | None:
        """A measured rule decides at its window's end, and is quiet for its cool-down. The id, unless shadow."""
        at_ms = window.end_ms
        behaviour = self._policy.behaviours[rule.behaviour]
        tier = self._policy.tiers[behaviour.tier]
        for key in keys_quieted_by(rule):
            self._gates.quieten(key, standing.tenant, standing.quieten(key, at_ms + rule.cooldown_ms))
        if rule.mode == "shadow":
            self._events.shadow(standing, rule, window, measure, evidence, reason)
            return None
        case = self._open(
            standing,
            at_ms,
            final=rule.mode == "enforce",
            kind=tier.kind,
            behaviour=behaviour.id,
            clause=behaviour.clause,
            tier=tier.id,
            rule_id=rule.id,
            origin=MEASURED,
            freeze=rule.freeze,
            evidence=evidence,
            reason=reason,
            window=window,
            measure=measure,
            measured=True,
        )
        return case.first_id if case else None

    # What becomes of a decision ---------------------------------------------------------------------------------

    def uphold(self, standing: TenantRecord, case: DecisionCase, at_ms: int, review_id: str, reason: Reason) -> None:
        """A pending decision becomes final: its actions are in force, and only now is it a violation."""
        pending_id = case.id
        origin = Origin("review", review_id)
        self._no_longer_pending(standing, case)
        standing.touch(CASES, case)
        case.final_id = enforcement_id(standing.tenant_id, case.kind, "final", case.rule_id, at_ms, origin)
        case.status = "final"
        case.decided_ms = case.last_ms = at_ms
        case.review_by_ms = None
        case.frozen = case.tier is not None and self._policy.tiers[case.tier].freezes
        case.reason = reason
        case.evidence = Evidence(
            call_ids=case.evidence.call_ids,
            complaint_ids=case.evidence.complaint_ids,
            finding_ids=case.evidence.finding_ids,
            application_ids=case.evidence.application_ids,
            review_ids=(review_id,),
            enforcement_ids=case.evidence.enforcement_ids,
        )
        standing.case_of[case.final_id] = case.first_id
        self._in_force(standing, case, origin, supersedes=pending_id)

    def reverse(
        self, standing: TenantRecord, case: DecisionCase, at_ms: int, evidence: Evidence, reason: Reason
    ) -> None:
        """A pending or final decision is taken back, and its violation, termination or ban with it.

        A pending escalation falls, too, as soon as too few of the violations that it used are left; those are
        unused again.
        """
        self._close(standing, case, at_ms, "reversal", evidence, reason)
        for use in self._users.pop(case.final_id or "", ()):
            use.left -= 1
            if use.left < use.at_least:
                escalation = use.case.escalation
                assert escalation is not None
                unused = self._unused.setdefault((escalation, standing.tenant), [])
                for violation in use.violations:
                    if violation.id in standing.violations:
                        standing.touch(CASES, standing.cases[standing.case_of[violation.id]])
                        del violation.used_by[escalation]
                        insort(unused, violation, key=_by_age)
                fallen = reasons.escalation_fallen(escalation, use.left, use.at_least)
                self._close(standing, use.case, at_ms, "reversal", evidence, fallen)

    def pending(self) -> dict[str, tuple[int, int]]:
        """What waits for a review, by rule: how many decisions, and the first instant at which one lapses."""
        found: dict[str, tuple[int, int]] = {}
        for at_ms, _, _, _, case in self._lapses:
            if case.status == "pending" and case.review_by_ms == at_ms:
                count, first_ms = found.get(case.rule_id, (0, at_ms))
                found[case.rule_id] = count + 1, min(first_ms, at_ms)
        return found

    def next_lapse(self, until_ms: int) -> int | None:
        """The next instant, up to ``until_ms``, at which a pending decision lapses."""
        while self._lapses and self._lapses[0][0] <= until_ms:
            at_ms, _, _, _, case = self._lapses[0]
            if case.status == "pending" and case.review_by_ms == at_ms:
                return at_ms
            heapq.heappop(self._lapses)  # it was decided in time
        return None

    def lapses_beyond(self, most: int, until_ms: int) -> int | None:
        """The instant, up to ``until_ms``, at which a decision lapses after ``most`` others; None where there is none.

        It may be too early: cases that were decided in time are not told from others.
        """
        if len(self._lapses) <= most:
            return None
        at_ms = next(islice(in_order(self._lapses), most, None))[0]
        return at_ms if at_ms <= until_ms else None

    def lapses_due(self, until_ms: int, most: int) -> int:
        """How many decisions lapse up to then, or were decided in time; at most ``most`` are counted."""
        return sum(1 for _ in islice(those_before(self._lapses, (until_ms + 1,)), most))

    def lapse(self, at_ms: int, most: int | None = None) -> None:
        """All pending decisions whose time for review ends at this instant lapse, or the first ``most`` of them."""
        while self.next_lapse(at_ms) is not None and most != 0:
            most = None if most is None else most - 1
            _, _, _, tenant, case = heapq.heappop(self._lapses)
            reason = reasons.lapsed(at_ms - case.decided_ms)  # as the policy was then
            self._close(self._standings.of(tenant), case, at_ms, "lapse", Evidence(), reason)

    def forget(self, now_ms: int) -> None:
        """Forget closed cases, and decisions that are no violation, ``retention`` after their last event."""
        while self._ended and self._ended[0][0] + self._policy.retention_ms < now_ms:
            ended_ms, tenant, first_id = self._ended.popleft()
            standing = self._standings.of(tenant)
            case = standing.cases.get(first_id)
            if case is not None and case.last_ms == ended_ms and self._forgettable(standing, case):
                standing.forget(CASES, first_id)

    @staticmethod
    def _forgettable(standing: TenantRecord, case: DecisionCase) -> bool:
        return case.status != "pending" and case.final_id not in standing.violations

    def restore(self, standings: Sequence[TenantRecord]) -> None:
        """Take over what stood before a restart."""
        for standing in standings:
            for key, until_ms in standing.quiet.items():
                self._gates.quieten(key, standing.tenant, until_ms)
            if standing.stops:
                self._gates.stopped(standing.tenant, len(standing.stops))
            used: dict[str, list[RecordedViolation]] = {}
            for violation in sorted(standing.violations.values(), key=_by_age):
                self._not_used_yet(standing, violation)
                for first_id in violation.used_by.values():
                    used.setdefault(first_id, []).append(violation)
            for case in standing.cases.values():
                if case.status == "pending":
                    self._await_review(standing, case, used.get(case.first_id, ()))
        ended = [
            (case.last_ms, standing.tenant, case.first_id)
            for standing in standings
            for case in standing.cases.values()
            if self._forgettable(standing, case)
        ]
        self._ended = deque(sorted(ended, key=lambda one: one[0]))

    # Steps ------------------------------------------------------------------------------------------------------

    def _open(
        self,
        standing: TenantRecord,
        at_ms: int,
        *,
        final: bool,
        kind: Kind,
        behaviour: str,
        clause: int | None,
        tier: TierName | None,
        rule_id: str,
        origin: Origin,
        freeze: bool,
        evidence: Evidence,
        reason: Reason,
        window: Window | None = None,
        measure: Measure | None = None,
        measured: bool = False,
        escalation: str | None = None,
        used: Sequence[RecordedViolation] = (),
        further: tuple[int | str, ...] = (),
    ) -> DecisionCase | None:
        """A new case, final or pending; None when this very decision has been made already."""
        status = "final" if final else "pending"
        event_status = "final" if final else "pending_review"
        new_id = enforcement_id(standing.tenant_id, kind, event_status, rule_id, at_ms, origin, further)
        if new_id in standing.case_of:
            return None
        freezes = tier is not None and self._policy.tiers[tier].freezes
        case = DecisionCase(
            first_id=new_id,
            status=status,
            kind=kind,
            behaviour=behaviour,
            clause=clause,
            tier=tier,
            rule_id=rule_id,
            decided_ms=at_ms,
            last_ms=at_ms,
            review_by_ms=None if final else at_ms + self._policy.review_within_ms,
            frozen=freezes and (final or freeze),
            window=window,
            measure=measure,
            evidence=evidence,
            reason=reason,
            pending_id=None if final else new_id,
            final_id=new_id if final else None,
            measured=measured,
            escalation=escalation,
        )
        standing.cases[new_id] = case
        standing.case_of[new_id] = new_id
        standing.place(CASES, case)
        if final:
            self._in_force(standing, case, origin, supersedes=None)
        else:
            self._await_review(standing, case, used)
            self._events.decision(standing, case, proposed=self._actions(case))
        return case

    def _await_review(self, standing: TenantRecord, case: DecisionCase, used: Sequence[RecordedViolation]) -> None:
        assert case.review_by_ms is not None
        heapq.heappush(self._lapses, (case.review_by_ms, standing.tenant_id, case.first_id, standing.tenant, case))
        if case.measured:
            self._gates.pending(case.behaviour, standing.tenant, 1)
        if case.escalation is not None:
            assert case.measure is not None
            use = self._uses[case.first_id] = _Use(case, used, len(used), int(case.measure.threshold))
            for violation in used:
                self._users.setdefault(violation.id, []).append(use)

    def _no_longer_pending(self, standing: TenantRecord, case: DecisionCase) -> None:
        if case.measured:
            self._gates.pending(case.behaviour, standing.tenant, -1)
        if case.escalation is not None:
            use = self._uses.pop(case.first_id)
            for violation in use.violations:
                users = self._users.get(violation.id)  # none where it has been reversed
                if users is not None:
                    users.remove(use)
                    if not users:
                        del self._users[violation.id]

    def _not_used_yet(self, standing: TenantRecord, violation: RecordedViolation) -> None:
        for escalation in self._policy.escalations if violation.counts else ():
            if escalation.id not in violation.used_by:
                self._unused.setdefault((escalation.id, standing.tenant), []).append(violation)

    def _in_force(self, standing: TenantRecord, case: DecisionCase, origin: Origin, supersedes: str | None) -> None:
        """A case has become final: say so, put the violation on record, and look at the escalations."""
        actions = self._actions(case)
        violation = None
        if "record_violation" in actions:
            violation = RecordedViolation(case.id, case.decided_ms, origin, counts=case.escalation is None)
            standing.violations[case.id] = case.violation = violation
            self._not_used_yet(standing, violation)
        if case.kind in ("termination", "ban"):
            standing.stop(case)
            self._gates.stopped(standing.tenant, len(standing.stops))
        self._events.decision(standing, case, actions=actions, supersedes=supersedes)
        if self._forgettable(standing, case):
            self._ended.append((case.last_ms, standing.tenant, case.first_id))
        if violation is not None and violation.counts:
            for escalation in self._policy.escalations:
                self._escalate(standing, escalation, violation, case.rule_id)

    def _escalate(
        self, standing: TenantRecord, escalation: Escalation, latest: RecordedViolation, rule_id: str
    ) -> None:
        """Violations within the escalation's window that it has not used: if there are enough, it decides.

        ``rule_id`` is that of the latest violation, which sets it off.
        """
        if standing.stops:
            return
        at_ms = latest.decided_ms
        key = (escalation.id, standing.tenant)
        # What has been reversed or has left the window never counts again.
        unused = self._unused[key] = [
            violation
            for violation in self._unused.get(key, ())
            if violation.id in standing.violations and at_ms - escalation.window_ms < violation.decided_ms
        ]
        if len(unused) < escalation.at_least:
            return
        count = len(unused)
        review_by_ms = at_ms + self._policy.review_within_ms if escalation.mode == "review" else None
        newest = sorted((violation.decided_ms, violation.id) for violation in unused)[-NEWEST:]
        case = self._open(
            standing,
            at_ms,
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
            reason=reasons.repeated(escalation, count, standing.name, review_by_ms),
            measure=Measure("violations", count, None, count, escalation.at_least, None),
            escalation=escalation.id,
            used=unused,
        )
        # What decides nothing uses nothing.
        if case is not None:
            del self._unused[key]
            for violation in unused:
                standing.touch(CASES, standing.cases[standing.case_of[violation.id]])
                violation.used_by[escalation.id] = case.first_id

    def _close(
        self, standing: TenantRecord, case: DecisionCase, at_ms: int, kind: Kind, evidence: Evidence, reason: Reason
    ) -> None:
        """End a case by a reversal or a lapse: nothing of it is in force any more."""
        in_force = case.id
        closing_id = enforcement_id(
            standing.tenant_id, kind, "final", case.rule_id, at_ms, Origin("enforcement", in_force)
        )
        if case.status == "pending":
            self._no_longer_pending(standing, case)
        standing.touch(CASES, case)
        standing.violations.pop(in_force, None)
        case.violation = None
        if standing.release(case):
            self._gates.stopped(standing.tenant, len(standing.stops))
        case.status = "closed"
        case.closing_id = closing_id
        case.last_ms = at_ms
        standing.case_of[closing_id] = case.first_id
        self._ended.append((at_ms, standing.tenant, case.first_id))
        self._events.closing(standing, case, kind, closing_id, in_force, at_ms, evidence, reason)

    def _actions(self, case: DecisionCase) -> tuple[Action, ...]:
        return self._policy.tiers[case.tier].actions if case.tier else ("reject_numbers",)


def _by_age(violation: RecordedViolation) -> tuple[int, str]:
    return violation.decided_ms, violation.id


def _evidence_of(origin: Origin) -> Evidence:
    """The deciding record itself is the evidence."""
    match origin.type:
        case "complaint":
            return Evidence(complaint_ids=(origin.id,))
        case "finding":
            return Evidence(finding_ids=(origin.id,))
        case _:
            return Evidence(application_ids=(origin.id,))
