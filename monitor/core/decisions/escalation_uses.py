"""The violations that each escalation may still use, and those that its decisions in force have used.

Of an escalation with ``once_per_rule``, the violations of one measured rule form a group that counts once; any other
violation is a group of its own. An escalation counts groups. Violations are held by the first id of their case, because
their own id changes when a review changes the kind of a final decision.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from monitor.core.tenants.tenant_record import CASES, DecisionCase, RecordedViolation, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.model import Escalation, Policy
from schemas.outputs import AffectedEscalation, EscalationAhead, Status


@dataclass(slots=True, eq=False)
class EscalationUse:
    """The violations that an escalation's decision in force has used, and how many of each group are not reversed."""

    case: DecisionCase
    violations: dict[str, RecordedViolation]
    groups: dict[str, int]
    at_least: int

    @property
    def left(self) -> int:
        """How many still count."""
        return len(self.groups)

    @property
    def unsupported(self) -> bool:
        """Whether it is pending and too few are left: it is reversed. A final decision stays in force."""
        return self.case.status == "pending" and self.left < self.at_least

    def affected(self) -> AffectedEscalation:
        """What an event says of it that takes back one of its violations."""
        assert self.case.escalation is not None
        status: Status = "pending_review" if self.case.status == "pending" else "final"
        return AffectedEscalation(self.case.escalation, self.case.id, status, self.left, self.at_least)


@dataclass(slots=True, eq=False)
class _Unused:
    """The unused violations of a tenant, oldest first, the group of each, and how many each group has."""

    violations: dict[str, RecordedViolation] = field(default_factory=dict)
    group_of: dict[str, str] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)

    def add(self, first_id: str, violation: RecordedViolation, group: str) -> None:
        if first_id not in self.violations:
            self.violations[first_id] = violation
            self.group_of[first_id] = group
            self.groups[group] = self.groups.get(group, 0) + 1

    def remove(self, first_id: str) -> None:
        if self.violations.pop(first_id, None) is not None:
            _take_one(self.groups, self.group_of.pop(first_id))

    def sort(self) -> None:
        self.violations = dict(sorted(self.violations.items(), key=lambda item: by_age(item[1])))


class EscalationUses:
    """The violations of all tenants, by whether escalations have used them.

    The cost of a violation does not depend on how many the tenant has: nothing here iterates over all of them.
    """

    def __init__(self, policy: Policy) -> None:
        self._escalations = policy.escalations
        self._kinds = {each.id: policy.tiers[each.tier].kind for each in policy.escalations}
        self._unused: dict[tuple[str, int], _Unused] = {}  # by (escalation, tenant)
        self._users: dict[str, list[EscalationUse]] = {}  # by the first id of the violation's case
        self._uses: dict[str, EscalationUse] = {}  # by the first id of the escalation's case

    def add(self, tenant_record: TenantRecord, violation: RecordedViolation) -> None:
        """Add a violation on record for the escalations that have not used it."""
        for escalation in self._escalations if violation.counts else ():
            if escalation.id not in violation.used_by:
                case = _case(tenant_record, violation)
                unused = self._unused.setdefault((escalation.id, tenant_record.tenant), _Unused())
                unused.add(case.first_id, violation, _group(case, escalation.once_per_rule))

    def unused_in_window(
        self, tenant_record: TenantRecord, escalation: Escalation, at_ms: int
    ) -> tuple[int, list[RecordedViolation]]:
        """The violations in the escalation's window that ends at ``at_ms`` and that it has not used, and their count.

        The list is empty if they are too few. A violation that was reversed or has left the window never counts again.
        """
        unused = self._unused.get((escalation.id, tenant_record.tenant), _Unused())
        removed = []
        for first_id, violation in unused.violations.items():
            if violation.decided_ms > at_ms - escalation.window_ms:
                break
            removed.append(first_id)
        for first_id in removed:
            unused.remove(first_id)
        counted = len(unused.groups)
        return counted, list(unused.violations.values()) if counted >= escalation.at_least else []

    def counts(self, tenant_records: TenantRecords, at_ms: int) -> Iterator[tuple[TenantRecord, Escalation, int]]:
        """Each tenant and escalation with violations that count at ``at_ms``, and their number. Changes nothing.

        Omits tenants with a final termination or ban in force.
        """
        escalations = {escalation.id: escalation for escalation in self._escalations}
        for (escalation_id, tenant), unused in self._unused.items():
            escalation = escalations.get(escalation_id)  # None: it was made under an earlier policy
            tenant_record = tenant_records.known(tenant)
            if escalation is None or tenant_record is None or tenant_record.sanctions:
                continue
            after_ms = at_ms - escalation.window_ms
            counted = len({unused.group_of[key] for key, one in unused.violations.items() if one.decided_ms > after_ms})
            if counted:
                yield tenant_record, escalation, counted

    def use(self, tenant_record: TenantRecord, escalation: Escalation, first_id: str) -> None:
        """Mark all violations that `unused_in_window` returned as used by the escalation with that first id."""
        for violation in self._unused.pop((escalation.id, tenant_record.tenant)).violations.values():
            tenant_record.touch(CASES, _case(tenant_record, violation))
            violation.used_by[escalation.id] = first_id

    def ahead(self, tenant_record: TenantRecord, at_ms: int) -> tuple[EscalationAhead, ...]:
        """How far each escalation is at ``at_ms``; none while a final termination or ban is in force."""
        if tenant_record.sanctions:
            return ()
        return tuple(
            EscalationAhead(
                escalation.id,
                self._kinds[escalation.id],
                escalation.mode,
                self.unused_in_window(tenant_record, escalation, at_ms)[0],
                escalation.at_least,
                escalation.window_ms,
            )
            for escalation in self._escalations
        )

    def track(self, tenant_record: TenantRecord, case: DecisionCase, used: Sequence[RecordedViolation]) -> None:
        """Track the decision of an escalation, pending or final, until it is reversed or lapses."""
        assert case.measure is not None
        cases = [_case(tenant_record, violation) for violation in used]
        violations = {one.first_id: violation for one, violation in zip(cases, used, strict=True)}
        groups = Counter(_group(one, case.once_per_rule) for one in cases)
        use = self._uses[case.first_id] = EscalationUse(case, violations, groups, int(case.measure.threshold))
        for first_id in violations:
            self._users.setdefault(first_id, []).append(use)

    def untrack(self, case: DecisionCase) -> None:
        """Stop tracking the decision of an escalation: it was reversed or has lapsed."""
        use = self._uses.pop(case.first_id)
        for first_id in use.violations:
            users = self._users.get(first_id)  # None if it was reversed
            if users is not None:
                users.remove(use)
                if not users:
                    del self._users[first_id]

    def lose(self, tenant_record: TenantRecord, reversed_case: DecisionCase) -> list[EscalationUse]:
        """Remove the violation of a case that is reversed. Returns the decisions for which one less counts now."""
        for escalation in self._escalations:
            unused = self._unused.get((escalation.id, tenant_record.tenant))
            if unused is not None:
                unused.remove(reversed_case.first_id)
        affected = []
        for use in self._users.pop(reversed_case.first_id, ()):
            before = use.left
            _take_one(use.groups, _group(reversed_case, use.case.once_per_rule))
            if use.left < before:
                affected.append(use)
        return sorted(affected, key=lambda use: use.case.rule_id)

    def release(self, tenant_record: TenantRecord, use: EscalationUse) -> None:
        """Make unused what a pending escalation has used that is reversed for lack of violations."""
        assert use.case.escalation is not None
        once = next((e.once_per_rule for e in self._escalations if e.id == use.case.escalation), False)
        unused = self._unused.setdefault((use.case.escalation, tenant_record.tenant), _Unused())
        for first_id, violation in use.violations.items():
            if violation.id in tenant_record.violations:
                case = tenant_record.cases[first_id]
                tenant_record.touch(CASES, case)
                del violation.used_by[use.case.escalation]
                unused.add(first_id, violation, _group(case, once))
        unused.sort()


def counting(
    tenant_record: TenantRecord, violations: Iterable[RecordedViolation], once_per_rule: bool
) -> list[RecordedViolation]:
    """Those of ``violations`` that count: of each group the newest.

    At one instant the one recorded last is the newest: an upheld decision after that of a window (section 3 of the
    contract), and of several upheld ones that with the largest review id.
    """
    newest: dict[str, RecordedViolation] = {}
    for violation in violations:
        group = _group(_case(tenant_record, violation), once_per_rule)
        if group not in newest or _recorded(violation) > _recorded(newest[group]):
            newest[group] = violation
    return list(newest.values())


def by_age(violation: RecordedViolation) -> tuple[int, str]:
    """The sort key of violations, oldest first."""
    return violation.decided_ms, violation.id


def _recorded(violation: RecordedViolation) -> tuple[int, bool, str]:
    return violation.decided_ms, violation.origin.type == "review", violation.origin.id


def _case(tenant_record: TenantRecord, violation: RecordedViolation) -> DecisionCase:
    return tenant_record.cases[tenant_record.case_of[violation.id]]


def _group(case: DecisionCase, once_per_rule: bool) -> str:
    """The group of a case's violation: ``rule:`` and the id of its measured rule, or the first id of the case."""
    return f"rule:{case.rule_id}" if once_per_rule and case.measured else case.first_id


def _take_one(groups: dict[str, int], group: str) -> None:
    groups[group] -= 1
    if not groups[group]:
        del groups[group]
