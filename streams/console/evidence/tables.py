"""The table of the records that decisions name."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from streams.console.tables import METADATA
from streams.consumers.sql_text import AnyText

WANTED: Final = "wanted"
KEPT: Final = "kept"
EXPIRED: Final = "expired"
UNREADABLE: Final = "unreadable"

EVIDENCE: Final = Table(
    "console_evidence",
    METADATA,
    # A record that a decision names. `number`: its rank in the decision's places. `state`: wanted (not fetched yet),
    # kept (`value` has it as JSON, with numbers masked), expired (the topic no longer has it), or unreadable (what lies
    # there is damaged, or no record of the tenant).
    Column("enforcement_id", AnyText, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("tenant_id", AnyText, nullable=False),
    Column("topic", String(249), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Index("console_evidence_state", "state", "added_ms"),
    Index("console_evidence_added", "added_ms"),
)
