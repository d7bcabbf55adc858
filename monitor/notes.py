"""Notes: what was not in a source's records and yet decided, each at the offset before which it took effect."""

from msgspec import Struct


class Move(Struct, frozen=True, tag="move"):
    """The source was silent: its clock went on to ``clock_ms`` before the record at ``offset``."""

    offset: int
    clock_ms: int


class Limit(Struct, frozen=True, tag="limit"):
    """From ``offset`` on, records may be ``max_ahead_ms`` ahead of their timestamps."""

    offset: int
    max_ahead_ms: int


class Skip(Struct, frozen=True, tag="skip"):
    """The operator had the record at ``offset`` refused."""

    offset: int
    reason: str


Note = Move | Limit | Skip
