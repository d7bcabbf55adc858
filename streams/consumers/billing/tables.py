"""Billing's tables. Of what the sentence says nothing is ever changed or deleted: each row is added once.

A hold is left while its id is in `HOLD` and not in `TAKEN`, so that it does not matter which of the two came first.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from streams.consumers.offsets import Offsets, position_table
from streams.consumers.sql_common import of_partition, rejected_table
from streams.consumers.sql_text import AnyText

METADATA: Final = MetaData()
POSITION: Final = position_table(METADATA, "billing")
POSITIONS: Final = Offsets(POSITION)

HANDLED: Final = Table("billing_handled", METADATA, Column("id", AnyText, primary_key=True))
"""The ids of all events so far: one that comes twice changes nothing."""

HOLD: Final = Table(
    "billing_hold",
    METADATA,
    Column("id", AnyText, primary_key=True),
    Column("tenant_id", AnyText, nullable=False),
    Column("supersedes", AnyText),
    Column("clause", Integer),
    Column("status", AnyText),
    Column("decided_ms", BigInteger),
    Column("review_by_ms", BigInteger),
    Column("reason_zh", AnyText),
    Column("reason_en", AnyText),
    Index("billing_hold_tenant", "tenant_id"),
)
"""Every event that froze. What the sentence does not need may be null: an event may leave it out."""

TAKEN: Final = Table(
    "billing_taken", METADATA, Column("id", AnyText, primary_key=True), Column("by", AnyText, nullable=False)
)
"""The ids that were superseded or reversed, and by which event. Their holds are gone for good."""

REJECTED: Final = rejected_table(METADATA, "billing")
"""Records that could not be read: nothing is known of what they hold or take away. `UNREAD` has whose they may be."""

ALL_TENANTS: Final = ""
"""In place of a tenant's id, which is never empty: a record may be about anybody."""

UNREAD: Final = Table(
    "billing_unread",
    METADATA,
    *of_partition(),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),
    Column("tenant_id", AnyText, primary_key=True),
    Column("reason", AnyText, nullable=False),
    Column("accepted_ms", BigInteger),
    Column("accepted_reason", AnyText),
    Index("billing_unread_open", "accepted_ms", "tenant_id"),
)
"""For each of those records whose it may be, by its hash as well: of a topic that was made again another record may
stand at the same place. What an operator has accepted stays accepted when the same record is handled again."""

GAP: Final = Table(
    "billing_gap",
    METADATA,
    *of_partition(),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("stop", BigInteger, primary_key=True, autoincrement=False),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("reason", AnyText, nullable=False),
)
"""Stretches of the topic that an operator gave up: deleted before they were handled."""
