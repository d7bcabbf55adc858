"""A rescale that is undone because it cannot continue, or that cannot be undone because its topics are in use."""

import asyncio
import re
from collections.abc import Callable

import msgspec
import pytest

from crash.log import Record
from crash.memory import MemoryCluster
from crash.rescales import (
    NEW,
    SEVERAL,
    held_back,
    in_world,
    operator_of,
    refused,
    release_held_back,
    settled,
    sides,
    until_a_call_is_read,
    written,
)
from crash.scenarios import steady_link
from crash.virtual import Process
from crash.world import World
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, packed_head
from monitor.partition.chunking import Chunker
from streams.kafka.api import TP, Fenced, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move, undo

BACK = "callwarden state move --undo --to-input-prefix new. --to-output-prefix new. --to-application-id moved"


@pytest.mark.parametrize("seed", range(4))
def test_a_move_that_cannot_continue_after_closing_names_the_way_back_which_may_fail_anywhere(seed: int) -> None:
    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held = held_back(world)
        while not held:
            await asyncio.sleep(0.1)
        old, new = sides(world)

        def write(line: str) -> None:
            if line.startswith("closed"):
                world.broker.append(*held.pop(0))

        said = await refused(world, old, new, write)
        assert "received 1 records meanwhile" in said
        assert said.endswith(BACK)
        assert (await refused(world, old, new)).endswith(BACK)
        share = 0.2
        while True:
            try:
                await undo(operator_of(world, share), old, new)
                break
            except (TransientError, Fenced):
                share *= 0.9
        world.add_worker()
        release_held_back(world, held)
        assert await settled(world) == []

    in_world(seed, go)


@pytest.mark.parametrize("seed", SEVERAL)
def test_what_comes_while_it_is_closed_is_moved_with_it_or_reported_with_the_way_back(seed: int) -> None:
    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held, last = held_back(world), world.partitions - 1
        while not any(tp.partition == last for tp, _ in held):
            await asyncio.sleep(0.1)
        old, new = sides(world)
        link = steady_link(world.broker, world.loop, world.rng)

        def passing(process: Process, point: str) -> None:
            coming = next((one for one in held if one[0].partition == last), None)
            if point == "commit.begin!" and coming is not None and not written_since:
                written_since.append(coming)
                held.remove(coming)
                world.broker.append(*coming)

        written_since: list[tuple[TP, Record]] = []
        link.passing = passing
        try:
            await move(MemoryCluster(link), old, new, lambda line: None)
        except PermanentError as reason:
            assert str(reason).endswith(BACK)  # noqa: PT017 - it may be moved as well
        assert written_since
        await undo(operator_of(world), old, new)
        world.add_worker()
        release_held_back(world, held)
        assert await settled(world) == []

    in_world(seed, go)


def judged_on(world: World, new: RescaleSide) -> str:
    change_head(world, new, "watermark_ms", 1)
    return "workers have continued with new.state-0: "


def a_command_was_taken(world: World, new: RescaleSide) -> str:
    change_head(world, new, "control", 1)
    return "workers have taken commands from new.control-0: "


def a_record_came(world: World, new: RescaleSide) -> str:
    world.broker.append(new.inputs(0)[2], Record(b"t", b"{}"))
    return "new.findings-0 received 1 records: "


def change_head(world: World, new: RescaleSide, field: str, more: int) -> None:
    """Change the checkpoint, as a worker on a new partition would."""
    state = TP(NEW.output("state"), 0)
    entries = {e.record.key.decode(): e.record.value for e in world.broker.logs[state].committed(0) if e.record}
    head = msgspec.msgpack.decode(
        packed_head({k: v for k, v in entries.items() if v is not None}), type=CheckpointMetadata
    )
    setattr(head, field, getattr(head, field) + more)
    for key, value in Chunker().cut([(HEAD, msgspec.msgpack.encode(head))]):
        world.broker.append(state, Record(key.encode(), value))


@pytest.mark.parametrize("gone_on", [judged_on, a_command_was_taken, a_record_came], ids=lambda one: one.__name__)
def test_a_rescale_is_not_undone_once_the_new_topics_are_in_use(gone_on: Callable[[World, RescaleSide], str]) -> None:
    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held_back(world)
        old, new = sides(world)
        await move(operator_of(world), old, new, lambda line: None)
        elsewhere = RescaleSide(TopicNames("else.", "else."), "else", new.partitions, new.new)
        with pytest.raises(PermanentError, match=r"--to-input-prefix new\. --to-output-prefix new\."):
            await undo(operator_of(world), old, elsewhere)
        expected = gone_on(world, new)
        while not world.broker.quiet:  # the markers of the last transaction may still be missing
            await asyncio.sleep(0.01)
        before = written(world)
        with pytest.raises(PermanentError, match=expected):
            await undo(operator_of(world), old, new)
        said = await refused(world, old, new)
        assert re.search(f"{expected}the move is complete", said), said
        assert "--undo" not in said
        assert written(world) == before

    in_world(5, go)
