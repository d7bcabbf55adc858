"""The violations that each escalation may still use, and those that pending escalations have used."""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.core.tenants.tenant_record import CASES, DecisionCase, RecordedViolation, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.model import Escalation


@dataclass(slots=True, eq=False)
class EscalationUse:
    """The violations that a pending escalation has used, and how many of them are not reversed."""

    case: DecisionCase
    violations: Sequence[RecordedViolation]
    left: int
    at_least: int


class EscalationUses:
    """The violations of all tenants, by whether escalations have used them.

    The cost of a violation does not depend on how many the tenant has: nothing here iterates over all of them.
    """

    def __init__(self, escalations: Sequence[Escalation]) -> None:
        self._escalations = escalations
        # By (escalation, tenant), oldest first.
        self._unused: dict[tuple[str, int], list[RecordedViolation]] = {}
        self._users: dict[str, list[EscalationUse]] = {}  # by violation id
        self._uses: dict[str, EscalationUse] = {}  # by the first id of the pending escalation

    def add(self, tenant_record: TenantRecord, violation: RecordedViolation) -> None:
        """Add a violation on record for the escalations that have not used it."""
        for escalation in self._escalations if violation.counts else ():
            if escalation.id not in violation.used_by:
                self._unused.setdefault((escalation.id, tenant_record.tenant), []).append(violation)

    def unused_in_window(
        self, tenant_record: TenantRecord, escalation: Escalation, at_ms: int
    ) -> list[RecordedViolation]:
        """The violations in the escalation's window that ends at ``at_ms`` and that it has not used.

        A violation that was reversed or has left the window never counts again.
        """
        key = (escalation.id, tenant_record.tenant)
        unused = self._unused[key] = _countable(self._unused.get(key, ()), tenant_record, escalation, at_ms)
        return unused

    def counts(self, tenant_records: TenantRecords, at_ms: int) -> Iterator[tuple[TenantRecord, Escalation, int]]:
        """Each tenant and escalation with violations that count at ``at_ms``, and their number. Changes nothing.

        Omits tenants with a final termination or ban in force.
        """
        escalations = {escalation.id: escalation for escalation in self._escalations}
        for (escalation_id, tenant), unused in self._unused.items():
            escalation = escalations.get(escalation_id)  # None: it was made under an earlier policy
            tenant_record = tenant_records.known(tenant)
            if escalation is None or tenant_record is None or tenant_record.stops:
                continue
            counted = len(_countable(unused, tenant_record, escalation, at_ms))
            if counted:
                yield tenant_record, escalation, counted

    def use(self, tenant_record: TenantRecord, escalation: Escalation, first_id: str) -> None:
        """Mark all violations that `unused_in_window` returned as used by the escalation with that first id."""
        for violation in self._unused.pop((escalation.id, tenant_record.tenant)):
            tenant_record.touch(CASES, tenant_record.cases[tenant_record.case_of[violation.id]])
            violation.used_by[escalation.id] = first_id

    def await_review(self, case: DecisionCase, used: Sequence[RecordedViolation]) -> None:
        """Track a pending escalation. It is reversed when too few of the violations that it used are left."""
        assert case.measure is not None
        use = self._uses[case.first_id] = EscalationUse(case, used, len(used), int(case.measure.threshold))
        for violation in used:
            self._users.setdefault(violation.id, []).append(use)

    def no_longer_pending(self, case: DecisionCase) -> None:
        """Stop tracking an escalation that was decided, was reversed or has lapsed."""
        use = self._uses.pop(case.first_id)
        for violation in use.violations:
            users = self._users.get(violation.id)  # None if it was reversed
            if users is not None:
                users.remove(use)
                if not users:
                    del self._users[violation.id]

    def unsupported(self, tenant_record: TenantRecord, violation_id: str) -> Iterator[EscalationUse]:
        """The pending escalations to reverse because a violation was reversed. Their other violations become unused."""
        for use in self._users.pop(violation_id, ()):
            use.left -= 1
            if use.left < use.at_least:
                escalation = use.case.escalation
                assert escalation is not None
                unused = self._unused.setdefault((escalation, tenant_record.tenant), [])
                for violation in use.violations:
                    if violation.id in tenant_record.violations:
                        tenant_record.touch(CASES, tenant_record.cases[tenant_record.case_of[violation.id]])
                        del violation.used_by[escalation]
                        insort(unused, violation, key=by_age)
                yield use


def _countable(
    unused: Sequence[RecordedViolation], tenant_record: TenantRecord, escalation: Escalation, at_ms: int
) -> list[RecordedViolation]:
    """Those that are not reversed and are in the escalation's window that ends at ``at_ms``."""
    return [
        violation
        for violation in unused
        if violation.id in tenant_record.violations and at_ms - escalation.window_ms < violation.decided_ms
    ]


def by_age(violation: RecordedViolation) -> tuple[int, str]:
    """The sort key of violations, oldest first."""
    return violation.decided_ms, violation.id
