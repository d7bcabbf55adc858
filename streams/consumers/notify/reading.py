"""Reads a record of the topics that the notifier follows: a decision or an alert, or why it is neither."""

import msgspec

from schemas import codec
from schemas.inputs import END_MS, MIN_MS
from schemas.outputs import Alert
from streams.consumers.ledger.entries import Unread, event_of

__all__ = ["Unread", "alert_of", "event_of"]

_ALERT = msgspec.json.Decoder(Alert).decode


def alert_of(value: bytes | None) -> Alert:
    """The alert in a value of the topic of alerts. Raises Unread."""
    if value is None:
        raise Unread("it has no value; expected an alert")
    if flaw := codec.flaw(value):
        raise Unread(flaw)
    try:
        alert = _ALERT(value)
    except codec.DECODE_ERRORS as error:
        raise Unread(f"no alert of this release: {error}") from None
    if not all(MIN_MS <= at_ms < END_MS for at_ms in (alert.since_ms, alert.updated_ms)):
        raise Unread("a time lies beyond the years 1990 to 2099")
    return alert
