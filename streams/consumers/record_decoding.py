"""Decodes the records that consumers follow (enforcement events, alerts, reviews, actions), or says why it cannot."""

import msgspec

from schemas import codec
from schemas.actions import Action
from schemas.inputs import END_MS, MIN_MS, Review
from schemas.outputs import Alert, Enforcement

_EVENT = msgspec.json.Decoder(Enforcement).decode
_ALERT = msgspec.json.Decoder(Alert).decode
_ACTION = msgspec.json.Decoder(Action).decode


class UndecodableRecord(ValueError):
    """A value that is not a record of the expected type, or is of a newer release. The message says why."""


def event_of(value: bytes | None) -> Enforcement:
    """The decision, reversal or lapse in a value of the enforcement topic. Raises UndecodableRecord."""
    if value is None:
        raise UndecodableRecord("it has no value; expected an enforcement event")
    if flaw := codec.flaw(value):
        raise UndecodableRecord(flaw)
    try:
        event = _EVENT(value)
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected an enforcement event of this release: {error}") from None
    data = event.data
    if data.tenant_id != event.subject:
        raise UndecodableRecord("tenant_id and subject differ; expected both to be the tenant")
    if not all(MIN_MS <= at_ms < END_MS for at_ms in (data.decided_ms, data.review_by_ms or MIN_MS)):
        raise UndecodableRecord("expected times in the years 1990 to 2099")
    return event


def review_of(value: bytes | None) -> Review:
    """The review in a value of the reviews topic. Raises UndecodableRecord."""
    if value is None:
        raise UndecodableRecord("it has no value; expected a review")
    try:
        record = codec.read(value)
    except codec.InvalidRecordError as error:
        raise UndecodableRecord(str(error)) from None
    if not isinstance(record, Review):
        raise UndecodableRecord(f"a record of type {record.__struct_config__.tag}; expected a review")
    return record


def alert_of(value: bytes | None) -> Alert:
    """The alert in a value of the alerts topic. Raises UndecodableRecord."""
    if value is None:
        raise UndecodableRecord("it has no value; expected an alert")
    if flaw := codec.flaw(value):
        raise UndecodableRecord(flaw)
    try:
        alert = _ALERT(value)
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected an alert of this release: {error}") from None
    if not all(MIN_MS <= at_ms < END_MS for at_ms in (alert.since_ms, alert.updated_ms)):
        raise UndecodableRecord("expected times in the years 1990 to 2099")
    return alert


def action_of(value: bytes | None) -> Action:
    """The action in a value of the topic of actions. Raises UndecodableRecord."""
    if value is None:
        raise UndecodableRecord("it has no value; expected an action")
    if flaw := codec.flaw(value):
        raise UndecodableRecord(flaw)
    try:
        return _ACTION(value)
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected an action of this release: {error}") from None
