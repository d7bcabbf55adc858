"""The audit finds no difference after any fault of the workers, running or stopped, and finds every manual change."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crash.broker import Broker
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.scenarios import DAY_S, day_of, operator_of, steady_link
from crash.traffic import NAMES, SCENARIOS
from crash.virtual import VirtualClock, VirtualLoop, run
from crash.world import World
from streams.audit import report as tell
from streams.audit.compare import EventDifference
from streams.audit.partition import AuditContext
from streams.audit.run import AuditReport, audit
from streams.kafka.api import TP
from streams.savepoint.archive import ArchiveReader, write
from streams.savepoint.export import export
from streams.topics.partition_state import PartitionState
from streams.topics.transaction_records import EVENT_HEADERS

ENFORCEMENT, SHADOW, EVIDENCE, STATE = (NAMES.output(name) for name in ("enforcement", "shadow", "evidence", "state"))
MEASURES = NAMES.output("measures")


def play(world: World, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        run(world.loop, what())
    finally:
        world.close()


def run_audit(world: World, start: ArchiveReader | None = None, secret: bytes = b"secret") -> AuditReport:
    """Audit the topics of a world that has ended."""
    loop = VirtualLoop()
    broker = Broker(loop, VirtualClock(loop, 0), world.rng, world.broker.topics)
    broker.logs = world.broker.logs
    context = AuditContext(MemoryCluster(steady_link(broker, loop, world.rng)), NAMES, world.policy, secret, world.live)
    report: AuditReport = run(loop, audit(context, start))
    return report


async def audited(world: World, start: ArchiveReader | None = None) -> AuditReport:
    return await audit(AuditContext(operator_of(world), NAMES, world.policy, b"secret", world.live), start)


def findings(report: AuditReport) -> list[str]:
    """Return everything that the audit reports, a line each."""
    differences = [
        f"{one.what} {one.topic}-{one.number} {one.id} {one.why} {one.changes}" for one in report.differences
    ]
    return differences + [reason for one in report.partitions for reason in one.unchecked]


def same(report: AuditReport) -> int:
    return sum(one.compared["enforcement"].same for one in report.partitions if one.compared)


async def hurt(world: World) -> None:
    """Kill, stop or cut off a worker, and start others."""
    worker = world.rng.choice(world.running())
    what = world.rng.choice(("kill", "stop", "cut"))
    getattr(worker, what)()
    world.add_worker()
    await asyncio.sleep(world.rng.uniform(0.2, 0.8))
    if what != "kill":
        {"stop": worker.resume, "cut": worker.reconnect}[what]()


def test_nothing_is_found_while_workers_are_killed_and_at_work(tmp_path: Path) -> None:
    compared = checked_from = 0
    for seed in range(10):
        world, file = day_of(seed), tmp_path / f"{seed}.zst"

        async def go(world: World = world, file: Path = file) -> None:
            nonlocal compared, checked_from
            world.add_worker()
            for _ in range(4):
                await asyncio.sleep(world.rng.uniform(0.1, 0.4) * DAY_S)
                assert findings(await audited(world)) == []
                await hurt(world)
                if not file.exists() and any(count(world, STATE)):
                    await export(operator_of(world), NAMES, file, 0)
            await asyncio.sleep(3)
            for worker in world.running():
                worker.kill()
            whole = await audited(world)
            assert findings(whole) == []
            compared += same(whole)
            if file.exists():
                rest = await audited(world, ArchiveReader(file))
                assert findings(rest) == []
                checked_from += same(rest)

        play(world, go)
    assert compared > 50
    assert 20 < checked_from < compared


def count(world: World, topic: str) -> list[int]:
    return [len(world.broker.logs[TP(topic, number)].committed(0)) for number in range(world.partitions)]


# Manual changes ------------------------------------------------------------------------------------------------------


def finished_day(fits: Callable[[World], bool]) -> World:
    """The first day of a scenario that fits; its workers are dead."""
    for seed in range(10 * SCENARIOS):
        world = day_of(seed)

        async def go(world: World = world) -> None:
            world.add_worker()
            await asyncio.sleep(DAY_S + 2)
            for worker in world.running():
                worker.kill()

        play(world, go)
        if fits(world):
            return world
    raise AssertionError("no scenario fits")


def tenants_decided(world: World, topic: str, number: int) -> list[str]:
    """The tenants of the decisions in a partition, in order."""
    records = [entry.record for entry in world.broker.logs[TP(topic, number)].committed(0)]
    return [json.loads(record.value or b"")["subject"] for record in records if record is not None]


@pytest.fixture(scope="module")
def day() -> World:
    """A day with decisions in two partitions, and with several of the tenant of the first one."""

    def fits(world: World) -> bool:
        if world.partitions == 1 or min(count(world, ENFORCEMENT)[:2]) < 2:
            return False
        log = world.broker.logs[TP(ENFORCEMENT, 0)]
        first, *later = tenants_decided(world, ENFORCEMENT, 0)
        return first in later and log.last_stable == log.end  # no transaction is open

    return finished_day(fits)


class Tampered:
    """A day whose enforcement topic is changed while the context is active."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.broker.logs[TP(ENFORCEMENT, 0)]
        self.other = world.broker.logs[TP(ENFORCEMENT, 1)]
        self._before = {log: (list(log._entries), log.start, log.end) for log in world.broker.logs.values()}

    def __enter__(self) -> "Tampered":
        return self

    def __exit__(self, *error: object) -> None:
        for log, (entries, log.start, log.end) in self._before.items():
            log._entries = entries

    def place(self, number: int) -> int:
        """The index of the event of that number among the entries."""
        return [n for n, entry in enumerate(self.log._entries) if entry.record is not None][number]

    def event(self, number: int) -> dict[str, Any]:
        record = self.log._entries[self.place(number)].record
        assert record is not None
        return dict(json.loads(record.value or b""))

    def put(self, number: int, event: dict[str, Any], key: bytes | None = None) -> None:
        entry = self.log._entries[self.place(number)]
        value = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        record = Record(key or event["subject"].encode(), value, EVENT_HEADERS)
        self.log._entries[self.place(number)] = replace(entry, record=record)

    def head(self, number: int, *headers: tuple[str, bytes]) -> None:
        """The same event with other headers."""
        entry = self.log._entries[self.place(number)]
        assert entry.record is not None
        self.log._entries[self.place(number)] = replace(entry, record=entry.record._replace(headers=headers))

    def take(self, number: int) -> Record:
        record = self.log._entries.pop(self.place(number)).record
        assert record is not None
        return record

    def append(self, log: Log, record: Record) -> None:
        log.append([record], self.world.clock.now_ms())

    def difference(self) -> EventDifference:
        """The only difference found."""
        report = run_audit(self.world)
        assert not report.clean
        assert not any(one.unchecked for one in report.partitions)
        (difference,) = report.differences
        return difference


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


def change_evidence(day: World, number: int, change: Callable[[dict[str, Any]], Any]) -> str:
    """Change the record of that number, and return the id of its decision."""
    log = day.broker.logs[TP(EVIDENCE, 0)]
    at = [n for n, entry in enumerate(log._entries) if entry.record is not None][number]
    record = log._entries[at].record
    assert record is not None
    evidence = json.loads(record.value or b"")
    change(evidence)
    value = json.dumps(evidence, separators=(",", ":")).encode()
    log._entries[at] = replace(log._entries[at], record=record._replace(value=value))
    return str(evidence["enforcement_id"])


def test_changed_evidence_is_found(day: World) -> None:
    with Tampered(day) as tampered:
        name = change_evidence(day, 1, lambda evidence: evidence["places"][0].update(offset=123_456))
        found = tampered.difference()
        assert (found.what, found.topic, found.id, found.decision) == ("changed", EVIDENCE, name, False)
        (change,) = found.changes
        assert (change.path, change.b[0]["offset"]) == ("places", 123_456)
        assert any("places" in line for line in tell.difference(found))


def test_evidence_of_no_decision_is_found_and_also_that_of_a_decision_is_missing(day: World) -> None:
    with Tampered(day):
        change_evidence(day, 1, lambda evidence: evidence.update(enforcement_id="cwe-made-up"))
        report = run_audit(day)
    assert {(one.what, one.topic) for one in report.differences} == {("invented", EVIDENCE), ("missing", EVIDENCE)}


def test_evidence_with_fewer_places_and_decisions_before_all_evidence_are_noted(day: World) -> None:
    """As after an upgrade from a release without them."""
    with Tampered(day) as tampered:
        change_evidence(day, -1, lambda evidence: evidence["places"].pop())
        log = day.broker.logs[TP(EVIDENCE, 0)]
        del log._entries[next(n for n, entry in enumerate(log._entries) if entry.record is not None)]
        report = run_audit(tampered.world)
    assert findings(report) == []
    notes = "\n".join(note for one in report.partitions for note in one.notes)
    assert "1 decisions have no evidence record: it has expired" in notes
    assert "1 evidence records have fewer places than expected" in notes


def test_measures_that_were_changed_or_made_up_are_found(day: World) -> None:
    with Tampered(day):
        log = day.broker.logs[TP(MEASURES, 0)]
        places = [n for n, entry in enumerate(log._entries) if entry.record is not None]
        changed, made_up = places[-2], places[-3]
        for at, tenant in ((changed, None), (made_up, "made-up")):
            record = log._entries[at].record
            assert record is not None
            measures = json.loads(record.value or b"")
            measures.update({"share": 9.5} if tenant is None else {"tenant_id": tenant})
            value = json.dumps(measures, separators=(",", ":")).encode()
            log._entries[at] = replace(log._entries[at], record=record._replace(value=value))
        report = run_audit(day)
    found = {(one.what, one.topic) for one in report.differences}
    assert found >= {("changed", MEASURES), ("invented", MEASURES)}
    assert not any(one.decision for one in report.differences)
    assert any("measures of the hour from" in line for one in report.differences for line in tell.difference(one))


def test_measures_may_expire(day: World) -> None:
    with Tampered(day):
        log = day.broker.logs[TP(MEASURES, 0)]
        del log._entries[: len(log._entries) // 2]
        report = run_audit(day)
    assert findings(report) == []
    assert any("hours have no measures" in note for one in report.partitions for note in one.notes)


# What cannot be checked ----------------------------------------------------------------------------------------------


def unchecked(report: AuditReport) -> list[str]:
    assert not report.clean
    assert report.differences == []
    return [reason for one in report.partitions for reason in one.unchecked]


def test_topics_that_no_longer_reach_back_are_reported_and_an_export_helps(tmp_path: Path) -> None:
    world, file = day_of(4), tmp_path / "state.zst"

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(0.8 * DAY_S)
        await export(operator_of(world), NAMES, file, 0)
        await asyncio.sleep(DAY_S)
        worker.kill()

    play(world, go)
    start = ArchiveReader(file)
    judged = next(start.parts()).judged
    assert judged is not None
    world.broker.logs[TP(NAMES.inputs[0], 0)].trim(judged.sources[0].resume)
    (reason,) = unchecked(run_audit(world))
    assert f"callwarden.cdr-0 begins at offset {judged.sources[0].resume}, but is needed from 0" in reason
    assert "--state" in reason
    report = run_audit(world, start)
    assert findings(report) == []
    assert same(report) > 0
    world.broker.logs[TP(NAMES.inputs[0], 0)].trim(judged.sources[0].resume + 1)
    (reason,) = unchecked(run_audit(world, start))
    assert f"is needed from {judged.sources[0].resume}" in reason


def test_a_lost_state_is_reported_and_decisions_are_compared_as_far_as_they_go(day: World) -> None:
    with Tampered(day) as tampered:
        day.broker.logs[TP(STATE, 0)].trim(1 << 40)
        (reason,) = unchecked(run_audit(day))
        assert "it has no state" in reason
        event = tampered.event(0)
        event["data"]["kind"] = "ban"
        tampered.put(0, event)
        assert [one.what for one in run_audit(day).differences] == ["changed"]


def test_a_lost_state_without_decisions_is_reported_by_the_remaining_journal_entries(day: World) -> None:
    with Tampered(day) as tampered:
        day.broker.logs[TP(STATE, 0)].trim(1 << 40)
        while any(entry.record is not None for entry in tampered.log._entries):
            tampered.take(0)
        (reason,) = unchecked(run_audit(day))
        assert "it has no state" in reason


def test_deleted_journal_entries_that_decided_something_are_reported(day: World) -> None:
    with Tampered(day):
        clock = day.broker.logs[TP(NAMES.output("clock"), 0)]
        clock._entries = [
            one for one in clock._entries if one.record is None or b'"move"' not in (one.record.value or b"")
        ]
        for what in ("decisions", "their evidence"):
            gone = {(one.topic, one.offset) for one in run_audit(day).differences if one.number == 0}
            assert gone, what
            for topic in {topic for topic, _ in gone}:
                log = day.broker.logs[TP(topic, 0)]
                log._entries = [one for one in log._entries if (topic, one.offset) not in gone]
        (reason,) = unchecked(run_audit(day))
        assert "its state has judged up to" in reason
        assert "but its topics lead only to" in reason


def test_a_partition_of_an_export_that_has_no_head_is_judged_from_the_beginning(tmp_path: Path, day: World) -> None:
    with Tampered(day):
        world, file, half = day, tmp_path / "state.zst", tmp_path / "half.zst"
        loop = VirtualLoop()
        broker = Broker(loop, VirtualClock(loop, 0), world.rng, world.broker.topics)
        broker.logs = world.broker.logs
        run(loop, export(MemoryCluster(steady_link(broker, loop, world.rng)), NAMES, file, 0))
        whole = ArchiveReader(file)
        first, *others = whole.parts()
        entries = {key: value for key, value in first.entries.items() if not key.startswith("head/")}
        write(
            half, whole.header, [PartitionState(0, entries, first.ends), *others]
        )  # taken while an import was in progress
        assert run_audit(world, ArchiveReader(half)).clean
        log = world.broker.logs[TP(NAMES.inputs[0], 0)]
        log.trim(log._entries[1].offset)
        (reason,) = unchecked(run_audit(world, ArchiveReader(half)))
        assert "is needed from 0" in reason


def test_another_secret_is_reported(day: World) -> None:
    reason = unchecked(run_audit(day, secret=b"another"))
    assert len(reason) == day.partitions
    assert "another secret" in reason[0]


def test_decisions_that_were_deleted_by_retention_are_missing(day: World) -> None:
    with Tampered(day) as tampered:
        event = tampered.event(0)
        tampered.log.trim(tampered.log._entries[tampered.place(1)].offset)
        report = run_audit(day)
    assert [(one.what, one.id) for one in report.differences] == [("missing", event["id"])]
    assert [note for note in report.partitions[0].notes if "decisions were deleted; expected none ever to be" in note]


def test_shadow_decisions_may_expire_and_must_not_be_changed() -> None:
    world = finished_day(lambda world: len(tenants_decided(world, SHADOW, 0)) == 2)
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
