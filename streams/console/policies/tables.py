"""The tables of policies: their texts, what the workers recorded of them, drafts, and requests to the workers."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from streams.console.identity.tables import SUBJECT
from streams.console.tables import METADATA, NUMBER
from streams.consumers.sql_text import AnyText

SHA256: Final = String(64)

POLICIES: Final = Table(
    "console_policy",
    METADATA,
    # Every policy that was proposed here or that a worker recorded. `plain`: resolved, as JSON, compressed with zstd.
    # `source`: the file as it was written, if it was proposed here.
    Column("sha256", SHA256, primary_key=True),
    Column("id", AnyText, nullable=False),
    Column("version", AnyText, nullable=False),
    Column("plain", LargeBinary, nullable=False),
    Column("source", AnyText),
    Column("known_ms", BigInteger, nullable=False),
)

POLICY_CHANGES: Final = Table(
    "console_policy_change",
    METADATA,
    # The changes of policy that each partition recorded in its clock log, and their withdrawals.
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("given_by", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("withdrawn_offset", BigInteger),
    Column("withdrawn_reason", AnyText),
    Column("withdrawn_by", AnyText),
    Column("withdrawn_ms", BigInteger),
    Index("console_policy_change_from", "partition", "from_ms"),
)

POLICY_REFUSALS: Final = Table(
    "console_policy_refusal",
    METADATA,
    # The commands that each partition refused, as its clock log says.
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("given_by", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("why", AnyText, nullable=False),
    Index("console_policy_refusal_at", "at_ms"),
)

POLICY_DRAFTS: Final = Table(
    "console_policy_draft",
    METADATA,
    # Drafts of policy files. `revision` counts the saves; a save names the revision that it replaces.
    Column("id", String(36), primary_key=True),
    Column("subject", SUBJECT, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("title", AnyText, nullable=False),
    Column("text", AnyText, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("console_policy_draft_updated", "updated_ms"),
)

POLICY_REQUESTS: Final = Table(
    "console_policy_request",
    METADATA,
    # What was approved. `kind`: apply or withdraw. `sha256s`: a JSON list. `state`: approved, sent (it is in the outbox
    # or the topic), void (there was nothing to do), barred (another policy is scheduled later). `sent_to`: a JSON list
    # of partitions. `at_ms` and `given_by` are those of the command: with them the workers' answers name it.
    Column("number", NUMBER, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("sha256s", AnyText, nullable=False),
    Column("from_ms", BigInteger),
    Column("reason", AnyText, nullable=False),
    Column("given_by", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("subject", SUBJECT, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("approved_subject", SUBJECT),
    Column("approved_name", AnyText),
    Column("proposal_id", String(36)),
    Column("state", String(16), nullable=False),
    Column("why", AnyText),
    Column("why_zh", AnyText),
    Column("sent_to", AnyText),
    Column("sent_from_ms", BigInteger),
    Column("sent_ms", BigInteger),
    Index("console_policy_request_state", "state", "number"),
    Index("console_policy_request_at", "at_ms"),
)
