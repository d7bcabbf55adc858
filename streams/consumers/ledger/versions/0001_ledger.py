"""Append-only entries and losses, progress, published days, verifications, claims, positions, reparsed entries."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SQLITE = (
    "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only: nothing in it is changed'); END",
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only: nothing in it is deleted'); END",
)
# INSERT OR REPLACE deletes without firing the trigger above; this one checks that an insert is an append.
SQLITE_APPEND = (
    "CREATE TRIGGER ledger_entry_append BEFORE INSERT ON ledger_entry WHEN new.number <> 1 + coalesce("
    "(SELECT max(number) FROM ledger_entry WHERE topic = new.topic AND partition = new.partition), 0) "
    "BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only: expected the next number'); END"
)
SQLITE_LOSS = (
    "CREATE TRIGGER ledger_loss_append BEFORE INSERT ON ledger_loss WHEN EXISTS (SELECT 1 FROM ledger_loss "
    "WHERE topic = new.topic AND partition = new.partition AND first = new.first) "
    "BEGIN SELECT RAISE(ABORT, 'ledger_loss is append-only: nothing in it is changed'); END"
)
POSTGRESQL = (
    "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only: nothing in it is changed or deleted'; END $$",
    "CREATE FUNCTION ledger_entry_append() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF NEW.number <> 1 + coalesce((SELECT max(e.number) FROM ledger_entry e "
    "WHERE e.topic = NEW.topic AND e.partition = NEW.partition), 0) THEN "
    "RAISE EXCEPTION 'ledger_entry is append-only: expected the next number'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER ledger_entry_append BEFORE INSERT ON ledger_entry "
    "FOR EACH ROW EXECUTE FUNCTION ledger_entry_append()",
)
POSTGRESQL_TABLE = (
    "CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
    "FOR EACH ROW EXECUTE FUNCTION ledger_append_only()",
    "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()",
)


def _parsed() -> list["sa.Column[Any]"]:
    """What is read from an entry's value; the table of entries that were parsed again has the same."""
    return [
        sa.Column("tenant_id", sa.String(128)),
        sa.Column("event_id", sa.String(128)),
        sa.Column("kind", sa.String(32)),
        sa.Column("status", sa.String(32)),
        sa.Column("rule_id", sa.String(256)),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("review_by_ms", sa.BigInteger),
        sa.Column("reverses", sa.String(128)),
        sa.Column("supersedes", sa.String(128)),
        sa.Column("review_id", sa.String(128)),
        sa.Column("about", sa.String(128)),
    ]


def upgrade() -> None:
    op.create_table(
        "ledger_position",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("last_offset", sa.BigInteger),
        sa.Column("last_hash", sa.String(64)),
        sa.Column("cluster", sa.String(255)),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger, nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("fault", sa.Text),
        *_parsed(),
        sa.UniqueConstraint("topic", "partition", "offset"),
    )
    op.create_index("ledger_entry_tenant", "ledger_entry", ["tenant_id", "decided_ms"])
    op.create_index("ledger_entry_event", "ledger_entry", ["event_id"])
    op.create_index("ledger_entry_reverses", "ledger_entry", ["reverses"])
    op.create_index("ledger_entry_supersedes", "ledger_entry", ["supersedes"])
    op.create_index("ledger_entry_review", "ledger_entry", ["review_id"])
    op.create_index("ledger_entry_about", "ledger_entry", ["about"])
    op.create_index("ledger_entry_status", "ledger_entry", ["status", "decided_ms"])
    op.create_table(
        "ledger_loss",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("stop", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("accepted_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "ledger_progress",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("as_of_ms", sa.BigInteger),
        sa.Column("service_ms", sa.BigInteger),
    )
    op.create_table(
        "ledger_published",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_verification",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("verified_by", sa.Text, nullable=False),
        sa.Column("differences", sa.Integer, nullable=False),
        sa.Column("with_heads", sa.Boolean, nullable=False),
        sa.Column("heads", sa.Text, nullable=False),
    )
    op.create_table(
        "ledger_claim",
        sa.Column("enforcement_id", sa.String(128), primary_key=True),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("review_id", sa.String(128), nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("claimed_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("sent_ms", sa.BigInteger),
        sa.Column("withdrawn", sa.Text),
    )
    op.create_table(
        "ledger_rejection_position",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("last_offset", sa.BigInteger),
        sa.Column("last_hash", sa.String(64)),
        sa.Column("cluster", sa.String(255)),
    )
    op.create_table(
        "ledger_reread",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        *_parsed(),
    )
    for column in ("tenant_id", "event_id", "reverses", "supersedes", "review_id", "about"):
        op.create_index(f"ledger_reread_{column}", "ledger_reread", [column])
    op.create_index("ledger_claim_unsent", "ledger_claim", ["sent_ms"])
    tables = ("ledger_entry", "ledger_loss")
    if op.get_bind().dialect.name == "sqlite":
        statements = [SQLITE_APPEND, SQLITE_LOSS, *(each.format(table=table) for table in tables for each in SQLITE)]
    else:
        statements = [*POSTGRESQL, *(each.format(table=table) for table in tables for each in POSTGRESQL_TABLE)]
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)
