"""The notifier's tables; `versions` creates them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, UniqueConstraint

from streams.consumers.offsets import Offsets, position_table
from streams.consumers.sql_common import rejected_table
from streams.consumers.sql_text import AnyText

METADATA = MetaData()
POSITIONS = Offsets(position_table(METADATA, "notify"))

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite autoincrements only an INTEGER

TENANTS = Table(
    "notify_tenant",
    METADATA,
    Column("tenant_id", AnyText, primary_key=True),
    Column("due_ms", BigInteger, index=True),
    Column("known", AnyText, nullable=False),
)
PENDING = Table(
    "notify_pending",
    METADATA,
    Column("id", AnyText, primary_key=True),
    Column("tenant_id", AnyText, nullable=False, index=True),
    Column("behaviour", AnyText, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("review_by_ms", BigInteger, index=True),  # null: it does not lapse
    Column("notified", Boolean, nullable=False),
)
SILENT = Table(
    "notify_silent",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("tenant_id", AnyText, nullable=False),
    Column("behaviour", AnyText, nullable=False),
    Column("what", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("ref", AnyText, nullable=False),
)
OUTBOX = Table(
    "notify_outbox",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("channel", String(32), nullable=False),
    Column("message_id", AnyText, nullable=False),
    Column("message", AnyText, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("tenant_id", AnyText),  # null: not of one tenant, unordered
    Column("attempts", Integer, nullable=False),  # failures caused by this message
    Column("unattributed", Integer, nullable=False, server_default="0"),  # caused by it or by its receiver
    Column("next_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, delivered, given_up
    Column("ended_ms", BigInteger),
    UniqueConstraint("channel", "message_id"),
    Index("ix_notify_outbox_waiting", "channel", "state", "number"),
    Index("ix_notify_outbox_tenant", "channel", "state", "tenant_id", "number"),
)
SENT = Table(
    "notify_sent",
    METADATA,
    Column("number", _NUMBER, primary_key=True),
    Column("channel", String(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_notify_sent_channel", "channel", "at_ms"),
)
STANDING = Table(
    "notify_standing",
    METADATA,
    Column("key", AnyText, primary_key=True),
    Column("message", AnyText, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)
REJECTED = rejected_table(METADATA, "notify")
CLOCK = Table(
    "notify_clock",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)
