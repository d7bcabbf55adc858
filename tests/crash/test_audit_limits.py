"""The audit reports what it cannot check: topics that no longer reach back, lost states, another secret."""

import asyncio
from pathlib import Path

from crash.audited import STATE, Tampered, findings, play, run_audit, same, unchecked
from crash.broker import Broker
from crash.memory import MemoryCluster
from crash.scenarios import DAY_S, day_of, operator_of, steady_link
from crash.traffic import NAMES
from crash.virtual import VirtualClock, VirtualLoop, run
from crash.world import World
from streams.kafka.api import TP
from streams.savepoint.archive import ArchiveReader, write
from streams.savepoint.export import export
from streams.topics.partition_state import PartitionState


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
