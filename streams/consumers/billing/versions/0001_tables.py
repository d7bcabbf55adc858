"""Handled events, holds, released holds, undecodable records, accepted gaps, and positions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "billing_position",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("last_offset", sa.BigInteger),
        sa.Column("last_hash", sa.String(64)),
        sa.Column("cluster", sa.String(255)),
    )
    op.create_table("billing_handled", sa.Column("id", sa.Text, primary_key=True))
    op.create_table(
        "billing_hold",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("supersedes", sa.Text),
        sa.Column("clause", sa.Integer),
        sa.Column("status", sa.Text),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("review_by_ms", sa.BigInteger),
        sa.Column("reason_zh", sa.Text),
        sa.Column("reason_en", sa.Text),
    )
    op.create_index("billing_hold_tenant", "billing_hold", ["tenant_id"])
    op.create_table(
        "billing_released",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.create_table(
        "billing_rejected",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "billing_gap",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("stop", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("accepted_ms", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "billing_unread",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("accepted_ms", sa.BigInteger),
        sa.Column("accepted_reason", sa.Text),
    )
    op.create_index("billing_unread_open", "billing_unread", ["accepted_ms", "tenant_id"])
