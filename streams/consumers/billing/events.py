"""Reads of an enforcement event what billing needs of it, and is content when the rest is unknown."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from monitor.masking import mask_numbers
from schemas.inputs import END_MS, MIN_MS, Id, OptId

_CLAUSES: Final = range(1, 1_000)


class UnreadableError(ValueError):
    """A record of which not all that billing needs can be read. The message says what is wrong, and no number."""


class Needed(Struct, frozen=True):
    """What billing must know of ``data``; the rest is for people, and taken as it comes."""

    refunds: Literal["frozen", "released", "unaffected"]
    reverses: Annotated[OptId, Meta(description="The id whose hold this takes away.")] = None
    supersedes: Annotated[OptId, Meta(description="The id whose hold this takes away.")] = None
    clause: Any = None
    status: Any = None
    decided_ms: Any = None
    review_by_ms: Any = None
    reason: Any = None


class Event(Struct, frozen=True):
    """An enforcement event of this or of any later release that still has these fields."""

    id: Id
    subject: Id
    data: Needed

    @property
    def freezes(self) -> bool:
        """Whether it adds a hold under its id."""
        return self.data.refunds == "frozen"

    @property
    def takes(self) -> list[str]:
        """The ids whose holds it takes away."""
        return [name for name in (self.data.supersedes, self.data.reverses) if name]

    def hold(self) -> dict[str, object]:
        """Its row among the holds."""
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


def read(value: bytes | None) -> Event:
    """The event in a record's value. Raises UnreadableError."""
    if value is None:
        raise UnreadableError("the record has no value; an enforcement event would be right")
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(mask_numbers(str(error))) from None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _ms(value: object) -> int | None:
    return value if type(value) is int and MIN_MS <= value < END_MS else None
