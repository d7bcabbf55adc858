"""Partitions read by processes that are killed, stopped and cut off: the outputs of each record are written once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from crash.faults import GroupWorld
from crash.log import Record
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.producers import InTransactions
from crash.virtual import Process, run
from helpers.thorough import thorough
from streams.ingest.partitions.partition_group import PartitionGroup
from streams.ingest.partitions.partition_handler import Fed
from streams.ingest.partitions.start_position import GroupOptions
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.kafka.api import TP, FetchedBatch, Listener, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord

TOPICS = {"in": 3, "out": 2, "state": 3}
NAMES = ("one", "two")
RECORDS = 120
NO_OUTPUT, POISON, STOP_HERE = b"nothing", b"poison", b"stop here once"


class Counting:
    """Writes two outputs for a record, under a number that it keeps as its state; none for `NO_OUTPUT`."""

    idle_after_s: float | None = None

    def __init__(self, cluster: MemoryCluster, tp: TP) -> None:
        self._cluster, self._tp = cluster, tp
        self._number, self._stopped = 0, False
        self._outs: list[OutputRecord] = []

    async def restore(self) -> None:
        state = TP("state", self._tp.partition)
        end = (await self._cluster.ends([state]))[state]
        async for batch in self._cluster.read(state, 0, end):
            self._number = int(batch.values[-1] or b"")

    def feed(self, batch: FetchedBatch) -> Fed:
        for offset, value in zip(batch.offsets.tolist(), batch.values, strict=True):
            assert value is not None
            if value == POISON:
                raise RuntimeError("unforeseen")
            if value == STOP_HERE and not self._stopped:
                self._stopped = True
                return Fed(0, offset)
            self._stopped = False
            if value != NO_OUTPUT:
                self._number += 1
                for half in (0, 1):
                    value_out = b"%d:%d:%d:%d" % (self._tp.partition, self._number, offset, half)
                    self._outs.append(OutputRecord("out", half, None, value_out))
        return Fed(len(self._outs), batch.stop)

    def take(self) -> list[OutputRecord]:
        outs, self._outs = self._outs, []
        return [*outs, OutputRecord("state", self._tp.partition, b"k", b"%d" % self._number)] if outs else []

    def committed(self) -> None:
        assert not self._outs

    def idle(self) -> OutputRecord | None:
        return None


class Idling(Counting):
    """Appends a record to its source when there is none for a while."""

    idle_after_s = 5.0

    def idle(self) -> OutputRecord | None:
        return OutputRecord("in", self._tp.partition, None, NO_OUTPUT)


class Member:
    """One process."""

    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(world.loop, name)
        self.link = Link(world.broker, self.process, world.rng)
        self.link.passing = world.passing
        cluster = MemoryCluster(self.link)
        options = GroupOptions("in", "group", "app", "callwarden bridge", world.from_end)
        self.registry = CollectorRegistry()
        self.group = PartitionGroup(
            cluster, options, lambda tp: world.handler(cluster, tp), PartitionMetrics("bridge", self.registry)
        )
        self.task = self.process.run(self.group.run)


class World(GroupWorld[Member]):
    """A broker, two members, and a producer that also writes in transactions."""

    def __init__(self, seed: int, handler: Callable[[MemoryCluster, TP], Counting] = Counting) -> None:
        super().__init__(seed, TOPICS, 1_000_000)
        self.handler, self.from_end = handler, False

    def member(self, name: str) -> Member:
        return Member(self, name)

    def wanted(self) -> Counter[bytes]:
        """What must be in the outputs, by the committed records of the source."""
        found: Counter[bytes] = Counter()
        for number in range(self.broker.topics["in"]):
            count = 0
            for entry in self.broker.logs[TP("in", number)].committed(0):
                if entry.record is not None and entry.record.value != NO_OUTPUT:
                    count += 1
                    found.update(b"%d:%d:%d:%d" % (number, count, entry.offset, half) for half in (0, 1))
        return found

    def written(self) -> Counter[bytes]:
        return Counter(record.value or b"" for record in self.committed("out"))

    async def produce(self) -> None:
        writing = InTransactions(self.broker, self.rng, lambda tp: None)
        more = True
        task = asyncio.create_task(writing.run(lambda: more))
        for number in range(RECORDS):
            value = self.rng.choice((NO_OUTPUT, b"%d" % number, b"%d" % number, STOP_HERE))
            tp = TP("in", self.rng.randrange(TOPICS["in"]))
            if self.rng.random() < 0.5:
                writing.write(tp, Record(None, value))
            else:
                self.broker.append(tp, Record(None, value))
            await asyncio.sleep(self.rng.choice((0.0, 0.3)))
        more = False
        await task

    async def go(self) -> None:
        self.start(*NAMES)
        await asyncio.gather(self.produce(), self.broker_restarts())
        await asyncio.sleep(20)
        await self.settle(lambda: self.written() == self.wanted(), 200)


@pytest.mark.parametrize("first", thorough(range(0, 80, 20), 1))
def test_outputs_are_written_once_wherever_a_member_dies(first: int) -> None:
    kills: Counter[str] = Counter()
    for seed in range(first, first + 20):
        world = World(seed)
        run(world.loop, world.go())
        assert world.written() == world.wanted()
        assert not world.loop.complaints
        kills += world.kills
        for number in range(TOPICS["in"]):  # the offsets of records without outputs are committed, too
            tp = TP("in", number)
            rest = world.broker.logs[tp].committed(world.broker.group.offsets.get(tp, 0))
            assert not rest
    points = {point.rstrip("?!") for point in kills}
    assert points >= {"commit.produce", "commit.end", "writer.start", "committed", "poll"}


class Waiting(Counting):
    """Cannot restore."""

    async def restore(self) -> None:
        raise TransientError("its source is not known")


class Calm(World):
    """Nothing dies by itself; one record after the other."""

    def __init__(self, handler: Callable[[MemoryCluster, TP], Counting] = Counting) -> None:
        super().__init__(1, handler)
        self.calm = True

    def write(self, partition: int, *values: bytes) -> None:
        self.broker.append(TP("in", partition), *(Record(None, value) for value in values))

    def kill(self, name: str) -> None:
        self.members[name].link.fall_silent()
        self.members[name].process.kill()

    def why(self, name: str = "one") -> str:
        return self.members[name].group.not_ready or ""

    def numbers(self, partition: int) -> list[int]:
        """The offsets whose outputs are written, of one partition."""
        return sorted({int(each.split(b":")[2]) for each in self.written() if each.startswith(b"%d:" % partition)})


def play(world: Calm, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(world.loop, story())
    assert not world.loop.complaints


def test_an_unforeseen_error_stops_its_partition_alone() -> None:
    world = Calm()

    async def story() -> None:
        world.start("one")
        world.write(0, b"a", POISON, b"b")
        world.write(1, b"a")
        await asyncio.sleep(10)
        assert "partition 0: stopped: unexpected RuntimeError" in world.why()
        world.write(1, b"b")
        await asyncio.sleep(5)

    play(world, story)
    assert world.numbers(1) == [0, 1]
    assert world.numbers(0) == []  # the slice of the error is not committed


def test_what_a_partition_waits_for_is_in_readyz() -> None:
    world = Calm(Waiting)

    async def story() -> None:
        world.start("one")
        await asyncio.sleep(10)
        assert "partition 0: opening: its source is not known" in world.why()

    play(world, story)


def test_a_damaged_log_stops_after_what_lies_before_it() -> None:
    world = Calm()

    async def story() -> None:
        world.write(0, *[b"a"] * 5)
        world.broker.damaged[TP("in", 0)] = (3, 3)
        world.start("one")
        await asyncio.sleep(20)
        assert "--topic in:0 --reset-offsets --to-offset 4 --execute" in world.why()
        assert world.numbers(0) == [0, 1, 2]
        assert world.broker.group.offsets[TP("in", 0)] == 3
        world.kill("one")
        world.broker.group.offsets[TP("in", 0)], world.broker.group.notes[TP("in", 0)] = 4, ""  # as the operator does
        world.start("two")
        await asyncio.sleep(30)
        assert not world.why("two")

    play(world, story)
    assert world.numbers(0) == [0, 1, 2, 4]


@pytest.mark.parametrize("running", [True, False])
def test_records_deleted_before_they_were_read_stop_the_partition(running: bool) -> None:
    world = Calm()

    async def story() -> None:
        world.start("one")
        world.write(0, b"a", b"b")
        await asyncio.sleep(10)
        if not running:
            world.kill("one")
        world.members["one"].link.cut = running
        world.write(0, *[b"c"] * 10)
        world.broker.logs[TP("in", 0)].trim(7)
        await asyncio.sleep(1)
        world.members["one"].link.cut = False
        name = "one" if running else "two"
        if not running:
            world.start(name)
        await asyncio.sleep(40)
        assert "the next record to read is 2, but all records before 7 were deleted" in world.why(name)

    play(world, story)


@pytest.mark.parametrize("running", [True, False])
def test_a_topic_that_is_created_again_is_read_from_its_first_record(running: bool) -> None:
    world = Calm()

    async def story() -> None:
        world.start("one")
        for number in range(3):
            world.write(number, *[b"old"] * 4)
        await asyncio.sleep(10)
        if not running:
            world.kill("one")
        world.broker.recreate("in")
        world.write(0, *[b"new"] * 2)
        if not running:
            world.start("two")
        await asyncio.sleep(60)

    play(world, story)
    assert {each for each in world.written() if int(each.split(b":")[1]) > 4} == {
        b"0:%d:%d:%d" % (5 + offset, offset, half) for offset in (0, 1) for half in (0, 1)
    }


def test_a_topic_that_is_missing_is_named_until_it_is_there_again() -> None:
    world = Calm()

    def opening() -> float | None:
        return world.members["one"].registry.get_sample_value("callwarden_bridge_partitions", {"phase": "opening"})

    async def story() -> None:
        world.start("one")
        await asyncio.sleep(10)
        assert not world.why()
        world.broker.delete("in")
        await asyncio.sleep(60)  # the group has assigned the partitions of no topic
        assert "there is no topic in. If there is one, Kafka's ACLs hide it" in world.why()
        assert opening() == 1
        world.broker.create("in", TOPICS["in"])
        world.write(0, b"new")
        await asyncio.sleep(60)
        assert not world.why()
        assert opening() == 0

    play(world, story)
    assert world.numbers(0) == [0]


def test_an_offset_of_the_former_topic_stops_the_partition() -> None:
    world = Calm()

    async def story() -> None:
        world.broker.group.offsets[TP("in", 0)], world.broker.group.notes[TP("in", 0)] = 0, "another-id 3"
        world.start("one")
        await asyncio.sleep(20)
        assert "deleted since and created again" in world.why()
        assert "--to-earliest" in world.why()

    play(world, story)


def test_a_group_that_begins_at_the_end_misses_nothing_from_then_on() -> None:
    world = Calm()
    world.from_end = True

    async def story() -> None:
        world.write(0, b"a", b"b")
        world.start("one")
        await asyncio.sleep(10)
        world.kill("one")  # before it has read a record
        world.write(0, b"c")
        world.broker.alter("in", 5)
        world.broker.alter("state", 5)
        world.write(4, b"d")  # before a member knows the partition
        world.start("two")
        await asyncio.sleep(60)

    play(world, story)
    assert (world.numbers(0), world.numbers(4)) == ([2], [0])


def test_an_idle_partition_may_have_a_record_appended() -> None:
    world = Calm(Idling)

    async def story() -> None:
        world.start("one")
        await asyncio.sleep(30)

    play(world, story)
    assert 3 <= len(world.broker.logs[TP("in", 0)].committed(0)) <= 6
    assert not world.written()


def test_a_member_that_is_cancelled_commits_what_it_has_read() -> None:
    world = Calm()

    async def story() -> None:
        world.start("one")
        await asyncio.sleep(10)
        world.write(0, NO_OUTPUT)
        await asyncio.sleep(1)
        world.members["one"].task.cancel()
        await asyncio.sleep(5)
        assert world.members["one"].task.done()
        assert world.broker.group.offsets[TP("in", 0)] == 1

    play(world, story)


def test_a_group_that_reads_another_topic_is_refused() -> None:
    world = Calm()

    async def story() -> None:
        link = Link(world.broker, Process(world.loop, "other"), world.rng)
        other = MemoryCluster(link).consumer(["state"])

        async def ignore(tps: frozenset[TP]) -> None:
            pass

        await other.start(Listener(ignore, ignore))
        world.start("one")
        await asyncio.sleep(30)
        with pytest.raises(PermanentError, match="expected a group of its own"):
            world.members["one"].task.result()

    play(world, story)
