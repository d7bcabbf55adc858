"""The ledger's tables: append-only entries, and the metadata about them."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    select,
    union_all,
)

from streams.consumers.offsets import Offsets, position_table
from streams.consumers.sql_common import of_partition
from streams.kafka.api import TP

METADATA: Final = MetaData()
POSITIONS: Final = Offsets(position_table(METADATA, "ledger"))
REJECTIONS: Final = Offsets(position_table(METADATA, "ledger_rejection"))
"""Up to where the dead letters were searched for rejected reviews; those before were reported to the claims' owners."""


def _read() -> list[Column[Any]]:
    return [
        Column("tenant_id", String(128)),
        Column("event_id", String(128)),
        Column("kind", String(32)),
        Column("status", String(32)),
        Column("rule_id", String(256)),
        Column("decided_ms", BigInteger),
        Column("review_by_ms", BigInteger),
        Column("reverses", String(128)),
        Column("supersedes", String(128)),
        Column("review_id", String(128)),
        Column("about", String(128)),
    ]


ENTRIES: Final = Table(
    "ledger_entry",
    METADATA,
    # The record and its hash. Numbers start at 1 in each partition and have no gaps.
    *of_partition(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("hash", String(64), nullable=False),
    # The header that signed a review, if there was one.
    Column("signature", LargeBinary),
    # Parsed from the value for look-ups; or why it could not be parsed.
    Column("fault", Text),
    *_read(),
    UniqueConstraint("topic", "partition", "offset"),
    Index("ledger_entry_tenant", "tenant_id", "decided_ms"),
    Index("ledger_entry_event", "event_id"),
    Index("ledger_entry_reverses", "reverses"),
    Index("ledger_entry_supersedes", "supersedes"),
    Index("ledger_entry_review", "review_id"),
    Index("ledger_entry_about", "about"),
    Index("ledger_entry_status", "status", "decided_ms"),
)

REREAD: Final = Table(
    "ledger_reread",
    METADATA,
    # What this release parses from entries that could not be parsed when they were written; entries never change.
    *of_partition(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    *_read(),
    *(
        Index(f"ledger_reread_{name}", name)
        for name in ("tenant_id", "event_id", "reverses", "supersedes", "review_id", "about")
    ),
)
READ: Final = tuple(column.name for column in _read())
ABOUT_ONE: Final = and_(
    REREAD.c.topic == ENTRIES.c.topic,
    REREAD.c.partition == ENTRIES.c.partition,
    REREAD.c.number == ENTRIES.c.number,
)
"""Joins a row of `REREAD` with its entry."""

_PLACE: Final = (ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number, ENTRIES.c.value, ENTRIES.c.signature)
LISTED: Final = union_all(
    select(*_PLACE, *(ENTRIES.c[name] for name in READ)).where(ENTRIES.c.fault.is_(None)),
    select(*_PLACE, *(REREAD.c[name] for name in READ)).join_from(REREAD, ENTRIES, ABOUT_ONE),
).subquery("listed")
"""All parsed entries, with the fields parsed when they were written or since."""

JOURNAL: Final = TP("ledger:journal", 0)
"""The chain of operator actions on the ledger, among the entries; no Kafka topic can have that name."""

LOSSES: Final = Table(
    "ledger_loss",
    METADATA,
    # Offsets that were deleted from the topic before they were recorded, and who accepted the gap, and why.
    *of_partition(),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("stop", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("accepted_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

PROGRESS: Final = Table(
    "ledger_progress",
    METADATA,
    # One row, of `streams.consumers.ledger.progress`.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("as_of_ms", BigInteger),
    Column("service_ms", BigInteger),
)

PUBLISHED: Final = Table(
    "ledger_published",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)

VERIFICATION: Final = Table(
    "ledger_verification",
    METADATA,
    # One row: the last verification that was recorded. `heads`: JSON of [topic, partition, number, hash] of each chain.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("verified_by", Text, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("with_heads", Boolean, nullable=False),
    Column("heads", Text, nullable=False),
)

CLAIMS: Final = Table(
    "ledger_claim",
    METADATA,
    # A reviewer's verdict on the decision in force, written before it is sent; a second reviewer is shown it.
    Column("enforcement_id", String(128), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("review_id", String(128), nullable=False),
    Column("verdict", String(32), nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("claimed_ms", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("sent_ms", BigInteger),
    Column("withdrawn", Text),
    Column("signature", LargeBinary),
    Index("ledger_claim_unsent", "sent_ms"),
)
