"""Rejection reasons that a person can act on: which field, which value, what was expected.

A reason is one line. Values are shortened, and telephone numbers in them are masked, because reasons end up in
headers, logs and reports.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from schemas.error_codes import ErrorCode, InvalidRecordError
from schemas.inputs import END_MS, MIN_MS, Record

MASK: Final = "•"
SHOWN: Final = 60  # characters of an offending value that a reason shows
# Fields with telephone numbers: a reason shows only their last two characters.
NUMBER_FIELDS: Final = frozenset({"caller", "callee", "numbers"})
# This many digits may be a telephone number in any field; a timestamp in a field of times is the exception.
NUMBER_DIGITS: Final = 7

Lookup = Callable[[str, int | None], "ReceivedValue | None"]


class ReceivedValue(msgspec.Struct, frozen=True):
    """A value as received: its JSON kind, its text (the characters of a string), and the length of a string."""

    kind: str
    text: str


_PATH = re.compile(r"at `\$\.?([A-Za-z_]*)(?:\[(\d+)\])?")
_MISSING = re.compile(r"missing required field `(\w+)`")
_BYTE = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
_LAST_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_INTEGER = re.compile(r"-?[0-9]+")
_MOBILE = re.compile(r"-?1[3-9][0-9]{9}")
_DIGIT = re.compile(r"\d")
_KINDS: Final = {
    '"': "a string",
    "[": "an array",
    "{": "an object",
    "t": "a boolean",
    "f": "a boolean",
    "n": "null",
}
_EACH: Final = "each item "
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder(msgspec.Raw)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def explain(raw: bytes, error: Exception) -> str:
    """Why ``raw`` was rejected, from the ``error`` of decoding it: one line beginning with an `ErrorCode`.

    Never raises, whatever the bytes.
    """
    try:
        return _explain(raw, error)
    except Exception as another:  # noqa: BLE001 - a reason must never stop a run, whatever the input
        return f"{ErrorCode.UNREADABLE}: {type(error).__name__}, and explaining it failed with {type(another).__name__}"


def explain_object(obj: object, error: Exception) -> str:
    """`explain` for a Python object that `msgspec.convert` rejected."""
    try:
        if isinstance(error, msgspec.ValidationError):
            return _invalid(str(error), lambda field, item: _in_object(obj, field, item))
        if isinstance(error, RecursionError):
            return _too_deep()
        return f"{ErrorCode.UNREADABLE}: {type(error).__name__}"
    except Exception as another:  # noqa: BLE001 - a reason must never stop a run, whatever the object
        return f"{ErrorCode.UNREADABLE}: {type(error).__name__}, and explaining it failed with {type(another).__name__}"


def not_utf8(raw: bytes) -> str | None:
    """Where ``raw`` stops being UTF-8; None if all of it is UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        hint = "; it looks like UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        found = f"byte {error.start} is 0x{raw[error.start]:02x} ({error.reason}){hint}"
        return f"{ErrorCode.NOT_UTF8}: {found}; expected UTF-8"
    return None


def _explain(raw: bytes, error: Exception) -> str:
    if isinstance(error, InvalidRecordError):
        return str(error)
    if isinstance(error, RecursionError):
        return _too_deep()
    if not isinstance(error, UnicodeDecodeError | msgspec.DecodeError):
        return f"{ErrorCode.UNREADABLE}: {type(error).__name__}"
    if reason := not_utf8(raw):
        return reason
    if isinstance(error, msgspec.ValidationError):
        # The decoder stops at the first invalid field, but in a truncated line that says nothing.
        try:
            _ANY.decode(raw)
        except msgspec.DecodeError as broken:
            return _malformed(raw, str(broken))
        return _invalid(str(error), lambda field, item: _in_bytes(raw, field, item))
    return _malformed(raw, str(error))


def _too_deep() -> str:
    return f"{ErrorCode.TOO_DEEP}: arrays and objects are nested too deep; expected a flat record"


def _malformed(raw: bytes, message: str) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        return f"{ErrorCode.MALFORMED_JSON}: it begins with a byte order mark (EF BB BF); expected JSON without one"
    if not raw.strip(b" \t\r\n"):
        return f"{ErrorCode.TRUNCATED_JSON}: it is empty; expected one JSON object"
    found = _BYTE.match(message)
    if found is None:
        # The decoder reports a lone surrogate as a truncation if the other half would reach past the end.
        if _LAST_HALF.search(raw[-16:]):
            return (
                f"{ErrorCode.LONE_SURROGATE}: half a surrogate pair is escaped near the end; expected whole characters"
            )
        return (
            f"{ErrorCode.TRUNCATED_JSON}: it ends in the middle, after {len(raw)} bytes; expected one whole JSON object"
        )
    what, at = found.groups()
    # In a value that is not read, the decoder expects the other half's escape at once, and reports its absence.
    is_half = what == "unexpected end of hex escape" and _HALF.fullmatch(raw[max(0, int(at) - 6) : int(at)])
    if is_half or "utf-16 surrogate" in what:
        return (
            f"{ErrorCode.LONE_SURROGATE}: half a surrogate pair is escaped before byte {at}; expected whole characters"
        )
    return f"{ErrorCode.MALFORMED_JSON}: {what} at byte {at}; expected one JSON object"


def _invalid(message: str, lookup: Lookup) -> str:
    given_type = lookup("type", None)
    tag = given_type.text if given_type is not None and given_type.kind == "a string" else ""
    if missing := _MISSING.search(message):
        field = missing.group(1)
        whose = f"the {tag}" if tag in EXPECTED else "the record"
        return f"{ErrorCode.MISSING_FIELD}: {whose} has no {field}; expected {_expected(tag, field)}"
    path = _PATH.search(message)
    if path is None:
        kind = re.search(r"got `(\w+)`", message)
        return (
            f"{ErrorCode.NOT_AN_OBJECT}: it is {_article(kind.group(1) if kind else 'value')}; expected one JSON object"
        )
    field, item = path.group(1), path.group(2)
    given = lookup(field, int(item) if item else None)
    place = f"{field}[{item}]" if item else field
    fault = _fault(message, field, given)
    shown = f"is {show(field, given, fault)}" if given is not None else "does not fit"
    expected = _expected(tag, field)
    return f"{fault}: {place} {shown}; expected {expected.rpartition(_EACH)[2] if item else expected}"


def _fault(message: str, field: str, given: ReceivedValue | None) -> ErrorCode:
    if message.startswith("Invalid value") and field == "type":
        return ErrorCode.UNKNOWN_TYPE
    if message.startswith("Invalid enum value"):
        # An integer may be "" and no other string; the decoder reports an enumeration there.
        return ErrorCode.WRONG_TYPE if _is_integer(field) else ErrorCode.UNKNOWN_VALUE
    if " of length " in message:
        return ErrorCode.WRONG_LENGTH
    if message.startswith(("Expected `int` >", "Expected `int` <")):
        return ErrorCode.OUT_OF_RANGE
    # The decoder parses an integer with more digits than a float holds as a float.
    whole = given is not None and given.kind == "a number" and _INTEGER.fullmatch(given.text)
    return ErrorCode.OUT_OF_RANGE if whole and _is_integer(field) else ErrorCode.WRONG_TYPE


def _is_integer(field: str) -> bool:
    return field.endswith("_ms") or field in ("sip_code", "q850")


def show(field: str, given: ReceivedValue, fault: ErrorCode = ErrorCode.WRONG_TYPE) -> str:
    """The value of ``field`` for display: short, on one line, telephone numbers masked; an id is not one."""
    if given.kind == "an array" and fault is ErrorCode.WRONG_LENGTH:
        return f"an array of {given.text} items"
    if given.kind in ("an array", "an object", "null"):
        return given.kind
    text = given.text
    if field in NUMBER_FIELDS:
        hidden = max(len(text) - 2, 0)
        text = MASK * min(hidden, 12) + text[-2:] if hidden <= 12 else f"{MASK * 12}…{text[-2:]}"
    else:
        text = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        if not (field.endswith("_ms") and _is_time(text)) and not _is_id(field, text):
            text = _hide_digits(text)
    if given.kind != "a string":
        return f"{_printable(text)} ({given.kind})" if fault is ErrorCode.WRONG_TYPE else _printable(text)
    length = f" ({len(given.text)} characters)" if len(given.text) > SHOWN or field in NUMBER_FIELDS else ""
    return f'"{_printable(json.dumps(text, ensure_ascii=False)[1:-1])}"{length}'


def _is_time(text: str) -> bool:
    """Whether it is a timestamp in ms: another number in a field of times may be a telephone number."""
    return _INTEGER.fullmatch(text) is not None and len(text) <= 13 and MIN_MS <= int(text) < END_MS


def _is_id(field: str, text: str) -> bool:
    """Whether it is an id written as a number, and not a mainland mobile number."""
    named = field.endswith("_id") or field == "complainant"
    return named and _INTEGER.fullmatch(text) is not None and not _MOBILE.fullmatch(text)


def _hide_digits(text: str) -> str:
    digits = len(_DIGIT.findall(text))
    return text if digits < NUMBER_DIGITS else _DIGIT.sub(MASK, text, count=digits - 2)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _article(kind: str) -> str:
    return {"array": "an array", "object": "an object", "int": "a number", "float": "a number", "str": "a string"}.get(
        kind, {"bool": "a boolean", "null": "null"}.get(kind, "another value")
    )


def _in_bytes(raw: bytes, field: str, item: int | None) -> ReceivedValue | None:
    """The value of ``field`` in ``raw``; None if it is ambiguous, as when the field occurs twice."""
    try:
        value = _FIELDS.decode(raw).get(field)
        if value is not None and item is not None:
            value = _ITEMS.decode(value)[item]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return None
    # If a field occurs twice, the last value is found, but the first may be the invalid one.
    if value is None or len(re.findall(rb'"%b"\s*:' % field.encode(), raw)) > 1:
        return None
    text = bytes(value).strip().decode(errors="replace")
    kind = _KINDS.get(text[:1], "a number")
    if kind == "an array":
        return ReceivedValue(kind, str(len(_ITEMS.decode(value))))
    return ReceivedValue(kind, str(msgspec.json.decode(value)) if kind == "a string" else text[: SHOWN * 2])


def _in_object(obj: object, field: str, item: int | None) -> ReceivedValue | None:
    if not isinstance(obj, Mapping) or field not in obj:
        return None
    value: Any = obj[field]
    if item is not None:
        value = value[item]
    if isinstance(value, str):
        return ReceivedValue("a string", value)
    if isinstance(value, bool):
        return ReceivedValue("a boolean", str(value).lower())
    if isinstance(value, int | float):
        return ReceivedValue("a number", repr(value)[: SHOWN * 2])
    if value is None:
        return ReceivedValue("null", "null")
    if isinstance(value, list | tuple):
        return ReceivedValue("an array", str(len(value)))
    kind = "an object" if isinstance(value, Mapping) else ""
    return ReceivedValue(kind or "another value", type(value).__name__)


def _expected(tag: str, field: str) -> str:
    if field == "type":
        return "one of " + ", ".join(EXPECTED)
    return EXPECTED.get(tag, {}).get(field, "what the schema says")


def _phrase(kind: msgspec.inspect.Type) -> str:
    """What a type accepts, in words."""
    match kind:
        case msgspec.inspect.UnionType(types=types):
            # `""` is in the type beside the real words and times only to mean null.
            real = [t for t in types if t != msgspec.inspect.LiteralType(("",)) and t != msgspec.inspect.NoneType()]
            return " or ".join(_phrase(t) for t in real) + ", or null"
        case msgspec.inspect.Metadata(type=inner):
            return _phrase(inner)
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(v) for v in values if v != "")
        case msgspec.inspect.IntType(ge=least, le=most) if most is not None:
            return f"an integer of {least} to {most}"
        case msgspec.inspect.IntType():
            return "an integer: epoch milliseconds, UTC, in the years 1990 to 2099"
        case msgspec.inspect.StrType(min_length=least, max_length=most):
            return f"a string of {least} to {most} characters" if least else f"a string of at most {most} characters"
        case msgspec.inspect.ListType(item_type=item, max_length=most):
            return f"an array of at most {most} items, {_EACH}{_phrase(item)}"
    raise TypeError(f"no words for {kind}")


def _phrases() -> dict[str, dict[str, str]]:
    union = msgspec.inspect.type_info(Record)
    assert isinstance(union, msgspec.inspect.UnionType)
    found = {}
    for struct in union.types:
        assert isinstance(struct, msgspec.inspect.StructType)
        found[str(struct.tag)] = {f.encode_name: _phrase(f.type) for f in struct.fields}
    return found


EXPECTED: Final = _phrases()
"""What each field of each record accepts, in words: type, then field."""
