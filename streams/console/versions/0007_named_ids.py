"""An index of the ids in the evidence of decisions, filled from the decisions that are stored."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_AT_ONCE = 1_000
_KINDS = ("call_ids", "complaint_ids", "finding_ids", "application_ids")


def upgrade() -> None:
    """Create the table and its rows."""
    named = op.create_table(
        "console_named_id",
        sa.Column("named", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("named", "case_id"),
    )
    op.create_index("console_named_id_at", "console_named_id", ["at_ms"])
    op.create_index("console_alert_updated", "console_alert", ["state", "updated_ms"])
    connection, last = op.get_bind(), ""
    events = sa.table(
        "console_event", *(sa.column(name) for name in ("id", "shadow", "case_id", "decided_ms", "value"))
    )
    e = events.c
    query = sa.select(e.id, e.case_id, e.decided_ms, e.value).where(e.shadow.is_(sa.false())).order_by(e.id)
    while rows := connection.execute(query.where(e.id > last).limit(_AT_ONCE)).all():
        last = rows[-1].id
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            evidence = json.loads(row.value)["data"]["evidence"]
            for one in (_stored(each) for kind in _KINDS for each in evidence.get(kind, ())):
                found[one, row.case_id] = {"named": one, "case_id": row.case_id, "at_ms": row.decided_ms}
        cases = sorted({case_id for _, case_id in found})
        known = sa.select(named.c.named, named.c.case_id).where(named.c.case_id.in_(cases))
        for pair in connection.execute(known).all():
            found.pop((pair.named, pair.case_id), None)
        if found:
            connection.execute(named.insert(), list(found.values()))


def _stored(text: str) -> str:
    """As `AnyText` stores it."""
    return text.replace("\\", "\\\\").replace("\0", "\\0")
