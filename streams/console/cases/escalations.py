"""Which violations of a tenant count towards each escalation, rebuilt from its cases, and what a verdict changes.

It follows the contract, section 5: an escalation uses all violations in its window that it has not used, also those
that `once_per_rule` does not count; what a lapsed or overturned escalation used stays used; what one used that was
reversed because too few were left is unused again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Row, select

from monitor.core.decisions.consequences import STOPS
from monitor.core.decisions.proposals import REPEATED
from monitor.policy.model import Escalation, Policy
from schemas.outputs import Enforcement, Kind
from streams.console.cases.case_counts import has_final
from streams.console.tables import CASES, EVENTS, REVIEWS
from streams.consumers.record_decoding import event_of

MOST_CASES: Final = 500
"""The newest violations and escalations of a tenant that are read."""

Outcome = Literal["counts", "escalates", "stopped", "reverses", "unsupported", "stays_used"]


class Violation(NamedTuple):
    """A violation on record. ``group``: those of one group count once where an escalation counts once per rule."""

    case_id: str
    at_ms: int
    rule_id: str | None

    def group(self, once_per_rule: bool) -> str:
        """What it counts as."""
        return f"rule:{self.rule_id}" if once_per_rule and self.rule_id is not None else self.case_id


@dataclass(frozen=True, slots=True)
class EscalationCase:
    """A decision by an escalation. ``released``: it was reversed because too few of its violations were left."""

    case_id: str
    escalation: Escalation
    status: str
    at_ms: int
    closed_ms: int | None
    released: bool
    at_least: int
    used: frozenset[str]

    def left(self, violations: Iterable[Violation], without: str = "") -> int:
        """How many of the violations that it used are on record and count, ``without`` one case."""
        mine = (each for each in violations if each.case_id in self.used and each.case_id != without)
        return len({each.group(self.escalation.once_per_rule) for each in mine})


class EscalationEffect(NamedTuple):
    """What a verdict does to one escalation. ``counted``: the violations that count then, of ``at_least``.

    ``kind``: what it decides. ``case_id``: its decision that the verdict reverses or leaves unsupported.
    """

    outcome: Outcome
    escalation: Escalation
    kind: Kind
    counted: int = 0
    case_id: str | None = None


@dataclass(frozen=True, slots=True)
class TenantViolations:
    """The violations of a tenant, the decisions of its escalations, and whether a termination or ban is in force.

    ``violations`` are those that escalations count; ``on_record`` are all, those by escalations too.
    """

    policy: Policy
    on_record: int
    violations: tuple[Violation, ...]
    decided: tuple[EscalationCase, ...]
    stopped: bool

    def unused(self, escalation: Escalation, now_ms: int) -> list[Violation]:
        """Those in the window that ends now that the escalation has not used."""
        used = {
            case_id
            for one in self.decided
            if one.escalation.id == escalation.id and not one.released
            for case_id in one.used
        }
        after_ms = now_ms - escalation.window_ms
        return [each for each in self.violations if each.at_ms > after_ms and each.case_id not in used]

    def counted(self, escalation: Escalation, now_ms: int, one_more: Violation | None = None) -> int:
        """How many violations count, with ``one_more`` if it is given."""
        counting = [*self.unused(escalation, now_ms), *((one_more,) if one_more is not None else ())]
        return len({each.group(escalation.once_per_rule) for each in counting})

    def of_uphold(self, event: Enforcement, case_id: str, now_ms: int) -> list[EscalationEffect]:
        """What it does to each escalation if the pending decision becomes final now."""
        data = event.data
        if "record_violation" not in data.proposed_actions or data.behaviour == REPEATED:
            return []
        stopped = self.stopped or data.kind in STOPS
        new = Violation(case_id, now_ms, data.rule_id if data.measure is not None else None)
        found = []
        for escalation in self.policy.escalations:
            n = self.counted(escalation, now_ms, new)
            outcome: Outcome = "counts" if n < escalation.at_least else "stopped" if stopped else "escalates"
            found.append(EscalationEffect(outcome, escalation, self._kind(escalation), n))
        return found

    def of_overturn(self, event: Enforcement, case_id: str) -> list[EscalationEffect]:
        """What it does to each escalation if the decision is reversed."""
        if (own := next((one for one in self.decided if one.case_id == case_id), None)) is not None:
            return [EscalationEffect("stays_used", own.escalation, self._kind(own.escalation))] if own.used else []
        found = []
        for one in self.decided:
            if case_id in one.used and one.status in ("pending", "final"):
                left = one.left(self.violations, without=case_id)
                if left < one.at_least:
                    outcome: Outcome = "reverses" if one.status == "pending" else "unsupported"
                    kind = self._kind(one.escalation)
                    found.append(EscalationEffect(outcome, one.escalation, kind, left, one.case_id))
        return found

    def _kind(self, escalation: Escalation) -> Kind:
        return self.policy.tiers[escalation.tier].kind


def tenant_violations(connection: Connection, tenant_id: str, policy: Policy) -> TenantViolations:
    """The violations of a tenant and what its escalations have used, under the policy in force."""
    escalations = {each.id: each for each in policy.escalations}
    rows = _newest_cases(connection, tenant_id, list(escalations))
    events = _events(connection, [row.id for row in rows])
    violations = sorted(
        (each for row in rows if (each := _violation(row, events.get(row.id, ()))) is not None),
        key=lambda each: (each.at_ms, each.case_id),
    )
    decided: list[EscalationCase] = []
    case_of = {event.id: case_id for case_id, several in events.items() for event in several}
    for row in reversed(rows):
        if row.behaviour == REPEATED and row.rule_id in escalations and (several := events.get(row.id)):
            one = _escalation_case(connection, row, several, escalations[row.rule_id])
            decided.append(_with_used(one, several, violations, decided, case_of))
    stopped = has_final(connection, tenant_id, STOPS)
    on_record = sum(row.status == "final" and _recorded(events.get(row.id, ())) is not None for row in rows)
    return TenantViolations(policy, on_record, tuple(violations), tuple(decided), stopped)


def _newest_cases(connection: Connection, tenant_id: str, escalations: Sequence[str]) -> list[Row[Any]]:
    """The tenant's newest final cases and decisions of these escalations, the newest first."""
    c = CASES.c
    columns = (c.id, c.rule_id, c.behaviour, c.status, c.decided_ms, c.closed_ms)
    found: dict[str, Row[Any]] = {}
    # Each by its index: with an OR all cases of the tenant would be read.
    kinds = [(c.status == "final",), *((c.rule_id == each, c.behaviour == REPEATED) for each in escalations)]
    for kind in kinds:
        query = select(*columns).where(c.tenant_id == tenant_id, *kind).order_by(c.decided_ms.desc(), c.id.desc())
        found |= {row.id: row for row in connection.execute(query.limit(MOST_CASES))}
    return sorted(found.values(), key=lambda row: (row.decided_ms, row.id), reverse=True)[:MOST_CASES]


def _events(connection: Connection, case_ids: Sequence[str]) -> dict[str, list[Enforcement]]:
    """The events of each case, the oldest first."""
    e, found = EVENTS.c, dict[str, list[Enforcement]]()
    query = select(e.case_id, e.value).where(e.case_id.in_(case_ids), e.shadow.is_(False))
    for case_id, value in connection.execute(query.order_by(e.decided_ms)) if case_ids else ():
        found.setdefault(case_id, []).append(event_of(value))
    return found


def _violation(row: Any, events: Sequence[Enforcement]) -> Violation | None:
    """The violation of a final case; it keeps its time when a review changes its kind."""
    recorded = _recorded(events)
    if row.status != "final" or row.behaviour == REPEATED or recorded is None:
        return None
    data = recorded.data
    return Violation(row.id, data.decided_ms, data.rule_id if data.measure is not None else None)


def _recorded(events: Sequence[Enforcement]) -> Enforcement | None:
    """The event that recorded the violation of a case; None if it records none."""
    return next((each for each in events if "record_violation" in each.data.actions), None)


def _escalation_case(
    connection: Connection, row: Any, events: Sequence[Enforcement], escalation: Escalation
) -> EscalationCase:
    measure = events[0].data.measure
    at_least = int(measure.threshold) if measure is not None else escalation.at_least
    released = row.status == "reversed" and not _is_overturned(connection, events)
    return EscalationCase(
        row.id, escalation, row.status, row.decided_ms, row.closed_ms, released, at_least, frozenset()
    )


def _is_overturned(connection: Connection, events: Sequence[Enforcement]) -> bool:
    """Whether a review of the decision itself reversed it, not the reversal of a violation that it used."""
    reviews = [review_id for each in events if each.data.reverses for review_id in each.data.evidence.review_ids]
    r = REVIEWS.c
    query = select(r.number).where(r.review_id.in_(reviews), r.enforcement_id.in_([each.id for each in events]))
    return connection.execute(query.limit(1)).first() is not None if reviews else False


def _with_used(
    one: EscalationCase,
    events: Sequence[Enforcement],
    violations: Sequence[Violation],
    earlier: Sequence[EscalationCase],
    case_of: dict[str, str],
) -> EscalationCase:
    """The decision with the violations that it used: those that it names, and all others in its window."""
    named = {case_of.get(each, each) for each in events[0].data.evidence.enforcement_ids}
    taken = {
        case_id
        for other in earlier
        if other.escalation.id == one.escalation.id
        and not (other.released and other.closed_ms is not None and other.closed_ms <= one.at_ms)
        for case_id in other.used
    }
    after_ms = one.at_ms - one.escalation.window_ms
    # Of those of its own instant it used the ones that it names: others were recorded after it.
    within = {each.case_id for each in violations if after_ms < each.at_ms < one.at_ms and each.case_id not in taken}
    return EscalationCase(
        one.case_id,
        one.escalation,
        one.status,
        one.at_ms,
        one.closed_ms,
        one.released,
        one.at_least,
        frozenset(named | within),
    )
