"""What a newer release reads of entries that could not be read when they were kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "ledger_reread",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.String(128)),
        sa.Column("event_id", sa.String(128)),
        sa.Column("kind", sa.String(32)),
        sa.Column("status", sa.String(32)),
        sa.Column("rule_id", sa.String(256)),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("review_by_ms", sa.BigInteger),
        sa.Column("reverses", sa.String(128)),
        sa.Column("supersedes", sa.String(128)),
        sa.Column("review_id", sa.String(128)),
        sa.Column("about", sa.String(128)),
    )
    for column in ("tenant_id", "event_id", "reverses", "supersedes", "review_id", "about"):
        op.create_index(f"ledger_reread_{column}", "ledger_reread", [column])
