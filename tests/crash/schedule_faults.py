"""The faults of a schedule: each takes some virtual time, and tells whether it took place."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from crash.log import Record
from crash.producers import InTransactions
from crash.traffic import Arrival, TrafficScenario, other, unreadable
from crash.traps import COMMITTING, POINTS, STARTING, Traps
from crash.world import SESSION_S, Worker, World
from monitor.partition.journal import PolicyChange
from monitor.policy.load import to_plain
from oracle.policy_generator import HOUR, MINUTE
from streams.kafka.api import TP, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.control_topic import Command, PolicyCommand, WithdrawCommand
from streams.topics.transaction_records import decode_journal_entry, is_tick
from streams.worker.context import OwnedPhase


class ScheduleFaults:
    """What happens to the workers and the broker of one world. ``deaths`` counts the points at which workers were
    killed; ``point`` is where `kill_at_an_await` kills one, else it draws a point.
    """

    def __init__(self, world: World, scenario: TrafficScenario, point: str | None) -> None:
        self.world, self.rng, self.live, self.partitions = world, world.rng, world.live, world.partitions
        self.scenario = scenario
        self.deaths: Counter[str] = Counter()
        self._point = point
        self._traps = Traps(world.loop, world.rng)
        world.passing = self._traps.passing  # type: ignore[method-assign]

    def start_worker(self) -> None:
        """Start a worker whose calls are sometimes slow."""
        worker = self.world.add_worker()
        worker.link.slow_share = self.rng.choice((0.0, 0.01, 0.1))
        self._traps.watch(worker)

    def end(self) -> None:
        """End all faults: no trap fires any more, and no call is slow."""
        self._traps.clear()
        for worker in self.world.workers:
            worker.link.slow_share = 0.0

    async def _company(self) -> None:
        """Usually start another worker that can take over."""
        if len(self.world.running()) < 2 and self.rng.random() < 0.7:
            self.start_worker()
            await asyncio.sleep(0.5)

    async def within(self, seconds: float, what: Callable[[], bool]) -> bool:
        """Whether the condition becomes true within that time."""
        until = self.world.loop.time() + seconds
        while not what():
            if self.world.loop.time() > until:
                return False
            await asyncio.sleep(0.05)
        return True

    async def kill_at_an_await(self) -> bool:
        def kill(worker: Worker, point: str) -> None:
            worker.kill()
            self.deaths[point] += 1

        where = self._point or self.rng.choice(POINTS)
        if where in STARTING:
            self.start_worker()
        most, fires = 1 if where in STARTING else 2, self._traps.fires
        if not await fires([where], kill, 2.0, most) and not await fires((), kill, 2.0, most=12):
            return False
        await self._replace()
        return True

    async def kill_at_a_step(self) -> bool:
        victims = self.world.running()
        if not victims:
            return False
        victim = self.rng.choice(victims)
        self.world.loop.at_step(self.rng.randint(1, 300), victim.kill)
        if not await self.within(3.0, lambda: not victim.process.alive):
            return False
        self.deaths["step"] += 1
        await self._replace()
        return True

    async def _replace(self) -> None:
        await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 2.5))))
        if self.rng.random() < 0.85 or not self.world.running():
            self.start_worker()

    async def pause_past_the_session(self) -> bool:
        await self._company()
        return await self._away(Worker.stop, Worker.resume)

    async def cut_off_past_the_session(self) -> bool:
        await self._company()
        return await self._away(Worker.cut, Worker.reconnect)

    async def _away(self, go: Callable[[Worker], None], come: Callable[[Worker], None]) -> bool:
        """An owner pauses or is cut off at an await, and comes back as a zombie."""
        gone: list[Worker] = []

        def leave(worker: Worker, point: str) -> None:
            gone.append(worker)
            go(worker)

        if not await self._traps.fires(self.rng.choice((COMMITTING, ())), leave, most=8, owner=True):
            return False
        (worker,) = gone
        thrown_out = await self.within(SESSION_S + 3.0, lambda: not worker.belongs())
        await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 2.0))))
        come(worker)
        return thrown_out and worker.process.alive

    async def doze_past_the_transaction(self) -> bool:
        """A worker is stopped in a transaction for longer than the transaction timeout and shorter than the session
        timeout.
        """
        broker = self.world.broker
        before, broker.transaction_timeout_s = broker.timeouts, 0.3
        gone: list[Worker] = []

        def leave(worker: Worker, point: str) -> None:
            gone.append(worker)
            worker.stop()

        if not await self._traps.fires(COMMITTING[1:7], leave):
            return False
        await self.within(0.9, lambda: broker.timeouts > before)
        gone[0].resume()
        return broker.timeouts > before

    async def broker_outage(self) -> bool:
        broker, before = self.world.broker, self.world.broker.refusals
        broker.up = False
        await asyncio.sleep(self.rng.uniform(0.2, 3.0))
        broker.up = True
        return broker.refusals > before

    async def lost_answer(self) -> bool:
        """A commit succeeds, and the response is lost."""
        return await self._traps.fires(["commit.end!"], self._unavailable, most=2)

    async def lost_request(self) -> bool:
        """A commit fails before it takes effect."""
        return await self._traps.fires(COMMITTING[:7], self._unavailable, most=8)

    def _unavailable(self, worker: Worker, point: str) -> None:
        raise TransientError(f"{point} was lost")

    async def compaction(self) -> bool:
        removed = 0
        for _ in range(20):
            await asyncio.sleep(0.2)
            for number in range(self.partitions):
                removed += self.world.broker.compact(TP("callwarden.state", number))
        return removed > 0

    async def inputs_in_transactions(self) -> bool:
        """Producers of inputs write in transactions. Undecided records hold back the records behind them; some are
        aborted.
        """
        world, rng = self.world, self.rng
        producer = InTransactions(world.broker, rng, self._read_up_to)
        share = rng.choice((0.5, 1.0))

        def divert(tp: TP, record: Record) -> bool:
            if rng.random() >= share:
                return False
            producer.write(tp, record)
            return True

        until = world.loop.time() + rng.uniform(1.5, 3.0)
        world.divert = divert
        await producer.run(lambda: world.loop.time() < until)
        world.divert = lambda tp, record: False
        return producer.aborted > 0 and producer.held_back > 0

    def _read_up_to(self, tp: TP) -> int | None:
        """The highest offset of an input that a worker has read."""
        loops = [worker.consumer_loop for worker in self.world.running() if worker.consumer_loop is not None]
        owners = [loop.owners[tp.partition] for loop in loops if tp.partition in loop.owners]
        return max((owner.next_offset(tp) for owner in owners if owner.phase is OwnedPhase.RUNNING), default=None)

    async def garbage_pings(self) -> bool:
        """Rejected records arrive repeatedly in some inputs, also in idle ones."""
        world, rng = self.world, self.rng
        idle_s = self.live.idle_after_ms / 1000
        until = world.loop.time() + rng.uniform(1.0, 3.0) * idle_s
        before = self._rejected()
        logs = rng.sample(TopicNames().inputs, rng.choice((1, 2, 5)))
        while world.loop.time() < until:
            await asyncio.sleep(rng.choice((0.01, 0.3, 0.9)) * idle_s)
            for topic in logs:
                ping = rng.choice((Record(b"t", b"ping"), Record(None, None)))
                world.produce([Arrival(world.clock.now_ms(), TP(topic, rng.randrange(self.partitions)), ping)])
        return await self.within(3.0, lambda: self._rejected() > before)

    async def unreadable_records(self) -> bool:
        """Records that no client can read arrive, and usually a worker is killed while it writes their dead letters."""
        world, rng, before = self.world, self.rng, self._rejected()
        for topic in rng.sample(TopicNames().inputs, rng.choice((1, 2, 5))):
            tp, at_ms = TP(topic, rng.randrange(self.partitions)), world.clock.now_ms()
            records = [unreadable(rng, Record(b"t0", b'{"type":"cdr"}')) for _ in range(rng.randint(1, 3))]
            world.produce([Arrival(at_ms, tp, record) for record in records])
        if rng.random() < 0.7 and await self._traps.fires(COMMITTING, lambda worker, _: worker.kill(), 2.0, most=8):
            await self._replace()
        return await self.within(3.0, lambda: self._rejected() > before)

    def _rejected(self) -> int:
        letters = [self.world.broker.logs[TP("callwarden.dead-letter", n)] for n in range(self.partitions)]
        return sum(len(log.committed(0)) for log in letters)

    async def rebalance(self) -> bool:
        group = self.world.broker.group
        before = group.generation
        group.rebalance()
        return await self.within(3.0, lambda: group.generation > before)

    async def another_worker(self) -> bool:
        group = self.world.broker.group
        before = group.generation
        self.start_worker()
        return await self.within(4.0, lambda: group.generation > before)

    async def worker_ends(self) -> bool:
        if not await self.within(3.0, lambda: any(worker.belongs() for worker in self.world.running())):
            return False
        worker = self.rng.choice([worker for worker in self.world.running() if worker.belongs()])
        worker.terminate()
        ended = await self.within(8.0, lambda: worker.over)
        if not self.world.running():
            self.start_worker()
        return ended

    async def policy_changed(self) -> bool:
        """A policy change is commanded, and usually a worker is killed near its effective time."""
        world, rng = self.world, self.rng
        policy = other(rng.choice(self.scenario.others))
        from_ms = world.clock.now_ms() + rng.choice((-HOUR, 0, 5 * MINUTE, 15 * MINUTE, HOUR))
        self._command(PolicyCommand(to_plain(policy), policy.sha256, from_ms, "for the test"))
        if rng.random() < 0.5:
            self._withdraw_another(from_ms + rng.choice((5 * MINUTE, HOUR)))
        if rng.random() < 0.7 and await self._traps.fires(rng.choice((COMMITTING, ())), lambda w, _: w.kill(), most=20):
            await self._replace()
        return await self.within(8.0, lambda: all(map(self._changed, range(self.partitions))))

    def _withdraw_another(self, from_ms: int) -> None:
        """Another policy is commanded, and withdrawn shortly afterwards, in time or too late."""
        policy = other(self.rng.choice(self.scenario.others))
        self._command(PolicyCommand(to_plain(policy), policy.sha256, from_ms, "the wrong file"))
        withdraw = partial(self._command, WithdrawCommand((policy.sha256,), "it was the wrong one"))
        self.world.loop.outside(self.rng.choice((0.0, 0.1, 0.5)), withdraw)

    def _command(self, command: Command) -> None:
        """Send the command to all partitions."""
        for number in range(self.partitions):
            control = TP("callwarden.control", number)
            self.world.broker.append(control, Record(str(number).encode(), msgspec.json.encode(command)))

    def _changed(self, number: int) -> bool:
        """Whether a policy change was recorded, in addition to the initial policy."""
        entries = self.world.broker.logs[TP("callwarden.clock", number)].committed(0)
        values = [entry.record.value or b"" for entry in entries if entry.record is not None]
        recorded = [decode_journal_entry(value)[1] for value in values if not is_tick(value)]
        return sum(isinstance(entry, PolicyChange) for entry in recorded) > 1


FAULTS: dict[str, Callable[[ScheduleFaults], Awaitable[bool]]] = {
    name: getattr(ScheduleFaults, name)
    for name in (
        "kill_at_an_await",
        "kill_at_a_step",
        "pause_past_the_session",
        "cut_off_past_the_session",
        "doze_past_the_transaction",
        "broker_outage",
        "lost_answer",
        "lost_request",
        "compaction",
        "inputs_in_transactions",
        "garbage_pings",
        "unreadable_records",
        "rebalance",
        "another_worker",
        "worker_ends",
        "policy_changed",
    )
}
