"""The cluster of which a position is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ledger_position", sa.Column("cluster", sa.String(255)))
