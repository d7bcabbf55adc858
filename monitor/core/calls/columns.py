"""Calls as columns: converts a list of `Cdr` to one array per value that is counted, compared or kept."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from monitor.core.calls.fields import BIT, CALLEE_HANGUP_MS, DAY_CLOSES_MIN, DAY_OPENS_MIN, LONG_CALL_MS, FieldLayout
from monitor.core.calls.keys import CONSENT_SALT, U64, Texts, block_keys, modulus_of, number_keys, text_keys
from monitor.core.calls.local_hours import common_hour, minute_at, minute_of_day
from monitor.core.calls.string_column import StringColumn, concatenate
from monitor.core.record_places import UNKNOWN_PLACE
from schemas.inputs import Cdr, Outcome

_OUTCOMES: tuple[str, ...] = get_args(Outcome)
_AT_ONCE = 512
_NEVER_MS = 2**62  # above every limit
_BY_CALLEE = {"callee": True, "caller": False, "system": False, "": False, None: False}
_DIRECTION_CODE = {"inbound": 0, "outbound": 1}
_OUTCOME_CODE = {name: code for code, name in enumerate(_OUTCOMES)}


def _bits(*names: str) -> int:
    return sum(1 << BIT[name] for name in names)


def _outbound_bits(outcome: str) -> int:
    """The bits of an outbound call that depend only on its outcome."""
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


OUTCOME_WORDS = np.array(
    [[_inbound_bits(o) for o in _OUTCOMES], [_outbound_bits(o) for o in _OUTCOMES]],
    np.uint64,
)
"""The bits of an inbound and of an outbound call, by outcome."""


@dataclass(slots=True)
class CountedCalls:
    """The counted values of calls. Every column is ``[n]``.

    ``tenant`` indexes a table of tenants: that of the batch, until the shard replaces it by its own numbers. ``word``
    holds the field bits (`FieldLayout`). ``talk_ms`` and ``ring_delay_ms`` are 0 if they do not apply. Integers may be
    narrower than declared if they fit. ``block_key`` is that of a callee that is a number, ``consent_key`` that of an
    answered call's consent; both are 0 if there is none, or if no rule needs them. ``place`` is that of the record
    (`monitor.core.record_places`), unknown in files.
    """

    tenant: NDArray[np.int32]
    word: U64
    end_ms: NDArray[np.int64]
    talk_ms: NDArray[np.int64]
    ring_delay_ms: NDArray[np.int64]
    callee_key: U64
    callee_numeric: NDArray[np.bool_]
    caller_key: U64
    block_key: U64
    consent_key: U64
    call_id: StringColumn
    place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_ms)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """The calls at these rows, in that order."""
        if isinstance(rows, np.ndarray) and rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)  # once for all columns: numpy is four times as fast by numbers
        return type(self)(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the parts (at least one)."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def counted(self) -> "CountedCalls":
        """The counted values, as compact as possible."""
        return CountedCalls(
            self.tenant,
            _narrow(self.word, np.uint32),
            self.end_ms,
            _narrow(self.talk_ms, np.int32),
            _narrow(self.ring_delay_ms, np.int32),
            self.callee_key,
            self.callee_numeric,
            self.caller_key,
            self.block_key,
            self.consent_key,
            self.call_id.compact(),
            self.place if self.place.itemsize == 1 else _narrow(self.place, np.uint32),
        )


@dataclass(slots=True)
class Calls(CountedCalls):
    """Accepted call records in reading order. Every column is ``[n]``.

    ``offset`` is the position of the record in its source (a line number or a Kafka offset), ``clock_ms`` the clock of
    the source before it, and ``line_ms`` the late line of the source when it was read.
    """

    id_key: U64
    source: NDArray[np.int16]
    offset: NDArray[np.int64]
    clock_ms: NDArray[np.int64]
    line_ms: NDArray[np.int64]


def unknown_places(count: int) -> NDArray[Any]:
    """A column of places that are not known, of a byte each."""
    return np.full(count, UNKNOWN_PLACE, np.int8)


def _narrow(values: NDArray[Any], dtype: type[np.integer]) -> NDArray[Any]:
    """The same non-negative integers as ``dtype`` if they fit, else unchanged."""
    return values.astype(dtype) if int(values.max()) <= np.iinfo(dtype).max else values


class Gathered:
    """Calls converted to arrays a few hundred at a time, while they are in the CPU cache, so that they can be freed.

    Keeping thousands of decoded records and strings until the batch is complete costs twice the time of decoding them.
    Only the arrays of each portion, and the bytes of numbers and ids, are kept; those of consents on request.
    """

    def __init__(self, consents: bool = False) -> None:
        self.consents = Texts() if consents else None
        self.tenants: dict[str, int] = {}  # the first row of each tenant
        self.ids, self.callees, self.callers = Texts(), Texts(), Texts()
        self._portions: list[tuple[NDArray[Any], ...]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, cdrs: Sequence[Cdr]) -> None:
        """Add calls."""
        for start in range(0, len(cdrs), _AT_ONCE):
            self._add(cdrs[start : start + _AT_ONCE])

    def _add(self, cdrs: Sequence[Cdr]) -> None:
        count, before = len(cdrs), len(self)
        columns = dict(zip(Cdr.__struct_fields__, zip(*map(astuple, cdrs), strict=True), strict=True))
        rows = map(self.tenants.setdefault, columns["tenant_id"], itertools.count(before))
        self._portions.append(
            (
                np.fromiter(rows, np.int64, count),
                np.array(columns["start_ms"], np.int64),
                # An absent time is 0 (valid times start in 1990).
                np.array([ms or 0 for ms in columns["ring_ms"]], np.int64),
                np.array([ms or 0 for ms in columns["answer_ms"]], np.int64),
                np.array(columns["end_ms"], np.int64),
                np.fromiter(map(_DIRECTION_CODE.__getitem__, columns["direction"]), np.uint8, count),
                np.fromiter(map(_OUTCOME_CODE.__getitem__, columns["outcome"]), np.uint8, count),
                np.fromiter(map(_BY_CALLEE.__getitem__, columns["hangup_by"]), np.bool_, count),
                np.fromiter(map(bool, columns["consent_id"]), np.bool_, count),
            )
        )
        self.ids.add(columns["call_id"])
        self.callees.add(columns["callee"])
        self.callers.add(columns["caller"])
        if self.consents is not None:
            self.consents.add([consent or "" for consent in columns["consent_id"]])

    def tenant(self, first_rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The index of each call in the table of tenants, from the first row of its tenant."""
        place = np.empty(len(self), np.int32)
        place[list(self.tenants.values())] = np.arange(len(self.tenants), dtype=np.int32)
        return place[first_rows]

    def arrays(self) -> list[NDArray[Any]]:
        """First row of the tenant, start, ring, answer, end, outbound, outcome, released by callee, with consent."""
        return [np.concatenate(column) for column in zip(*self._portions, strict=True)]


def to_columns(
    gathered: Gathered, layout: FieldLayout, salt: np.uint64, later: Sequence[tuple[int, FieldLayout]] = ()
) -> tuple[list[str], Calls, NDArray[np.bool_]]:
    """The batch's table of tenants, the calls as columns, and which of them are valid.

    ``later`` holds further layouts, each with the end time from which it applies.

    A call is valid by section 2 of the contract: its times are ordered, and it has an answer time if and only if it was
    answered. The columns of other calls are undefined, and they name no tenant, as in
    `monitor.decoding.native`. The position in the source is zero; the reader fills it in.
    """
    count = len(gathered)
    first_rows, start, ring, answer, end, outbound, outcome, by_callee, consented = gathered.arrays()
    names, tenant = list(gathered.tenants), gathered.tenant(first_rows)
    tenant_salts = text_keys(names, np.full(len(names), salt))[tenant]

    ring_or_start = np.maximum(ring, np.where(ring > 0, 0, start))
    answer_or_ring = np.maximum(answer, np.where(answer > 0, 0, ring_or_start))
    valid = (start <= ring_or_start) & (ring_or_start <= answer_or_ring) & (answer_or_ring <= end)
    valid &= (outcome == _OUTCOME_CODE["answered"]) == (answer > 0)

    word = OUTCOME_WORDS[outbound, outcome]
    attempt, answered = _has(word, "attempts"), _has(word, "answered")
    talk = np.where(answered, end - answer, 0)
    rang = attempt & (ring > 0)
    _set(word, rang, BIT["rang"])
    _set(word, answered & (talk == 0), BIT["zero_second"])
    _set(word, talk >= LONG_CALL_MS, BIT["long"])
    _set(word, answered & by_callee & (talk <= CALLEE_HANGUP_MS), BIT["callee_hangup"])
    _set(word, answered & consented, BIT["consented"])
    rung = np.where(_has(word, "cancelled") & (ring > 0), end - ring, _NEVER_MS)
    bare, word = word, _limited(word, layout, talk, rung)
    for from_ms, other in later:
        word = np.where(end >= from_ms, _limited(bare, other, talk, rung), word)
    set_hours(word, [(0, layout), *later], start, end)

    modulus = modulus_of(int(salt))
    callee_key, callee_numeric = number_keys(gathered.callees, tenant_salts, modulus)
    caller_key, _ = number_keys(gathered.callers, tenant_salts, modulus)
    block_key: NDArray[Any] = np.zeros(count, np.uint8)
    consent_key: NDArray[Any] = block_key
    if any("blocks" in one.key_sets for one in (layout, *(other for _, other in later))):
        block_key = np.where(callee_numeric, block_keys(callee_key, gathered.callees), np.uint64(0))
    if gathered.consents is not None:
        has_consent = _has(word, "consented")
        consent_key = np.where(has_consent, text_keys(gathered.consents, tenant_salts ^ CONSENT_SALT), np.uint64(0))
    calls = Calls(
        tenant=tenant,
        word=word,
        end_ms=end,
        talk_ms=talk,
        ring_delay_ms=np.where(rang, ring - start, 0),
        id_key=text_keys(gathered.ids, tenant_salts),
        callee_key=callee_key,
        callee_numeric=callee_numeric,
        caller_key=caller_key,
        block_key=block_key,
        consent_key=consent_key,
        call_id=gathered.ids.strings(),
        place=unknown_places(count),
        source=np.zeros(count, np.int16),
        offset=np.zeros(count, np.int64),
        clock_ms=np.zeros(count, np.int64),
        line_ms=np.zeros(count, np.int64),
    )
    if not valid.all():
        # Tenants are numbered by their first valid call.
        numbers, first = np.unique(np.where(valid, tenant, -1), return_index=True)
        numbers = numbers[np.argsort(first, kind="stable")]
        numbers = numbers[numbers >= 0]
        place = np.zeros(len(names), np.int32)
        place[numbers] = np.arange(len(numbers), dtype=np.int32)
        names, calls.tenant = [names[number] for number in numbers.tolist()], place[tenant]
    return names, calls, valid


def _limited(bare: U64, layout: FieldLayout, talk: NDArray[np.int64], rung: NDArray[np.int64]) -> U64:
    """The words with the additional bits of a layout for its limits.

    ``rung`` is how long a cancelled attempt rang, `_NEVER_MS` for all others.
    """
    word = bare.copy()
    for limit in layout.short_ring_ms:
        _set(word, rung <= limit, layout.ring_bit(limit))
    for limit in layout.short_call_ms:
        _set(word, (talk > 0) & (talk <= limit), layout.short_bit(limit))
    return word


def set_hours(
    word: U64, layouts: Sequence[tuple[int, FieldLayout]], start: NDArray[np.int64], end: NDArray[np.int64]
) -> None:
    """Set the bits of attempts outside the hours of a layout's time zones.

    The layout of a call is the last one whose time has come at its end; the first one has no such time.
    """
    if len(layouts) == 1:
        _set_hours(word, layouts[0][1], start)
        return
    number = np.zeros(len(word), np.intp)
    for place, (from_ms, _) in enumerate(layouts[1:], 1):
        number[end >= from_ms] = place
    for place in np.unique(number).tolist():
        rows = np.flatnonzero(number == place)
        some = word[rows]
        _set_hours(some, layouts[place][1], start[rows])
        word[rows] = some


def _set_hours(word: U64, layout: FieldLayout, start: NDArray[np.int64]) -> None:
    if not (layout.timezones and len(start)):
        return
    hour = common_hour(start)
    within = [timezone for timezone in layout.timezones if hour is not None and _is_open(hour, timezone)]
    if len(within) == len(layout.timezones):
        return
    attempt = _has(word, "attempts")
    refused = attempt & (_has(word, "rejected") | _has(word, "callee_hangup")) if layout.refused_zones else attempt
    for timezone in layout.timezones:
        if timezone in within:
            continue
        outside = attempt
        if hour is None or not _is_closed(hour, timezone):
            minute = minute_of_day(start, timezone)
            outside = attempt & ((minute < DAY_OPENS_MIN) | (minute >= DAY_CLOSES_MIN))
        _set(word, outside, layout.hours_bit(timezone))
        if timezone in layout.refused_zones:
            _set(word, outside & refused, layout.refused_bit(timezone))


def _is_open(hour: int, timezone: str) -> bool:
    """Whether a UTC hour lies in the permitted hours as a whole."""
    minute = minute_at(hour, timezone)
    return minute is not None and minute >= DAY_OPENS_MIN and minute + 60 <= DAY_CLOSES_MIN


def _is_closed(hour: int, timezone: str) -> bool:
    """Whether a UTC hour lies outside the permitted hours as a whole."""
    minute = minute_at(hour, timezone)
    return minute is not None and (minute + 60 <= DAY_OPENS_MIN or minute >= DAY_CLOSES_MIN)


def _has(word: U64, name: str) -> NDArray[np.bool_]:
    has: NDArray[np.bool_] = (word & np.uint64(1 << BIT[name])) != 0
    return has


def _set(word: U64, where: NDArray[np.bool_], bit: int) -> None:
    word |= where.astype(np.uint64) << np.uint64(bit)
