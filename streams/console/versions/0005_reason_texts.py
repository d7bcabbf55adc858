"""Texts for the reasons of verdicts, with some to begin with."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_FIRST = (
    ("uphold", "已听取录音，情况属实。", "Recordings heard: the finding is correct."),
    (
        "uphold",
        "投诉属实，租户未能提供用户同意的证明。",
        "The complaint is justified; the tenant has no proof of consent.",
    ),
    ("overturn", "系租户的测试呼叫，未呼叫真实用户。", "Test calls of the tenant: no customer was called."),
    ("overturn", "由运营商或线路故障引起。", "Caused by a fault of the carrier or of the line."),
    ("overturn", "已核实租户的申诉材料，申诉成立。", "The tenant's appeal is justified: its documents were checked."),
    ("overturn", "上报的记录有误，平台已确认。", "The records are wrong, as the platform has confirmed."),
)


def upgrade() -> None:
    """Create the table."""
    table = op.create_table(
        "console_reason_text",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(table, [{"verdict": verdict, "zh": zh, "en": en} for verdict, zh, en in _FIRST])
