"""What an entry says: the fields of a decision or a review by which it is looked up, read out of its bytes."""

from typing import Any, NamedTuple

import msgspec

from monitor.masking import mask_numbers
from schemas import codec
from schemas.inputs import END_MS, MIN_MS, Review
from schemas.outputs import Enforcement

_LONGEST = 128  # of an id, in code points
_LONGEST_RULE = 256
_SHOWN = 500

_EVENTS = msgspec.json.Decoder(Enforcement)


class Fields(NamedTuple):
    """The looked-up columns. A review's ``kind`` is ``review``, its ``status`` the verdict, ``about`` the decision.

    ``review_id`` of a decision is the review that it came of. With a ``fault`` all else is None.
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


class Unread(ValueError):  # noqa: N818 - a fact about a record
    """A value that is no decision or no review, be it another's or a newer release's. The message says why."""


def event_of(value: bytes | None) -> Enforcement:
    """The decision, reversal or lapse in a value of the enforcement topic. Raises Unread."""
    if value is None:
        raise Unread("it has no value; expected an enforcement event")
    if flaw := codec.flaw(value):
        raise Unread(flaw)
    try:
        event = _EVENTS.decode(value)
    except codec.DECODE_ERRORS as error:
        raise Unread(f"no enforcement event of this release: {error}") from None
    data = event.data
    if data.tenant_id != event.subject:
        raise Unread("the tenant_id is not the subject; expected both to be the tenant")
    if not all(MIN_MS <= at_ms < END_MS for at_ms in (data.decided_ms, data.review_by_ms or MIN_MS)):
        raise Unread("a time lies beyond the years 1990 to 2099")
    return event


def review_of(value: bytes | None) -> Review:
    """The review in a value of the topic of reviews. Raises Unread."""
    if value is None:
        raise Unread("it has no value; expected a review")
    try:
        record = codec.read(value)
    except codec.Refused as error:
        raise Unread(str(error)) from None
    if not isinstance(record, Review):
        raise Unread(f"a record of type {record.__struct_config__.tag}; expected a review")
    return record


def fields_of_event(value: bytes | None) -> Fields:
    """What is looked up of a record of the enforcement topic."""
    try:
        event = event_of(value)
    except Unread as error:
        return _unread(error)
    data = event.data
    return _fitting(
        Fields(
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


def fields_of_review(value: bytes | None) -> Fields:
    """What is looked up of a record of the topic of reviews."""
    try:
        review = review_of(value)
    except Unread as error:
        return _unread(error)
    return _fitting(
        Fields(
            tenant_id=review.tenant_id,
            event_id=review.review_id,
            kind="review",
            status=review.verdict,
            decided_ms=review.updated_ms,
            about=review.enforcement_id,
        )
    )


def storable(text: str) -> str:
    """As a database has it: PostgreSQL stores no NUL, which an id may hold; the bytes beside it do."""
    return text.replace("\x00", "␀")


def _fitting(fields: Fields) -> Fields:
    for name, value in zip(Fields._fields, fields, strict=True):
        most = _LONGEST_RULE if name == "rule_id" else _LONGEST
        if isinstance(value, str) and len(value) > most:
            return Fields(fault=f"{name} has {len(value)} characters; expected at most {most}")
    values: Any = (storable(value) if isinstance(value, str) else value for value in fields)
    return Fields(*values)


def _unread(error: Unread) -> Fields:
    return Fields(fault=storable(mask_numbers(str(error)))[:_SHOWN])
