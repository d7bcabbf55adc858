"""Decisions and reviews for ledgers, and the expected ledger: its chains by a plain loop."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from monitor.text.timestamps import rfc3339
from schemas import codec
from schemas.actions import Action
from schemas.inputs import Review
from schemas.outputs import Enforcement, EnforcementData, Evidence, PolicyRef, Reason
from streams.consumers.database import Database
from streams.consumers.ledger.tables import ENTRIES
from streams.kafka.api import TP

T0 = 1_772_409_600_000
DAY = 86_400_000


def event(event_id: str, tenant: str = "acme", **changes: Any) -> Enforcement:
    """A final warning at `T0`; ``changes`` replace fields."""
    base: dict[str, Any] = {
        "tenant_id": tenant,
        "kind": "warning",
        "status": "final",
        "behaviour": "blind_calling",
        "clause": 6,
        "tier": "minor",
        "actions": ("warn", "record_violation"),
        "proposed_actions": (),
        "refunds": "unaffected",
        "rule_id": "short-calls-day",
        "policy": PolicyRef("p", "1", "0" * 64),
        "decided_ms": T0,
        "review_by_ms": None,
        "window": None,
        "measure": None,
        "evidence": Evidence(),
        "violations_on_record": 1,
        "reverses": None,
        "supersedes": None,
        "reason": Reason("短呼", "Short calls"),
    }
    data = EnforcementData(**{**base, **changes})
    return Enforcement(id=event_id, subject=tenant, time=rfc3339(data.decided_ms), data=data)


def action(action_id: str, actor: str = "local:li", **changes: Any) -> Action:
    """A case that somebody claimed at `T0`."""
    return Action(action_id=action_id, action="case_claimed", actor=actor, roles=["reviewer"], at_ms=T0, **changes)


def pending(event_id: str, tenant: str = "acme", **changes: Any) -> Enforcement:
    """A ban that is pending for a week, until a review."""
    base: dict[str, Any] = {
        "kind": "ban",
        "status": "pending_review",
        "tier": "severe",
        "clause": 3,
        "behaviour": "undeclared_prohibited_business",
        "rule_id": "undeclared_prohibited_business",
        "actions": (),
        "proposed_actions": ("ban_account", "record_violation"),
        "refunds": "frozen",
        "review_by_ms": T0 + 7 * DAY,
    }
    return event(event_id, tenant, **{**base, **changes})


def review(review_id: str, about: str, verdict: str = "uphold", tenant: str = "acme", **changes: Any) -> Review:
    """A review an hour after `T0`."""
    fields = {"review_id": review_id, "enforcement_id": about, "tenant_id": tenant, "verdict": verdict}
    said = {"reviewer": "wang", "reason": "looked into", "updated_ms": T0 + 3_600_000}
    record = codec.convert({"type": "review", **fields, **said, **changes})
    assert isinstance(record, Review)
    return record


def rows(database: Database) -> list[dict[str, Any]]:
    """All entries in order."""
    with database.reading() as connection:
        ordered = select(ENTRIES).order_by(ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number)
        return [dict(row) for row in connection.execute(ordered).mappings()]


def chained(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The fields of an entry that the oracle computes."""
    return tuple(
        row[name] for name in ("topic", "partition", "number", "offset", "timestamp_ms", "key", "value", "hash")
    )


def oracle(logs: Mapping[TP, Sequence[tuple[int, int, bytes | None, bytes | None]]]) -> list[tuple[Any, ...]]:
    """The entries of records ``(offset, timestamp_ms, key, value)``, implemented again from docs/guides/ledger.md."""
    entries = []
    for tp in sorted(logs):
        before = hashlib.sha256(b"callwarden-ledger-1\n%s\n%d" % (tp.topic.encode(), tp.partition)).digest()
        for number, (offset, timestamp_ms, key, value) in enumerate(logs[tp], 1):
            text = before + offset.to_bytes(8, "big", signed=True) + timestamp_ms.to_bytes(8, "big", signed=True)
            for part in (key, value):
                text += b"\xff\xff\xff\xff" if part is None else len(part).to_bytes(4, "big") + part
            before = hashlib.sha256(text).digest()
            entries.append((*tp, number, offset, timestamp_ms, key, value, before.hex()))
    return entries
