"""Failures that nobody can attribute yet; whose message it is; when each channel was sent something."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("notify_outbox", sa.Column("tenant_id", sa.Text))
    op.add_column("notify_outbox", sa.Column("unattributed", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_notify_outbox_tenant", "notify_outbox", ["channel", "state", "tenant_id", "number"])
    op.create_table(
        "notify_sent",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_notify_sent_channel", "notify_sent", ["channel", "at_ms"])
