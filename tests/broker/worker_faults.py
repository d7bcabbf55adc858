"""Faults of workers and brokers in random order while a day's records arrive, and the whole test."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from worker_judge import assert_exact
from worker_platform import LIVE, SESSION_S, Platform, drain
from worker_processes import AWAY, PARTITIONS, Fleet, Worker, fleet_of, wait_for
from worker_traffic import POISON, Day, Sender, sender_to

from monitor.policy.load import load
from streams.dev.kafka_node import DevKafka

_MOST_WORKERS = 3
FAULTS = ("broker", "kill", "terminate", "pause")


@dataclass(frozen=True)
class Step:
    """A fault of that many ``workers`` at once, or of the broker if its kind says so."""

    kind: str
    workers: int = 1


def schedule(chooser: random.Random, faults: int, broker_kills: int) -> list[Step]:
    """Schedule that many faults in random order, with worker additions in between (not counted): from 1 worker to 3,
    and 1 at the end.
    """
    due = Counter({"broker": broker_kills})
    due.update(islice(cycle(FAULTS[1:]), faults - broker_kills))
    steps, workers = [Step("add", _MOST_WORKERS - 1)], _MOST_WORKERS
    while due.total():
        if workers == 0 or (workers < _MOST_WORKERS and chooser.random() < 0.4):
            step = Step("add", _MOST_WORKERS - workers)
            workers = _MOST_WORKERS
        else:
            kind = chooser.choice(sorted(due.elements()))
            step = Step(kind, 1 if kind == "broker" else min(due[kind], workers, chooser.choice((1, 2, 2))))
            due[kind] -= step.workers
            workers -= step.workers if kind in ("kill", "terminate") else 0
        steps.append(step)
    if workers != 1:
        steps.append(Step("add") if workers == 0 else Step("terminate", workers - 1))
    return steps


def _stands_still(worker: Worker) -> bool:
    return worker.state == "T"


def _has_joined(worker: Worker, opened_before: int) -> bool:
    return len(worker.opened()) > opened_before


class Faults:
    """Applies the scheduled faults to the workers and checks that each took place; ``took`` counts them."""

    def __init__(self, platform: Platform, fleet: Fleet, chooser: random.Random) -> None:
        self._node, self._fleet, self._chooser = platform.node, fleet, chooser
        self.took: Counter[str] = Counter()

    def do(self, step: Step) -> str:
        """Run one step; describe it in a line. Raises AssertionError when the fault did not take place."""
        did = self.broker() if step.kind == "broker" else str(getattr(self, step.kind)(step.workers))
        if step.kind in FAULTS:
            self.took[step.kind] += step.workers
        # Sometimes the next fault comes in the middle of the rebalance.
        if self._fleet.running and self._chooser.random() < 0.7:
            self._fleet.settle()
        return did

    def add(self, count: int) -> str:
        """More workers join, and each gets a share."""
        workers = [self._fleet.add() for _ in range(count)]
        for worker in workers:
            wait_for(worker.opened, f"{worker.name} opens a partition")
        return ", ".join(f"{worker.name} came and opened {sorted(set(worker.opened()))}" for worker in workers)

    def kill(self, count: int) -> str:
        """kill -9."""
        owned = self._victims(count)
        for worker in owned:
            assert worker.kill() == -9
        self._taken_over(owned)
        return f"killed with what they had: {_told(owned)}"

    def terminate(self, count: int) -> str:
        """TERM: orderly shutdown."""
        owned = self._victims(count)
        with ThreadPoolExecutor(count) as threads:
            statuses = list(threads.map(lambda worker: worker.terminate(), owned))
        assert statuses == [0] * count, [worker.said()[-3:] for worker in owned]
        self._taken_over(owned)
        return f"stopped with what they had: {_told(owned)}"

    def pause(self, count: int) -> str:
        """STOP past the session timeout, then CONT: zombies resume."""
        owned = self._victims(count)
        before = {worker: len(worker.opened()) for worker in owned}
        for worker in owned:
            worker.pause()
        for worker in owned:
            wait_for(partial(_stands_still, worker), f"{worker.name} stands still")
        time.sleep(SESSION_S + self._chooser.uniform(2, 4))
        self._taken_over(owned)
        for worker in owned:
            worker.go_on()
        for worker in owned:
            wait_for(partial(_has_joined, worker, before[worker]), f"{worker.name} joins again")
        return f"stood still with what they had: {_told(owned)}"

    def broker(self) -> str:
        """Kill the broker without a shutdown."""
        heard = {worker: worker.times_said(AWAY) for worker in self._fleet.running}
        self._node.kill()
        assert isinstance(self._node, DevKafka)
        assert not self._node.running
        wait_for(lambda: all(w.times_said(AWAY) > n for w, n in heard.items()), "all miss the broker")
        time.sleep(self._chooser.uniform(0, 5))
        self._node.start(300)  # it recovers its logs on a busy machine
        self._fleet.settle()
        wait_for(lambda: all(w.get("/readyz")[0] == 200 for w in heard), "all are ready again")
        return f"the broker was away for {len(heard)} workers"

    def _victims(self, count: int) -> dict[Worker, set[int]]:
        """Random workers, with the partitions that they own: at least one, otherwise there is no fault."""
        workers = self._chooser.sample(self._fleet.running, count)
        for worker in workers:
            wait_for(worker.owned, f"{worker.name} runs a partition")
        return {worker: worker.owned() for worker in workers}

    def _taken_over(self, owned: Mapping[Worker, set[int]]) -> None:
        """Wait until the remaining workers, if any, own those partitions."""
        others = [other for other in self._fleet.running if other not in owned]
        if others:
            all_owned = set().union(*owned.values())
            what = f"others run what was had: {_told(owned)}"
            wait_for(lambda: all_owned <= set().union(*(other.owned() for other in others)), what)


def _told(owned: Mapping[Worker, set[int]]) -> str:
    return ", ".join(f"{worker.name} {sorted(numbers)}" for worker, numbers in owned.items())


async def hurt(
    platform: Platform,
    tmp_path: Path,
    *,
    faults: int,
    broker_kills: int,
    calls: int,
    faults_of: Callable[[Platform, Fleet, random.Random], Faults] = Faults,
) -> None:
    """The whole test: a day's records in pieces, a fault with each piece, and the judge at the end.

    ``faults_of`` creates the object that applies the faults.
    """
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED") or random.randrange(10**6))
    now_ms = int(os.environ.get("CALLWARDEN_TEST_NOW_MS") or time.time_ns() // 1_000_000)
    print("the same day and the same steps once more, within the hour; when they hit is chance:")
    print(f"CALLWARDEN_TEST_SEED={seed} CALLWARDEN_TEST_NOW_MS={now_ms}")
    chooser = random.Random(seed)
    steps = schedule(chooser, faults, broker_kills)
    day = Day(seed, pieces=len(steps), tenants=120, calls=calls, partitions=PARTITIONS, now_ms=now_ms)
    began = time.monotonic()
    with fleet_of(tmp_path, platform.environment) as fleet:
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        hurting = faults_of(platform, fleet, chooser)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for number, (step, piece) in enumerate(zip(steps, day.pieces, strict=True), 1):
                did, _ = await asyncio.gather(asyncio.to_thread(hurting.do, step), sender.send(piece))
                print(f"{time.monotonic() - began:6.1f} s, {number:3} {step.kind}: {did}")
            await asyncio.to_thread(fleet.settle)
            await drain(fleet, sender, day.calls_now)
        assert [await asyncio.to_thread(worker.terminate) for worker in fleet.running] == [0]
        assert [(worker.name, line) for worker in fleet.all for line in worker.said_else()] == []
    policy = load(str(platform.policy))
    counts = await assert_exact(platform.node.address, platform.names, policy, LIVE, PARTITIONS, unknown_reviews=True)
    print(f"{dict(hurting.took)}, {sender.sent} records, {time.monotonic() - began:.0f} s: {dict(counts)}")
    assert hurting.took.total() >= faults
    assert all(hurting.took[kind] >= 2 for kind in FAULTS)
    assert counts["out.enforcement"] > 20
    assert counts["out.alerts"] > 20
    assert all(counts[mark] for mark in (*POISON, "late", "duplicates"))
