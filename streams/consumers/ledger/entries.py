"""The indexed fields of a ledger entry, parsed from the bytes of a decision, a review or an action."""

from typing import Any, Final, NamedTuple

from monitor.text.masking import mask_text
from streams.consumers.record_decoding import UndecodableRecord, action_of, event_of, review_of

ACTIONS: Final = "actions"
"""How the name of the topic ends that has what people did in the console."""
_LONGEST = 128  # of an id, in code points
_LONGEST_RULE = 256
_SHOWN = 500


class EntryFields(NamedTuple):
    """The indexed columns. A review's ``kind`` is ``review``, its ``status`` the verdict, ``about`` the decision.

    A decision's ``review_id`` is the review that caused it. If ``fault`` is set, all other fields are None.
    """

    fault: str | None = None
    tenant_id: str | None = None
    event_id: str | None = None
    kind: str | None = None
    status: str | None = None
    rule_id: str | None = None
    decided_ms: int | None = None
    review_by_ms: int | None = None
    reverses: str | None = None
    supersedes: str | None = None
    review_id: str | None = None
    about: str | None = None


def fields_of_event(value: bytes | None) -> EntryFields:
    """The fields of a record of the enforcement topic."""
    try:
        event = event_of(value)
    except UndecodableRecord as error:
        return _unread(error)
    data = event.data
    return _fitting(
        EntryFields(
            tenant_id=event.subject,
            event_id=event.id,
            kind=data.kind,
            status=data.status,
            rule_id=data.rule_id,
            decided_ms=data.decided_ms,
            review_by_ms=data.review_by_ms,
            reverses=data.reverses,
            supersedes=data.supersedes,
            review_id=next(iter(data.evidence.review_ids), None),
        )
    )


def fields_of_review(value: bytes | None) -> EntryFields:
    """The fields of a record of the reviews topic."""
    try:
        review = review_of(value)
    except UndecodableRecord as error:
        return _unread(error)
    return _fitting(
        EntryFields(
            tenant_id=review.tenant_id,
            event_id=review.review_id,
            kind="review",
            status=review.verdict,
            decided_ms=review.updated_ms,
            about=review.enforcement_id,
        )
    )


def fields_of_console_action(value: bytes | None) -> EntryFields:
    """Empty fields: what people did in the console is chained and exported, and no look-up of cases finds it."""
    try:
        action_of(value)
    except UndecodableRecord as error:
        return _unread(error)
    return EntryFields()


def without_nul(text: str) -> str:
    """Text for a database column: replaces NUL, which PostgreSQL cannot store. The entry's bytes keep it."""
    return text.replace("\x00", "␀")


def _fitting(fields: EntryFields) -> EntryFields:
    for name, value in zip(EntryFields._fields, fields, strict=True):
        most = _LONGEST_RULE if name == "rule_id" else _LONGEST
        if isinstance(value, str) and len(value) > most:
            return EntryFields(fault=f"{name} has {len(value)} characters; expected at most {most}")
    values: Any = (without_nul(value) if isinstance(value, str) else value for value in fields)
    return EntryFields(*values)


def _unread(error: UndecodableRecord) -> EntryFields:
    return EntryFields(fault=without_nul(mask_text(str(error)))[:_SHOWN])
