"""The second check of a schedule: the oracle over the content of the topics. It shares no code with the product."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from crash.broker import Broker
from crash.log import Entry
from crash.traffic import NAMES
from oracle.compare import as_output, names, renamed, same
from oracle.deciding import judge_read
from oracle.live import TOPICS, Partition, RecordedJournal, Row, read_partition
from oracle.places import wrong_places
from oracle.policy_timeline import Reign, late_line
from oracle.rulebook import rulebook
from streams.kafka.api import TP

_EVENTS = ("enforcement", "shadow")


def wrong(broker: Broker, policies: Mapping[str, dict[str, Any]], partitions: int) -> Iterator[str]:
    """Return the outputs that are missing, extra or different from the contract, a line each.

    ``policies`` are the policies that may have applied, by their hashes, as they stand in files. A partition without
    journal entries has committed nothing; the first check covers it.
    """
    for number in range(partitions):
        entries = [json.loads(entry.record.value or b"") for entry in _entries(broker, "clock", number) if entry.record]
        entries = [entry for entry in entries if entry["type"] != "tick"]
        if not entries:
            continue
        reigns = [Reign(from_ms, rulebook(policies[sha])) for from_ms, sha in _policies(entries)]
        logs = [[_row(entry) for entry in _entries(broker, name, number)] for name in TOPICS]
        partition = Partition(number, partitions, logs, [_journal(entries, name) for name in TOPICS])
        found = {name: [_flat(entry) for entry in _entries(broker, name, number)] for name in _EVENTS}
        expected = _judged(partition, reigns, names(found["enforcement"]))
        late = [
            json.loads(entry.record.value or b"")["call_id"]
            for entry in _entries(broker, "late", number)
            if entry.record
        ]
        rejected = [_place(entry) for entry in _entries(broker, "dead-letter", number)]
        yield from (f"{number}: {line}" for line in _differences(expected, found))
        read, _ = read_partition(partition, partial(late_line, reigns))
        places = dict(_placed(entry) for entry in _entries(broker, "evidence", number))
        events = [*found["enforcement"], *found["shadow"]]
        yield from (f"{number}: {line}" for line in wrong_places(read, reigns, events, places))
        for what, ours, theirs in (("late", expected["late"], late), ("rejected", expected["rejected"], rejected)):
            if sorted(ours) != sorted(theirs):
                yield f"{number}: {what}: by the contract {sorted(ours)}, there are {sorted(theirs)}"


def _judged(partition: Partition, reigns: Sequence[Reign], called: Mapping[str, str]) -> dict[str, Any]:
    """Return the outputs that the contract requires. ``called`` maps the ids of our events to the names that reviews
    use.
    """
    reviews, known = partition.logs[-1], dict[str, str]()
    meant = {called.get(_reviewed(row) or "") for row in reviews}
    while True:
        translated = [
            _translated(row, {id_: known[name] for id_, name in called.items() if name in known}) for row in reviews
        ]
        mine = Partition(partition.number, partition.partitions, [*partition.logs[:-1], translated], partition.journal)
        read, watermark = read_partition(mine, partial(late_line, reigns))
        out = as_output(judge_read(reigns, read, watermark))
        found = {name: id_ for id_, name in names(out["enforcement"]).items() if name in meant}
        if found.items() <= known.items():
            return out
        known |= found


def _translated(row: Row, ids: Mapping[str, str]) -> Row:
    """Replace our event's id in a review by the oracle's."""
    mine = ids.get(_reviewed(row) or "")
    if mine is None:
        return row
    value = json.dumps(json.loads(row.value or b"") | {"enforcement_id": mine}).encode()
    return Row(row.offset, row.timestamp_ms, row.key, value)


def _reviewed(row: Row) -> str | None:
    """Return the id of the event that a review refers to; None if it refers to none."""
    try:
        reviewed = json.loads(row.value or b"")["enforcement_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return reviewed if isinstance(reviewed, str) else None


def _differences(expected: Mapping[str, Any], found: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    called = [names(side["enforcement"]) for side in (expected, found)]
    for part in _EVENTS:
        ours, theirs = (
            {own[event["id"]]: renamed(event, ids) for event in side[part]}
            for side, ids in zip((expected, found), called, strict=True)
            for own in [names(side[part])]
        )
        yield from (f"{part}: lacks {name}" for name in sorted(ours.keys() - theirs.keys()))
        yield from (f"{part}: should not have {name}" for name in sorted(theirs.keys() - ours.keys()))
        for name in sorted(ours.keys() & theirs.keys()):
            fields = [field for field, value in ours[name].items() if not same(value, theirs[name].get(field))]
            yield from (
                f"{part}: {name}: {field}: {ours[name][field]} and {theirs[name].get(field)}" for field in fields
            )


def _policies(entries: Sequence[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return the policies that apply, with their effective times. For equal times the first counts,
    unless withdrawn.
    """
    coming: dict[int, str] = {}
    for entry in entries:
        if entry["type"] == "policy":
            coming.setdefault(entry["from_ms"], entry["sha256"])
        elif entry["type"] == "withdraw" and coming.get(entry["from_ms"]) == entry["sha256"]:
            del coming[entry["from_ms"]]
    return sorted(coming.items())


def _journal(entries: Sequence[dict[str, Any]], name: str) -> RecordedJournal:
    mine = [entry for entry in entries if entry.get("source") == name]
    return RecordedJournal(
        clocks=[(entry["offset"], entry["clock_ms"]) for entry in mine if entry["type"] == "move"],
        limits=[(entry["offset"], entry["max_ahead_ms"]) for entry in mine if entry["type"] == "limit"],
        skipped={entry["offset"] for entry in mine if entry["type"] == "skip"},
    )


def _entries(broker: Broker, name: str, number: int) -> list[Entry]:
    topic = NAMES.input_prefix + name if name in TOPICS else NAMES.output(name)
    return broker.logs[TP(topic, number)].committed(0)


def _row(entry: Entry) -> Row:
    assert entry.record is not None
    value = None if entry.record.fault else entry.record.value
    return Row(entry.offset, entry.timestamp_ms, entry.record.key, value)


def _flat(entry: Entry) -> dict[str, Any]:
    assert entry.record is not None
    event = json.loads(entry.record.value or b"")
    return {"id": event["id"], **event["data"]}


def _placed(entry: Entry) -> tuple[str, list[tuple[int, int]]]:
    """Return the decision that a record of evidence is about, and the sources and offsets that it names."""
    assert entry.record is not None
    evidence = json.loads(entry.record.value or b"")
    prefix = NAMES.input_prefix
    places = [(TOPICS.index(one["topic"].removeprefix(prefix)), one["offset"]) for one in evidence["places"]]
    return evidence["enforcement_id"], places


def _place(entry: Entry) -> tuple[int, int]:
    """Return the source and offset of the record that a dead letter is about."""
    assert entry.record is not None
    headers = dict(entry.record.headers)
    topic = headers["topic"].decode().removeprefix(NAMES.input_prefix)
    return TOPICS.index(topic), int(headers["offset"])
