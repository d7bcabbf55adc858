"""Seeded schedules: traffic, workers and faults, the proof that the faults took place, and the verdict."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

import msgspec

from crash import contract_judge, judge
from crash.log import Record
from crash.producers import InTransactions
from crash.traffic import SCENARIOS, Arrival, arrivals, other, policies_of, scenario_of, unreadable
from crash.virtual import Process, run
from crash.world import SESSION_S, Worker, World
from monitor.core.rules.window_end import SLICE
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import PolicyChange
from monitor.partition.processing.task_output import _MOST_PASSED_ON as MOST_PASSED_ON
from monitor.policy.load import to_plain
from oracle.policy_generator import HOUR, MINUTE
from streams.kafka.api import TP, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.control_topic import Command, PolicyCommand, WithdrawCommand
from streams.topics.transaction_records import decode_journal_entry, is_tick
from streams.worker.consumer_loop import OTHER_ROWS, SLICE_ROWS
from streams.worker.context import OwnedPhase
from streams.worker.running.transaction import MOST_AT_ONCE

TRAFFIC_S = 5.0
POINTS = (
    "commit.begin?",
    "commit.begin!",
    "commit.produce?",
    "commit.produce!",
    "commit.offsets?",
    "commit.offsets!",
    "commit.end?",
    "commit.end!",
    "writer.start?",
    "writer.start!",
    "writer.retry",
    "read?",
    "read!",
    "starts?",
    "starts!",
    "ends?",
    "ends!",
    "poll?",
    "poll!",
    "join?",
    "join!",
    "consumer.start",
)
COMMITTING = POINTS[:8]
_KILLED_AT = (*POINTS, "join!", "writer.retry")  # these two are passed rarely
BEGINNING = ("consumer.start",)  # only a worker that starts passes these points
SETTLING_S = 1.2
MOST_SETTLING = 20
DRAWS = 20


@dataclass
class Result:
    """The result of a schedule. ``faults`` counts those that took place; ``points`` counts where
    workers were killed.
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


@dataclass
class Trap:
    """Fires at the ``left``th of the points that match."""

    matches: Callable[[Process, str], bool]
    left: int
    spring: Callable[[Process, str], None]


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
        self.world.passing = self._passing  # type: ignore[method-assign]
        self.result = Result(seed, scenario.flavour)
        # In every second schedule a worker is killed at the next point: a few hundred schedules cover all of them.
        turn, other = divmod(seed // DRAWS, 2)
        self._point = None if other else _KILLED_AT[turn % len(_KILLED_AT)]
        self._judged: object = None
        self._traps: list[Trap] = []
        self._by_process: dict[Process, Worker] = {}

    def run(self) -> Result:
        """Play the schedule to the end."""
        # In a third of the schedules, transactions and slices hold only a few records and decisions. The choice takes
        # no random number, and the random numbers of the other schedules stay the same.
        small = self.result.seed % 3 == 0
        passed_on, rows = (3, 2) if small else (MOST_PASSED_ON, OTHER_ROWS)
        most, tenants = (1, 1) if small else (MOST_AT_ONCE, SLICE)
        try:
            with (
                patch("monitor.partition.processing.task_output._MOST_PASSED_ON", passed_on),
                patch("streams.worker.running.transaction.MOST_AT_ONCE", most),
                patch("streams.worker.running.running_partition.MOST_AT_ONCE", most),
                patch("monitor.core.rules.evaluator.SLICE", tenants),
                patch("streams.worker.consumer_loop.OTHER_ROWS", rows),
                patch("streams.worker.consumer_loop.SLICE_ROWS", SLICE_ROWS if rows == OTHER_ROWS else rows),
            ):
                run(self.world.loop, self._main())
        finally:
            self.world.close()
        return self.result

    async def _main(self) -> None:
        world, rng = self.world, self.rng
        world.produce(arrivals(rng, self.scenario, self.partitions))
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            self._start()
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
        if await FAULTS[name](self):
            self.result.faults[name] += 1
        else:
            self.result.missed.append(name)

    async def _settle(self) -> None:
        """End all faults and give the workers time. A difference that remains after the last check is a failure."""
        self._traps.clear()
        for worker in self.world.workers:
            worker.link.slow_share = 0.0
        if not self.world.running():
            self._start()
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

    # Workers and traps ------------------------------------------------------------------------------------------

    def _start(self) -> Worker:
        worker = self.world.add_worker()
        worker.link.slow_share = self.rng.choice((0.0, 0.01, 0.1))
        self._by_process[worker.process] = worker
        return worker

    def _passing(self, process: Process, point: str) -> None:
        for trap in self._traps:
            if trap.matches(process, point):
                trap.left -= 1
                if trap.left <= 0:
                    self._traps.remove(trap)
                    trap.spring(process, point)
                return

    async def _trap(
        self,
        points: Sequence[str],
        spring: Callable[[Worker, str], None],
        within_s: float = 6.0,
        most: int = 4,
        owner: bool = False,
    ) -> bool:
        """Call ``spring`` when a worker (with ``owner``, an owner) passes one of these points, or any; return whether
        it fired.
        """
        sprung: asyncio.Future[None] = self.world.loop.create_future()

        def matches(process: Process, point: str) -> bool:
            worker = self._by_process.get(process)
            return worker is not None and (not points or point in points) and (not owner or worker.belongs())

        def snap(process: Process, point: str) -> None:
            sprung.set_result(None)
            spring(self._by_process[process], point)

        trap = Trap(matches, self.rng.randint(1, most), snap)
        self._traps.append(trap)
        await asyncio.wait([sprung], timeout=within_s)
        if trap in self._traps:
            self._traps.remove(trap)
        return sprung.done()

    async def _company(self) -> None:
        """Usually start another worker that can take over."""
        if len(self.world.running()) < 2 and self.rng.random() < 0.7:
            self._start()
            await asyncio.sleep(0.5)

    async def within(self, seconds: float, what: Callable[[], bool]) -> bool:
        """Whether the condition becomes true within that time."""
        until = self.world.loop.time() + seconds
        while not what():
            if self.world.loop.time() > until:
                return False
            await asyncio.sleep(0.05)
        return True

    # Faults: each returns whether it took place -----------------------------------------------------------------

    async def kill_at_an_await(self) -> bool:
        def kill(worker: Worker, point: str) -> None:
            worker.kill()
            self.result.points[point] += 1

        where = self._point or self.rng.choice(POINTS)
        if where in BEGINNING:
            self._start()
        most = 1 if where in BEGINNING else 2
        if not await self._trap([where], kill, 2.0, most) and not await self._trap((), kill, 2.0, most=12):
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
        self.result.points["step"] += 1
        await self._replace()
        return True

    async def _replace(self) -> None:
        await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 2.5))))
        if self.rng.random() < 0.85 or not self.world.running():
            self._start()

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

        if not await self._trap(self.rng.choice((COMMITTING, ())), leave, most=8, owner=True):
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

        if not await self._trap(COMMITTING[1:7], leave):
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
        return await self._trap(["commit.end!"], self._unavailable, most=2)

    async def lost_request(self) -> bool:
        """A commit fails before it takes effect."""
        return await self._trap(COMMITTING[:7], self._unavailable, most=8)

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
        if rng.random() < 0.7 and await self._trap(COMMITTING, lambda worker, _: worker.kill(), 2.0, most=8):
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
        self._start()
        return await self.within(4.0, lambda: group.generation > before)

    async def worker_ends(self) -> bool:
        if not await self.within(3.0, lambda: any(worker.belongs() for worker in self.world.running())):
            return False
        worker = self.rng.choice([worker for worker in self.world.running() if worker.belongs()])
        worker.terminate()
        ended = await self.within(8.0, lambda: worker.over)
        if not self.world.running():
            self._start()
        return ended

    async def policy_changed(self) -> bool:
        """A policy change is commanded, and usually a worker is killed near its effective time."""
        world, rng = self.world, self.rng
        policy = other(rng.choice(self.scenario.others))
        from_ms = world.clock.now_ms() + rng.choice((-HOUR, 0, 5 * MINUTE, 15 * MINUTE, HOUR))
        self._command(PolicyCommand(to_plain(policy), policy.sha256, from_ms, "for the test"))
        if rng.random() < 0.5:
            self._withdraw_another(from_ms + rng.choice((5 * MINUTE, HOUR)))
        if rng.random() < 0.7 and await self._trap(rng.choice((COMMITTING, ())), lambda w, _: w.kill(), most=20):
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


FAULTS: dict[str, Callable[[Schedule], Awaitable[bool]]] = {
    name: getattr(Schedule, name)
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


def play(seed: int) -> Result:
    """Return the first schedule of this seed whose faults all take place."""
    for draw in range(DRAWS):
        result = Schedule(seed * DRAWS + draw).run()
        if result.wrong or not result.missed:
            return result
    raise AssertionError(f"seed {seed}: in {DRAWS} draws the faults did not take place: {result.missed}")


def trace(seed: int) -> str:
    """Return a digest of all calls between the workers and the broker in a schedule."""
    schedule = Schedule(seed)
    digest, passing = hashlib.sha256(), schedule.world.passing

    def journal_entries(process: Process, point: str) -> None:
        digest.update(f"{schedule.world.loop.time():.9f} {process.name} {point}\n".encode())
        passing(process, point)

    schedule.world.passing = journal_entries  # type: ignore[method-assign]
    schedule.run()
    return digest.hexdigest()
