"""Compares the records of a decision topic with the expected ones: pure, by partition, byte by byte."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

import msgspec

from monitor.whatif import event_diff
from monitor.whatif.event_diff import FieldDifference
from schemas import codec
from schemas.outputs import Enforcement
from streams.topics.transaction_records import EVENT_HEADERS

What = Literal["missing", "invented", "changed", "headers", "repeated", "misplaced", "order"]

NO_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading raises if bytes are not an event; fields that were not read may be invalid even if the id is valid."""


class PublishedRecord(NamedTuple):
    """A record of a decision topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = EVENT_HEADERS


@dataclass(frozen=True, slots=True)
class EventDifference:
    """One event that differs. ``event`` is the expected one, or the one found if none is expected.

    ``what`` is ``headers`` if only the record's headers differ. ``number`` is the partition where the event belongs, or
    where it was found; ``offset`` is where it was found, None if it was not. ``changes`` are the fields, expected and
    found. ``decision``: more than the wording differs.
    """

    what: What
    topic: str
    number: int
    offset: int | None
    id: str
    event: Any
    changes: tuple[FieldDifference, ...] = ()
    decision: bool = True
    why: str = ""

    @property
    def decided_ms(self) -> int:
        """The time of the decision, 0 if unknown."""
        return event_diff.decided_ms(self.event)


@dataclass(slots=True)
class Compared:
    """The counts of ``same`` events, of ``later`` ones (decided since), and of ``due`` ones, which may still come."""

    same: int = 0
    later: int = 0
    due: int = 0
    differences: list[EventDifference] = field(default_factory=list)


class TopicPartitionRef(NamedTuple):
    """The compared partition of a topic."""

    topic: str
    number: int


class _Event(msgspec.Struct):
    id: str


_ID = msgspec.json.Decoder(_Event)


def compare(
    place: TopicPartitionRef,
    must: Sequence[Enforcement],
    may: Iterable[Enforcement],
    found: Iterable[PublishedRecord],
    forgiven: Callable[[int, int], bool] = lambda offset, decided_ms: False,
) -> Compared:
    """Compare the events that ``must`` be there, in this order, and those that ``may``, with the records ``found``.

    ``forgiven`` tells for any other event, by its offset and the time of its decision, whether it is out of scope: it
    was decided before or after the compared period.
    """
    result, due = Compared(), {event.id: event for event in must}
    early = {event.id for event in may}
    seen: list[str] = []
    at: dict[str, int] = {}

    def differs(what: What, offset: int | None, event_id: str, event: Any, **more: Any) -> None:
        result.differences.append(EventDifference(what, *place, offset, event_id, event, **more))

    for offset, key, value, headers in found:
        try:
            event_id = _ID.decode(value or b"").id
            if event_id in at:
                differs("repeated", offset, event_id, _plain(value), why=f"it is at offset {at[event_id]} already")
            elif event_id in due:
                difference = _changed(place, due[event_id], PublishedRecord(offset, key, value, headers))
                at[event_id] = offset
                seen.append(event_id)
                if difference is None:
                    result.same += 1
                else:
                    result.differences.append(difference)
            elif event_id in early:
                early.discard(event_id)
                result.later += 1
            else:
                event = _plain(value)
                if forgiven(offset, event_diff.decided_ms(event)):
                    result.later += 1
                else:
                    at[event_id] = offset
                    differs("invented", offset, event_id, event)
        except NO_EVENT as error:
            differs("invented", offset, "", None, why=f"expected an event: {error}")
    for event_id, wanted in due.items():
        if event_id not in at:
            differs("missing", None, event_id, _plain(codec.encode(wanted)))
    result.due = len(early)
    for first, other in _out_of_order(due, seen):
        why = f"{other} is before it, but was decided later"
        differs("order", at[first], first, _plain(codec.encode(due[first])), decision=False, why=why)
    return result


def _out_of_order(due: Mapping[str, Enforcement], seen: Iterable[str]) -> Iterator[tuple[str, str]]:
    """For each tenant whose events are out of order, the first such event and the one found in its place.

    The order of different tenants does not matter.
    """
    stand: dict[str, list[str]] = defaultdict(list)
    for event_id in seen:
        stand[due[event_id].subject].append(event_id)
    rank = {event_id: n for n, event_id in enumerate(due)}
    for ids in stand.values():
        for wanted, there in zip(sorted(ids, key=rank.__getitem__), ids, strict=True):
            if wanted != there:
                yield wanted, there
                break


def misplaced(differences: Iterable[EventDifference]) -> list[EventDifference]:
    """The differences of all partitions, with an event missing in one and found in another merged into one."""
    differences = list(differences)
    lacking = {(one.topic, one.id): one for one in differences if one.what == "missing"}
    there = {
        (one.topic, one.id): one for one in differences if one.what == "invented" and (one.topic, one.id) in lacking
    }
    found = []
    for one in differences:
        other = there.get((one.topic, one.id))
        if other is None:
            found.append(one)
        elif one.what == "missing":
            why = f"it is in partition {other.number}; expected partition {one.number}"
            moved = tuple(event_diff.differences(one.event, other.event))
            found.append(replace(one, what="misplaced", offset=other.offset, changes=moved, why=why))
        elif one is not other:  # it is in a third partition, too
            found.append(one)
    return found


def _changed(place: TopicPartitionRef, wanted: Enforcement, found: PublishedRecord) -> EventDifference | None:
    expected, subject = codec.encode(wanted), wanted.subject.encode()
    event, headers = _plain(expected), list(_headers(found.headers))
    if (found.key, found.value) == (subject, expected):
        if found.headers == EVENT_HEADERS:
            return None
        return EventDifference("headers", *place, found.offset, wanted.id, event, tuple(headers), decision=False)
    fields = [] if found.key == subject else [FieldDifference("key", wanted.subject, _text(found.key or b""))]
    fields += event_diff.differences(event, _plain(found.value))
    why = "" if fields else "the same fields in other bytes"
    decision = any(not change.wording for change in fields)
    return EventDifference("changed", *place, found.offset, wanted.id, event, (*fields, *headers), decision, why)


def _headers(found: Sequence[tuple[str, bytes]]) -> Iterator[FieldDifference]:
    """The headers in which a record differs from a decision's; the values of a repeated header are a list."""
    for name in dict.fromkeys(name for name, _ in (*EVENT_HEADERS, *found)):
        wanted, there = ([_text(value) for one, value in some if one == name] for some in (EVENT_HEADERS, found))
        if wanted != there:
            yield FieldDifference(
                f"header {name}", *(some[0] if len(some) == 1 else some or None for some in (wanted, there))
            )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _plain(value: bytes | None) -> Any:
    return msgspec.json.decode(value or b"null")


def published_times(records: Iterable[PublishedRecord]) -> Iterator[tuple[str, int]]:
    """The id and the time of each decision among some records."""
    for record in records:
        try:
            yield _ID.decode(record.value or b"").id, decided_ms(record.value)
        except NO_EVENT:
            continue


def decided_ms(value: bytes | None) -> int:
    """The time at which an event was decided, 0 if it has none."""
    try:
        return event_diff.decided_ms(_plain(value))
    except NO_EVENT:
        return 0
