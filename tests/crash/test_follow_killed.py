"""Files that rotate are followed by processes that are killed, stopped and cut off: each row is written once."""

import asyncio
import os
from collections import Counter
from itertools import count
from pathlib import Path

import msgspec
import pytest

from crash.faults import FaultyWorld
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.memory_writer import MemoryWriter
from crash.virtual import Process, run
from helpers.thorough import thorough
from monitor.adapters.shipped import open_adapter
from monitor.partition.partitioner import partition_of
from streams.ingest.follow.files import file_set
from streams.ingest.follow.files.file_source import FileSource
from streams.ingest.follow.files.row_format import RowFormat
from streams.ingest.follow.follow_source import SourceBatch
from streams.ingest.follow.follower import SourceFollower
from streams.ingest.follow.position_log import PositionLog
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames

TOPICS = {
    **dict.fromkeys((*TopicNames().inputs, "callwarden.state", "callwarden.dead-letter", "callwarden.follow"), 2),
}
MAPPING = """\
mapping: calls
record: cdr
format: {form}
fields:
  call_id: {{column: id}}
  tenant_id: {{column: tenant}}
  direction: {{const: outbound}}
  caller: {{const: anonymous}}
  callee: {{column: callee}}
  start_ms: {{column: at, time: epoch_ms}}
  end_ms: {{column: at, time: epoch_ms}}
  outcome: {{const: no_answer}}
"""


def mapping(folder: Path, form: str = "csv") -> Path:
    path = folder / f"{form}.yaml"
    path.write_text(MAPPING.format(form=form))
    return path


class FollowerCluster(MemoryCluster):
    """The cluster as a follower sees it."""

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> MemoryWriter:
        return super().writer(transactional_id)


class World(FaultyWorld):
    """A broker, a switch that writes and rotates its file, and a follower that dies and is started again."""

    def __init__(self, seed: int, folder: Path, deadly: bool = True, before: int = 0) -> None:
        """``before``: the rows that are there at the first start, at whose end the follower begins."""
        super().__init__(seed, TOPICS, 1_772_438_400_000, transaction_timeout_s=15.0)
        self.folder, self.path = folder, folder / "Master.csv"
        self.mapping = mapping(folder)
        self.calm = not deadly
        self.rows: list[str] = []
        self.number, self.from_ends = count(), before > 0
        if before:
            self.write(before)
        self.batches: list[SourceBatch] = []
        self.ended: list[BaseException] = []
        self.sources: list[FileSource] = []
        self.process = self.start()

    def start(self, name: str = "follower") -> Process:
        for old in self.sources:
            old.close()  # as the kernel does
        process = Process(self.loop, name)
        link = Link(self.broker, process, self.rng)
        link.passing = self.passing
        cluster = FollowerCluster(link)
        adapter = open_adapter(str(self.mapping))
        placement = TopicPlacement(TopicNames(), "murmur2")
        rows = RowWriter(adapter, placement, "pbx")
        source = FileSource([str(self.path)], RowFormat(adapter, "calls"), rows, self.loop.time, self.from_ends)
        self.sources.append(source)
        log = PositionLog(cluster, "callwarden.follow", "pbx")
        follower = SourceFollower(cluster, placement, log, source, "app-follow-pbx", self.batches.append)

        async def follow() -> None:
            try:
                await follower.run()
            except PermanentError as error:
                self.ended.append(error)

        process.run(follow)
        return process

    def passing(self, process: Process, point: str) -> None:
        luck = self.rng.random()
        if self.calm or not process.alive or luck > 0.02:
            return
        if luck < 0.014:
            self.kills[point] += 1
            process.kill()
            self.loop.outside(self.rng.choice((0.1, 1.0, 20.0)), self.restart)
        else:
            process.stop()
            self.loop.outside(self.rng.choice((0.5, 5.0, 25.0)), process.resume)

    def restart(self) -> None:
        self.process = self.start()

    def write(self, many: int) -> None:
        """Write rows; the last one may be written in two steps."""
        with self.path.open("ab") as out:
            if not out.tell():
                out.write(b"id,at,tenant,callee\n")
            for _ in range(many):
                row = f"c-{next(self.number)}"
                self.rows.append(row)
                out.write(f"{row},{1_772_438_400_000 + len(self.rows)},acme,+8613800000000\n".encode())

    def rotate(self) -> None:
        """As logrotate does: the names move on."""
        for old in sorted(self.folder.glob("Master.csv.*"), key=lambda p: -int(p.suffix[1:])):
            old.rename(old.with_suffix(f".{int(old.suffix[1:]) + 1}"))
        if self.path.exists():
            self.path.rename(self.folder / "Master.csv.1")

    def copy_and_truncate(self) -> None:
        """As logrotate does with `copytruncate`."""
        for old in sorted(self.folder.glob("Master.csv.*"), key=lambda p: -int(p.suffix[1:])):
            old.rename(old.with_suffix(f".{int(old.suffix[1:]) + 1}"))
        if self.path.exists():
            (self.folder / "Master.csv.1").write_bytes(self.path.read_bytes())
            os.truncate(self.path, 0)

    async def traffic(self) -> None:
        while not self.batches:  # what was rotated before the first position is not read
            await asyncio.sleep(0.5)
            self.write(1)
        for _ in range(60):
            await asyncio.sleep(self.rng.uniform(0.0, 1.5))
            luck = self.rng.random()
            if luck < 0.12:
                self.rotate()
            elif luck < 0.2:
                self.copy_and_truncate()
            self.write(self.rng.choice((1, 3, 40)))
        await self.settle(lambda: bool(self.rows) and self.rows[-1] in self.written(), 120)

    async def go(self) -> None:
        await asyncio.gather(self.traffic(), self.broker_restarts())

    def written(self) -> Counter[str]:
        return Counter(
            msgspec.json.decode(record.value or b"")["call_id"] for record in self.committed("callwarden.cdr")
        )

    def letters(self) -> list[bytes]:
        return [record.value or b"" for record in self.committed("callwarden.dead-letter")]

    def play(self) -> "World":
        try:
            run(self.loop, self.go())
        finally:
            for source in self.sources:
                source.close()
        return self


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing rotates while the folder is looked at: there is one thread."""
    monkeypatch.setattr(file_set, "_SETTLED_NS", 0)


@pytest.mark.parametrize("first", thorough(range(0, 60, 10), 1))
def test_each_row_of_files_that_rotate_is_written_once_wherever_the_follower_dies(first: int, tmp_path: Path) -> None:
    kills: Counter[str] = Counter()
    for seed in range(first, first + 10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        world = World(seed, folder).play()
        assert world.written() == dict.fromkeys(world.rows, 1), seed
        assert not world.letters()
        assert not any(batch.losses for batch in world.batches)
        assert not world.ended
        kills += world.kills
    assert {point.rstrip("?!") for point in kills} >= {"commit.produce", "commit.end"}


def test_the_end_at_which_a_follower_begins_is_written_once_wherever_it_dies(tmp_path: Path) -> None:
    for seed in range(10, 20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        world = World(seed, folder, before=50).play()
        written = world.written()
        begun = len(world.rows) - len(written)
        assert begun >= 50, seed
        assert written == dict.fromkeys(world.rows[begun:], 1), seed
        assert written, seed
        assert not world.letters()
        assert not world.ended


def test_the_second_follower_of_a_name_ends_the_first(tmp_path: Path) -> None:
    world = World(1, tmp_path, deadly=False)

    async def go() -> None:
        world.write(5)
        await asyncio.sleep(5)
        first, world.sources = world.sources, []
        world.start("second")
        for _ in range(10):
            world.write(5)
            await asyncio.sleep(1)
        world.sources += first

    world.go = go  # type: ignore[method-assign]
    world.play()
    assert len(world.ended) == 1
    assert "another process on" in str(world.ended[0])
    assert world.written() == dict.fromkeys(world.rows, 1)


@pytest.mark.parametrize("away_s", [0, 60], ids=["at once", "later"])
def test_positions_that_are_deleted_with_their_topic_are_written_again(away_s: int, tmp_path: Path) -> None:
    world = World(1, tmp_path, deadly=False)

    async def go() -> None:
        while not world.batches:
            world.write(1)
            await asyncio.sleep(1)
        world.write(5)
        await asyncio.sleep(5)
        partitions = world.broker.topics["callwarden.follow"]
        world.broker.delete("callwarden.follow")
        if away_s:
            world.write(5)
            await asyncio.sleep(away_s)
        world.broker.create("callwarden.follow", partitions)
        await asyncio.sleep(60)
        world.process.kill()
        world.start("second")
        world.write(5)
        await asyncio.sleep(10)

    world.go = go  # type: ignore[method-assign]
    world.play()
    assert not world.ended
    assert world.written() == dict.fromkeys(world.rows, 1)


def test_positions_are_found_where_they_are_after_their_topic_was_given_more_partitions(tmp_path: Path) -> None:
    world = World(1, tmp_path, deadly=False)
    homes = {many: partition_of(b"pbx", many, "murmur2") for many in range(2, 9)}
    more = next(many for many, home in homes.items() if home != homes[2])

    async def go() -> None:
        while not world.batches:
            world.write(1)
            await asyncio.sleep(1)
        for name in ("second", "third"):
            world.write(5)
            await asyncio.sleep(60)
            world.process.kill()
            if name == "second":
                world.broker.alter("callwarden.follow", more)
            world.process = world.start(name)
            await asyncio.sleep(30)

    world.go = go  # type: ignore[method-assign]
    world.play()
    assert world.written() == dict.fromkeys(world.rows, 1)
