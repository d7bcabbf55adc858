"""Cases, what people do with them, what the topics say, verdicts and the outbox, and positions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "console_alert",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("enforcement_id", sa.Text()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("console_alert_state", "console_alert", ["state", "since_ms"])
    op.create_index("console_alert_tenant", "console_alert", ["tenant_id", "since_ms"])
    op.create_table(
        "console_application",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("declared_business", sa.Text(), nullable=False),
        sa.Column("scenario", sa.Text()),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "application_id"),
    )
    op.create_table(
        "console_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("in_force_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("behaviour", sa.Text(), nullable=False),
        sa.Column("tier", sa.String(length=16)),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("review_by_ms", sa.BigInteger()),
        sa.Column("closed_ms", sa.BigInteger()),
        sa.Column("queue", sa.String(length=16)),
        sa.Column("order_ms", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.Text()),
        sa.Column("claimed_name", sa.Text()),
        sa.Column("claimed_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("assignee", sa.Text()),
        sa.Column("assignee_name", sa.Text()),
        sa.Column("postponed_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("verdict", _NUMBER),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_case_assignee", "console_case", ["assignee", "order_ms", "id"])
    op.create_index("console_case_cause", "console_case", ["tenant_id", "rule_id", "queue", "order_ms", "id"])
    op.create_index("console_case_claimed", "console_case", ["claimed_by", "order_ms", "id"])
    op.create_index("console_case_decided", "console_case", ["decided_ms", "id"])
    op.create_index("console_case_queue", "console_case", ["queue", "order_ms", "id"])
    op.create_index("console_case_queue_rule", "console_case", ["queue", "rule_id", "order_ms", "id"])
    op.create_index("console_case_queue_tenant", "console_case", ["queue", "tenant_id", "order_ms", "id"])
    op.create_index("console_case_queue_tier", "console_case", ["queue", "tier", "order_ms", "id"])
    op.create_index("console_case_tenant", "console_case", ["tenant_id", "decided_ms"])
    op.create_index("console_case_verdict", "console_case", ["verdict"])
    op.create_table(
        "console_event",
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("shadow", "id"),
    )
    op.create_index("console_event_case", "console_event", ["case_id"])
    op.create_index("console_event_newest", "console_event", ["shadow", "timestamp_ms"])
    op.create_index("console_event_decided", "console_event", ["decided_ms", "id"])
    op.create_index("console_event_tenant", "console_event", ["tenant_id", "decided_ms"])
    op.create_table(
        "console_loss",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "console_note",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_note_case", "console_note", ["case_id", "number"])
    op.create_table(
        "console_outbox",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_outbox_hash", "console_outbox", ["hash"])
    op.create_index("console_outbox_unsent", "console_outbox", ["sent_ms", "not_before_ms", "number"])
    op.create_table(
        "console_position",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("last_offset", sa.BigInteger()),
        sa.Column("last_hash", sa.String(length=64)),
        sa.Column("cluster", sa.String(length=255)),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "console_rejected",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset"),
    )
    op.create_table(
        "console_review",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16)),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_review_about", "console_review", ["enforcement_id"])
    op.create_index("console_review_id", "console_review", ["review_id"])
    op.create_index("console_review_tenant", "console_review", ["tenant_id", "updated_ms"])
    op.create_table(
        "console_tenant",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("name_folded", sa.Text()),
        sa.Column("owner_id", sa.Text()),
        sa.Column("businesses", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Integer(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_index("console_tenant_name", "console_tenant", ["name_folded"])
    op.create_index("console_tenant_owner", "console_tenant", ["owner_id"])
    op.create_table(
        "console_verdict",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("given_ms", sa.BigInteger(), nullable=False),
        sa.Column("send_ms", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("approved_name", sa.Text()),
        sa.Column("approved_ms", sa.BigInteger()),
        sa.Column("proposal_id", sa.Text()),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("value", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_verdict_case", "console_verdict", ["case_id", "number"])
    op.create_index("console_verdict_review", "console_verdict", ["review_id"])
    op.create_index("console_verdict_state", "console_verdict", ["state", "send_ms"])
    op.create_index("console_verdict_subject", "console_verdict", ["subject", "given_ms"])
