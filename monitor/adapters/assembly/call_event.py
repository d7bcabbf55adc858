"""One event of a call, and the program that makes it of a row's cells."""

from typing import Final, NamedTuple

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping.cells import Cells, Index
from monitor.adapters.mapping.compile_conditions import all_hold
from monitor.adapters.mapping.compile_value import compile_value
from monitor.adapters.mapping.spec import ENDED, FIRST_MS, KIND, LAST_MS, SWAPPED, Events
from monitor.text.masking import mask_text
from schemas.error_codes import ErrorCode
from schemas.inputs import END_MS, MIN_MS

CallKey = tuple[str, ...]
"""What the events of a call have in common: the text of `call`, and its ends, sorted."""

# A record's ids have at most 128 characters; a key is an id and the tags of two ends.
_MOST_KEY_CHARS: Final = 512
# What is kept of an event, for as long as its call is open.
_MOST_KEPT_CHARS: Final = 16_384
_MADE: Final = (FIRST_MS, LAST_MS, ENDED, KIND, SWAPPED)


class CallEvent(NamedTuple):
    """One event: its call, its order in it, and the cells that the call's fields read.

    ``end`` is the end that the event names first.
    """

    key: CallKey
    kind: int
    sequence: int
    at_ms: int
    end: str
    cells: tuple[str, ...]


def kept_columns(events: Events) -> tuple[str, ...]:
    """The columns that are kept of an event, in the order of `CallEvent.cells`."""
    return tuple(dict.fromkeys(pick.column for pick in events.picks.values() if pick.column not in _MADE))


class EventProgram:
    """Compiled for files with the columns of ``index``: makes an event of a row's cells."""

    def __init__(self, events: Events, index: Index, key: bytes) -> None:
        self._call = compile_value(events.call, index, key)
        self._time = compile_value(events.time, index, key)
        self._ends = [index[column] for column in events.ends]
        self._sequence = index[events.sequence] if events.sequence else None
        self._kinds = [all_hold(kind.when, index) for kind in events.kinds]
        self._kept = [index[column] for column in kept_columns(events)]
        self._names = ", ".join(kind.name for kind in events.kinds)

    def event(self, cells: Cells) -> CallEvent:
        """The event of a row. Raises `Reject` if it has no call or no time, or is of no kind."""
        kind = next((n for n, test in enumerate(self._kinds) if test(cells)), None)
        if kind is None:
            raise Reject(f"{RowErrorCode.EXCLUDED}: the event is none of {self._names}")
        call = self._call(cells)
        if not call:
            raise Reject(f"{ErrorCode.MISSING_FIELD}: call: the event names no call")
        ends = [cells[n].strip() for n in self._ends]
        key = (call, *sorted(ends))
        if sum(map(len, key)) > _MOST_KEY_CHARS:
            raise Reject(f"{ErrorCode.WRONG_LENGTH}: call: expected at most {_MOST_KEY_CHARS} characters")
        try:
            at_ms = self._time(cells)
        except Reject as error:
            raise error.of("time") from None
        if at_ms is None:
            raise Reject(f"{ErrorCode.MISSING_FIELD}: time: the event has no time")
        at_ms = event_time("time", at_ms)
        kept = tuple(cells[n].strip() for n in self._kept)
        if sum(map(len, kept)) > _MOST_KEPT_CHARS:
            raise Reject(
                f"{ErrorCode.TOO_LONG}: expected at most {_MOST_KEPT_CHARS:,} characters in an event's columns"
            )
        sequence = 0 if self._sequence is None else whole_number("sequence", cells[self._sequence].strip())
        return CallEvent(key, kind, sequence, at_ms, ends[0] if ends else "", kept)


def event_time(name: str, at_ms: int) -> int:
    """The time of an event in ms, which ``name`` has. Raises `Reject` if no record could have it."""
    if not MIN_MS <= at_ms < END_MS:
        got = mask_text(str(at_ms))  # a telephone number in the wrong column is such a time
        raise Reject(f"{ErrorCode.OUT_OF_RANGE}: {name}: expected a time in the years 1990 to 2099, got {got}")
    return at_ms


def whole_number(name: str, text: str) -> int:
    """The number of an event in an order; 0 if it has none: such events are ordered by what else they have."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Reject(f"{ErrorCode.WRONG_TYPE}: {name}: expected a whole number, got {quoted_value(text)}")
    return int(text)
