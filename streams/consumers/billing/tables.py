"""Billing's tables. The data that the billing rule uses is never changed or deleted: each row is inserted once.

A hold remains while its id is in `HOLD` and not in `RELEASED`, so the order in which the two arrive does not matter.
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
"""The ids of all events so far; a duplicate changes nothing."""

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
"""Every event that froze refunds. Columns that the billing rule does not need are null if the event lacks them."""

RELEASED: Final = Table(
    "billing_released", METADATA, Column("id", AnyText, primary_key=True), Column("by", AnyText, nullable=False)
)
"""The ids that were superseded or reversed, and the event that did it. Their holds are removed permanently."""

REJECTED: Final = rejected_table(METADATA, "billing")
"""Undecodable records: which holds they add or remove is unknown. `UNREAD` has the tenants they may concern."""

ALL_TENANTS: Final = ""
"""Takes the place of a tenant's id, which is never empty: a record may concern any tenant."""

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
"""For each undecodable record, the tenants it may concern. The hash is in the key because a recreated topic may have
another record at the same place. What an operator has accepted stays accepted when the same record is handled again."""

GAP: Final = Table(
    "billing_gap",
    METADATA,
    *of_partition(),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("stop", BigInteger, primary_key=True, autoincrement=False),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("reason", AnyText, nullable=False),
)
"""Ranges of the topic that were deleted before they were handled and that an operator accepted."""
