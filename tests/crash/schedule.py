"""Seeded schedules: traffic, workers and faults, the proof that the faults took place, and the verdict."""

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from unittest.mock import patch

from crash import contract_judge, judge
from crash.schedule_faults import FAULTS, ScheduleFaults
from crash.traffic import SCENARIOS, arrivals, policies_of, scenario_of
from crash.traps import KILLED_AT
from crash.virtual import Process, run
from crash.world import World
from monitor.core.rules.window_end import SLICE
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.processing.task_output import _MOST_PASSED_ON as MOST_PASSED_ON
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.worker.context import OwnedPhase
from streams.worker.running.input_delivery import OTHER_ROWS, SLICE_ROWS
from streams.worker.running.transaction import MOST_AT_ONCE

TRAFFIC_S = 5.0
SETTLING_S = 1.2
MOST_SETTLING = 20
DRAWS = 20


@dataclass
class Result:
    """The result of a schedule. ``faults`` counts those that took place; ``points`` counts where
    workers were killed; ``trace`` is a digest of all calls between the workers and the broker.
    """

    seed: int
    flavour: str
    faults: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    events: int = 0
    alerts: int = 0
    dead_letters: int = 0
    moves: int = 0
    trace: str = ""


class Schedule:
    """One run. Its seed determines everything in it."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self._scenario_number = rng.randrange(SCENARIOS)
        scenario = self.scenario = scenario_of(self._scenario_number)
        self.partitions = rng.choice((1, 1, 2, 2, 3))
        self.live = DecidingSettings(
            idle_after_ms=rng.choice((1_000, 1_000, 2_000)),
            max_ahead_ms=rng.choice((60_000, 300_000)),
            outage_grace_ms=rng.choice((0, 1_800_000, 14_400_000)),
        )
        self.world = World(
            rng,
            scenario.policy,
            self.live,
            self.partitions,
            scenario.start_ms,
            speed=max(scenario.stop_ms - scenario.start_ms, 60_000) / 1000 / TRAFFIC_S,
            transaction_timeout_s=rng.choice((0.3, 10.0)),
        )
        # In every second schedule a worker is killed at the next point: a few hundred schedules cover all of them.
        turn, other = divmod(seed // DRAWS, 2)
        self._point = None if other else KILLED_AT[turn % len(KILLED_AT)]
        self._faults = ScheduleFaults(self.world, scenario, self._point)
        self.result = Result(seed, scenario.flavour, points=self._faults.deaths)
        self._judged: object = None
        self._trace, self._passing = hashlib.sha256(), self.world.passing
        self.world.passing = self._pass  # type: ignore[method-assign]

    def _pass(self, process: Process, point: str) -> None:
        self._trace.update(f"{self.world.loop.time():.9f} {process.name} {point}\n".encode())
        self._passing(process, point)

    def run(self) -> Result:
        """Play the schedule to the end."""
        # In a third of the schedules, transactions and slices hold only a few records and decisions. The choice takes
        # no random number, and the random numbers of the other schedules stay the same.
        small = self.result.seed % 3 == 0
        passed_on, rows = (3, 2) if small else (MOST_PASSED_ON, OTHER_ROWS)
        most, tenants = (1, 1) if small else (MOST_AT_ONCE, SLICE)
        # A backlog is decided in transactions of few rows, at once, or as by default.
        backlog_s, backlog_rows = ((1.0, 5), (0.0, 1), (1.0, 10_000))[self.result.seed % 3]
        try:
            with (
                patch("monitor.partition.processing.task_output._MOST_PASSED_ON", passed_on),
                patch("streams.worker.running.transaction.MOST_AT_ONCE", most),
                patch("streams.worker.running.running_partition.MOST_AT_ONCE", most),
                patch("streams.worker.running.running_partition._BACKLOG_S", backlog_s),
                patch("streams.worker.running.running_partition._BACKLOG_ROWS", backlog_rows),
                patch("monitor.core.rules.evaluator.SLICE", tenants),
                patch("streams.worker.running.input_delivery.OTHER_ROWS", rows),
                patch("streams.worker.running.input_delivery.SLICE_ROWS", SLICE_ROWS if rows == OTHER_ROWS else rows),
            ):
                run(self.world.loop, self._main())
        finally:
            self.world.close()
        return self.result

    async def _main(self) -> None:
        world, rng = self.world, self.rng
        world.produce(arrivals(rng, self.scenario, self.partitions))
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            self._faults.start_worker()
        names = rng.sample(list(FAULTS), rng.choice((1, 2, 2, 3)))
        if self._point is not None and "kill_at_an_await" not in names:
            names.append("kill_at_an_await")
        faults = [asyncio.create_task(self._fault(name)) for name in names]
        await asyncio.sleep(TRAFFIC_S)
        await asyncio.wait(faults)
        for fault in faults:
            fault.result()
        await self._settle()
        self._take_stock()

    async def _fault(self, name: str) -> None:
        await asyncio.sleep(self.rng.uniform(0.05, 0.85) * TRAFFIC_S)
        if await FAULTS[name](self._faults):
            self.result.faults[name] += 1
        else:
            self.result.missed.append(name)

    async def _settle(self) -> None:
        """End all faults and give the workers time. A difference that remains after the last check is a failure."""
        self._faults.end()
        if not self.world.running():
            self._faults.start_worker()
        for _ in range(MOST_SETTLING):
            await asyncio.sleep(SETTLING_S)
            while not self.world.broker.quiet:
                await asyncio.sleep(0.01)
            if self._all_read():
                self._judge()
                if not self.result.wrong:
                    return
        self._judge()
        if not self._all_read():
            self.result.wrong.append("the workers did not read everything")

    def _judge(self) -> None:
        """Compare the topics with a replay, unless they are those that were compared last."""
        content = judge.content(self.world.broker, self.partitions)
        if content != self._judged:
            self._judged = content
            self.result.wrong = list(judge.wrong(self.world.broker, self.scenario.policy, self.live, self.partitions))

    def _all_read(self) -> bool:
        """Every partition has one running owner, which has read every input to its end."""
        owned: dict[int, list[int]] = {}
        for worker in self.world.running():
            for number in worker.owned():
                assert worker.consumer_loop is not None
                partition = worker.consumer_loop.owners[number].partition
                assert partition is not None
                owned.setdefault(number, []).extend(partition.sources.offsets)
        ends = {
            number: [self.world.broker.logs[TP(topic, number)].last_stable for topic in TopicNames().inputs]
            for number in range(self.partitions)
        }
        return owned == ends

    def _take_stock(self) -> None:
        result, broker = self.result, self.world.broker
        result.trace = self._trace.hexdigest()
        for number in range(self.partitions):
            ids = judge.ids(broker, number)
            result.events += len(ids)
            result.alerts += len(judge.alerts(broker, number))
            result.wrong += [f"{one} is there {times} times" for one, times in Counter(ids).items() if times > 1]
            result.moves += len(broker.logs[TP("callwarden.clock", number)].committed(0))
            result.dead_letters += len(broker.logs[TP("callwarden.dead-letter", number)].committed(0))
        for worker in self.world.workers:
            result.wrong += [f"{worker.process.name}: {error!r}" for error in worker.process.errors()]
            owners = worker.consumer_loop.owners.values() if worker.consumer_loop else ()
            bad = (OwnedPhase.STOPPED, OwnedPhase.REFUSED)
            result.wrong += [f"{worker.process.name}: {o.phase}: {o.why}" for o in owners if o.phase in bad]
        result.wrong += [str(complaint) for complaint in self.world.loop.complaints]
        if not result.wrong:
            result.wrong += contract_judge.wrong(broker, policies_of(self._scenario_number), self.partitions)


def play(seed: int) -> Result:
    """Return the first schedule of this seed whose faults all take place."""
    for draw in range(DRAWS):
        result = Schedule(seed * DRAWS + draw).run()
        if result.wrong or not result.missed:
            return result
    raise AssertionError(f"seed {seed}: in {DRAWS} draws the faults did not take place: {result.missed}")
