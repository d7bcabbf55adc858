"""All tables of the console."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_SUBJECT = sa.String(512)
_FIRST = (
    ("uphold", "已听取录音，情况属实。", "Recordings heard: the finding is correct."),
    (
        "uphold",
        "投诉属实，租户未能提供用户同意的证明。",
        "The complaint is justified; the tenant has no proof of consent.",
    ),
    ("overturn", "系租户的测试呼叫，未呼叫真实用户。", "Test calls of the tenant: no customer was called."),
    (
        "overturn",
        "匹配到的业务并非该租户实际从事的业务，其呼叫与报备一致。",
        "The business that was matched is not what this tenant does: its calls agree with what it declared.",
    ),
    ("overturn", "由运营商或线路故障引起。", "Caused by a fault of the carrier or of the line."),
    ("overturn", "已核实租户的申诉材料，申诉成立。", "The tenant's appeal is justified: its documents were checked."),
    ("overturn", "上报的记录有误，平台已确认。", "The records are wrong, as the platform has confirmed."),
)


def upgrade() -> None:
    """Create the tables."""
    _cases()
    _identity()
    _policies()
    _previews()
    _evidence()
    _reason_texts()
    _measures()
    _second_looks()


def _cases() -> None:
    """Cases, what people do with them, what the topics say, verdicts and the outbox, and positions."""
    op.create_table(
        "console_alert",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("enforcement_id", sa.Text()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("console_alert_state", "console_alert", ["state", "since_ms"])
    op.create_index("console_alert_updated", "console_alert", ["state", "updated_ms"])
    op.create_index("console_alert_tenant", "console_alert", ["tenant_id", "since_ms", "alert_id"])
    op.create_index("console_alert_tenant_state", "console_alert", ["tenant_id", "state"])
    op.create_index("console_alert_tenant_updated", "console_alert", ["tenant_id", "updated_ms"])
    op.create_table(
        "console_application",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("declared_business", sa.Text(), nullable=False),
        sa.Column("scenario", sa.Text()),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "application_id"),
    )
    op.create_table(
        "console_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("in_force_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("behaviour", sa.Text(), nullable=False),
        sa.Column("tier", sa.String(length=16)),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("review_by_ms", sa.BigInteger()),
        sa.Column("closed_ms", sa.BigInteger()),
        sa.Column("queue", sa.String(length=16)),
        sa.Column("order_ms", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.Text()),
        sa.Column("claimed_name", sa.Text()),
        sa.Column("claimed_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("assignee", sa.Text()),
        sa.Column("assignee_name", sa.Text()),
        sa.Column("postponed_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("verdict", _NUMBER),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_case_assignee", "console_case", ["assignee", "order_ms", "id"])
    op.create_index("console_case_cause", "console_case", ["tenant_id", "rule_id", "queue", "order_ms", "id"])
    op.create_index("console_case_claimed", "console_case", ["claimed_by", "order_ms", "id"])
    op.create_index("console_case_decided", "console_case", ["decided_ms", "id"])
    op.create_index("console_case_rule", "console_case", ["rule_id", "decided_ms", "id"])
    op.create_index("console_case_status", "console_case", ["rule_id", "status", "decided_ms"])
    op.create_index("console_case_queue", "console_case", ["queue", "order_ms", "id"])
    op.create_index("console_case_queue_age", "console_case", ["queue", "decided_ms", "id"])
    op.create_index("console_case_queue_rule", "console_case", ["queue", "rule_id", "order_ms", "id"])
    op.create_index("console_case_queue_tenant", "console_case", ["queue", "tenant_id", "order_ms", "id"])
    op.create_index("console_case_queue_tier", "console_case", ["queue", "tier", "order_ms", "id"])
    op.create_index("console_case_postponed", "console_case", ["postponed_until_ms"])
    op.create_index("console_case_tenant", "console_case", ["tenant_id", "decided_ms", "id"])
    op.create_index("console_case_tenant_rule", "console_case", ["tenant_id", "rule_id", "decided_ms", "id"])
    op.create_index("console_case_tenant_status", "console_case", ["tenant_id", "status", "decided_ms", "id"])
    op.create_index("console_case_verdict", "console_case", ["verdict"])
    op.create_table(
        "console_case_count",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("cases", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "status", "kind"),
    )
    op.create_table(
        "console_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "shadow"),
    )
    op.create_index("console_event_case", "console_event", ["case_id"])
    for name, columns, shadow in (
        ("console_event_newest", ["timestamp_ms"], False),
        ("console_event_shadow", ["timestamp_ms"], True),
        ("console_event_decided", ["decided_ms", "id"], False),
    ):
        in_sqlite, in_postgresql = sa.text(f"shadow IS {shadow:d}"), sa.text(f"shadow IS {shadow}")
        op.create_index(name, "console_event", columns, sqlite_where=in_sqlite, postgresql_where=in_postgresql)
    op.create_index("console_event_history", "console_event", ["tenant_id", "shadow", "decided_ms", "id"])
    op.create_index("console_event_tenant", "console_event", ["tenant_id", "decided_ms"])
    op.create_table(
        "console_loss",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "console_note",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_note_case", "console_note", ["case_id", "number"])
    op.create_table(
        "console_outbox",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_outbox_hash", "console_outbox", ["hash"])
    op.create_index("console_outbox_unsent", "console_outbox", ["sent_ms", "not_before_ms", "number"])
    op.create_table(
        "console_position",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("last_offset", sa.BigInteger()),
        sa.Column("last_hash", sa.String(length=64)),
        sa.Column("cluster", sa.String(length=255)),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "console_rejected",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset"),
    )
    op.create_table(
        "console_review",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16)),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_review_about", "console_review", ["enforcement_id"])
    op.create_index("console_review_id", "console_review", ["review_id"])
    op.create_index("console_review_tenant", "console_review", ["tenant_id", "updated_ms"])
    op.create_index("console_review_updated", "console_review", ["updated_ms"])
    op.create_table(
        "console_tenant",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("name_folded", sa.Text()),
        sa.Column("owner_id", sa.Text()),
        sa.Column("businesses", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Integer(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_index("console_tenant_name", "console_tenant", ["name_folded"])
    op.create_index("console_tenant_owner", "console_tenant", ["owner_id", "tenant_id"])
    op.create_table(
        "console_verdict",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("given_ms", sa.BigInteger(), nullable=False),
        sa.Column("send_ms", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("approved_name", sa.Text()),
        sa.Column("approved_ms", sa.BigInteger()),
        sa.Column("proposal_id", sa.Text()),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("why_zh", sa.Text()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("value", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_verdict_case", "console_verdict", ["case_id", "number"])
    op.create_index("console_verdict_review", "console_verdict", ["review_id"])
    op.create_index("console_verdict_state", "console_verdict", ["state", "send_ms"])
    op.create_index("console_verdict_subject", "console_verdict", ["subject", "given_ms"])
    op.create_index("console_verdict_given", "console_verdict", ["given_ms"])
    op.create_table(
        "console_named_id",
        sa.Column("named", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("named", "case_id"),
    )
    op.create_index("console_named_id_at", "console_named_id", ["at_ms"])


def _identity() -> None:
    """Users, secrets and sessions, API tokens, proposals that wait for a second person, and the log of actions."""
    op.create_table(
        "console_user",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("disabled_ms", sa.BigInteger),
        sa.Column("seen_ms", sa.BigInteger),
    )
    op.create_table(
        "console_password",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("initial_until_ms", sa.BigInteger),
    )
    op.create_table(
        "console_second_factor",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "console_recovery_code",
        sa.Column("subject", _SUBJECT, primary_key=True),
        sa.Column("hash", sa.String(64), primary_key=True),
    )
    op.create_table(
        "console_session",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("subject", _SUBJECT, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("browser", sa.String(200), nullable=False),
    )
    op.create_index("console_session_subject", "console_session", ["subject", "created_ms"])
    op.create_index("console_session_expiry", "console_session", ["expires_ms"])
    op.create_table(
        "console_used_state",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "console_secret",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )
    op.create_table(
        "console_api_token",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("subject", _SUBJECT, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("console_api_token_subject", "console_api_token", ["subject", "created_ms"])
    op.create_table(
        "console_proposal",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("about", sa.String(128), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("proposed_by", _SUBJECT, nullable=False),
        sa.Column("proposed_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_by", _SUBJECT),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("decided_reason", sa.Text),
        sa.Column("pending", sa.String(160), unique=True),
    )
    op.create_index("console_proposal_state", "console_proposal", ["state", "proposed_ms"])
    op.create_table(
        "console_action",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("tenant_id", sa.Text),
        sa.Column("enforcement_id", sa.Text),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_index("console_action_at", "console_action", ["at_ms", "id"])
    op.create_index("console_action_actor", "console_action", ["actor", "at_ms"])
    op.create_index("console_action_subject", "console_action", ["subject", "at_ms"])
    op.create_index("console_action_tenant", "console_action", ["tenant_id", "at_ms"])
    op.create_index("console_action_decision", "console_action", ["enforcement_id", "at_ms"])


def _policies() -> None:
    """Policies: their texts, what the workers recorded, drafts, and requests to the workers."""
    op.create_table(
        "console_policy",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("plain", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("known_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "console_policy_change",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_offset", sa.BigInteger()),
        sa.Column("withdrawn_reason", sa.Text()),
        sa.Column("withdrawn_by", sa.Text()),
        sa.Column("withdrawn_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("partition", "offset"),
    )
    op.create_index("console_policy_change_from", "console_policy_change", ["partition", "from_ms"])
    op.create_table(
        "console_policy_refusal",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset"),
    )
    op.create_index("console_policy_refusal_at", "console_policy_refusal", ["at_ms"])
    op.create_table(
        "console_policy_draft",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_policy_draft_updated", "console_policy_draft", ["updated_ms"])
    op.create_table(
        "console_policy_request",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sha256s", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("approved_subject", sa.String(length=512)),
        sa.Column("approved_name", sa.Text()),
        sa.Column("proposal_id", sa.String(length=36)),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("why_zh", sa.Text()),
        sa.Column("sent_to", sa.Text()),
        sa.Column("sent_from_ms", sa.BigInteger()),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("console_policy_request_state", "console_policy_request", ["state", "number"])
    op.create_index("console_policy_request_at", "console_policy_request", ["at_ms"])


def _previews() -> None:
    op.create_table(
        "console_preview",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("draft_id", sa.Text()),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text()),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.String(length=64)),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.String(length=64)),
        sa.Column("base_name", sa.Text(), nullable=False),
        sa.Column("base_sha256", sa.String(length=64), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("alive_ms", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=32)),
        sa.Column("detail", sa.Text()),
        sa.Column("detail_zh", sa.Text()),
        sa.Column("result", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_preview_asked", "console_preview", ["asked_ms", "id"])
    op.create_index("console_preview_draft", "console_preview", ["draft_id", "asked_ms"])
    op.create_index("console_preview_policy", "console_preview", ["policy_sha256", "state"])
    op.create_index("console_preview_state", "console_preview", ["state", "alive_ms"])


def _evidence() -> None:
    """The records that decisions name."""
    op.create_table(
        "console_evidence",
        sa.Column("enforcement_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("enforcement_id", "number"),
    )
    op.create_index("console_evidence_added", "console_evidence", ["added_ms"])
    op.create_index("console_evidence_state", "console_evidence", ["state", "added_ms"])


def _reason_texts() -> None:
    """Texts for the reasons of verdicts, with some to begin with."""
    table = op.create_table(
        "console_reason_text",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(table, [{"verdict": verdict, "zh": zh, "en": en} for verdict, zh, en in _FIRST])


def _measures() -> None:
    """What the rules measured of each tenant and hour."""
    op.create_table(
        "console_measure",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("dictionary", sa.Integer(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "hour_ms"),
        sqlite_with_rowid=False,
    )
    op.create_index("console_measure_hour", "console_measure", ["hour_ms"])
    op.create_table(
        "console_measure_dictionary",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def _second_looks() -> None:
    """What second persons say of upheld decisions."""
    op.create_table(
        "console_second_look",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_index("console_second_look_at", "console_second_look", ["at_ms"])
