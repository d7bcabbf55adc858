"""Tenants, the outbox and its send times, alerts at Alertmanager, undecodable records, and positions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "notify_position",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("last_offset", sa.BigInteger),
        sa.Column("last_hash", sa.String(64)),
        sa.Column("cluster", sa.String(255)),
    )
    op.create_table(
        "notify_tenant",
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("due_ms", sa.BigInteger),
        sa.Column("known", sa.Text, nullable=False),
    )
    op.create_index("ix_notify_tenant_due_ms", "notify_tenant", ["due_ms"])
    op.create_table(
        "notify_pending",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("behaviour", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("review_by_ms", sa.BigInteger),
        sa.Column("notified", sa.Boolean, nullable=False),
    )
    op.create_index("ix_notify_pending_tenant_id", "notify_pending", ["tenant_id"])
    op.create_index("ix_notify_pending_review_by_ms", "notify_pending", ["review_by_ms"])
    op.create_table(
        "notify_silent",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("behaviour", sa.Text, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
    )
    op.create_table(
        "notify_outbox",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("tenant_id", sa.Text),
        sa.Column("unattributed", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("channel", "message_id"),
    )
    op.create_index("ix_notify_outbox_waiting", "notify_outbox", ["channel", "state", "number"])
    op.create_index("ix_notify_outbox_tenant", "notify_outbox", ["channel", "state", "tenant_id", "number"])
    op.create_table(
        "notify_sent",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_notify_sent_channel", "notify_sent", ["channel", "at_ms"])
    op.create_table(
        "notify_standing",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notify_rejected",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "notify_clock",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
