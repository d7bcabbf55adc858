"""Places of records, by which others can find them: the number of a log and an offset in it, as one integer."""

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from monitor.core.record_ref import RecordRef
from schemas.outputs import Evidence

if TYPE_CHECKING:  # the case commands import this module, and numpy is a seventh of their time
    import numpy as np
    from numpy.typing import NDArray

UNKNOWN_PLACE: Final = -1
"""The place of a record that was read from a file, or before places were kept."""

_OFFSET_BITS: Final = 48
_OFFSETS: Final = (1 << _OFFSET_BITS) - 1


class PlacedEvidence(NamedTuple):
    """The evidence of a decision, and the places of the records that it names, in the order of its ids."""

    evidence: Evidence = Evidence()
    places: tuple[int, ...] = ()


class FormerLog(Struct, frozen=True):
    """A log whose records are still named: a partition of an input topic before a move."""

    topic: str
    partition: int


class RecordLogs(Struct, omit_defaults=True):
    """The logs in which records lie, by number. A number is never given to another log.

    ``current`` has the number of each source's log. ``former`` are the logs before a move. A log that was replaced by
    another one of the same name has no name any more, and its records have no place.
    """

    current: list[int] = []  # msgspec copies both
    former: dict[int, FormerLog] = {}

    def restore(self, stored: "RecordLogs") -> None:
        """Restore stored numbers; none were stored before places were kept."""
        self.current, self.former = stored.current or self.current, stored.former

    def replace(self, source: int) -> None:
        """Give the log of a source, which was created again, another number."""
        self.current[source] = max([*self.current, *self.former]) + 1

    def start(self, source: int) -> int:
        """The place of offset 0 in a source; add an offset."""
        return self.current[source] << _OFFSET_BITS

    def place(self, ref: RecordRef) -> int:
        """The place of a record that was read from the current log of its source."""
        return self.start(ref.source) + ref.offset

    def find(self, place: int) -> tuple[int | FormerLog, int] | None:
        """The source or former log of a place, and the offset there; None if it has no name any more."""
        log, offset = place >> _OFFSET_BITS, place & _OFFSETS
        if log in self.former:
            return self.former[log], offset
        return (self.current.index(log), offset) if log in self.current else None


def renumbered_place(place: int, logs: dict[int, int]) -> int:
    """The place with the number that ``logs`` has for its log; unknown if it has none."""
    log = logs.get(place >> _OFFSET_BITS) if place >= 0 else None
    return UNKNOWN_PLACE if log is None else log << _OFFSET_BITS | place & _OFFSETS


def renumbered_places(places: "NDArray[np.int64]", logs: dict[int, int]) -> "NDArray[np.int64]":
    """`renumbered_place` for a column."""
    places = places.astype("int64")
    found = places.copy()
    found.fill(UNKNOWN_PLACE)
    for log, number in logs.items():
        mine = places >> _OFFSET_BITS == log
        found[mine] = number << _OFFSET_BITS | places[mine] & _OFFSETS
    return found


def pack_places(places: Iterable[int]) -> bytes:
    """Places to be kept for a long time: 8 bytes each, instead of 40."""
    return array("q", places).tobytes()


def unpack_places(packed: bytes) -> tuple[int, ...]:
    """The places that `pack_places` packed."""
    return tuple(array("q", packed))
