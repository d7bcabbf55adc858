"""Requests with an idempotency key to instances that are killed, stopped and cut off: each is written exactly once."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from crash.faults import FaultyWorld
from crash.log import Record
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.memory_writer import MemoryWriter
from crash.virtual import Process, run
from helpers.thorough import thorough
from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.keys.key_index import KeyIndex
from streams.ingest.http.keys.key_log import Answered, decode_key_record, digest
from streams.ingest.http.keys.keyed_writer import KeyedRequest, KeyedWriter, KeyInFlight, OtherBody
from streams.kafka.api import TP, FetchedBatch, LogEnds, TransientError
from streams.kafka.outputs import OutputRecord

TOPICS = {"in": 2, "keys": 2}
REQUESTS = 25
INSTANCES = ("one", "two", "three")


class MemoryReader:
    """`streams.kafka.api.Reader`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._at: dict[TP, int] = {}
        self._ends: dict[TP, LogEnds] = {}

    async def start(self, positions: Mapping[TP, int]) -> None:
        await self._link.passes("reader.start")
        self._at = dict(positions)

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        broker = self._link.broker
        await self._link.passes("poll?")
        asked_s = broker.loop.time()
        if all(broker.logs[tp].last_stable == at for tp, at in self._at.items()):
            await broker.arrival(timeout_s)
        fetched = {}
        for tp, at in self._at.items():
            log = broker.logs[tp]
            ends = LogEnds(log.last_stable, log.end, asked_s)
            stop = ends.last_stable
            entries = log.committed(at, stop)
            if stop > at:
                rows = [each for each in entries if each.record is not None]
                fetched[tp] = FetchedBatch(
                    at,
                    stop,
                    np.array([each.offset for each in rows], np.int64),
                    np.array([each.timestamp_ms for each in rows], np.int64),
                    [each.record.key for each in rows if each.record],
                    [each.record.value for each in rows if each.record],
                )
            self._ends[tp] = ends
        await self._link.passes("poll!")
        self._at |= {tp: batch.stop for tp, batch in fetched.items()}
        return fetched

    def ends(self) -> dict[TP, LogEnds]:
        return dict(self._ends)

    async def why_silent(self) -> TransientError:
        return self._link.refusal()

    async def stop(self) -> None:
        await asyncio.sleep(0)


class InstanceCluster(MemoryCluster):
    """The cluster as an instance of the ingest service sees it."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._ingest_link = link

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> MemoryWriter:
        return super().writer(transactional_id)

    def reader(self) -> MemoryReader:
        return MemoryReader(self._ingest_link)

    async def append(self, records: Sequence[OutputRecord]) -> dict[TP, int]:
        def append() -> dict[TP, int]:
            return {
                TP(each.topic, each.partition): self._ingest_link.broker.append(
                    TP(each.topic, each.partition), Record(each.key, each.value, each.headers)
                )
                for each in records
            }

        return await self._ingest_link.call("append", append)


class Instance:
    """One process of the ingest service."""

    def __init__(self, service: "IngestWorld", name: str) -> None:
        self.process = Process(service.loop, name)
        self.link = Link(service.broker, self.process, service.rng)
        self.link.passing = service.passing
        self.cluster = InstanceCluster(self.link)
        self.index = KeyIndex(self.cluster, "keys", service.loop.time)
        self.writer = KeyedWriter(
            self.cluster, self.index, f"app-{name}", self.cluster.append, self._read, 1_000_000, service.loop.time
        )
        self.process.run(self._run)

    async def _run(self) -> None:
        await asyncio.gather(self.index.run(), self.writer.run())

    async def _read(self, key: str, partition: int, offset: int) -> IngestAnswer:
        tp = TP("keys", partition)
        async for batch in self.cluster.read(tp, offset, offset + 1):
            record = decode_key_record(batch.values[0] or b"")
            assert isinstance(record, Answered)
            return record.answer
        raise AssertionError(key)


class IngestWorld(FaultyWorld):
    """A broker, some ingest instances, and clients that retry until they receive an answer."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, TOPICS, 1_000_000, transaction_timeout_s=15.0)
        self.instances = {name: Instance(self, name) for name in INSTANCES}
        self.answers: dict[int, list[IngestAnswer]] = {}

    def passing(self, process: Process, point: str) -> None:
        """Kill or stop the process at random points."""
        luck = self.rng.random()
        if self.calm or not process.alive or luck > 0.006:
            return
        name = process.name
        if luck < 0.004:
            self.kills[point] += 1
            process.kill()
            self.loop.outside(self.rng.choice((0.1, 1.0, 5.0, 30.0)), lambda: self._start(name))
        else:
            process.stop()
            self.loop.outside(self.rng.choice((0.5, 5.0, 25.0)), process.resume)

    def _start(self, name: str) -> None:
        self.instances[name] = Instance(self, name)

    def request(self, number: int) -> KeyedRequest:
        rng = random.Random(number)
        records = [
            OutputRecord("in", rng.randrange(2), b"t", b"%d:%d" % (number, each)) for each in range(rng.randint(1, 3))
        ]
        rejected = rng.randint(0, 1)
        answer = IngestAnswer(len(records) + rejected, len(records), rejected)
        return KeyedRequest(digest(b"key", b"%d" % number), digest(b"%d" % number), records, answer)

    async def client(self, number: int) -> None:
        """Send a request to random instances until one answers; then send it once more."""
        await asyncio.sleep(self.rng.uniform(0, 20))
        while len(self.answers.setdefault(number, [])) < 2:
            instance = self.instances[self.rng.choice(INSTANCES)]
            sending = [self._sent(instance, number)]
            if self.rng.random() < 0.2:  # an impatient client also sends it to another instance
                sending.append(self._sent(self.instances[self.rng.choice(INSTANCES)], number))
            await asyncio.gather(*sending)
            await asyncio.sleep(self.rng.uniform(0, 2))

    async def _sent(self, instance: Instance, number: int) -> None:
        done: asyncio.Future[IngestAnswer] = self.loop.create_future()

        async def send() -> None:
            try:
                async with asyncio.timeout(self.rng.choice((1.0, 15.0))):
                    answer, _ = await instance.writer.write(self.request(number))
            except (TransientError, KeyInFlight, TimeoutError):
                return
            if not done.done():
                done.set_result(answer)

        instance.process.run(send)
        await asyncio.wait([done], timeout=16)
        if done.done():
            self.answers[number].append(done.result())

    async def go(self) -> None:
        clients = [asyncio.create_task(self.client(number)) for number in range(REQUESTS)]
        restarts = asyncio.create_task(self.broker_restarts())
        await asyncio.wait([*clients, restarts], timeout=120)
        self.calm = True
        await asyncio.wait_for(asyncio.gather(restarts, *clients), 600)
        await asyncio.sleep(60)

    def written(self) -> Counter[bytes]:
        return Counter(record.value or b"" for record in self.committed("in"))


def played(seed: int) -> IngestWorld:
    service = IngestWorld(seed)
    run(service.loop, service.go())
    return service


@pytest.mark.parametrize("first", thorough(range(0, 60, 10), 1))
def test_a_request_is_written_once_wherever_an_instance_dies(first: int) -> None:
    kills: Counter[str] = Counter()
    for seed in range(first, first + 10):
        service = played(seed)
        wanted = {record.value or b"": 1 for number in range(REQUESTS) for record in service.request(number).records}
        assert service.written() == wanted
        for number, answers in service.answers.items():
            assert set(answers) == {service.request(number).answer}
        kills += service.kills
    assert {point.rstrip("?!") for point in kills} >= {"append", "poll", "commit.produce", "commit.end"}


class Staged(IngestWorld):
    """A staged run without randomness: a process stops at the steps in ``stops``; those in ``deaf`` read no new
    records.
    """

    def __init__(self) -> None:
        self.stops: dict[tuple[str, str], float] = {}
        self.deaf: set[str] = set()
        super().__init__(1)
        for instance in self.instances.values():
            instance.link.slow_share = 0.0

    def passing(self, process: Process, point: str) -> None:
        if point == "poll!" and process.name in self.deaf:
            raise TransientError("no answer")
        if (until_s := self.stops.pop((process.name, point), None)) is not None:
            process.stop()
            self.loop.outside(until_s - self.loop.time(), process.resume)

    def send(self, name: str, request: KeyedRequest, heard: list[IngestAnswer | str]) -> None:
        """Send the request to that instance until it answers."""

        async def send() -> None:
            while True:
                try:
                    heard.append((await self.instances[name].writer.write(request))[0])
                except (TransientError, KeyInFlight):
                    await asyncio.sleep(0.5)
                except OtherBody:
                    heard.append("another body")
                    return
                else:
                    return

        self.instances[name].process.run(send)

    def written_once(self, number: int) -> bool:
        return self.written() == {record.value or b"": 1 for record in self.request(number).records}


@pytest.mark.parametrize("deaf", [False, True])
def test_an_instance_that_slept_before_its_transaction_does_not_write_what_another_has_taken_over(deaf: bool) -> None:
    service, heard = Staged(), []

    async def go() -> None:
        await asyncio.sleep(1)
        service.stops["one", "commit.begin?"] = 40.0
        service.send("one", service.request(1), heard)
        await asyncio.sleep(1)
        assert service.instances["one"].process.stopped
        service.send("two", service.request(1), heard)
        await asyncio.sleep(30)
        assert heard == [service.request(1).answer]
        if deaf:  # it can fetch a new epoch, and does not see the other claim
            service.deaf.add("one")
        await asyncio.sleep(30)
        service.deaf.clear()
        await asyncio.sleep(60)

    run(service.loop, go())
    assert heard == [service.request(1).answer] * 2
    assert service.written_once(1)


@pytest.mark.parametrize("hidden", ["by an open transaction", "by a slow reader"])
def test_an_instance_that_takes_over_sees_what_was_committed_just_before_the_fence(hidden: str) -> None:
    service, heard = Staged(), []

    async def go() -> None:
        broker = service.broker
        await asyncio.sleep(1)
        service.stops["one", "commit.begin?"] = 30.0
        service.send("one", service.request(1), heard)
        await asyncio.sleep(1)
        service.stops["two", "writer.start?"] = 50.0  # to fence the first instance
        service.send("two", service.request(1), heard)
        await asyncio.sleep(27)
        assert service.instances["two"].process.stopped
        partition = int(TP("keys", 1) in {tp for tp in broker.logs if broker.logs[tp].end and tp.topic == "keys"})
        other = broker.begin("other", broker.fence("other"), 600)
        if hidden == "by an open transaction":
            broker.produce("other", other, TP("keys", partition), [Record(None, b"{}")])
        else:
            service.deaf.add("two")
        await asyncio.sleep(41)
        broker.commit("other", other)
        service.deaf.clear()
        await asyncio.sleep(60)

    run(service.loop, go())
    assert heard == [service.request(1).answer] * 2
    assert service.written_once(1)


def test_a_key_with_another_body_is_refused_by_every_instance() -> None:
    service, heard = Staged(), []

    async def go() -> None:
        request = service.request(1)
        await asyncio.sleep(1)
        service.send("one", request, heard)
        await asyncio.sleep(5)
        for name in INSTANCES:
            service.send(name, KeyedRequest(request.key, digest(b"x"), (), request.answer), heard)
        await asyncio.sleep(5)

    run(service.loop, go())
    assert heard == [service.request(1).answer, *["another body"] * 3]


def test_an_answer_with_rejections_is_read_again_where_it_is_stored() -> None:
    service, heard = Staged(), []
    request = next(each for each in map(service.request, range(99)) if each.answer.rejected)

    async def go() -> None:
        await asyncio.sleep(1)
        for name in INSTANCES:
            service.send(name, request, heard)
            await asyncio.sleep(5)

    run(service.loop, go())
    assert heard == [request.answer] * 3
