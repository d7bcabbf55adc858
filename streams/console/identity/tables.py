"""The tables of identity: users, their secrets, their sessions, and what waits for a second person."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from streams.console.tables import METADATA

SUBJECT: Final = String(512)

USERS: Final = Table(
    "console_user",
    METADATA,
    Column("subject", SUBJECT, primary_key=True),
    Column("name", Text, nullable=False),
    # The roles in the order of `Role`, separated by commas. Of a user of the provider: as at the last sign-in.
    Column("roles", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
    Column("seen_ms", BigInteger),
)

PASSWORDS: Final = Table(
    "console_password",
    METADATA,
    Column("subject", SUBJECT, primary_key=True),
    # As argon2 writes it, with its parameters and its salt.
    Column("hash", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    # An initial password: it must be replaced at the first sign-in, at the latest then.
    Column("initial_until_ms", BigInteger),
)

SECOND_FACTORS: Final = Table(
    "console_second_factor",
    METADATA,
    Column("subject", SUBJECT, primary_key=True),
    Column("secret", String(64), nullable=False),
    # None until the user has given a first code.
    Column("confirmed_ms", BigInteger),
    # The time step of the last code: no code of it or of an earlier one is taken again.
    Column("last_step", BigInteger, nullable=False),
)

RECOVERY_CODES: Final = Table(
    "console_recovery_code",
    METADATA,
    Column("subject", SUBJECT, primary_key=True),
    Column("hash", String(64), primary_key=True),
)

SESSIONS: Final = Table(
    "console_session",
    METADATA,
    # SHA-256 of the token, which only the browser has.
    Column("hash", String(64), primary_key=True),
    Column("subject", SUBJECT, nullable=False),
    # What it allows: everything, or only the next step of the sign-in.
    Column("stage", String(16), nullable=False),
    Column("method", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("browser", String(200), nullable=False),
    Index("console_session_subject", "subject", "created_ms"),
    Index("console_session_expiry", "expires_ms"),
)

USED_STATES: Final = Table(
    "console_used_state",
    METADATA,
    # The states of finished sign-ins with the provider: none is finished twice.
    Column("hash", String(64), primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
)

SECRETS: Final = Table(
    "console_secret",
    METADATA,
    # Random keys of this console, made when first needed, shared by the processes of one database.
    Column("name", String(32), primary_key=True),
    Column("value", String(64), nullable=False),
)

API_TOKENS: Final = Table(
    "console_api_token",
    METADATA,
    # SHA-256 of the token, which is shown once.
    Column("hash", String(64), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("subject", SUBJECT, nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("console_api_token_subject", "subject", "created_ms"),
)

PROPOSALS: Final = Table(
    "console_proposal",
    METADATA,
    # What takes effect only once a second person has approved it.
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    # What it is about: a decision's id, or a policy's hash. At most one proposal of a kind is pending about a thing.
    Column("about", String(128), nullable=False),
    Column("content", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", SUBJECT, nullable=False),
    Column("proposed_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_by", SUBJECT),
    Column("decided_ms", BigInteger),
    Column("decided_reason", Text),
    # The kind and the thing while it is pending, else null: unique, so that two cannot be pending.
    Column("pending", String(160), unique=True),
    Index("console_proposal_state", "state", "proposed_ms"),
)
