"""A case as one file: its records with places and bytes, so that `ledger verify` can find each in a chain."""

import base64
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from streams.console.cases.case_view import CaseView
from streams.console.tables import EVENTS, REVIEWS

FORMAT: Final = "callwarden-case-1"
_VERDICT: Final = (
    "verdict", "kind", "reason", "subject", "given_ms", "approved_by", "state", "why", "ended_ms",
)  # fmt: skip
_PLACE: Final = ("topic", "partition", "offset", "timestamp_ms")


def export(connection: Connection, view: CaseView, exported_ms: int, by: str) -> bytes:
    """The file, JSON. ``records`` have all that the ledger's hash covers: place, time, key and value of each decision
    and review, and the header that signed the review. ``evidence`` are the records that the decision in force names,
    with telephone numbers masked.
    """
    events = connection.execute(
        select(EVENTS).where(EVENTS.c.case_id == view.row.id, EVENTS.c.shadow.is_(False)).order_by(EVENTS.c.decided_ms)
    ).all()
    reviews = connection.execute(
        select(REVIEWS).where(REVIEWS.c.enforcement_id.in_([event.id for event in events])).order_by(REVIEWS.c.number)
    ).all()
    document = {
        "format": FORMAT,
        "case_id": view.row.id,
        "tenant_id": view.row.tenant_id,
        "status": view.row.status,
        "exported_ms": exported_ms,
        "exported_by": by,
        "events": [msgspec.to_builtins(event) for event in view.case.events],
        "reviews": [msgspec.to_builtins(review) for review in view.reviews],
        "verdicts": [{name: getattr(row, name) for name in _VERDICT} for row in view.verdicts],
        "notes": [{name: getattr(row, name) for name in ("at_ms", "subject", "kind", "text")} for row in view.notes],
        "evidence": [record._asdict() for record in view.records],
        "records": [_record(row) for row in (*events, *reviews)],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _record(row: Any) -> dict[str, Any]:
    key = None if row.key is None else base64.b64encode(row.key).decode()
    made = {name: getattr(row, name) for name in _PLACE} | {"key": key, "value": base64.b64encode(row.value).decode()}
    signature = row._mapping.get("signature")  # only reviews have the column
    return made if signature is None else made | {"signature": base64.b64encode(signature).decode()}
