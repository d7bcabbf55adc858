"""Parses the fields of an enforcement event that billing needs, and tolerates anything in the rest."""

import json
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from monitor.text.masking import mask_text
from schemas.inputs import END_MS, MIN_MS, Id, OptId

_CLAUSES: Final = range(1, 1_000)


class UnreadableError(ValueError):
    """A record whose required fields cannot be parsed. The message says what is wrong, with numbers masked.

    ``subjects``: the tenant that the record names; empty if that cannot be parsed either.
    """

    def __init__(self, why: str, subjects: frozenset[str] = frozenset()) -> None:
        super().__init__(why)
        self.subjects = subjects


class Needed(Struct, frozen=True):
    """The parts of ``data`` that billing requires; the rest is for display and may be anything."""

    refunds: Literal["frozen", "released", "unaffected"]
    reverses: Annotated[OptId, Meta(description="The id whose hold this takes away.")] = None
    supersedes: Annotated[OptId, Meta(description="The id whose hold this takes away.")] = None
    clause: Any = None
    status: Any = None
    decided_ms: Any = None
    review_by_ms: Any = None
    reason: Any = None


class Event(Struct, frozen=True):
    """An enforcement event of this release or any later one that still has these fields."""

    id: Id
    subject: Id
    data: Needed

    @property
    def freezes(self) -> bool:
        """Whether it adds a hold under its id."""
        return self.data.refunds == "frozen"

    @property
    def releases(self) -> list[str]:
        """The ids whose holds it removes."""
        return [name for name in (self.data.supersedes, self.data.reverses) if name]

    def hold(self) -> dict[str, object]:
        """Its row in `HOLD`."""
        data = self.data
        reason = data.reason if isinstance(data.reason, dict) else {}
        return {
            "id": self.id,
            "tenant_id": self.subject,
            "supersedes": data.supersedes or None,
            "clause": data.clause if type(data.clause) is int and data.clause in _CLAUSES else None,
            "status": _text(data.status),
            "decided_ms": _ms(data.decided_ms),
            "review_by_ms": _ms(data.review_by_ms),
            "reason_zh": _text(reason.get("zh")),
            "reason_en": _text(reason.get("en")),
        }


_DECODER: Final = msgspec.json.Decoder(Event)
_MOST_ID: Final = 128
_MOST_DIGITS: Final = 25


def read(value: bytes | None) -> Event:
    """The event in a record's value. Raises UnreadableError.

    Fields that are not needed may be anything that JSON parsers read: a lone surrogate or an invalid UTF-8 byte in them
    becomes U+FFFD.
    """
    if value is None:
        raise UnreadableError("the record has no value; expected an enforcement event")
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _read_leniently(value, mask_text(str(error)))


def subject_of_key(key: bytes | None) -> frozenset[str]:
    """The tenant whose id is the record's key; empty if the key is not an id."""
    try:
        return _ids((key or b"").decode())
    except UnicodeDecodeError:
        return frozenset()


def _read_leniently(value: bytes, why: str) -> Event:
    """The event in a value that the strict parser rejected with ``why``; slower, with the same semantics."""
    try:
        # Invalid UTF-8 bytes become lone surrogates too.
        given = json.loads(value.decode("utf-8", "surrogateescape"), parse_int=_number)
    except (ValueError, RecursionError):
        raise UnreadableError(why) from None
    if not isinstance(given, dict):
        raise UnreadableError(why)
    subjects = _ids(given.get("subject"))
    try:
        event = msgspec.convert(given, Event)
        for text in (event.id, event.subject, *event.releases):
            text.encode()
    except UnicodeEncodeError:
        raise UnreadableError(
            "an id of the event holds half a surrogate pair; expected whole characters", subjects
        ) from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise UnreadableError(mask_text(str(error)), subjects) from None
    return event


def _ids(text: object) -> frozenset[str]:
    """The text as a set of one id; empty if it is not an id."""
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_ID or _shown(text) != text:
        return frozenset()
    return frozenset({text})


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _MOST_DIGITS else -1  # a value that no field accepts


def _shown(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(value: object) -> str | None:
    return _shown(value) if isinstance(value, str) else None


def _ms(value: object) -> int | None:
    return value if type(value) is int and MIN_MS <= value < END_MS else None
