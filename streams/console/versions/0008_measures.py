"""What the rules measured of each tenant and hour."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_measure",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "hour_ms"),
    )
    op.create_index("console_measure_hour", "console_measure", ["hour_ms"])
