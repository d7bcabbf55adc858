"""The ledger as JSON lines: every entry with its hash, masked for readers or with the original bytes."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, or_, select

from monitor.text.masking import mask_numbers
from streams.consumers.ledger.entries import without_nul
from streams.consumers.ledger.journal import Action, action_of
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
        yield msgspec.json.encode(_line(row, with_bytes))


def _line(row: Row[Any], with_bytes: bool) -> dict[str, Any]:
    line = {name: getattr(row, name) for name in ("topic", "partition", "number", "offset", "timestamp_ms", "hash")}
    if with_bytes:
        return line | {"key": _base64(row.key), "value": _base64(row.value)}
    if row.topic == JOURNAL.topic and not row.fault:
        return line | {"record": _shown_action(action_of(row.value))}
    kind = row.kind or row.reread_kind
    return line | ({"record": displayed_value(kind, row.value)} if kind else {"fault": row.fault})


def displayed_value(kind: str, value: bytes) -> dict[str, Any]:
    """The content of an entry's value; in a review, telephone numbers in free text are masked.

    The reasons of decisions are masked when they are created.
    """
    if kind != "review":
        decision: dict[str, Any] = msgspec.json.decode(value)
        return decision
    review = review_of(value)
    masked = {"reviewer": mask_numbers(review.reviewer), "reason": mask_numbers(review.reason)}
    return {**msgspec.to_builtins(review), **masked}


def _shown_action(action: Action) -> dict[str, Any]:
    """An action without the record that was sent, which is an entry of its own. Free text is masked."""
    said: dict[str, Any] = msgspec.to_builtins(action)
    words = {"reviewer", "reason", "why", "accepted_by"}
    return {name: mask_numbers(text) if name in words else text for name, text in said.items() if name != "value"}


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
