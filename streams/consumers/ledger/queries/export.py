"""The ledger as JSON lines: every entry with its hash, masked for readers or with the original bytes."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, or_, select

from monitor.text.masking import mask_text
from monitor.text.record_ids import ids_of
from schemas.review_signature import signer_of
from streams.consumers.ledger.entries import ACTIONS, without_nul
from streams.consumers.ledger.journal import Action, action_of
from streams.consumers.ledger.queries.lookup import case_of
from streams.consumers.ledger.tables import ABOUT_ONE, ENTRIES, JOURNAL, REREAD
from streams.consumers.record_decoding import review_of

_AT_ONCE = 1_000


def lines(connection: Connection, *, tenant: str | None, with_bytes: bool) -> Iterator[bytes]:
    """One entry a line, by topic, partition and number. ``with_bytes``: everything that the hash covers, unmasked.

    The kind of an entry is the one parsed when it was written, or since.
    """
    wanted = (
        select(ENTRIES, REREAD.c.kind.label("reread_kind"))
        .join_from(ENTRIES, REREAD, ABOUT_ONE, isouter=True)
        .order_by(ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number)
    )
    if tenant is not None:
        wanted = wanted.where(or_(*(table.c.tenant_id == without_nul(tenant) for table in (ENTRIES, REREAD))))
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(wanted):
        yield msgspec.json.encode(_line(connection, row, with_bytes))


def _line(connection: Connection, row: Row[Any], with_bytes: bool) -> dict[str, Any]:
    line = {name: getattr(row, name) for name in ("topic", "partition", "number", "offset", "timestamp_ms", "hash")}
    if with_bytes:
        signed = {} if row.signature is None else {"signature": _base64(row.signature)}
        return line | {"key": _base64(row.key), "value": _base64(row.value)} | signed
    if row.topic == JOURNAL.topic and not row.fault:
        return line | {"record": _shown_action(connection, action_of(row.value))}
    if row.topic.endswith(ACTIONS) and not row.fault:
        return line | {"record": msgspec.json.decode(row.value)}  # masked when it was written
    if name := signer_of(row.signature):
        line["signature_of"] = mask_text(name)
    kind = row.kind or row.reread_kind
    return line | ({"record": displayed_value(connection, kind, row.value)} if kind else {"fault": row.fault})


def displayed_value(connection: Connection, kind: str, value: bytes) -> dict[str, Any]:
    """The content of an entry's value; in a review, telephone numbers in free text are masked, ids are not.

    The reasons of decisions are masked when they are created.
    """
    if kind != "review":
        decision: dict[str, Any] = msgspec.json.decode(value)
        return decision
    review = review_of(value)
    ids = (*ids_of(review), *_ids_of_case(connection, review.enforcement_id))
    masked = {"reviewer": mask_text(review.reviewer, ids), "reason": mask_text(review.reason, ids)}
    return {**msgspec.to_builtins(review), **masked}


def _shown_action(connection: Connection, action: Action) -> dict[str, Any]:
    """An action without the record that was sent, which is an entry of its own. Free text is masked."""
    said: dict[str, Any] = msgspec.to_builtins(action)
    words = {"reviewer", "reason", "why", "accepted_by"}
    ids = (*ids_of(said), *_ids_of_case(connection, said.get("enforcement_id")))
    return {name: mask_text(text, ids) if name in words else text for name, text in said.items() if name != "value"}


def _ids_of_case(connection: Connection, enforcement_id: str | None) -> tuple[str, ...]:
    case = case_of(connection, enforcement_id) if enforcement_id else None
    return ids_of(*case.events) if case else ()


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
