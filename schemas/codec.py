"""Decodes and encodes wire records: bytes to Struct strictly, Struct to the same bytes on every machine.

The hot path is `decoder_for` once a batch, then its decoder and `check` for each line; `read` does all of that for
one line. `decode` alone does not fulfil the contract: it skips unknown fields without checking that they are UTF-8,
and the nesting depth it accepts depends on the Python version and the caller's stack, so that the same log could
give different decisions elsewhere. `plain` finds the rare batches to which either could apply, `flaw` checks their
lines.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from schemas.error_codes import ErrorCode, InvalidRecordError
from schemas.error_messages import explain, explain_object, not_utf8
from schemas.inputs import Application, Cdr, Complaint, Finding, Record, Review, Tenant

__all__ = [
    "DECODER",
    "DECODE_ERRORS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "ErrorCode",
    "InvalidRecordError",
    "check",
    "convert",
    "convert_encoded",
    "decode",
    "decoder_for",
    "encode",
    "event_time",
    "explain",
    "flaw",
    "plain",
    "read",
    "record_id",
]

DECODER: Final = msgspec.json.Decoder[Record](Record)
"""Strict: no coercion, all bounds checked, unknown fields skipped, the last value of a repeated field counts."""

decode = DECODER.decode
"""One record from its bytes. Raises one of `DECODE_ERRORS`. Takes about half a microsecond."""

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidRecordError)
"""All errors that `decode` and the decoders of `decoder_for` raise; pass the error to `explain`."""

# Far more than a record needs, far less than what every supported Python can decode under a deep stack
# (3.11: 1,000 less the frames in use).
MAX_DEPTH: Final = 128
# A line of this many bytes is rejected: an endless line must not exhaust the memory.
MAX_BYTES: Final = 32 << 20
# Shorter lines cannot nest deeper than MAX_DEPTH and still close what they open.
_SHALLOW_BYTES: Final = 2 * MAX_DEPTH + 128

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def plain(lines: Sequence[bytes]) -> bool:
    """Whether no line has a `flaw`. Only lines that are long or not ASCII are checked, so it costs almost nothing."""
    # One pass over the joined lines is faster than a check of each, and brings them into the cache for the decoder.
    if b"".join(lines).isascii() and max(map(len, lines), default=0) <= _SHALLOW_BYTES:
        return True
    doubtful = [line for line in lines if not line.isascii() or len(line) > _SHALLOW_BYTES]
    return not any(map(flaw, doubtful))


def decoder_for(lines: Sequence[bytes]) -> Callable[[bytes], Record]:
    """The decoder for a batch: `decode` if the batch is `plain`, else one that checks `flaw` for each line first."""
    return decode if plain(lines) else _decode_with_care


def _decode_with_care(raw: bytes) -> Record:
    if reason := flaw(raw):
        raise InvalidRecordError(reason)
    record: Record = decode(raw)
    return record


def flaw(raw: bytes) -> str | None:
    """Why ``raw`` is invalid although `decode` may accept it: length, bytes that are not UTF-8, too deep nesting."""
    if len(raw) >= MAX_BYTES:
        return f"{ErrorCode.TOO_LONG}: the line has {MAX_BYTES:,} bytes or more; expected a record"
    if not raw.isascii() and (reason := not_utf8(raw)):
        return reason
    if len(raw) > _SHALLOW_BYTES and (depth := _depth(raw)) > MAX_DEPTH:
        return f"{ErrorCode.TOO_DEEP}: arrays and objects are nested {depth} deep; expected at most {MAX_DEPTH}"
    return None


def _depth(raw: bytes) -> int:
    """The nesting depth of arrays and objects; at most MAX_DEPTH if too few open for more."""
    opened = raw.count(b"[") + raw.count(b"{")
    if opened <= MAX_DEPTH:
        return opened
    brackets = _STRINGS.sub(b"", raw).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def check(record: Record) -> str | None:
    """The inconsistency between the fields of one record, or None: section 2 of the contract, *valid when*.

    Only a call has such rules: ``start_ms <= ring_ms <= answer_ms <= end_ms`` for those present, and ``answer_ms``
    exactly when the outcome is ``answered``. Rules that need the policy or other records are not checked here.
    """
    if type(record) is not Cdr:
        return None
    start, end = record.start_ms, record.end_ms
    ring = record.ring_ms or start
    answer = record.answer_ms or ring
    if not start <= ring <= answer <= end:
        return _impossible(record)
    if (record.outcome == "answered") is not bool(record.answer_ms):
        given = f"is {record.answer_ms}" if record.answer_ms else "is missing"
        return (
            f"{ErrorCode.ANSWER_MISMATCH}: outcome is {record.outcome} but answer_ms {given}; "
            "expected answer_ms exactly when outcome is answered"
        )
    return None


def _impossible(record: Cdr) -> str:
    before, then = "start_ms", record.start_ms
    for name in ("ring_ms", "answer_ms", "end_ms"):
        value: int = getattr(record, name) or then
        if value < then:
            break
        if getattr(record, name):
            before, then = name, value
    return (
        f"{ErrorCode.IMPOSSIBLE_TIMES}: {name} {value} lies {then - value} ms before {before} {then}; "
        "expected start_ms <= ring_ms <= answer_ms <= end_ms"
    )


def read(raw: bytes) -> Record:
    """The record in ``raw``, checked in every way that needs no other record. Raises `InvalidRecordError` with the
    reason.
    """
    try:
        record = _decode_with_care(raw)
    except DECODE_ERRORS as error:
        raise InvalidRecordError(explain(raw, error)) from None
    if reason := check(record):
        raise InvalidRecordError(reason)
    return record


def convert(obj: Mapping[str, Any]) -> Record:
    """The record in a mapping of Python values, as strictly as from JSON, checked. Raises `InvalidRecordError`."""
    return convert_encoded(obj)[0]


def convert_encoded(obj: Mapping[str, Any]) -> tuple[Record, bytes]:
    """As `convert`, with the record as `encode` has it."""
    try:
        record: Record = msgspec.convert(obj, _struct_for(obj))
        # Python strings, unlike JSON, can hold a lone surrogate; encoding reveals it.
        encoded = encode(record)
    except UnicodeEncodeError:
        raise InvalidRecordError(
            f"{ErrorCode.LONE_SURROGATE}: {_surrogate_field(obj)}; expected whole characters"
        ) from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidRecordError(explain_object(obj, error)) from None
    if reason := check(record):
        raise InvalidRecordError(reason)
    return record, encoded


_STRUCTS: Final[dict[str, Any]] = {
    "cdr": Cdr,
    "complaint": Complaint,
    "finding": Finding,
    "tenant": Tenant,
    "application": Application,
    "review": Review,
}


def _struct_for(obj: Mapping[str, Any]) -> Any:
    """The Struct that ``obj`` names, which converts ten times as fast as the union; the union if it names none."""
    tag = obj.get("type") if type(obj) is dict or isinstance(obj, Mapping) else None  # `Mapping` is slow to ask
    return _STRUCTS.get(tag, Record) if isinstance(tag, str) else Record


def _surrogate_field(obj: Mapping[str, Any]) -> str:
    for name, value in obj.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            return f"{name} holds half a surrogate pair"
    return "a field holds half a surrogate pair"


_ENCODER = msgspec.json.Encoder()


def encode(struct: msgspec.Struct) -> bytes:
    """``struct`` as JSON without a line end: the same bytes for the same values on any machine.

    Fields are in the order of the Struct, the tag first, without white space; text is UTF-8, unescaped where JSON
    allows; floats are the shortest decimal that parses to the same value. NaN and infinities would become null.
    """
    return _ENCODER.encode(struct)


def event_time(record: Record) -> int:
    """The event time as written, epoch ms: a call's ``end_ms``, any other record's ``updated_ms``."""
    return record.end_ms if isinstance(record, Cdr) else record.updated_ms


def record_id(record: Record) -> str:
    """The id that is unique among the tenant's records of the type; for a tenant record its ``tenant_id``."""
    match record:
        case Cdr():
            return record.call_id
        case Complaint():
            return record.complaint_id
        case Finding():
            return record.finding_id
        case Tenant():
            return record.tenant_id
        case Application():
            return record.application_id
        case Review():
            return record.review_id
