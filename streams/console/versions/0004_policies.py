"""Policies: their texts, what the workers recorded, drafts, and requests to the workers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "console_policy",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("plain", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("known_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "console_policy_change",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_offset", sa.BigInteger()),
        sa.Column("withdrawn_reason", sa.Text()),
        sa.Column("withdrawn_by", sa.Text()),
        sa.Column("withdrawn_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("partition", "offset"),
    )
    op.create_index("console_policy_change_from", "console_policy_change", ["partition", "from_ms"])
    op.create_table(
        "console_policy_refusal",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset"),
    )
    op.create_index("console_policy_refusal_at", "console_policy_refusal", ["at_ms"])
    op.create_table(
        "console_policy_draft",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_policy_draft_updated", "console_policy_draft", ["updated_ms"])
    op.create_table(
        "console_policy_request",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sha256s", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("approved_subject", sa.String(length=512)),
        sa.Column("approved_name", sa.Text()),
        sa.Column("proposal_id", sa.String(length=36)),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("sent_to", sa.Text()),
        sa.Column("sent_from_ms", sa.BigInteger()),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_policy_request_state", "console_policy_request", ["state", "number"])
    op.create_index("console_policy_request_at", "console_policy_request", ["at_ms"])
