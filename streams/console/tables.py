"""The console's tables; `versions` creates them. Sub-packages add theirs to the same ``METADATA``."""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, text

from streams.consumers.offsets import Offsets, position_table
from streams.consumers.sql_common import rejected_table
from streams.consumers.sql_text import AnyText

METADATA: Final = MetaData()
POSITIONS: Final = Offsets(position_table(METADATA, "console"))
REJECTED: Final = rejected_table(METADATA, "console")

NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite autoincrements only an INTEGER


def _place() -> list[Column[Any]]:
    """Where a record lies, and its bytes: with a signature all that the ledger's hash covers."""
    return [
        Column("topic", String(249), nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("timestamp_ms", BigInteger, nullable=False),
        Column("key", LargeBinary),
        Column("value", LargeBinary, nullable=False),
    ]


def _of_events(name: str, *columns: str, shadow: bool) -> Index:
    """The decisions, or the shadow decisions, by these columns."""
    in_sqlite, in_postgresql = text(f"shadow IS {shadow:d}"), text(f"shadow IS {shadow}")
    return Index(name, *columns, sqlite_where=in_sqlite, postgresql_where=in_postgresql)


EVENTS: Final = Table(
    "console_event",
    METADATA,
    # Every record of `enforcement` and `shadow`. `case_id`: the decision it belongs to, its own id if it opened it.
    Column("id", AnyText, primary_key=True),
    Column("shadow", Boolean, primary_key=True),
    Column("case_id", AnyText, nullable=False),
    Column("tenant_id", AnyText, nullable=False),
    Column("rule_id", AnyText, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    *_place(),
    Index("console_event_case", "case_id"),
    Index("console_event_tenant", "tenant_id", "decided_ms"),
    Index("console_event_history", "tenant_id", "shadow", "decided_ms", "id"),
    # Partial, and `shadow` not first in the key: SQLite takes one value of an index's first column for a few rows, and
    # would read half of the table where `case_id` leads to one.
    _of_events("console_event_newest", "timestamp_ms", shadow=False),
    _of_events("console_event_shadow", "timestamp_ms", shadow=True),
    _of_events("console_event_decided", "decided_ms", "id", shadow=False),
)

NAMED_IDS: Final = Table(
    "console_named_id",
    METADATA,
    # The calls, complaints, findings and applications in the evidence of decisions, so that a search finds them.
    Column("named", AnyText, primary_key=True),
    Column("case_id", AnyText, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Index("console_named_id_at", "at_ms"),
)

CASES: Final = Table(
    "console_case",
    METADATA,
    # A decision and what became of it, as the topics say. `id`: of the event that opened it; `in_force_id`: the event
    # that a review now names. `status`: pending, final, reversed, lapsed; of an application that waits: pending.
    Column("id", AnyText, primary_key=True),
    Column("in_force_id", AnyText, nullable=False),
    Column("tenant_id", AnyText, nullable=False),
    Column("rule_id", AnyText, nullable=False),
    Column("behaviour", AnyText, nullable=False),
    Column("tier", String(16)),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("review_by_ms", BigInteger),
    Column("closed_ms", BigInteger),
    # What people do with it. `queue`: cases or admissions while it waits for a person, else null; `order_ms` its order
    # there. `verdict`: the verdict that waits or was sent, if any.
    Column("queue", String(16)),
    Column("order_ms", BigInteger, nullable=False),
    Column("claimed_by", AnyText),
    Column("claimed_name", AnyText),
    Column("claimed_until_ms", BigInteger, nullable=False, server_default="0"),
    Column("assignee", AnyText),
    Column("assignee_name", AnyText),
    Column("postponed_until_ms", BigInteger, nullable=False, server_default="0"),
    Column("verdict", NUMBER),
    # A tenant chooses how many cases it has: each list reads its page by an index, in which rows of one time have an
    # order, too.
    Index("console_case_queue", "queue", "order_ms", "id"),
    Index("console_case_queue_age", "queue", "decided_ms", "id"),
    Index("console_case_queue_tier", "queue", "tier", "order_ms", "id"),
    Index("console_case_queue_rule", "queue", "rule_id", "order_ms", "id"),
    Index("console_case_queue_tenant", "queue", "tenant_id", "order_ms", "id"),
    Index("console_case_cause", "tenant_id", "rule_id", "queue", "order_ms", "id"),
    Index("console_case_claimed", "claimed_by", "order_ms", "id"),
    Index("console_case_assignee", "assignee", "order_ms", "id"),
    Index("console_case_verdict", "verdict"),
    Index("console_case_postponed", "postponed_until_ms"),
    Index("console_case_tenant", "tenant_id", "decided_ms", "id"),
    Index("console_case_tenant_rule", "tenant_id", "rule_id", "decided_ms", "id"),
    Index("console_case_tenant_status", "tenant_id", "status", "decided_ms", "id"),
    Index("console_case_decided", "decided_ms", "id"),
    Index("console_case_rule", "rule_id", "decided_ms", "id"),
    Index("console_case_status", "rule_id", "status", "decided_ms"),  # has all that the counts by rule read
)

CASE_COUNTS: Final = Table(
    "console_case_count",
    METADATA,
    # How many cases of a tenant have this status and kind now (`streams.console.cases.case_counts`).
    Column("tenant_id", AnyText, primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("cases", BigInteger, nullable=False),
)

REVIEWS: Final = Table(
    "console_review",
    METADATA,
    # Every review in the topic, also those without effect.
    Column("number", NUMBER, primary_key=True),
    Column("review_id", AnyText, nullable=False),
    Column("enforcement_id", AnyText, nullable=False),
    Column("tenant_id", AnyText, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("kind", String(16)),
    Column("reviewer", AnyText, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    *_place(),
    Column("signature", LargeBinary),  # the header that signed it, if there was one
    Index("console_review_about", "enforcement_id"),
    Index("console_review_id", "review_id"),
    Index("console_review_tenant", "tenant_id", "updated_ms"),
    Index("console_review_updated", "updated_ms"),
)

ALERTS: Final = Table(
    "console_alert",
    METADATA,
    # The newest state of each alert.
    Column("alert_id", AnyText, primary_key=True),
    Column("tenant_id", AnyText, nullable=False),
    Column("rule_id", AnyText, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("enforcement_id", AnyText),
    Column("value", LargeBinary, nullable=False),
    Index("console_alert_tenant", "tenant_id", "since_ms", "alert_id"),
    Index("console_alert_tenant_state", "tenant_id", "state"),
    Index("console_alert_tenant_updated", "tenant_id", "updated_ms"),
    Index("console_alert_state", "state", "since_ms"),
    Index("console_alert_updated", "state", "updated_ms"),
)

TENANTS: Final = Table(
    "console_tenant",
    METADATA,
    # The newest tenant record of each tenant by `updated_ms` as written. `businesses`: a JSON list of texts.
    Column("tenant_id", AnyText, primary_key=True),
    Column("name", AnyText),
    Column("name_folded", AnyText),  # for searching: case-folded
    Column("owner_id", AnyText),
    Column("businesses", AnyText, nullable=False),
    Column("numbers", Integer, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("console_tenant_owner", "owner_id", "tenant_id"),
    Index("console_tenant_name", "name_folded"),
)

APPLICATIONS: Final = Table(
    "console_application",
    METADATA,
    # The newest record of each application for numbers.
    Column("tenant_id", AnyText, primary_key=True),
    Column("application_id", AnyText, primary_key=True),
    Column("declared_business", AnyText, nullable=False),
    Column("scenario", AnyText),
    Column("updated_ms", BigInteger, nullable=False),
)

NOTES: Final = Table(
    "console_note",
    METADATA,
    # `kind`: note, or appeal for one that came by mail or telephone.
    Column("number", NUMBER, primary_key=True),
    Column("case_id", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", AnyText, nullable=False),
    Index("console_note_case", "case_id", "number"),
)

VERDICTS: Final = Table(
    "console_verdict",
    METADATA,
    # A verdict that was given here. `state`: approval (a second person must agree), waiting (until `send_ms`), sent
    # (in the outbox or the topic), effective, rejected (by the worker), withdrawn (decided otherwise before it was
    # sent), cancelled, declined (by the second person).
    Column("number", NUMBER, primary_key=True),
    Column("case_id", AnyText, nullable=False),
    Column("enforcement_id", AnyText, nullable=False),
    Column("tenant_id", AnyText, nullable=False),
    Column("review_id", AnyText, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("kind", String(16)),
    Column("reason", AnyText, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("given_ms", BigInteger, nullable=False),
    Column("send_ms", BigInteger, nullable=False),
    Column("approved_by", AnyText),
    Column("approved_name", AnyText),
    Column("approved_ms", BigInteger),
    Column("proposal_id", AnyText),
    Column("state", String(16), nullable=False),
    Column("why", AnyText),
    Column("why_zh", AnyText),
    Column("ended_ms", BigInteger),
    Column("value", LargeBinary),
    Index("console_verdict_case", "case_id", "number"),
    Index("console_verdict_review", "review_id"),
    Index("console_verdict_state", "state", "send_ms"),
    Index("console_verdict_subject", "subject", "given_ms"),
    Index("console_verdict_given", "given_ms"),
)

SECOND_LOOKS: Final = Table(
    "console_second_look",
    METADATA,
    # What a second person says of an upheld decision of the sample, once. `reviewer`: who upheld it.
    Column("case_id", AnyText, primary_key=True),
    Column("rule_id", AnyText, nullable=False),
    Column("reviewer", AnyText, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("agrees", Boolean, nullable=False),
    Column("note", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("console_second_look_at", "at_ms"),
)

REASON_TEXTS: Final = Table(
    "console_reason_text",
    METADATA,
    # Texts that reviewers insert into a reason. `verdict`: the one that it is for, or any.
    Column("number", NUMBER, primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("zh", AnyText, nullable=False),
    Column("en", AnyText, nullable=False),
)

OUTBOX: Final = Table(
    "console_outbox",
    METADATA,
    # Records for Kafka, each written exactly once; `hash` finds them when they come back from the topic.
    Column("number", NUMBER, primary_key=True),
    Column("topic", String(32), nullable=False),  # without its prefix
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", LargeBinary, nullable=False),  # msgpack
    Column("hash", String(64), nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Index("console_outbox_unsent", "sent_ms", "not_before_ms", "number"),
    Index("console_outbox_hash", "hash"),
)

MEASURES: Final = Table(
    "console_measure",
    METADATA,
    # What the rules measured of a tenant in an hour: the record, compressed by a dictionary. Kept for 35 days.
    Column("tenant_id", AnyText, primary_key=True),
    Column("hour_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("dictionary", Integer, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("console_measure_hour", "hour_ms"),
    sqlite_with_rowid=False,  # the rows are in the index of the key, and not beside it
)

MEASURE_DICTIONARIES: Final = Table(
    "console_measure_dictionary",
    METADATA,
    # Records by which others are compressed.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("value", LargeBinary, nullable=False),
)

LOSSES: Final = Table(
    "console_loss",
    METADATA,
    # Records that were deleted before they were handled: what depends on them may be missing here.
    Column("number", NUMBER, primary_key=True),
    Column("topic", String(249), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("stop", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

ACTIONS: Final = Table(
    "console_action",
    METADATA,
    # What people did, as the topic of actions says, for the log of actions.
    Column("id", String(128), primary_key=True),
    Column("action", String(64), nullable=False),
    Column("actor", AnyText),
    Column("subject", AnyText),
    Column("tenant_id", AnyText),
    Column("enforcement_id", AnyText),
    Column("at_ms", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("console_action_at", "at_ms", "id"),
    Index("console_action_actor", "actor", "at_ms"),
    Index("console_action_subject", "subject", "at_ms"),
    Index("console_action_tenant", "tenant_id", "at_ms"),
    Index("console_action_decision", "enforcement_id", "at_ms"),
)
