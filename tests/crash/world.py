"""A broker, producers, and workers that run the real consumer loop under the real Faust agents, in virtual time."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from crash.broker import Broker
from crash.log import Record
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.traffic import NAMES, Arrival
from crash.virtual import Process, VirtualClock, VirtualLoop
from crash.worker_app import make_app
from monitor.partition.checkpoint import DecidingSettings
from monitor.policy.model import Policy
from streams.kafka.api import TP
from streams.runtime.monotonic import BrokerClock
from streams.savepoint.close import RescaleSide
from streams.worker.consumer_loop import ConsumerLoop
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.metrics import WorkerMetrics

OUTPUTS = (
    "enforcement",
    "shadow",
    "evidence",
    "measures",
    "alerts",
    "late",
    "dead-letter",
    "clock",
    "state",
    "control",
)
SESSION_S = 1.5


class Worker:
    """A process that runs one worker."""

    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(world.loop, name)
        self.link = Link(world.broker, self.process, world.rng)
        self.link.passing = world.passing
        self.consumer_loop: ConsumerLoop | None = None
        self._world = world
        self._app: Any = None
        self._main = self.process.run(self._run)

    async def _run(self) -> None:
        context = self._world.context(MemoryCluster(self.link))
        self.telemetry = context.telemetry
        self._app, self.consumer_loop = make_app(context)
        await self._app.start()
        await self._app.wait_until_stopped()

    @property
    def over(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._main.done()

    def owned(self) -> list[int]:
        """The partitions that the worker regards as its own."""
        owners = self.consumer_loop.owners.values() if self.consumer_loop else ()
        return [owner.number for owner in owners if owner.phase is OwnedPhase.RUNNING]

    def belongs(self) -> bool:
        """Whether it owns partitions, and the group counts it as a member."""
        return bool(self.owned()) and any(self._world.broker.group.knows(member) for member in self.link.members)

    def kill(self) -> None:
        """SIGKILL. Its requests in flight at the broker stay as they are."""
        self.process.kill()
        self.link.fall_silent()

    def stop(self) -> None:
        """SIGSTOP."""
        self.process.stop()
        self.link.fall_silent()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()
        self.link.be_heard()

    def cut(self) -> None:
        """Disconnect its network."""
        self.link.cut = True
        self.link.fall_silent()

    def reconnect(self) -> None:
        """Reconnect its network."""
        self.link.cut = False
        self.link.be_heard()

    def terminate(self) -> None:
        """SIGTERM."""
        if self._app is not None:
            self.process.run(self._app.stop)
        else:
            self.kill()

    def close(self) -> None:
        """Release what the operating system would release at the end of a process: Faust creates an event loop that
        never runs.
        """
        consumer = self._app and self._app._consumer
        if consumer is not None:
            consumer._thread.thread_loop.close()


class World:
    """Everything that one run consists of. ``speed``: how many ms of the day pass in a ms of loop time."""

    def __init__(
        self,
        rng: random.Random,
        policy: Policy,
        live: DecidingSettings,
        partitions: int,
        start_ms: int,
        speed: float = 1.0,
        transaction_timeout_s: float = 30.0,
        session_timeout_s: float = SESSION_S,
    ) -> None:
        self.speed = speed
        self.host_ahead_ms = 0  # the offset of the workers' host clocks from the broker's clock
        self.rng, self.policy, self.live, self.partitions = rng, policy, live, partitions
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, start_ms, speed)
        topics = dict.fromkeys([*NAMES.inputs, *map(NAMES.output, OUTPUTS)], partitions) | {NAMES.owners.topic: 1}
        self.broker = Broker(self.loop, self.clock, rng, topics, session_timeout_s, transaction_timeout_s)
        self.workers: list[Worker] = []
        self.divert: Callable[[TP, Record], bool] = lambda tp, record: False

    def context(self, cluster: MemoryCluster) -> WorkerContext:
        """The context of a worker."""
        return WorkerContext(
            cluster=cluster,
            names=NAMES,
            policy=self.policy,
            secret=b"secret",
            live=self.live,
            partitions=self.partitions,
            partitioner="murmur2",
            application_id="callwarden",
            rest_s=0.4,
            now_ms=lambda: self.clock.now_ms() + self.host_ahead_ms,
            broker_clock=BrokerClock(lambda: round(self.loop.time() * 1000 * self.speed)),
            telemetry=WorkerMetrics(self.policy),
        )

    def passing(self, process: Process, point: str) -> None:
        """Every request and response of every worker passes here."""

    def add_worker(self) -> Worker:
        """Start a worker."""
        worker = Worker(self, f"worker-{len(self.workers)}")
        self.workers.append(worker)
        return worker

    def running(self) -> list[Worker]:
        """The workers that are running and connected."""
        return [w for w in self.workers if w.process.runs and not w.link.cut and not w.over]

    def produce(self, arrivals: Iterable[Arrival]) -> None:
        """Append the records when they are due, in their order within a log; an unavailable broker delays them.

        ``divert`` is called when a record is due, and returns whether it handles the record itself.
        """
        waiting: dict[TP, list[Record]] = {}

        def arrive(tp: TP, record: Record) -> None:
            if self.divert(tp, record):
                return
            queue = waiting.setdefault(tp, [])
            queue.append(record)
            if len(queue) == 1:
                send(tp)

        def send(tp: TP) -> None:
            if self.broker.up:
                self.broker.append(tp, *waiting[tp])
                waiting[tp].clear()
            else:
                self.loop.outside(0.2, lambda: send(tp))

        for arrival in arrivals:
            delay_s = self.clock.loop_time(arrival.at_ms) - self.loop.time()
            self.loop.outside(max(delay_s, 0.0), partial(arrive, arrival.tp, arrival.record))

    def close(self) -> None:
        """Release everything at the end of the test."""
        for worker in self.workers:
            worker.close()


class MovedWorld(World):
    """A world whose workers use the topics that the state was moved to, once there are some."""

    moved: RescaleSide | None = None

    def context(self, cluster: MemoryCluster) -> WorkerContext:
        context = super().context(cluster)
        to = self.moved
        if to is None:
            return context
        return replace(context, names=to.names, application_id=to.application_id, partitions=to.partitions)
