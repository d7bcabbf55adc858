"""Records that cannot be read, whose they are, and which of them an operator has accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
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
    # Whose those were that are there already is not known: all tenants'.
    op.execute(
        'INSERT INTO billing_unread (topic, partition, "offset", hash, tenant_id, reason) '
        "SELECT topic, partition, \"offset\", '', '', reason FROM billing_rejected"
    )
