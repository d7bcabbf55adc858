"""The headers that signed reviews: of entries, and of reservations."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("ledger_entry", "ledger_claim"):
        op.add_column(table, sa.Column("signature", sa.LargeBinary))
