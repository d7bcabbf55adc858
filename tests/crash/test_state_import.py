"""A lost state is restored from an export that was taken while workers were running."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from crash import judge
from crash.log import Log
from crash.memory_writer import MemoryWriter
from crash.scenarios import (
    DAY_S,
    MINUTE,
    NOON,
    SECOND,
    an_hour_of_calls,
    complaint,
    day_of,
    operator_of,
    play,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES, Arrival
from crash.virtual import run
from crash.world import World
from helpers.thorough import thorough
from streams.kafka.api import TP, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.savepoint.archive import ArchiveReader, write
from streams.savepoint.export import export
from streams.savepoint.restore import RestoreOptions, restore_state
from streams.topics.partition_state import PartitionState
from streams.worker.context import OwnedPhase


def lose_state(world: World, numbers: Iterable[int]) -> None:
    for number in numbers:
        world.broker.logs[TP(NAMES.output("state"), number)] = Log()


async def settled(world: World) -> list[str]:
    """Return the differences of the decisions once the clocks have moved on and no more records arrive."""
    wrong = ["it has not settled"]
    for _ in range(20):
        await asyncio.sleep(1.2)
        found = judge.wrong(world.broker, world.policy, world.live, world.partitions)
        # Alerts, dead letters and late records may be repeated.
        wrong = [one for one in found if one.startswith((NAMES.output("enforcement"), NAMES.output("shadow")))]
        if not wrong:
            break
    return wrong


# The first three are those with the most decisions before and after the import.
@pytest.mark.parametrize("seeds", thorough([[0, 3, 12], range(14)], 1), ids=str)
def test_after_an_import_the_decisions_are_those_without_a_loss(tmp_path: Path, seeds: Sequence[int]) -> None:
    after, between = 0, 0
    for seed in seeds:
        reported = loss_and_import(seed, tmp_path / f"{seed}.zst")
        between, after = between + reported[0], after + reported[1]
    assert between >= 5, "decisions between export and loss must not be put out twice"
    assert after >= 5


def loss_and_import(seed: int, file: Path) -> tuple[int, int]:
    """Return how many decisions came between the export and the loss, and how many after the import."""
    world = day_of(seed)
    counts: list[int] = []

    def count() -> None:
        counts.append(sum(len(judge.ids(world.broker, number)) for number in range(world.partitions)))

    async def go() -> None:
        cluster = operator_of(world)
        world.add_worker()
        await asyncio.sleep(world.rng.uniform(0.3, 0.7) * DAY_S)
        while not any(world.broker.logs[TP(NAMES.output("state"), n)].committed(0) for n in range(world.partitions)):
            await asyncio.sleep(0.1)
        await export(cluster, NAMES, file, world.clock.now_ms())
        count()
        await asyncio.sleep(world.rng.uniform(0.1, 0.4) * DAY_S)
        for worker in world.workers:
            worker.kill()
        lost = [part.number for part in ArchiveReader(file).parts() if part.judged]
        lose_state(world, lost)
        count()
        await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file), RestoreOptions(only=lost))
        world.add_worker()
        assert await settled(world) == []
        count()

    try:
        run(world.loop, go())
    finally:
        world.close()
    return counts[1] - counts[0], counts[2] - counts[1]


def test_a_record_below_the_late_line_is_decided_once_though_the_export_has_a_handover(tmp_path: Path) -> None:
    """The clock moved after the handover, where nothing had been read since: the record is as late as before."""
    world, file = world_of(grace_ms=0), tmp_path / "state.zst"
    an_hour_of_calls(world)
    world.produce([complaint(NOON + MINUTE, "early")])
    late = complaint(NOON + 12 * MINUTE, "late")
    world.produce([Arrival(NOON + 30 * MINUTE, late.tp, late.record)])

    async def go() -> None:
        cluster = operator_of(world)
        first = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        first.terminate()
        await until(world, NOON + 10 * MINUTE + 20 * SECOND)
        await export(cluster, NAMES, file, world.clock.now_ms())
        entries = next(ArchiveReader(file).parts()).entries
        assert any(name.startswith("handover/") for name in entries)
        second = world.add_worker()
        await until(world, NOON + 45 * MINUTE)
        (decided,) = [one for one in enforcement(world) if one["decided_ms"] > NOON + 12 * MINUTE]
        assert decided["decided_ms"] > NOON + 20 * MINUTE, "it was below the late line"
        assert not wrong(world)
        second.kill()
        lose_state(world, [0])
        await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file))
        world.add_worker()
        await until(world, NOON + 70 * MINUTE)
        assert not wrong(world)

    play(world, go)


def enforcement(world: World) -> list[dict[str, Any]]:
    """The data of the enforcement events from complaints so far."""
    entries = world.broker.logs[TP(NAMES.output("enforcement"), 0)].committed(0)
    events = [json.loads(entry.record.value or b"")["data"] for entry in entries if entry.record is not None]
    return [event for event in events if event["measure"] is None]


def test_nothing_is_imported_over_a_state_or_into_topics_that_do_not_fit(tmp_path: Path) -> None:
    world = day_of(1)
    file = tmp_path / "state.zst"

    async def go() -> None:
        cluster = operator_of(world)
        with pytest.raises(PermanentError, match="is empty; expected a state"):
            await export(cluster, NAMES, file, 0)
        assert not file.exists()
        worker = world.add_worker()
        await asyncio.sleep(DAY_S)
        worker.kill()
        header = await export(cluster, NAMES, file, 0)
        state = [world.broker.logs[TP(NAMES.output("state"), n)] for n in range(world.partitions)]
        ends = [log.end for log in state]
        with pytest.raises(PermanentError, match=r"callwarden\.state-\d already has a state.*--replace"):
            await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file))
        with pytest.raises(
            PermanentError, match=r"of the topics callwarden\.\*; expected the settings' in\.\* and out\.\*"
        ):
            await restore_state(
                cluster, TopicNames("in.", "out."), "callwarden", ArchiveReader(file), RestoreOptions(replace=True)
            )
        header.partitions += 1
        write(tmp_path / "more.zst", header, [*ArchiveReader(file).parts(), PartitionState(world.partitions, {})])
        with pytest.raises(PermanentError, match="expected the same number"):
            await restore_state(
                cluster, NAMES, "callwarden", ArchiveReader(tmp_path / "more.zst"), RestoreOptions(replace=True)
            )
        assert [log.end for log in state] == ends
        await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file), RestoreOptions(replace=True))
        world.add_worker()
        assert await settled(world) == []

    try:
        run(world.loop, go())
    finally:
        world.close()


def copied(world: World) -> None:
    """As on another cluster: every input topic has another id, and the same records at the same offsets."""
    for topic in NAMES.inputs:
        logs = {tp: log for tp, log in world.broker.logs.items() if tp.topic == topic}
        world.broker.recreate(topic)
        world.broker.logs.update(logs)


def test_a_state_continues_with_copies_of_its_inputs_once_it_is_bound_to_them(tmp_path: Path) -> None:
    world, file = day_of(3), tmp_path / "state.zst"

    async def go() -> None:
        cluster = operator_of(world)
        world.add_worker()
        await asyncio.sleep(0.5 * DAY_S)
        await export(cluster, NAMES, file, world.clock.now_ms())
        for worker in world.workers:
            worker.kill()
        numbers = [part.number for part in ArchiveReader(file).parts() if part.judged]
        assert numbers
        copied(world)
        others = await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file), RestoreOptions(replace=True))
        assert others == list(NAMES.inputs), "the state stays bound to the former topics, and that is reported"
        worker = world.add_worker()
        await asyncio.sleep(30)
        assert worker.consumer_loop is not None
        refused = {
            number: owner.why
            for number, owner in worker.consumer_loop.owners.items()
            if owner.phase is OwnedPhase.REFUSED
        }
        assert set(numbers) <= set(refused)
        worker.kill()
        assert (
            await restore_state(
                cluster, NAMES, "callwarden", ArchiveReader(file), RestoreOptions(replace=True, rebind=True)
            )
            == []
        )
        world.add_worker()
        assert await settled(world) == []

    try:
        run(world.loop, go())
    finally:
        world.close()


def test_an_import_that_a_worker_interrupts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, file = day_of(2), tmp_path / "state.zst"

    async def go() -> None:
        cluster = operator_of(world)
        world.add_worker()
        await asyncio.sleep(DAY_S)
        await export(cluster, NAMES, file, 0)
        for worker in world.workers:
            worker.kill()
        started = MemoryWriter.start

        async def overtaken(writer: MemoryWriter) -> None:
            await started(writer)
            await started(operator_of(world).writer("callwarden-0"))

        monkeypatch.setattr(MemoryWriter, "start", overtaken)
        with pytest.raises(PermanentError, match="partition 0: a worker has started meanwhile"):
            await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file), RestoreOptions(replace=True))

    try:
        run(world.loop, go())
    finally:
        world.close()


def test_a_partial_state_counts_as_a_state(tmp_path: Path) -> None:
    world, file, state = day_of(1), tmp_path / "state.zst", NAMES.output("state")

    async def go() -> None:
        cluster = operator_of(world)
        worker = world.add_worker()
        await asyncio.sleep(DAY_S)
        worker.kill()
        await export(cluster, NAMES, file, 0)
        number = next(part.number for part in ArchiveReader(file).parts() if part.judged)
        writer = cluster.writer(f"callwarden-{number}")
        await writer.start()
        await writer.commit(
            [OutputRecord(state, number, b"head/0", (2).to_bytes(2, "big"))], {}
        )  # the other part of the state is lost
        with pytest.raises(PermanentError, match=r"has a state.*--replace"):
            await restore_state(cluster, NAMES, "callwarden", ArchiveReader(file))

    try:
        run(world.loop, go())
    finally:
        world.close()
