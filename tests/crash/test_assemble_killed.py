"""`callwarden assemble` killed, stopped and cut off: the calls are those of the log of events, each written once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from crash.faults import GroupWorld
from crash.log import Record
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.virtual import Process, run
from helpers.call_log import Given, RawRecord, given_by, tccc_record, telnyx_event
from helpers.thorough import thorough
from monitor.adapters.assembly.assembler import AssemblyLimits
from streams.ingest.assemble import raw_partition
from streams.ingest.assemble.feeds import Feeds
from streams.ingest.assemble.raw_partition import AssemblyHost, RawPartition
from streams.ingest.foreign_rows import EventAdapter
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.ingest.partitions.partition_group import PartitionGroup
from streams.ingest.partitions.start_position import GroupOptions
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

NAMES = TopicNames()
RAW, STATE, CDR, LATE, LETTERS = (f"callwarden.{name}" for name in ("raw", "raw-state", "cdr", "late", "dead-letter"))
TOPICS = {**dict.fromkeys(NAMES.all, 2), RAW: 3, STATE: 3}
START = 1_772_415_000_000
CALLS = 40
LIMITS = AssemblyLimits(open_calls=6, open_calls_per_tenant=3)
SOURCES = """
sources:
- {name: telnyx, set: {ring_timeout: 8s}}
- {name: second, format: telnyx, set: {ring_timeout: 3s, tenant_id: acme}}
- {name: held, format: tccc, set: {settle: 6s}}
"""


class Instance:
    """One process."""

    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(world.loop, name)
        self.link = Link(world.broker, self.process, world.rng)
        self.link.passing = world.passing
        cluster = MemoryCluster(self.link)
        feeds = Feeds(ForeignSources(world.sources, signed=False), world.limits)
        self.counts: Counter[tuple[str, str]] = Counter()
        host = AssemblyHost(cluster, feeds, world.placement, STATE, LATE, 2.0, self.counts.update, world.loop.time)
        options = GroupOptions(RAW, "app-assemble", "app-assemble", "callwarden assemble", state=STATE)
        self.group = PartitionGroup(
            cluster, options, lambda tp: RawPartition(tp, host), PartitionMetrics("assemble", CollectorRegistry())
        )
        self.task = self.process.run(self.group.run)


class World(GroupWorld[Instance]):
    """A broker, two instances, and calls whose events are written to the topic as they happen, or a little later."""

    def __init__(self, seed: int, folder: Path, limits: AssemblyLimits = LIMITS) -> None:
        super().__init__(seed, TOPICS, START)
        self.limits = limits
        self.sources = folder / "sources.yaml"
        self.sources.write_text(SOURCES, "utf-8")
        feeds = Feeds(ForeignSources(self.sources, signed=False), limits)
        self.adapters: dict[str, EventAdapter] = {name: feeds.adapter(name) for name in ("telnyx", "second", "held")}
        self.placement = TopicPlacement(NAMES, "murmur2")
        asyncio.run(self.placement.refresh(self))  # type: ignore[arg-type]

    async def partitions(self, topics: list[str]) -> dict[str, int]:
        return {topic: TOPICS[topic] for topic in topics}

    def member(self, name: str) -> Instance:
        return Instance(self, name)

    def write(self, feed: str, value: bytes) -> None:
        """An event, as the ingest service writes it."""
        (row,) = self.adapters[feed].events(value)
        assert row.event is not None
        out = self.placement.event(feed, row.event, row.value)
        self.broker.append(TP(out.topic, out.partition), Record(out.key, out.value))

    async def call(self, number: int) -> None:
        """The events of a call, each delayed a little; some are repeated, and some never come."""
        rng = self.rng
        feed, tenant = rng.choice(("telnyx", "telnyx", "second", "held")), f"t{rng.randrange(3)}"
        await asyncio.sleep(rng.uniform(0, 40))
        if feed == "held":
            end_ms = self.broker.clock.now_ms()
            for recording in rng.sample(["", "r-1", "r-1"], rng.randint(1, 3)):
                self.write(feed, tccc_record(end_ms, f"c-{number}", tenant, recording))
                await asyncio.sleep(rng.choice((0.1, 3.0, 20.0)))
            return
        moments = {"initiated": 0.0, "answered": rng.uniform(0, 3), "hangup": rng.uniform(3, 12)}
        if rng.random() < 0.3:
            del moments["answered"]
        if rng.random() < 0.2:
            del moments[rng.choice(list(moments))]
        if rng.random() < 0.1:
            moments["machine.detection.ended"] = 3_600.0  # dated an hour ahead
        began_ms = self.broker.clock.now_ms()

        async def write(kind: str, after_s: float) -> None:
            await asyncio.sleep((after_s if after_s < 100 else 1) + rng.choice((0.0, 0.0, 0.2, 9.0)))
            for _ in range(rng.choice((1, 1, 1, 2))):
                self.write(feed, telnyx_event(kind, began_ms + int(after_s * 1000), f"c-{number}", tenant))

        await asyncio.gather(*(write(*each) for each in moments.items()))

    async def go(self) -> None:
        self.start("one", "two")
        await asyncio.gather(self.broker_restarts(30), *map(self.call, range(CALLS)))
        await asyncio.sleep(20)
        self.calm = True
        await asyncio.sleep(200)

    # The results ------------------------------------------------------------------------------------------

    def given(self, number: int) -> Given:
        """What the log of a partition gives by brute force."""
        return given_by(self.log(number), self.adapters, self.limits)

    def log(self, number: int) -> list[RawRecord]:
        return [
            RawRecord(entry.offset, entry.timestamp_ms, entry.record.key, entry.record.value)
            for entry in self.broker.logs[TP(RAW, number)].committed(0)
            if entry.record is not None
        ]

    def must_be_the_log(self) -> None:
        """The records and the letters are those of the log, each once, in the order of their partition."""
        given = [self.given(number) for number in range(TOPICS[RAW])]
        records = [each.value or b"" for each in self.committed(CDR)]
        assert Counter(records) == Counter(each for one in given for each in one.records)
        for one in given:
            for number in range(TOPICS[CDR]):
                here = [
                    entry.record.value or b""
                    for entry in self.broker.logs[TP(CDR, number)].committed(0)
                    if entry.record
                ]
                assert [each for each in one.records if each in set(here)] == [
                    each for each in here if each in set(one.records)
                ]
        letters = Counter(
            (each.value or b"", dict(each.headers)["reason"].decode()) for each in self.committed(LETTERS)
        )
        assert letters == Counter(each for one in given for each in one.letters)
        late = Counter(each.value or b"" for each in self.committed(LATE))
        assert late == Counter(each for one in given for each in one.late)


@pytest.mark.parametrize("first", thorough(range(0, 24, 4), 1))
def test_each_call_is_written_once_wherever_an_instance_dies(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_partition, "_MOST_BYTES", 1_500)  # a few records a transaction
    kills: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    late = 0
    for seed in range(first, first + 4):
        world = World(seed, tmp_path)
        run(world.loop, world.go())
        assert not world.loop.complaints
        world.must_be_the_log()
        kills += world.kills
        codes.update(dict(each.headers)["reason"].decode().partition(":")[0] for each in world.committed(LETTERS))
        assert len(world.committed(CDR)) > CALLS / 3
        late += len(world.committed(LATE))
    assert {point.rstrip("?!") for point in kills} >= {"commit.produce", "commit.end", "writer.start", "poll"}
    assert late
    assert codes.keys() >= {"future_event", "incomplete", "late_event", "too_many_open_calls"}


@pytest.mark.parametrize("running", [True, False])
def test_open_calls_that_are_deleted_with_their_topic_stop_the_partition_until_they_are_read_again(
    running: bool, tmp_path: Path
) -> None:
    world = World(0, tmp_path)
    world.calm = True

    def why(name: str) -> str:
        return world.members[name].group.not_ready or ""

    def kill(name: str) -> None:
        world.members[name].link.fall_silent()
        world.members[name].process.kill()

    async def story() -> None:
        world.start("one")
        began_ms = world.broker.clock.now_ms()
        world.write("telnyx", telnyx_event("initiated", began_ms, "c-1", "acme"))
        await asyncio.sleep(5)
        (raw,) = [TP(RAW, number) for number in range(TOPICS[RAW]) if world.log(number)]
        assert not why("one")
        if not running:
            kill("one")
        world.broker.recreate(STATE)
        name = "one" if running else "two"
        if not running:
            world.start(name)
        await asyncio.sleep(60)
        assert f"{STATE}, which has what was open at offset " in why(name)
        assert "was deleted since and created again" in why(name)
        assert f"--topic {RAW}:{raw.partition} --reset-offsets --to-datetime" in why(name)
        kill(name)
        world.write("telnyx", telnyx_event("hangup", began_ms + 90_000, "c-1", "acme"))
        world.broker.group.offsets[raw], world.broker.group.notes[raw] = 0, ""  # as the operator does
        world.start("three")
        await asyncio.sleep(60)
        assert not why("three")

    run(world.loop, story())
    assert not world.loop.complaints
    assert len(world.committed(CDR)) == 1
    world.must_be_the_log()


def test_a_missing_topic_of_open_calls_is_named_until_it_is_there_again(tmp_path: Path) -> None:
    world = World(0, tmp_path)
    world.calm = True

    async def story() -> None:
        world.start("one")
        await asyncio.sleep(5)
        world.broker.delete(STATE)
        await asyncio.sleep(60)
        assert f"there is no topic {STATE}" in (world.members["one"].group.not_ready or "")
        world.broker.create(STATE, TOPICS[STATE])
        await asyncio.sleep(60)
        assert not world.members["one"].group.not_ready

    run(world.loop, story())
    assert not world.loop.complaints
