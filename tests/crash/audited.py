"""Days of workers, what the audit finds in their topics, and manual changes of these."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from crash.broker import Broker
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.scenarios import DAY_S, day_of, operator_of, steady_link
from crash.traffic import NAMES, SCENARIOS
from crash.virtual import VirtualClock, VirtualLoop, run
from crash.world import World
from streams.audit.compare import EventDifference
from streams.audit.partition import AuditContext
from streams.audit.run import AuditReport, audit
from streams.kafka.api import TP
from streams.savepoint.archive import ArchiveReader
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


def count(world: World, topic: str) -> list[int]:
    return [len(world.broker.logs[TP(topic, number)].committed(0)) for number in range(world.partitions)]


def finished_day(fits: Callable[[World], bool], first: int) -> World:
    """A day of a scenario that fits; its workers are dead. ``first`` is the seed of one that did when last checked."""
    for seed in (first, *range(10 * SCENARIOS)):
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


def unchecked(report: AuditReport) -> list[str]:
    assert not report.clean
    assert report.differences == []
    return [reason for one in report.partitions for reason in one.unchecked]
