"""Counts of each tenant's cases, and indexes by which a page reads a bounded part of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count the cases that there are, and replace the indexes in which rows of one time have no order."""
    op.create_table(
        "console_case_count",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("cases", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "status", "kind"),
    )
    op.execute(
        "INSERT INTO console_case_count (tenant_id, status, kind, cases) "
        "SELECT tenant_id, status, kind, count(*) FROM console_case GROUP BY tenant_id, status, kind"
    )
    op.create_index("console_case_tenant_status", "console_case", ["tenant_id", "status", "decided_ms", "id"])
    op.create_index("console_case_tenant_rule", "console_case", ["tenant_id", "rule_id", "decided_ms", "id"])
    op.create_index("console_case_queue_age", "console_case", ["queue", "decided_ms", "id"])
    op.create_index("console_case_postponed", "console_case", ["postponed_until_ms"])
    op.create_index("console_event_history", "console_event", ["tenant_id", "shadow", "decided_ms", "id"])
    op.create_index("console_alert_tenant_state", "console_alert", ["tenant_id", "state"])
    op.create_index("console_alert_tenant_updated", "console_alert", ["tenant_id", "updated_ms"])
    for name, table, columns in (
        ("console_case_tenant", "console_case", ["tenant_id", "decided_ms", "id"]),
        ("console_alert_tenant", "console_alert", ["tenant_id", "since_ms", "alert_id"]),
        ("console_tenant_owner", "console_tenant", ["owner_id", "tenant_id"]),
    ):
        op.drop_index(name, table_name=table)
        op.create_index(name, table, columns)
    op.drop_index("console_event_decided", table_name="console_event")
    op.create_index(
        "console_event_decided",
        "console_event",
        ["decided_ms", "id"],
        sqlite_where=sa.text("shadow IS 0"),
        postgresql_where=sa.text("shadow IS False"),
    )
