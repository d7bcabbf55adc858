"""Users, their secrets and sessions, API tokens, proposals that wait for a second person, and the log of actions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SUBJECT = sa.String(512)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "console_user",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("disabled_ms", sa.BigInteger),
        sa.Column("seen_ms", sa.BigInteger),
    )
    op.create_table(
        "console_password",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("initial_until_ms", sa.BigInteger),
    )
    op.create_table(
        "console_second_factor",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "console_recovery_code",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("hash", sa.String(64), primary_key=True),
    )
    op.create_table(
        "console_session",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("subject", _SUBJECT, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("browser", sa.String(200), nullable=False),
    )
    op.create_index("console_session_subject", "console_session", ["subject", "created_ms"])
    op.create_index("console_session_expiry", "console_session", ["expires_ms"])
    op.create_table(
        "console_used_state",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "console_secret",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )
    op.create_table(
        "console_api_token",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("subject", _SUBJECT, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("console_api_token_subject", "console_api_token", ["subject", "created_ms"])
    op.create_table(
        "console_proposal",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("about", sa.String(128), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("proposed_by", _SUBJECT, nullable=False),
        sa.Column("proposed_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_by", _SUBJECT),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("decided_reason", sa.Text),
        sa.Column("pending", sa.String(160), unique=True),
    )
    op.create_index("console_proposal_state", "console_proposal", ["state", "proposed_ms"])
    op.create_table(
        "console_action",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("tenant_id", sa.Text),
        sa.Column("enforcement_id", sa.Text),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_index("console_action_at", "console_action", ["at_ms", "id"])
    op.create_index("console_action_actor", "console_action", ["actor", "at_ms"])
    op.create_index("console_action_subject", "console_action", ["subject", "at_ms"])
    op.create_index("console_action_tenant", "console_action", ["tenant_id", "at_ms"])
    op.create_index("console_action_decision", "console_action", ["enforcement_id", "at_ms"])
