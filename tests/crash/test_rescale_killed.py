"""A rescale that fails at any request and is repeated until it succeeds; and a rescale that is undone."""

import asyncio
import re
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from crash import judge
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.scenarios import DAY_S, day_of, steady_link
from crash.traffic import NAMES
from crash.virtual import Process, run
from crash.world import World
from helpers.thorough import thorough
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, PartitionIdentity, packed_head
from monitor.partition.chunking import Chunker
from monitor.partition.task import StreamTask
from monitor.policy.load import to_plain
from monitor.policy.serialize import sha256
from streams.kafka.api import TP, Fenced, FetchedBatch, PermanentError, TransientError
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move, undo
from streams.topics.control_topic import PolicyCommand
from streams.worker.context import OwnedPhase

NEW = TopicNames("new.", "new.")


def sides(world: World) -> tuple[RescaleSide, RescaleSide]:
    """The existing topics, and new ones that the world knows."""
    partitions = world.rng.choice([count for count in (1, 2, 3, 4) if count != world.partitions])
    counts = dict.fromkeys([*NEW.inputs, *map(NEW.output, OUTPUTS)], partitions) | {NEW.owners.topic: 1}
    for topic, count in counts.items():
        world.broker.topics[topic] = count
        for number in range(count):
            world.broker.logs[TP(topic, number)] = Log()

    def side(names: TopicNames, application_id: str, count: int) -> RescaleSide:
        def made(number: int) -> StreamTask:
            place = PartitionIdentity(number, count)
            return StreamTask(world.policy, b"secret", world.live, place)

        return RescaleSide(names, application_id, count, made)

    return side(NAMES, "callwarden", world.partitions), side(NEW, "moved", partitions)


def operator_of(world: World, share: float = 0.0) -> MemoryCluster:
    """A cluster on which that share of the requests fails, before or after its effect."""
    link = steady_link(world.broker, world.loop, world.rng)

    def passing(process: Process, point: str) -> None:
        if world.rng.random() < share:
            raise TransientError(f"as if the network had failed at {point}")

    link.passing = passing
    return MemoryCluster(link)


async def moved(world: World, old: RescaleSide, new: RescaleSide, share: float) -> int:
    """Repeat the rescale until it succeeds; return the number of failures."""
    failures = 0
    while True:
        try:
            await move(operator_of(world, share), old, new, lambda line: None)
        except (TransientError, Fenced):
            failures += 1
            share *= 0.9
        else:
            return failures


def held_back(world: World) -> list[tuple[TP, Record]]:
    """Hold back the platform's records: it writes nothing during the rescale."""
    held: list[tuple[TP, Record]] = []

    def hold(tp: TP, record: Record) -> bool:
        held.append((tp, record))
        return True

    world.divert = hold
    return held


def release_held_back(world: World, held: list[tuple[TP, Record]]) -> None:
    """The platform writes again, the records held back first."""
    for tp, record in held:
        world.broker.append(tp, record)
    world.divert = lambda tp, record: False


def all_commands_taken(world: World) -> bool:
    """Whether all commands were processed."""
    logs, clock = world.broker.logs, NAMES.output("clock")
    given = sum(len(logs[TP(NAMES.output("control"), number)].committed(0)) for number in range(world.partitions))
    notes = [e.record for number in range(world.partitions) for e in logs[TP(clock, number)].committed(0)]
    return given == sum(b'"a trial"' in (note.value or b"") for note in notes if note)


async def until_all_are(world: World, phase: OwnedPhase) -> None:
    """Run a worker until all partitions of the old topics have that phase and all commands were processed."""
    worker = world.add_worker()
    for _ in range(60):
        await asyncio.sleep(0.5)
        owners = worker.consumer_loop.owners.values() if worker.consumer_loop is not None else ()
        if {owner.phase for owner in owners} == {phase} and all_commands_taken(world):
            break
    else:
        raise AssertionError(f"a worker must find the former topics {phase.value}")
    worker.kill()


async def refused(
    world: World, old: RescaleSide, new: RescaleSide, report: Callable[[str], None] = lambda line: None
) -> str:
    """Return the reason why the rescale is refused."""
    with pytest.raises(PermanentError) as reason:
        await move(operator_of(world), old, new, report)
    return str(reason.value)


def written(world: World) -> dict[TP, int]:
    """The number of records in each topic."""
    return {tp: len(log.committed(0)) for tp, log in world.broker.logs.items()}


def input_records(world: World, side: RescaleSide) -> int:
    """The number of records in the inputs."""
    return sum(len(world.broker.logs[tp].committed(0)) for n in range(side.partitions) for tp in side.inputs(n))


async def settled(world: World) -> list[str]:
    """Return the differences once the clocks have moved on and no more records arrive."""
    wrong = ["it has not settled"]
    for _ in range(20):
        await asyncio.sleep(1.2)
        wrong = list(judge.wrong(world.broker, world.policy, world.live, world.partitions))
        if not wrong:
            break
    return wrong


async def until_a_call_is_read(world: World) -> None:
    """Let a worker read until at least one call was written; then kill it."""
    worker = world.add_worker()
    await asyncio.sleep(world.rng.uniform(0.4, 0.9) * DAY_S)
    calls = [TP(NAMES.inputs[0], number) for number in range(world.partitions)]
    while not any(world.broker.logs[tp].committed(0) for tp in calls):
        await asyncio.sleep(0.1)
    worker.kill()


def in_world(seed: int, work: Callable[[World], object]) -> None:
    world = day_of(seed)
    try:
        run(world.loop, work(world))  # type: ignore[arg-type]
    finally:
        world.close()


@pytest.mark.parametrize("seed", thorough(range(10), 2))
def test_a_rescale_that_fails_anywhere_succeeds_later_and_can_be_undone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an undone rescale the old topics continue without a difference. Some close in many transactions."""
    if seed % 2:
        monkeypatch.setattr("streams.savepoint.close.MOST_AT_ONCE", 1)
        monkeypatch.setattr("monitor.core.rules.evaluator.SLICE", 1)

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held = held_back(world)
        old, new = sides(world)
        assert await moved(world, old, new, 0.03) > 0
        laid = input_records(world, new)
        assert await moved(world, old, new, 0.0) == 0, "it is done, and done it stays"
        assert input_records(world, new) == laid
        await until_all_are(world, OwnedPhase.REFUSED)
        await undo(operator_of(world), old, new)
        world.add_worker()
        release_held_back(world, held)
        assert await settled(world) == []

    in_world(seed, go)


def test_unread_garbage_is_closed_with_in_transactions_of_one_batch() -> None:
    """A producer decides how much garbage is unread when workers stop; no transaction grows with it."""
    garbage, of_a_read = 2_000, 500

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held_back(world)
        old, new = sides(world)
        before = rejected(world)
        for number in range(garbage):
            world.broker.append(old.inputs(0)[1], Record(b"t", b"garbage %d" % number))
        counts: list[int] = []
        link = steady_link(world.broker, world.loop, world.rng)

        def passing(process: Process, point: str) -> None:
            if point.startswith("commit."):
                counts.append(rejected(world))

        link.passing = passing
        await move(MemoryCluster(link), old, new, lambda line: None)
        counts.append(rejected(world))
        assert counts[-1] >= before + garbage
        assert max(after - earlier for earlier, after in pairwise(counts)) <= of_a_read

    in_world(2, go)


@pytest.mark.parametrize(
    ("limit", "bytes_each", "expected"),
    [
        ("close.MOST_UNREAD_BYTES", 100, "partition 0: expected at most 900 bytes of unread"),
        ("rescale.MOST_KEPT_BYTES", 0, "expected at most 900 bytes of records that are read and"),
        ("stray_records.MOST_STRAY_BYTES", 100, "more than 900 bytes of records, which no worker"),
    ],
    ids=["unread", "kept", "stray"],
)
def test_a_move_holds_no_more_bytes_than_its_limits_and_refuses_before_it_writes(
    limit: str, bytes_each: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer decides how large records are: 500,000 of a megabyte each would not fit in any memory."""
    monkeypatch.setattr(f"streams.savepoint.{limit}", 900)

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        await until_all_are(world, OwnedPhase.RUNNING)
        held_back(world)
        old, new = sides(world)
        topic, number = old.inputs(0)[1].topic, 0
        if "STRAY" in limit:
            number = old.partitions
            world.broker.topics[topic] = number + 1
            world.broker.logs[TP(topic, number)] = Log()
        if bytes_each:
            for _ in range(10):
                world.broker.append(TP(topic, number), Record(b"t", b"x" * bytes_each))
        await refused(world, old, new)  # the killed worker's open transaction has ended
        before = written(world)
        said = await refused(world, old, new)
        assert expected in said, said
        assert "--undo" not in said
        assert written(world) == before

    in_world(2, go)


class Values(list[bytes | None]):
    """The values of a batch, to which weak references are possible."""


class TrackingCluster(MemoryCluster):
    """Counts the batches that are in memory at once."""

    most = 0

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        alive = self.__dict__.setdefault("alive", [])
        async for batch in super().read(tp, start, stop):
            values = Values(batch.values)
            alive.append(weakref.ref(values))
            self.most = max(self.most, sum(one() is not None for one in alive))
            yield replace(batch, values=values)
            del batch, values


def test_input_that_a_move_reads_again_is_read_batch_by_batch() -> None:
    """Of the input from the restart offset on it keeps only what is not decided yet, not the garbage."""
    garbage = 5_000

    async def go(world: World) -> None:
        await until_a_call_is_read(world)
        held_back(world)
        old, new = sides(world)
        for number in range(garbage):
            world.broker.append(old.inputs(0)[1], Record(b"t", b"garbage %d" % number))
        cluster = TrackingCluster(steady_link(world.broker, world.loop, world.rng))
        await move(cluster, old, new, lambda line: None)
        assert 0 < cluster.most <= 3

    in_world(2, go)


def rejected(world: World) -> int:
    """The number of committed dead letters."""
    topic = NAMES.output("dead-letter")
    return sum(len(log.committed(0)) for tp, log in world.broker.logs.items() if tp.topic == topic)


SEVERAL = (0, 1, 3)
"""Seeds of worlds with more than one partition."""

BACK = "callwarden state move --undo --to-input-prefix new. --to-output-prefix new. --to-application-id moved"


def somebody_wrote(world: World, new: RescaleSide) -> str:
    world.broker.append(new.inputs(0)[0], Record(b"t", b"{}"))
    return "already has records of another producer"


def another_attempt_was_made(world: World, new: RescaleSide) -> str:
    world.broker.append(TP(NEW.output("state"), new.partitions - 1), Record(b"head/0", b"of another attempt"))
    return "already has a state"


def another_policy_holds_in_a_partition(world: World, new: RescaleSide) -> str:
    policy = replace(world.policy, version="2", sha256="")
    policy = replace(policy, sha256=sha256(policy))
    command = PolicyCommand(to_plain(policy), policy.sha256, world.clock.now_ms(), "a trial", "me", 1)
    world.broker.append(TP(NAMES.output("control"), 1), Record(b"1", msgspec.json.encode(command)))
    return "other scheduled policies|the same policy in all"


@pytest.mark.parametrize("seed", SEVERAL)
@pytest.mark.parametrize(
    "wrong",
    [somebody_wrote, another_attempt_was_made, another_policy_holds_in_a_partition],
    ids=lambda one: one.__name__,
)
def test_a_rescale_that_does_not_fit_is_refused_before_anything_is_written(
    wrong: Callable[[World, RescaleSide], str], seed: int
) -> None:
    async def go(world: World) -> None:
        assert world.partitions > 1
        old, new = sides(world)
        await until_a_call_is_read(world)
        expected = wrong(world, new)
        held = held_back(world)
        await until_all_are(world, OwnedPhase.RUNNING)
        await refused(world, old, new)  # the killed worker's open transaction has ended
        before = written(world)
        assert re.search(expected, said := await refused(world, old, new)), said
        assert "--undo" not in said
        assert written(world) == before
        release_held_back(world, held)
        await until_all_are(world, OwnedPhase.RUNNING)

    in_world(seed, go)


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
