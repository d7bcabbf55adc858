"""The table of previews: what was asked, how far it is, and the result."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from streams.console.tables import METADATA
from streams.consumers.sql_text import AnyText

PREVIEWS: Final = Table(
    "console_preview",
    METADATA,
    # `state`: queued, running, done, failed, cancelled, interrupted (its console ended). `alive_ms`: when its
    # console last renewed it. `why`: the end of the key of the text that says why it failed.
    Column("id", String(64), primary_key=True),
    Column("draft_id", AnyText),
    Column("subject", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("days", Integer, nullable=False),
    Column("file_name", AnyText),
    Column("file_bytes", BigInteger, nullable=False),
    Column("format", String(64)),
    Column("title", AnyText, nullable=False),  # of the draft, or the name of the policy's file
    Column("policy_sha256", String(64)),  # once it is done
    Column("base_name", AnyText, nullable=False),
    Column("base_sha256", String(64), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("alive_ms", BigInteger, nullable=False),
    Column("step", String(16), nullable=False),
    Column("read", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("why", String(32)),
    Column("detail", AnyText),
    Column("detail_zh", AnyText),
    Column("result", LargeBinary),
    Index("console_preview_asked", "asked_ms", "id"),
    Index("console_preview_state", "state", "alive_ms"),
    Index("console_preview_draft", "draft_id", "asked_ms"),
    Index("console_preview_policy", "policy_sha256", "state"),
)
