"""The additive fields of a call: one bit each in a call's word, counted always, whatever the rules are today."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.policy.model import Params, Rule

# A call's word has one bit for each of these; the parametrised ones (short, out_of_hours) follow, one bit a variant.
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

LONG_CALL_MS = 60_000  # `long_call_ratio`: d >= 60 s
CALLEE_HANGUP_MS = 10_000  # `callee_hangup_ratio`: d <= 10 s
DAY_OPENS_MIN, DAY_CLOSES_MIN = 8 * 60, 21 * 60  # `out_of_hours_ratio`: [08:00, 21:00) local time


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """Which bit or sum each field is, for the parameters that a policy's rules use.

    Fields are numbered ``0 .. width-1``: the bits first, then `SUMS`.
    """

    short_call_ms: tuple[int, ...]
    timezones: tuple[str, ...]

    @classmethod
    def of(cls, params: Params, rules: Iterable[Rule]) -> "FieldLayout":
        """The layout that the defaults and all rules (overrides' too) need; a policy has at most 48 such variants."""
        every = [params, *(rule.params for rule in rules)]
        return cls(
            tuple(sorted({p.short_call_ms for p in every})),
            tuple(sorted({p.timezone for p in every})),
        )

    @property
    def bits(self) -> int:
        """How many bits of a word are used."""
        return len(FIXED) + len(self.short_call_ms) + len(self.timezones)

    @property
    def width(self) -> int:
        """How many additive fields there are."""
        return self.bits + len(SUMS)

    @property
    def names(self) -> list[object]:
        """What each field is, in any layout."""
        short = [("short", limit_ms) for limit_ms in self.short_call_ms]
        return [*FIXED, *short, *(("hours", timezone) for timezone in self.timezones), *SUMS]

    def short_bit(self, short_call_ms: int) -> int:
        """The bit of ``0 < d <= short_call_ms``."""
        return len(FIXED) + self.short_call_ms.index(short_call_ms)

    def hours_bit(self, timezone: str) -> int:
        """The bit of an attempt begun outside the hours of that zone."""
        return len(FIXED) + len(self.short_call_ms) + self.timezones.index(timezone)

    def field(self, name: str, params: Params) -> int:
        """The number of a field of the metric table under these parameters."""
        if name == "short":
            return self.short_bit(params.short_call_ms)
        if name == "out_of_hours":
            return self.hours_bit(params.timezone)
        if name in SUMS:
            return self.bits + SUMS.index(name)
        return BIT[name]

    def evidence_bit(self, name: str, params: Params) -> int:
        """The bit of the calls that enter a field: for a sum, those whose ms it adds."""
        if name == "talk_ms":
            return BIT["answered"]
        if name == "ring_delay_ms":
            return BIT["rang"]
        return self.field(name, params)


def has_bit(words: NDArray[np.unsignedinteger], bit: int) -> NDArray[np.bool_]:
    """Which of these words, wide enough for the bits that they have, have this one."""
    if bit >= 8 * words.itemsize:
        return np.zeros(len(words), np.bool_)
    has: NDArray[np.bool_] = (words & words.dtype.type(1 << bit)) != 0
    return has


def count_bits(words: NDArray[np.unsignedinteger], starts: NDArray[np.intp], bits: int) -> NDArray[np.int64]:
    """How often each bit is set in each group of rows: ``[groups, bits]``.

    ``words`` ``[n]`` are sorted by group, ``starts`` ``[groups]`` are the groups' first rows. Eight bits become
    eight byte-wide lanes of one 64-bit number, so that one sum counts eight fields; a lane holds 255 rows,
    hence the sub-groups. Words may be narrower than ``bits``, where none of them has the higher bits.
    """
    rows = len(words)
    lengths = np.diff(starts, append=rows)
    pieces = -(-lengths // 255)
    first_piece = np.cumsum(pieces) - pieces
    sub_starts = np.repeat(starts - 255 * first_piece, pieces) + 255 * np.arange(pieces.sum())
    octets = words.view(np.uint8).reshape(rows, words.itemsize)
    counts = np.zeros((len(starts), -(-bits // 8) * 8), np.int64)
    for octet in range(min(-(-bits // 8), words.itemsize)):
        lanes = np.add.reduceat(_SPREAD[octets[:, octet]], sub_starts)
        fields = lanes.view(np.uint8).reshape(len(sub_starts), 8)
        counts[:, 8 * octet : 8 * octet + 8] = np.add.reduceat(fields, first_piece, axis=0, dtype=np.int64)
    return counts[:, :bits]


def _spread_table() -> NDArray[np.uint64]:
    """For each byte, the 64-bit number whose k-th byte is its k-th bit."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return np.ascontiguousarray(bits.astype(np.uint8)).view("<u8").ravel()


_SPREAD = _spread_table()
