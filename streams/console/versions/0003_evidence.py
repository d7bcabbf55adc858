"""The records that decisions name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_evidence",
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("enforcement_id", "number"),
    )
    op.create_index("console_evidence_added", "console_evidence", ["added_ms"])
    op.create_index("console_evidence_state", "console_evidence", ["state", "added_ms"])
