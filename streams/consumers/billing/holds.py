"""The remaining holds on tenants' refunds, in one state of the database."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, exists, func, select

from streams.consumers.billing.tables import HOLD, POSITIONS, RELEASED
from streams.consumers.billing.unread import ANY_OPEN, AnswerWithheld, withheld
from streams.consumers.offsets import read_text
from streams.kafka.api import TP


@dataclass(frozen=True, slots=True)
class RefundHold:
    """Why a tenant's refunds are frozen; fields that the event lacks are None.

    ``since_ms``: when it was decided, or when the pending decision that it made final was, if that froze too.
    """

    id: str
    clause: int | None
    status: str | None
    decided_ms: int | None
    since_ms: int | None
    review_by_ms: int | None
    reason_zh: str | None
    reason_en: str | None


# Scalar subqueries: with joins, PostgreSQL would read whole tables for one tenant until it has table statistics.
_FIRST = HOLD.alias("first")
_FIRST_MS = select(_FIRST.c.decided_ms).where(_FIRST.c.id == HOLD.c.supersedes).scalar_subquery()
_RELEASED_BY = select(RELEASED.c.by).where(RELEASED.c.id == HOLD.c.id).scalar_subquery()
# One statement sees one snapshot, so the holds and the positions, in at least one row, belong together.
_STATE = select(POSITIONS.as_text().label("positions"), ANY_OPEN.label("unread")).subquery("state")
_LEFT = select(_STATE.c.positions, _STATE.c.unread, HOLD, _FIRST_MS.label("first_ms")).select_from(
    _STATE.outerjoin(HOLD, and_(HOLD.c.tenant_id.in_(bindparam("tenants", expanding=True)), _RELEASED_BY.is_(None)))
)
_COUNT = (
    select(func.count(), func.count(HOLD.c.tenant_id.distinct()))
    .select_from(HOLD)
    .where(~exists().where(RELEASED.c.id == HOLD.c.id))
)


@dataclass(frozen=True, slots=True)
class State:
    """The database's state for some tenants: each one's holds, oldest first; which tenants are withheld, and why; and
    the positions up to which it is complete."""

    holds: dict[str, list[RefundHold]]
    withheld: dict[str, AnswerWithheld]
    positions: dict[TP, int]


def holds_of(connection: Connection, tenants: Sequence[str]) -> dict[str, list[RefundHold]]:
    """The holds of each tenant, oldest first."""
    return state(connection, tenants).holds


def state(connection: Connection, tenants: Sequence[str]) -> State:
    """The state for these tenants."""
    found: dict[str, list[RefundHold]] = {tenant: [] for tenant in tenants}
    rows = connection.execute(_LEFT, {"tenants": tenants}).all()
    for row in rows:
        if row.id is None:
            continue
        known = [ms for ms in (row.decided_ms, row.first_ms) if ms is not None]
        hold = RefundHold(
            id=row.id,
            clause=row.clause,
            status=row.status,
            decided_ms=row.decided_ms,
            since_ms=min(known, default=None),
            review_by_ms=row.review_by_ms,
            reason_zh=row.reason_zh,
            reason_en=row.reason_en,
        )
        found[row.tenant_id].append(hold)
    for holds in found.values():
        holds.sort(key=lambda hold: (hold.since_ms or 0, hold.id))
    # If each statement sees its own snapshot, the second one sees a newer one: it withholds too much, if anything.
    unanswered = withheld(connection, tenants) if rows[0].unread else {}
    return State(found, unanswered, read_text(rows[0].positions))


def counted(connection: Connection) -> tuple[int, int]:
    """The number of remaining holds, and of tenants with holds."""
    holds, tenants = connection.execute(_COUNT).one()
    return holds, tenants
