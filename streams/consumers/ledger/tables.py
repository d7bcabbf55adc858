"""The ledger's tables: entries, to which only can be appended, and what is known beside them."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
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
"""Up to where the dead letters were searched for rejected reviews: what is before was told to whoever had a claim."""


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
    # What the topic holds, and the chain. Numbers begin at 1 in each partition and leave none out.
    *of_partition(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("hash", String(64), nullable=False),
    # What was read out of the value, for looking up; or why it could not be read.
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
    # What this release reads out of entries that could not be read when they were kept: they themselves never change.
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
"""A row of `REREAD` and its entry."""

_PLACE: Final = (ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number, ENTRIES.c.value)
LISTED: Final = union_all(
    select(*_PLACE, *(ENTRIES.c[name] for name in READ)).where(ENTRIES.c.fault.is_(None)),
    select(*_PLACE, *(REREAD.c[name] for name in READ)).join_from(REREAD, ENTRIES, ABOUT_ONE),
).subquery("listed")
"""All entries that can be read, by what was read out of them when they were kept, or since."""

JOURNAL: Final = TP("ledger:journal", 0)
"""The chain of what people did to the ledger itself, among the entries: no topic of Kafka's can have that name."""

LOSSES: Final = Table(
    "ledger_loss",
    METADATA,
    # Offsets that were deleted from the topic before they were recorded, and who went on without them, and why.
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

CLAIMS: Final = Table(
    "ledger_claim",
    METADATA,
    # A verdict of ours on the decision in force, from before it is sent: whoever comes second is told of it.
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
    Index("ledger_claim_unsent", "sent_ms"),
)
