"""What tenants share, in bounded memory: keys with the tenants that use them, and sketches of sets of numbers."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations
from typing import Final

_HASHES: Final = 1 << 64

MOST_USES: Final = 300_000
"""The most pairs of key and tenant in a sample."""
SKETCH: Final = 256
"""The most hashes in a sketch. The standard error of the share that two sets have in common is at most 3.1 points."""
MOST_PAIRS: Final = 200_000
"""The number of pairs of sets after which no more are compared."""


class KeyedHash:
    """A 64-bit hash of texts. ``key``, of at most 64 bytes, must be secret.

    Tenants choose the texts. One that could compute the hashes could choose numbers with small ones, which are all that
    a sample or a sketch keeps.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, *parts: str) -> int:
        """The hash of these parts."""
        return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8, key=self._key).digest(), "big")


@dataclass(slots=True)
class KeyUse:
    """How often a tenant used a key, and when first and last (epoch ms)."""

    count: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class KeySample:
    """Keys with the tenants that use them: all, or, if there are too many, those with a small enough hash.

    The uses of a key that is kept are complete. ``share`` is the share of keys that is kept.
    """

    hash: KeyedHash
    most: int = MOST_USES
    keys: dict[tuple[str, ...], dict[str, KeyUse]] = field(default_factory=dict)
    _limit: int = _HASHES
    _uses: int = 0

    def add(self, key: tuple[str, ...], tenant: str, at_ms: int) -> None:
        """Count one use."""
        uses = self.keys.get(key)
        if uses is None:
            if self.hash.of(*key) >= self._limit:
                return
            uses = self.keys[key] = {}
        use = uses.get(tenant)
        if use is not None:
            use.count += 1
            use.first_ms, use.last_ms = min(use.first_ms, at_ms), max(use.last_ms, at_ms)
            return
        uses[tenant] = KeyUse(1, at_ms, at_ms)
        self._uses += 1
        while self._uses > self.most:
            self._limit //= 2
            self.keys = {key: uses for key, uses in self.keys.items() if self.hash.of(*key) < self._limit}
            self._uses = sum(map(len, self.keys.values()))

    @property
    def share(self) -> float:
        """The share of keys that is kept."""
        return self._limit / _HASHES

    def shared(self) -> Iterator[tuple[tuple[str, ...], dict[str, KeyUse]]]:
        """The keys that several tenants use."""
        return ((key, uses) for key, uses in self.keys.items() if len(uses) > 1)


class Sketch:
    """The smallest hashes of a set of numbers (bottom-k). Exact below `SKETCH` numbers."""

    def __init__(self) -> None:
        self.hashes: set[int] = set()
        self._largest: list[int] = []  # negated, as a heap

    def add(self, number: int) -> None:
        """Add a number by its hash."""
        if number in self.hashes:
            return
        if len(self.hashes) < SKETCH:
            heapq.heappush(self._largest, -number)
        elif number < -self._largest[0]:
            self.hashes.discard(-heapq.heappushpop(self._largest, -number))
        else:
            return
        self.hashes.add(number)

    @property
    def size(self) -> float:
        """How many numbers the set has: exact, or an estimate with a standard error of 6.3 %."""
        if len(self.hashes) < SKETCH:
            return len(self.hashes)
        return (SKETCH - 1) / (-self._largest[0] / _HASHES)


def in_common(a: Sketch, b: Sketch) -> float:
    """How many numbers two sets have in common: exact for two sets in whole, else an estimate."""
    whole = len(a.hashes) < SKETCH and len(b.hashes) < SKETCH
    both = a.hashes & b.hashes
    if whole:
        return len(both)
    smallest = heapq.nsmallest(SKETCH, a.hashes | b.hashes)
    share = sum(number in both for number in smallest) / len(smallest)
    return share * (a.size + b.size) / (1 + share)


def pairs_in_common(sketches: Iterable[tuple[str, Sketch]], most_holders: int) -> Iterator[tuple[str, str]]:
    """Pairs of sets with a hash in common, each once. A hash that more than ``most_holders`` sets have is left out.

    The search ends once `MOST_PAIRS` are found: first those that have the smallest hashes in common.
    """
    holders: dict[int, list[str]] = {}
    for name, sketch in sketches:
        for number in sketch.hashes:
            holders.setdefault(number, []).append(name)
    seen: set[tuple[str, str]] = set()
    for _, names in sorted(holders.items()):
        if 1 < len(names) <= most_holders:
            seen.update(combinations(sorted(names), 2))
        if len(seen) >= MOST_PAIRS:
            break
    yield from sorted(seen)
