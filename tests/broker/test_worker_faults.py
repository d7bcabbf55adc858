"""Workers on a real broker, added, removed, killed, paused, the broker killed under them: exact all the same."""

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from worker_judge import assert_exact
from worker_processes import AWAY, PARTITIONS, Fleet, Worker, fleet_of, wait_for
from worker_traffic import POISON, Day, Sender, make_topics, policy_file, sender_to

from monitor.partition import Live
from monitor.policy.load import load
from streams.devkafka import DevKafka
from streams.names import Names

LIVE = Live(idle_after_ms=3_000, outage_grace_ms=26 * 3_600_000)
_SESSION_S = 6
_STOP_S = 20
_MOST_WORKERS = 3
# The state is compacted while the test runs.
_COMPACTING = {
    "log.roll.ms": "5000",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.backoff.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
}


@dataclass(frozen=True)
class Platform:
    """A node of one's own with the topics, and what workers are told."""

    node: DevKafka
    names: Names
    policy: Path
    environment: dict[str, str]


@pytest.fixture
async def platform(jars: Path, tmp_path: Path) -> AsyncIterator[Platform]:
    """The topics on a node that may be killed."""
    with DevKafka(tmp_path / "node", jars, properties=_COMPACTING) as node:
        names = Names("in.", "out.")
        policy = policy_file(tmp_path)
        environment = {
            "CALLWARDEN_BOOTSTRAP_SERVERS": node.address,
            "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
            "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
            "CALLWARDEN_APPLICATION_ID": f"app-{uuid.uuid4().hex[:8]}",
            "CALLWARDEN_SESSION_TIMEOUT": f"{_SESSION_S}s",
            "CALLWARDEN_HEARTBEAT": "2s",
            "CALLWARDEN_POLICY": str(policy),
            "CALLWARDEN_IDLE_AFTER": f"{LIVE.idle_after_ms // 1000}s",
            "CALLWARDEN_OUTAGE_GRACE": f"{LIVE.outage_grace_ms // 1000}s",
        }
        await asyncio.to_thread(make_topics, environment)
        yield Platform(node, names, policy, environment)


async def drain(fleet: Fleet, sender: Sender, day: Day) -> None:
    """Calls of the present until the clocks have passed the day; then wait until nothing is left to be read."""
    for number in range(8):
        await sender.send(day.calls_now(number))
        await asyncio.sleep(1)
    await asyncio.to_thread(fleet.settle)

    def done() -> bool:
        return all(worker.lag() == 0 for worker in fleet.running)

    await asyncio.to_thread(wait_for, done, "all records read", 120)
    # Silent sources move on once more, and what that decides is committed.
    await asyncio.sleep(2 * LIVE.idle_after_ms / 1000 + 2)
    assert done()


@pytest.mark.services
async def test_one_worker_decides_what_the_replay_decides(platform: Platform, tmp_path: Path) -> None:
    day = Day(seed=7, pieces=4, tenants=60, calls=20_000, partitions=PARTITIONS)
    with fleet_of(tmp_path, platform.environment) as fleet:
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for piece in day.pieces:
                await sender.send(piece)
            await drain(fleet, sender, day)
        assert [await asyncio.to_thread(worker.terminate, _STOP_S) for worker in fleet.all] == [0]
        assert fleet.all[0].said_else() == []
    counts = await assert_exact(platform.node.address, platform.names, load(str(platform.policy)), LIVE, PARTITIONS)
    print(dict(counts))
    assert counts["out.enforcement"] > 20


# Faults --------------------------------------------------------------------------------------------------------------


def schedule(chooser: random.Random, faults: int, broker_kills: int) -> list[str]:
    """What is done to the workers, one after the other: their number goes from 1 to 3 and back, again and again."""
    kinds, workers, growing = [], 1, True
    when = set(chooser.sample(range(2, faults), broker_kills))
    while len(kinds) < faults or workers != 1:
        if workers and when and len(kinds) >= min(when):
            when.remove(min(when))
            kinds.append("broker")
        elif workers == 0 or (growing and chooser.random() < 0.6):
            kinds.append("add")
            workers += 1
            growing = workers < _MOST_WORKERS
        elif growing or (len(kinds) < faults and chooser.random() < 0.3):
            kinds.append("pause")
        else:
            kinds.append(chooser.choice(["kill", "terminate"]))
            workers -= 1
            growing = workers <= chooser.randint(0, 1)
    return kinds


class Faults:
    """Does to the workers what the schedule says, and sees to it that it took place."""

    def __init__(self, platform: Platform, fleet: Fleet, chooser: random.Random) -> None:
        self._node, self._fleet, self._chooser = platform.node, fleet, chooser

    def do(self, kind: str) -> str:
        """One fault; what it did, in a line. AssertionError when it did not take place."""
        did = str(getattr(self, kind)())
        # Not always to the end: the next one comes into the midst of the rebalance.
        if self._fleet.running and self._chooser.random() < 0.7:
            self._fleet.settle()
        return did

    def add(self) -> str:
        """One more comes, and gets its share."""
        worker = self._fleet.add()
        wait_for(worker.opened, f"{worker.name} opens a partition")
        return f"{worker.name} came and opened {sorted(set(worker.opened()))}"

    def kill(self) -> str:
        """kill -9."""
        worker, owned = self._victim()
        assert worker.kill() == -9
        self._taken_over(worker, owned)
        return f"{worker.name} was killed, and had {sorted(owned)}"

    def terminate(self) -> str:
        """TERM: it leaves in order."""
        worker, owned = self._victim()
        assert worker.terminate(_STOP_S) == 0, worker.said()[-3:]
        self._taken_over(worker, owned)
        return f"{worker.name} was stopped, and had {sorted(owned)}"

    def pause(self) -> str:
        """STOP past the session timeout, then CONT: a zombie wakes."""
        worker, owned = self._victim()
        before = len(worker.opened())
        worker.pause()
        wait_for(lambda: worker.state == "T", f"{worker.name} stands still")
        time.sleep(_SESSION_S + self._chooser.uniform(2, 4))
        self._taken_over(worker, owned)
        worker.go_on()
        wait_for(lambda: len(worker.opened()) > before, f"{worker.name} joins again")
        return f"{worker.name} stood still, and had {sorted(owned)}"

    def broker(self) -> str:
        """The broker's power is cut."""
        heard = {worker: worker.times_said(AWAY) for worker in self._fleet.running}
        self._node.kill()
        assert not self._node.running
        wait_for(lambda: all(w.times_said(AWAY) > n for w, n in heard.items()), "all miss the broker")
        time.sleep(self._chooser.uniform(0, 5))
        self._node.start()
        self._fleet.settle(150)
        wait_for(lambda: all(w.get("/readyz")[0] == 200 for w in heard), "all are ready again")
        return f"the broker was away for {len(heard)} workers"

    def _victim(self) -> tuple[Worker, set[int]]:
        """Any worker, with the partitions that it runs: some, or to hurt it would be no fault."""
        worker = self._chooser.choice(self._fleet.running)
        wait_for(worker.owned, f"{worker.name} runs a partition")
        return worker, worker.owned()

    def _taken_over(self, worker: Worker, owned: set[int]) -> None:
        """Wait until the others, if there are any, run what it had."""
        others = [other for other in self._fleet.running if other is not worker]
        if others:
            what = f"others run what {worker.name} had: {owned}"
            wait_for(lambda: owned <= set().union(*(other.owned() for other in others)), what)


async def hurt(platform: Platform, tmp_path: Path, *, faults: int, broker_kills: int, calls: int) -> None:
    """The whole test: a day's records in pieces, a fault with each, and at the end the judge."""
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED") or random.randrange(10**6))
    print(f"CALLWARDEN_TEST_SEED={seed}")
    chooser = random.Random(seed)
    kinds = schedule(chooser, faults, broker_kills)
    day = Day(seed, pieces=len(kinds), tenants=120, calls=calls, partitions=PARTITIONS)
    began = time.monotonic()
    with fleet_of(tmp_path, platform.environment) as fleet:
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        hurting = Faults(platform, fleet, chooser)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for number, (kind, piece) in enumerate(zip(kinds, day.pieces, strict=True), 1):
                did, _ = await asyncio.gather(asyncio.to_thread(hurting.do, kind), sender.send(piece))
                print(f"{time.monotonic() - began:6.1f} s, {number:3} {kind}: {did}")
            await asyncio.to_thread(fleet.settle)
            await drain(fleet, sender, day)
        assert [await asyncio.to_thread(worker.terminate, _STOP_S) for worker in fleet.running] == [0]
        assert [(worker.name, line) for worker in fleet.all for line in worker.said_else()] == []
    counts = await assert_exact(platform.node.address, platform.names, load(str(platform.policy)), LIVE, PARTITIONS)
    print(f"{len(kinds)} faults, {sender.sent} records, {time.monotonic() - began:.0f} s: {dict(counts)}")
    assert counts["out.enforcement"] > 20
    assert all(counts[mark] for mark in (*POISON, "late"))


@pytest.mark.services
async def test_faults_change_nothing(platform: Platform, tmp_path: Path) -> None:
    await hurt(platform, tmp_path, faults=32, broker_kills=2, calls=40_000)


@pytest.mark.soak
async def test_hundreds_of_faults_change_nothing(platform: Platform, tmp_path: Path) -> None:
    await hurt(platform, tmp_path, faults=300, broker_kills=12, calls=200_000)
