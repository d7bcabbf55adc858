"""Previews of policies."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_preview",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("draft_id", sa.Text()),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text()),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.String(length=64)),
        sa.Column("base_name", sa.Text(), nullable=False),
        sa.Column("base_sha256", sa.String(length=64), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("alive_ms", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=32)),
        sa.Column("detail", sa.Text()),
        sa.Column("result", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_preview_asked", "console_preview", ["asked_ms", "id"])
    op.create_index("console_preview_draft", "console_preview", ["draft_id", "asked_ms"])
    op.create_index("console_preview_policy", "console_preview", ["policy_sha256", "state"])
    op.create_index("console_preview_state", "console_preview", ["state", "alive_ms"])
