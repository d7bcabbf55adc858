"""The audit finds every manual change of decisions."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from crash.audited import SHADOW, Tampered, finished_day, run_audit, tenants_decided
from crash.log import Record
from crash.world import World
from streams.audit import report as tell
from streams.kafka.api import TP
from streams.topics.transaction_records import EVENT_HEADERS


def test_an_event_that_was_deleted_is_found(day: World) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(1)
        tampered.take(1)
        found = tampered.difference()
    assert (found.what, found.number, found.id, found.event, found.decision) == ("missing", 0, event["id"], event, True)


@pytest.mark.parametrize("later_ms", [-3_600_000, 0, 90 * 24 * 3_600_000])
def test_an_invented_event_is_found_whatever_its_decision_time(day: World, later_ms: int) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(0) | {"id": "cwe-made-up"}
        event["data"]["decided_ms"] += later_ms
        tampered.append(tampered.log, Record(event["subject"].encode(), json.dumps(event).encode()))
        found = tampered.difference()
    assert (found.what, found.id, found.offset) == ("invented", "cwe-made-up", tampered.log.end)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str, bool]] = {
    "a decision": (lambda data: data.update(refunds="frozen"), "data.refunds", True),
    "the policy": (lambda data: data["policy"].update(sha256="0" * 64), "data.policy.sha256", True),
    "the measure": (lambda data: data.update(violations_on_record=99), "data.violations_on_record", True),
    "another's evidence": (lambda data: data["evidence"]["call_ids"].append("x"), "data.evidence.call_ids", True),
    "the words": (lambda data: data["reason"].update(en="Because."), "data.reason.en", False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_field_is_found_and_decisions_are_distinguished_from_words(day: World, what: str) -> None:
    change, path, decision = CHANGES[what]
    with Tampered(day) as tampered:
        event = tampered.event(0)
        assert event["data"]["refunds"] != "frozen"
        change(event["data"])
        tampered.put(0, event)
        found = tampered.difference()
    assert (found.what, found.id, found.decision) == ("changed", event["id"], decision)
    assert [one.path for one in found.changes] == [path]


def test_other_bytes_of_the_same_event_and_another_key_are_found(day: World) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(0)
        tampered.put(0, dict(reversed(event.items())))
        found = tampered.difference()
        assert (found.what, found.changes, found.decision) == ("changed", (), False)
        tampered.put(0, event, b"somebody else")
        (change,) = tampered.difference().changes
    assert (change.path, change.a, change.b) == ("key", event["subject"], "somebody else")


def test_other_headers_of_the_same_event_are_found_and_distinguished_from_another_value(day: World) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(0)
        tampered.head(0, ("content-type", b"application/json"))
        found = tampered.difference()
        assert (found.what, found.id, found.decision) == ("headers", event["id"], False)
        lines = list(tell.difference(found))
        assert lines[0].startswith("headers: ")
        assert lines[1:] == [
            '    header content-type: expected "application/cloudevents+json", found "application/json"'
        ]
        for headers, there in (((), None), ((*EVENT_HEADERS, *EVENT_HEADERS), ["application/cloudevents+json"] * 2)):
            tampered.head(0, *headers)
            (change,) = tampered.difference().changes
            assert (change.path, change.b) == ("header content-type", there)
        tampered.head(0, *EVENT_HEADERS, ("by", b"13912345678"))
        assert list(tell.difference(tampered.difference()))[1:] == ['    header by: expected null, found "•••••••••78"']
        event["data"]["refunds"] = "frozen"
        tampered.put(0, event)
        tampered.head(0)
        found = tampered.difference()
        assert (found.what, found.decision) == ("changed", True)
        assert [one.path for one in found.changes] == ["data.refunds", "header content-type"]


def test_an_event_that_stands_twice_or_in_another_partition_is_found(day: World) -> None:
    with Tampered(day) as tampered:
        event, record = tampered.event(0), tampered.take(0)
        tampered.append(tampered.other, record)
        found = tampered.difference()
        assert (found.what, found.number, found.id) == ("misplaced", 0, event["id"])
        assert "it is in partition 1; expected partition 0" in found.why
    with Tampered(day) as tampered:
        record = tampered.take(0)
        tampered.append(tampered.log, record)
        tampered.append(tampered.log, record)
        assert {one.what for one in run_audit(day).differences} == {"repeated", "order"}


def test_a_record_that_is_not_an_event_is_found(day: World) -> None:
    with Tampered(day) as tampered:
        tampered.append(tampered.log, Record(b"t", b"{"))
        assert tampered.difference().why.startswith("expected an event: ")


def test_decisions_that_were_deleted_by_retention_are_missing(day: World) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(0)
        tampered.log.trim(tampered.log._entries[tampered.place(1)].offset)
        report = run_audit(day)
    assert [(one.what, one.id) for one in report.differences] == [("missing", event["id"])]
    assert [note for note in report.partitions[0].notes if "decisions were deleted; expected none ever to be" in note]


def test_shadow_decisions_may_expire_and_must_not_be_changed() -> None:
    world = finished_day(lambda world: len(tenants_decided(world, SHADOW, 0)) == 2, 2)
    log = world.broker.logs[TP(SHADOW, 0)]
    first, last = [entry for entry in log._entries if entry.record is not None]
    assert first.offset < last.offset
    entries = list(log._entries)
    for removed in (first, last):
        log._entries.remove(removed)
        assert [one.what for one in run_audit(world).differences] == ["missing"]
        log._entries = list(entries)
    log.trim(last.offset)
    report = run_audit(world)
    assert report.clean
    assert report.partitions[0].notes == ["1 shadow decisions have expired and were not checked"]
