"""The formats of a request's body: splits it into the bytes of each record, or a reason where there is none."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from monitor.adapters.assembly.call_event import CallEvent
from monitor.adapters.assembly.version_event import VersionEvent
from schemas import codec
from schemas.error_codes import ErrorCode
from schemas.inputs import Record
from streams.ingest.http.answer import NOT_AN_EVENT
from streams.ingest.http.problems import RequestProblem

MAX_RECORDS: Final = 2_000
"""The most records of a request."""

# What splitting allocates depends on these, not on the records: an array of eight million numbers is rejected unread.
_MOST_COMMAS: Final = 100 * MAX_RECORDS
_MOST_LINES: Final = 2 * MAX_RECORDS

_WHITE: Final = b" \t\r\n"
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_NOT_WHITE: Final = re.compile(r"[^ \t\r\n]")
_LENIENT: Final = json.JSONDecoder(parse_int=len, parse_float=len)  # whose values nobody reads

JSON: Final = ("application/json",)
LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
EVENT: Final = ("application/cloudevents+json",)
EVENTS: Final = ("application/cloudevents-batch+json",)
EVENT_TYPES: Final = {
    f"callwarden.{one.__struct_config__.tag}.v1": one.__struct_config__.tag for one in Record.__args__
}
"""The record type by the `type` of a CloudEvent."""


class ReceivedEvent(NamedTuple):
    """An event or a version of a call.

    ``tenant_id`` is the tenant that it names by itself ("" if none), and ``record`` the type of the call's record.
    """

    source: str
    event: CallEvent | VersionEvent
    tenant_id: str
    record: str


class ReceivedRecord(NamedTuple):
    """A record of a request: its bytes, and the reason if it is rejected already.

    ``event_type``: the record type that its CloudEvent names; None outside of one. ``original``: the bytes that came,
    if these are mapped. ``event``: the bytes are an event of a call, and no record yet.
    """

    raw: bytes
    reason: str | None = None
    event_type: str | None = None
    original: bytes | None = None
    event: ReceivedEvent | None = None


def split(content_type: str, headers: Mapping[str, str], body: bytes) -> Sequence[ReceivedRecord]:
    """The records of a body. Raises RequestProblem if the body as a whole cannot be read."""
    media_type = content_type.partition(";")[0].strip().lower()
    if "ce-specversion" in headers:
        read: Callable[[bytes], Sequence[ReceivedRecord]] = lambda body: [_binary_event(headers, body)]  # noqa: E731
        if media_type not in ("", *JSON):
            raise RequestProblem(
                "unsupported",
                f"Content-Type {media_type[:80]!a} with the header ce-specversion, which announces one record as a "
                f"CloudEvent in binary mode; expected {JSON[0]}, or no header ce-specversion",
            )
    elif media_type in JSON:
        read = _json
    elif media_type in LINES:
        read = _lines
    elif media_type in EVENT:
        read = _one_event
    elif media_type in EVENTS:
        read = _batch_of_events
    else:
        raise _unsupported(media_type)
    if not body.strip(_WHITE):
        raise RequestProblem("bad-request", "the body is empty; expected a record or several")
    records = read(body)
    if len(records) > MAX_RECORDS:
        raise RequestProblem("too-large", f"the request has {len(records):,} records; expected at most {MAX_RECORDS:,}")
    if not records:
        raise RequestProblem("bad-request", "the request has no record")
    return records


def _unsupported(media_type: str) -> RequestProblem:
    known = ", ".join((*JSON, LINES[0], *EVENT, *EVENTS))
    return RequestProblem("unsupported", f"Content-Type {media_type[:80]!a}; expected one of {known}")


def _json(body: bytes) -> list[ReceivedRecord]:
    """A record, or an array of records."""
    if body.lstrip(_WHITE)[:1] != b"[":
        return [ReceivedRecord(body.strip(_WHITE))]
    return [ReceivedRecord(raw) for raw in _array(body)]


def _array(body: bytes) -> list[bytes]:
    if body.count(b",") > _MOST_COMMAS:
        raise RequestProblem("too-large", f"the array has more than {_MOST_COMMAS:,} values; expected fewer a request")
    try:
        return [bytes(raw) for raw in _RAWS.decode(body)]
    except RecursionError:
        raise RequestProblem("bad-request", f"{ErrorCode.TOO_DEEP}: arrays and objects are nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if (elements := _elements(body)) is not None:
            return elements
        raise RequestProblem("bad-request", codec.explain(body, error)) from None


def _elements(body: bytes) -> list[bytes] | None:
    """The elements of an array, where the strict parser rejects the text of one, such as half a surrogate pair, and
    with it the others. None if it cannot be split, or only at a cost. Raises RequestProblem at one too many."""
    if body.count(b"[") + body.count(b"{") > _MOST_COMMAS:
        return None
    text = body.decode("latin-1")  # structure is ASCII, and each character stays one byte
    found, at = list[bytes](), _skipped(text, 0) + 1
    try:
        while len(found) <= MAX_RECORDS:
            start = _skipped(text, at)
            _, end = _LENIENT.raw_decode(text, start)
            found.append(body[start:end])
            at = _skipped(text, end) + 1
            if text[at - 1] == "]":
                return found if _skipped(text, at) == len(text) else None
            if text[at - 1] != ",":
                return None
    except (ValueError, IndexError, RecursionError):
        return None
    raise RequestProblem("too-large", f"the request has more than {MAX_RECORDS:,} records; expected fewer")


def _skipped(text: str, at: int) -> int:
    """The place of the first character from there on that is not white space."""
    found = _NOT_WHITE.search(text, at)
    return found.start() if found else len(text)


def _lines(body: bytes) -> list[ReceivedRecord]:
    if body.count(b"\n") > _MOST_LINES:
        raise RequestProblem("too-large", f"the body has more than {_MOST_LINES:,} lines")
    return [ReceivedRecord(line.strip(_WHITE)) for line in body.split(b"\n") if line and not line.isspace()]


def _one_event(body: bytes) -> list[ReceivedRecord]:
    return [_event(body.strip(_WHITE))]


def _batch_of_events(body: bytes) -> list[ReceivedRecord]:
    if body.lstrip(_WHITE)[:1] != b"[":
        raise RequestProblem("bad-request", "the batch of CloudEvents is not an array")
    return [_event(raw) for raw in _array(body)]


def _event(raw: bytes) -> ReceivedRecord:
    """The record in the data of a CloudEvent in structured mode."""
    if reason := codec.flaw(raw):
        return ReceivedRecord(raw, reason)
    try:
        fields = _FIELDS.decode(raw)
    except codec.DECODE_ERRORS as error:
        return ReceivedRecord(raw, codec.explain(raw, error))
    attributes: dict[str, Any] = {name: _text(fields.get(name)) for name in ("specversion", "id", "source", "type")}
    if reason := _not_an_event(attributes):
        return ReceivedRecord(raw, reason)
    tag = EVENT_TYPES[attributes["type"]]
    if "data" in fields:
        return ReceivedRecord(bytes(fields["data"]), None, tag)
    encoded = _text(fields.get("data_base64"))
    if encoded is None:
        return ReceivedRecord(raw, f"{NOT_AN_EVENT}: data is missing; expected a record")
    try:
        return ReceivedRecord(base64.b64decode(encoded, validate=True), None, tag)
    except (binascii.Error, ValueError):
        return ReceivedRecord(raw, f"{NOT_AN_EVENT}: data_base64 is not base64")


def _binary_event(headers: Mapping[str, str], body: bytes) -> ReceivedRecord:
    """The record in the body of a CloudEvent in binary mode, whose attributes are headers."""
    attributes = {name: headers.get(f"ce-{name}") for name in ("specversion", "id", "source", "type")}
    if reason := _not_an_event(attributes):
        return ReceivedRecord(body, reason)
    return ReceivedRecord(body.strip(_WHITE), None, EVENT_TYPES[str(attributes["type"])])


def _not_an_event(attributes: Mapping[str, str | None]) -> str | None:
    for name, value in attributes.items():
        if not value:
            return f"{NOT_AN_EVENT}: {name} is missing; expected the attributes specversion, id, source and type"
    if attributes["specversion"] != "1.0":
        return f"{NOT_AN_EVENT}: specversion is not 1.0"
    if attributes["type"] not in EVENT_TYPES:
        return f"{NOT_AN_EVENT}: type is unknown; expected one of {', '.join(EVENT_TYPES)}"
    return None


def _text(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    try:
        return _TEXT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
