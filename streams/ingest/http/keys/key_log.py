"""The records of the idempotency keys' topic, and what they say about each key: a pure function of the log."""

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

import msgspec

from monitor.text.durations import DAY, HOUR
from streams.ingest.http.answer import IngestAnswer

KEPT_MS: Final = DAY
"""How long a key is remembered, by the broker's timestamps; at most six hours longer."""

_GENERATION_MS: Final = 6 * HOUR
_HASH_BYTES: Final = 16
_ANSWERED: Final = struct.Struct(f">{_HASH_BYTES}sIiq")
_INLINE: Final = -1


class Claim(msgspec.Struct, frozen=True, tag_field="type", tag="claim"):
    """An instance wants to write a request. ``body`` is the body's hash, ``claim`` the claim's own id.

    ``writers`` are the transactional ids that may have begun to write this request, the claimant's own last.
    ``instead_of``: the claim that this one takes over; null if the key is new. ``owner``: the hash of the token's name;
    "" in records of earlier releases.
    """

    body: str
    claim: str
    writers: tuple[str, ...]
    instead_of: str | None = None
    owner: str = ""


class Answered(msgspec.Struct, frozen=True, tag_field="type", tag="answer"):
    """A request was written, with this answer, in the transaction of its records."""

    body: str
    claim: str
    answer: IngestAnswer
    owner: str = ""


KeyRecord = Claim | Answered
_DECODER: msgspec.json.Decoder[KeyRecord] = msgspec.json.Decoder(KeyRecord)


def decode_key_record(value: bytes) -> KeyRecord | None:
    """The record in a value of the topic; None if it is not one of this release."""
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def digest(*parts: bytes) -> str:
    """The hash of these parts in hexadecimal."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()[: 2 * _HASH_BYTES]


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that is claimed and not answered. ``since_s``: when this process first read of the claim."""

    body: str
    claim: str
    writers: tuple[str, ...]
    since_s: float
    at_ms: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredKey:
    """A key whose request is written. Its answer is stored at ``offset`` of ``partition``.

    ``offset`` is None if the answer has nothing but ``received``: no rejections, and no time of decision.
    """

    body: str
    received: int
    partition: int
    offset: int | None


class KeyLog:
    """What the log says about each key.

    A claim holds a key that nobody holds. A claim ``instead_of`` another one holds the key if that one held it. Any
    other claim has lost. An answer is final. So all instances agree on who holds a key: the log's order decides.
    """

    def __init__(self) -> None:
        self._held: dict[bytes, HeldKey] = {}
        self._answered: dict[int, dict[bytes, bytes]] = {}  # by generation, about 200 bytes a key
        self._held_of = Counter[str]()
        self._answered_of: dict[int, Counter[str]] = {}
        self._newest_ms = 0

    def __len__(self) -> int:
        return len(self._held) + sum(map(len, self._answered.values()))

    def count_of(self, owner: str) -> int:
        """How many of the keys are this owner's."""
        return self._held_of[owner] + sum(each[owner] for each in self._answered_of.values())

    def find(self, key: str) -> HeldKey | AnsweredKey | None:
        """What is known about a key."""
        raw = bytes.fromhex(key)
        for generation in self._answered.values():
            if packed := generation.get(raw):
                body, received, partition, offset = _ANSWERED.unpack(packed)
                return AnsweredKey(body.hex(), received, partition, None if offset == _INLINE else offset)
        return self._held.get(raw)

    def apply(self, key: str, record: KeyRecord, place: tuple[int, int], at_ms: int, now_s: float) -> None:
        """Apply the next record of the key, at this partition and offset, of the broker's time ``at_ms``."""
        raw = bytes.fromhex(key)
        self._forget(at_ms)
        if isinstance(record, Answered):
            self._drop_held(raw)
            answer = record.answer
            partition, offset = place
            inline = not answer.rejected and answer.decided is msgspec.UNSET
            packed = _ANSWERED.pack(
                bytes.fromhex(record.body), answer.received, partition, _INLINE if inline else offset
            )
            generation = at_ms // _GENERATION_MS
            answered = self._answered.setdefault(generation, {})
            if raw not in answered:
                self._answered_of.setdefault(generation, Counter())[record.owner] += 1
            answered[raw] = packed
            return
        known = self.find(key)
        if known is None or (isinstance(known, HeldKey) and known.claim == record.instead_of):
            self._drop_held(raw)
            self._held[raw] = HeldKey(record.body, record.claim, record.writers, now_s, at_ms, record.owner)
            self._held_of[record.owner] += 1

    def _drop_held(self, raw: bytes) -> None:
        if (held := self._held.pop(raw, None)) is not None:
            self._held_of[held.owner] -= 1

    def _forget(self, at_ms: int) -> None:
        if at_ms // _GENERATION_MS <= self._newest_ms // _GENERATION_MS:
            return
        self._newest_ms = at_ms
        oldest = (at_ms - KEPT_MS) // _GENERATION_MS
        for generation in [each for each in self._answered if each < oldest]:
            del self._answered[generation], self._answered_of[generation]
        for raw in [raw for raw, held in self._held.items() if held.at_ms < at_ms - KEPT_MS]:
            self._drop_held(raw)
