"""Calls as columns: a list of `Cdr` becomes one array for each thing that is counted, compared or kept."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from monitor.shard.fields import BIT, CALLEE_HANGUP_MS, DAY_CLOSES_MIN, DAY_OPENS_MIN, LONG_CALL_MS, Layout
from monitor.shard.hours import minute_of_day
from monitor.shard.keys import U64, number_keys, text_keys
from schemas.inputs import Cdr

_OUTCOMES = (
    "answered",
    "no_answer",
    "busy",
    "rejected",
    "invalid_number",
    "unreachable",
    "carrier_blocked",
    "policy_blocked",
    "cancelled",
    "failed",
)
_AT_ONCE = 256
_BY_CALLEE = {"callee": True, "caller": False, "system": False, "": False, None: False}
_DIRECTION_CODE = {"inbound": 0, "outbound": 1}
_OUTCOME_CODE = {name: code for code, name in enumerate(_OUTCOMES)}


def _bits(*names: str) -> int:
    return sum(1 << BIT[name] for name in names)


def _outbound_bits(outcome: str) -> int:
    """The bits that an outbound call has by its outcome alone."""
    if outcome == "policy_blocked":
        return _bits("rows", "policy_blocked")
    word = _bits("rows", "attempts")
    if outcome in ("answered", "invalid_number", "rejected", "cancelled", "carrier_blocked"):
        word |= _bits(outcome)
    if outcome in ("answered", "busy", "no_answer", "rejected"):
        word |= _bits("network_effective")
    return word


def _inbound_bits(outcome: str) -> int:
    return _bits("rows", "inbound", *(["inbound_cancelled"] if outcome == "cancelled" else []))


_BY_OUTCOME = np.array(
    [[_inbound_bits(o) for o in _OUTCOMES], [_outbound_bits(o) for o in _OUTCOMES]],
    np.uint64,
)


@dataclass(slots=True)
class Calls:
    """Accepted call records in reading order; every array is ``[n]``.

    ``tenant`` indexes a table of tenants: the batch's own until the shard puts its own in place.
    ``word`` has the fields' bits (`Layout`), ``talk_ms`` and ``ring_delay_ms`` are 0 where they do not apply.
    ``offset`` is the record's place in its source (a line number, a Kafka offset), ``line_ms`` the late line of
    its source when it was read.
    """

    tenant: NDArray[np.int32]
    word: U64
    end_ms: NDArray[np.int64]
    talk_ms: NDArray[np.int64]
    ring_delay_ms: NDArray[np.int64]
    id_key: U64
    callee_key: U64
    callee_numeric: NDArray[np.bool_]
    caller_key: U64
    call_id: NDArray[np.object_]
    source: NDArray[np.int16]
    offset: NDArray[np.int64]
    line_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_ms)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_], names: Sequence[str] = ()) -> "Calls":
        """Those rows, in that order; with ``names`` of these columns alone, the others as they were."""
        return Calls(
            *(getattr(self, name)[rows] if not names or name in names else getattr(self, name) for name in _COLUMNS)
        )

    @staticmethod
    def concat(parts: Sequence["Calls"]) -> "Calls":
        """All rows of the parts (at least one), one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return Calls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))

    @staticmethod
    def gather(parts: Sequence[tuple["Calls", NDArray[np.intp] | None]]) -> "Calls":
        """Those rows of the parts (at least one; None: all rows), one part after the other."""
        return Calls(
            *(
                np.concatenate(
                    [getattr(calls, name)[rows] if rows is not None else getattr(calls, name) for calls, rows in parts]
                )
                for name in _COLUMNS
            )
        )


_COLUMNS = tuple(field.name for field in fields(Calls))


class Gathered:
    """The fields of calls as lists, gathered a few hundred calls at a time while these are in the processor's cache.

    Reading twelve fields of each of thousands of records, field by field, costs three times as much.
    """

    def __init__(self) -> None:
        self._lists: list[list[Any]] = [[] for _ in Cdr.__struct_fields__]
        self._place = {name: place for place, name in enumerate(Cdr.__struct_fields__)}

    def __len__(self) -> int:
        return len(self._lists[0])

    def __getitem__(self, name: str) -> list[Any]:
        return self._lists[self._place[name]]

    def add(self, cdrs: Sequence[Cdr]) -> None:
        """Gather more calls."""
        for start in range(0, len(cdrs), _AT_ONCE):
            some = map(astuple, cdrs[start : start + _AT_ONCE])
            for column, values in zip(self._lists, zip(*some, strict=True), strict=True):
                column += values

    def call(self, row: int) -> Cdr:
        """One of the calls, as it was."""
        return Cdr(*(column[row] for column in self._lists))


def to_columns(gathered: Gathered, layout: Layout, salt: np.uint64) -> tuple[list[str], Calls, NDArray[np.bool_]]:
    """The batch's table of tenants, the calls as columns, and which of them are valid.

    Valid by section 2 of the contract: ordered times, and an answer time exactly when answered; the columns of
    the others mean nothing. ``source``, ``offset`` and ``line_ms`` are zero: whoever read the records fills them in.
    """
    count = len(gathered)
    names, tenant = _tabulate(gathered["tenant_id"])
    tenant_salts = text_keys(names, np.full(len(names), salt))[tenant]

    # An absent time is 0 (times begin in 1990).
    start = np.array(gathered["start_ms"], np.int64)
    end = np.array(gathered["end_ms"], np.int64)
    ring = np.array([ms or 0 for ms in gathered["ring_ms"]], np.int64)
    answer = np.array([ms or 0 for ms in gathered["answer_ms"]], np.int64)
    outcome = np.fromiter(map(_OUTCOME_CODE.__getitem__, gathered["outcome"]), np.uint8, count)
    outbound = np.fromiter(map(_DIRECTION_CODE.__getitem__, gathered["direction"]), np.uint8, count)
    ring_or_start = np.maximum(ring, np.where(ring > 0, 0, start))
    answer_or_ring = np.maximum(answer, np.where(answer > 0, 0, ring_or_start))
    valid = (start <= ring_or_start) & (ring_or_start <= answer_or_ring) & (answer_or_ring <= end)
    valid &= (outcome == _OUTCOME_CODE["answered"]) == (answer > 0)

    word = _BY_OUTCOME[outbound, outcome]
    attempt, answered = _has(word, "attempts"), _has(word, "answered")
    talk = np.where(answered, end - answer, 0)
    rang = attempt & (ring > 0)
    _set(word, rang, BIT["rang"])
    _set(word, answered & (talk == 0), BIT["zero_second"])
    _set(word, talk >= LONG_CALL_MS, BIT["long"])
    by_callee = np.fromiter(map(_BY_CALLEE.__getitem__, gathered["hangup_by"]), np.bool_, count)
    _set(word, answered & by_callee & (talk <= CALLEE_HANGUP_MS), BIT["callee_hangup"])
    _set(word, answered & np.fromiter(map(bool, gathered["consent_id"]), np.bool_, count), BIT["consented"])
    for limit in layout.short_call_ms:
        _set(word, (talk > 0) & (talk <= limit), layout.short_bit(limit))
    for timezone in layout.timezones:
        minute = minute_of_day(start, timezone)
        outside = (minute < DAY_OPENS_MIN) | (minute >= DAY_CLOSES_MIN)
        _set(word, attempt & outside, layout.hours_bit(timezone))

    callee_key, callee_numeric = number_keys(gathered["callee"], tenant_salts)
    caller_key, _ = number_keys(gathered["caller"], tenant_salts)
    call_ids = np.empty(count, np.object_)
    call_ids[:] = gathered["call_id"]
    calls = Calls(
        tenant=tenant,
        word=word,
        end_ms=end,
        talk_ms=talk,
        ring_delay_ms=np.where(rang, ring - start, 0),
        id_key=text_keys(gathered["call_id"], tenant_salts),
        callee_key=callee_key,
        callee_numeric=callee_numeric,
        caller_key=caller_key,
        call_id=call_ids,
        source=np.zeros(count, np.int16),
        offset=np.zeros(count, np.int64),
        line_ms=np.zeros(count, np.int64),
    )
    return names, calls, valid


def _tabulate(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct texts in order of appearance, and each text's place among them."""
    first: dict[str, int] = {}
    rows = np.fromiter(map(first.setdefault, texts, itertools.count()), np.int64, len(texts))
    place = np.empty(len(texts), np.int32)
    place[list(first.values())] = np.arange(len(first), dtype=np.int32)
    return list(first), place[rows]


def _has(word: U64, name: str) -> NDArray[np.bool_]:
    has: NDArray[np.bool_] = (word & np.uint64(1 << BIT[name])) != 0
    return has


def _set(word: U64, where: NDArray[np.bool_], bit: int) -> None:
    word |= where.astype(np.uint64) << np.uint64(bit)
