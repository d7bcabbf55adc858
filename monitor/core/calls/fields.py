"""The additive fields of a call: one bit each in the word of the call, always counted, independent of the rules."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.policy.metrics import METRICS, KeySet, key_sets
from monitor.policy.model import Params, Rule, Variants

# The word of a call has one bit for each of these. The parametrised fields follow, one bit for each of `Variants`.
FIXED = (
    "rows",
    "attempts",
    "answered",
    "policy_blocked",
    "network_effective",
    "rang",
    "zero_second",
    "long",
    "invalid_number",
    "rejected",
    "cancelled",
    "carrier_blocked",
    "callee_hangup",
    "consented",
    "inbound",
    "inbound_cancelled",
)
BIT = {name: bit for bit, name in enumerate(FIXED)}
SUMS = ("talk_ms", "ring_delay_ms")  # sums in ms: of answered calls, of attempts that rang
COUNTED = (*FIXED, *SUMS)  # what every policy counts, in the order of a pane's sums

LONG_CALL_MS = 60_000  # `long_call_ratio`: d >= 60 s
CALLEE_HANGUP_MS = 10_000  # `callee_hangup_ratio`: d <= 10 s
DAY_OPENS_MIN, DAY_CLOSES_MIN = 8 * 60, 21 * 60  # `out_of_hours_ratio`: [08:00, 21:00) local time


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """The bit or sum of each field, for the parameters that the rules of a policy use.

    Fields are numbered ``0 .. width-1``: the bits first, then `SUMS`. ``key_sets`` are the keys that rules count;
    ``talk`` is whether any needs the talk times. The other fields are those of `Variants`.
    """

    short_call_ms: tuple[int, ...]
    timezones: tuple[str, ...]
    key_sets: frozenset[KeySet] = frozenset()
    talk: bool = False
    short_ring_ms: tuple[int, ...] = ()
    refused_zones: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: Params, rules: Iterable[Rule]) -> "FieldLayout":
        """The layout for the defaults and all rules, including overrides."""
        rules = list(rules)
        variants = Variants.of(params, rules)
        names = [name for rule in rules for name in rule.metrics]
        return cls(
            variants.short_call_ms,
            variants.timezones,
            frozenset(key_sets(names)),
            any(METRICS[name].family == "talk" for name in names),
            variants.short_ring_ms,
            variants.refused_zones,
        )

    @property
    def bits(self) -> int:
        """The number of bits used in a word."""
        return self._first_refused_bit + len(self.refused_zones)

    @property
    def _first_refused_bit(self) -> int:
        return len(FIXED) + len(self.short_call_ms) + len(self.timezones) + len(self.short_ring_ms)

    @property
    def width(self) -> int:
        """The number of additive fields."""
        return self.bits + len(SUMS)

    @property
    def names(self) -> list[object]:
        """The name of each field, independent of the layout."""
        variants = (
            ("short", self.short_call_ms),
            ("hours", self.timezones),
            ("short_cancelled", self.short_ring_ms),
            ("refused", self.refused_zones),
        )
        return [*FIXED, *((name, value) for name, values in variants for value in values), *SUMS]

    def short_bit(self, short_call_ms: int) -> int:
        """The bit of ``0 < d <= short_call_ms``."""
        return len(FIXED) + self.short_call_ms.index(short_call_ms)

    def hours_bit(self, timezone: str) -> int:
        """The bit of an attempt that starts outside the hours of that time zone."""
        return len(FIXED) + len(self.short_call_ms) + self.timezones.index(timezone)

    def ring_bit(self, short_ring_ms: int) -> int:
        """The bit of an attempt that was cancelled after ringing for at most that long."""
        return len(FIXED) + len(self.short_call_ms) + len(self.timezones) + self.short_ring_ms.index(short_ring_ms)

    def refused_bit(self, timezone: str) -> int:
        """The bit of an attempt of `hours_bit` that the callee rejected, or answered and soon ended."""
        return self._first_refused_bit + self.refused_zones.index(timezone)

    def field(self, name: str, params: Params) -> int:
        """The number of a field of the metric table under these parameters."""
        if name == "short":
            return self.short_bit(params.short_call_ms)
        if name == "out_of_hours":
            return self.hours_bit(params.timezone)
        if name == "short_cancelled":
            return self.ring_bit(params.short_ring_ms)
        if name == "out_of_hours_refused":
            return self.refused_bit(params.timezone)
        if name in SUMS:
            return self.bits + SUMS.index(name)
        return BIT[name]

    def evidence_bit(self, name: str, params: Params) -> int:
        """The bit of the calls that count in a field; for a sum, of the calls that it adds."""
        if name in ("talk_ms", "median_talk_ms"):
            return BIT["answered"]
        if name == "ring_delay_ms":
            return BIT["rang"]
        return self.field(name, params)


def has_bit(words: NDArray[np.unsignedinteger], bit: int) -> NDArray[np.bool_]:
    """Which of these words have this bit. The words may be narrower than the bit number."""
    if bit >= 8 * words.itemsize:
        return np.zeros(len(words), np.bool_)
    has: NDArray[np.bool_] = (words & words.dtype.type(1 << bit)) != 0
    return has


_LANE_ROWS = 255  # whose sum fits in a lane of a byte


def count_bits(words: NDArray[np.unsignedinteger], starts: NDArray[np.intp], bits: int) -> NDArray[np.int64]:
    """Count the set bits in each group of rows: ``[groups, bits]``.

    ``words`` ``[n]`` are sorted by group; ``starts`` ``[groups]`` are the first rows of the groups. Eight bits become
    eight byte-wide lanes of one 64-bit number, so that one sum counts eight fields. A lane holds at most 255 rows,
    therefore larger groups are summed up in pieces. Words may be narrower than ``bits`` if no word has the higher bits.
    """
    rows = len(words)
    lengths = np.diff(starts, append=rows)
    sub_starts, first_piece = starts, None  # None: each group is one piece
    if lengths.max(initial=0) > _LANE_ROWS:
        pieces = -(-lengths // _LANE_ROWS)
        first_piece = np.cumsum(pieces) - pieces
        sub_starts = np.repeat(starts - _LANE_ROWS * first_piece, pieces) + _LANE_ROWS * np.arange(pieces.sum())
    octets = words.view(np.uint8).reshape(rows, words.itemsize)
    counts = np.zeros((len(starts), -(-bits // 8) * 8), np.int64)
    for octet in range(min(-(-bits // 8), words.itemsize)):
        lanes = np.add.reduceat(_SPREAD[octets[:, octet]], sub_starts)
        fields = lanes.view(np.uint8).reshape(len(sub_starts), 8)
        if first_piece is not None:
            fields = np.add.reduceat(fields, first_piece, axis=0, dtype=np.int64)
        counts[:, 8 * octet : 8 * octet + 8] = fields
    return counts[:, :bits]


def _spread_table() -> NDArray[np.uint64]:
    """For each byte value, the 64-bit number whose k-th byte is the k-th bit of the value."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return np.ascontiguousarray(bits.astype(np.uint8)).view("<u8").ravel()


_SPREAD = _spread_table()
