"""The live bench: workers on a real broker against fetching alone, and against other frameworks (`bench.peers`).

All read the same topics, filled beforehand, from the same broker, in turns: a disturbance of the machine affects all.
The cost of a process before it begins to read is measured separately, on empty topics, and subtracted.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import broker_topics
from bench.broker_topics import Deployment
from bench.latency import measure_latency
from bench.live_contenders import OPENED, PARTITIONS, Contender, Sizes, contenders
from bench.live_peers import installed_peers
from bench.live_sharing import NotSharedError, assert_shared
from bench.live_workloads import until_now, working_day
from bench.measure import DisagreementError
from bench.policies import FROZEN_RULES
from bench.process import THIS, MeasuredProcess, Program
from bench.workload import Workload, make
from streams.cli.develop.live import POLICY
from streams.dev.kafka_node import free_ports

_TRIES = 5
Answer = dict[str, Any]


@dataclass(slots=True)
class Cost:
    """The cost of the processes of one run; of start-up alone if ``records`` is 0."""

    records: int
    cpu_s: float
    wall_s: float
    peak_bytes: int
    state_bytes: int = 0


@dataclass(slots=True)
class Live:
    """The results of a run. ``folder`` receives logs; ``say`` receives progress messages."""

    address: str
    sizes: Sizes
    folder: Path
    cache: Path
    say: Callable[[str], None]
    baseline: Path | None = None
    costs: dict[str, list[tuple[Contender, Cost, Cost]]] = field(default_factory=dict)
    found: Answer = field(default_factory=dict)
    day: Workload = field(init=False)
    recent: Workload = field(init=False)
    month: Workload = field(init=False)
    _decided: dict[tuple[str, str | None], Counter[str]] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.day = working_day("live-day", self.sizes.tenants, self.sizes.calls)
        self.recent = until_now("live-recent", self.sizes.tenants, self.sizes.calls, 1)
        self.month = until_now("live-month", self.sizes.tenants, self.sizes.month_calls, 30)

    # Speed ------------------------------------------------------------------------------------------------------

    def speed(self, name: str, squeeze: int) -> None:
        """Run all contenders in turns on one day's records, compressed by ``squeeze``; then measure the phases."""
        records = self._fill(name, squeeze)
        self._in_turns(name, contenders(self.baseline), records)
        self.say(f"{name}: CPU time by phase")
        self.found.setdefault("phases", {})[name] = {"records": records, **self._phases(f"{name}.")}

    def peers(self) -> None:
        """Run the ceiling, the worker and each peer that is installed in turns on one day's records."""
        records = self._fill("peers", 1)
        found, self.found["skipped_peers"] = installed_peers(self.sizes.peers, make(self.day, self.cache).calls)
        for reason in self.found["skipped_peers"]:
            self.say(f"skipped: {reason}")
        ceiling, worker, *_ = contenders()
        self._in_turns("peers", [ceiling, worker, *found], records)

    def _fill(self, name: str, squeeze: int) -> int:
        """Fill topics with the day, and create empty ones; return the number of records."""
        full, empty = self._deployment(f"{name}."), self._deployment("empty.")
        broker_topics.create_topics(empty)
        broker_topics.create_topics(full)
        return asyncio.run(broker_topics.fill(full, make(self.day, self.cache).path, squeeze))

    def _in_turns(self, name: str, chosen: Sequence[Contender], records: int) -> None:
        for number in range(self.sizes.rounds):
            for contender in chosen:
                self.say(f"{name}: {contender.name} ({contender.about}), {number + 1} of {self.sizes.rounds}")
                if contender.is_peer:
                    start, cost = self._run_peer(contender, f"{name}.")
                else:
                    start = self._run(contender, "empty.", 0)
                    cost = self._run(contender, f"{name}.", records)
                self.costs.setdefault(name, []).append((contender, start, cost))

    def _run_peer(self, peer: Contender, inputs: str) -> tuple[Cost, Cost]:
        """The cost until it reads its first record, and until it has read as many as it should."""
        deployment = self._deployment(inputs)
        own = [f"{deployment.application}-{topic}" for topic in (*peer.changelogs, "alerts")]
        asyncio.run(broker_topics.create_logs(deployment, own))
        with self._process(peer.module, deployment, dict(peer.environment), peer.program) as process:

            def cost() -> Cost:
                read = max((line["records"] for line in process.events("read")), default=0)
                return Cost(read, process.cpu_s, time.monotonic() - process.began_s, process.peak_bytes)

            process.await_event("ready")
            start = cost()
            process.wait_until(lambda: cost().records >= peer.records, f"{peer.records:,} records read")
            found = cost()
        found.state_bytes = asyncio.run(broker_topics.changelog_bytes(deployment))
        asyncio.run(broker_topics.delete_outputs(deployment))
        return start, found

    def _run(self, contender: Contender, inputs: str, records: int) -> Cost:
        """Run until ready if ``records`` is 0; otherwise until that many are read. Repeat if workers did not share the
        work.
        """
        for number in itertools.count(1):
            deployment = self._deployment(inputs, policy=contender.policy)
            try:
                return self._run_once(contender, deployment, records)
            except NotSharedError as error:
                if number == _TRIES:
                    raise
                self.say(f"once more: {error}")
            finally:
                asyncio.run(broker_topics.delete_outputs(deployment))
        raise AssertionError  # it repeats until it returns

    def _run_once(self, contender: Contender, deployment: Deployment, records: int) -> Cost:
        broker_topics.create_topics(deployment, contender.program, contender.module[0] if contender.is_worker else None)
        event, times = contender.ready
        with ExitStack() as stack:
            began_s = time.monotonic()
            processes = [
                stack.enter_context(
                    self._process(contender.module, deployment, dict(contender.environment), contender.program)
                )
                for _ in range(contender.processes)
            ]
            ready = f'"{event}", {times} times in all'
            processes[0].wait_until(lambda: sum(len(one.events(event)) for one in processes) >= times, ready)
            if records:
                records = _read(contender, deployment, processes, records)
            cost = Cost(
                records,
                sum(process.cpu_s for process in processes),
                time.monotonic() - began_s,
                max(process.peak_bytes for process in processes),
            )
            if contender.is_worker:
                assert_shared(processes)
        if records:
            cost.state_bytes = asyncio.run(broker_topics.stored(deployment, contender.state(deployment)))[0]
            if contender.is_worker and contender.program == THIS:
                self._compare(contender, deployment)
        return cost

    def _compare(self, contender: Contender, deployment: Deployment) -> None:
        """Every run decided the same as the first worker on the same records and policy, each decision once."""
        found = asyncio.run(broker_topics.decided(deployment))
        wanted = self._decided.setdefault((deployment.inputs, contender.policy), found)
        twice = found.total() - len(found)
        if not found or twice or found != wanted:
            raise DisagreementError(
                f"{contender.name} on {deployment.inputs}: the decisions are wrong. {len(found)} ids, {twice} of them "
                f"again; the first run had {len(wanted)}, {len(wanted - found)} of them are missing, "
                f"and {len(found - wanted)} are new. Expected the same, some, and each once."
            )

    def _phases(self, inputs: str) -> Answer:
        deployment = self._deployment(inputs, policy=str(FROZEN_RULES))
        broker_topics.create_topics(deployment)
        with self._process(("bench.profiled_worker", "worker", "--json-logs"), deployment) as worker:
            worker.await_event(OPENED, PARTITIONS)
            asyncio.run(broker_topics.all_decided(deployment))
            worker.stop()
            result = worker.events("phases")[-1]
        asyncio.run(broker_topics.delete_outputs(deployment))
        return {name: result[name] for name in ("phases", "transactions", "written_bytes")}

    # A worker that has read a day --------------------------------------------------------------------------------

    def steady(self) -> None:
        """Its cost while idle, and its latency when records arrive at a high rate."""
        with self._after_a_day("steady") as (deployment, path, worker):
            idle = self._idle_share(worker)
            self.say(f"steady: {self.sizes.rate:,} records a second for {self.sizes.steady_s} s")
            result = asyncio.run(
                measure_latency(deployment, path, self.sizes.rate, self.sizes.steady_s, worker, self.folder)
            )
            self.found["steady"] = {"idle_share": idle, "tenants": self.sizes.tenants, **result}

    def rates(self) -> None:
        """Its cost and latency at several rates, the lowest first."""
        results, seconds = [], self.sizes.rate_s
        with self._after_a_day("rates") as (deployment, path, worker):
            for rate in self.sizes.rates:
                self.say(f"rates: {rate:,} records a second for {seconds} s")
                results.append(asyncio.run(measure_latency(deployment, path, rate, seconds, worker, self.folder)))
        self.found["rates"] = {"tenants": self.sizes.tenants, "results": results}

    @contextmanager
    def _after_a_day(self, name: str) -> Iterator[tuple[Deployment, str, MeasuredProcess]]:
        """A worker that has read a day, with the topics and the file of its records."""
        day = make(self.recent, self.cache)
        policy = self.folder / "policy.yaml"
        policy.write_text(POLICY, "utf-8")
        deployment = self._deployment(f"{name}.", policy=str(policy))
        broker_topics.create_topics(deployment)
        asyncio.run(broker_topics.fill(deployment, day.path, prompt=True))
        self.say(f"{name}: a worker reads a day")
        with self._process(("streams.cli", "worker", "--json-logs"), deployment) as worker:
            worker.await_event(OPENED, PARTITIONS)
            asyncio.run(broker_topics.all_decided(deployment))
            # First the clocks of the silent sources advance, and the resulting decisions are made.
            time.sleep(self.sizes.idle_s)
            yield deployment, day.path, worker

    def _idle_share(self, worker: MeasuredProcess) -> float:
        """The share of a core that it uses while nothing arrives."""
        self.say(f"idle for {self.sizes.idle_s} s")
        before_s, began_s = worker.cpu_s, time.monotonic()
        time.sleep(self.sizes.idle_s)
        return (worker.cpu_s - before_s) / (time.monotonic() - began_s)

    # Recovery -----------------------------------------------------------------------------------------------------

    def recovery(self) -> None:
        """A month of panes, recovered."""
        month = make(self.month, self.cache)
        deployment = self._deployment("month.")
        broker_topics.create_topics(deployment)
        records = asyncio.run(broker_topics.fill(deployment, month.path))
        self.say("recovery: a worker reads a month")
        with self._worker(deployment) as worker:
            asyncio.run(broker_topics.all_decided(deployment))
            worker.stop()
        written, standing, kinds = asyncio.run(broker_topics.stored(deployment, [deployment.names.output("state")]))
        openings = []
        for number in range(max(self.sizes.rounds, 1)):
            self.say(f"recovery: partitions opened again, {number + 1} of {self.sizes.rounds}")
            costs = []
            for where in (self._deployment("empty."), deployment):
                broker_topics.create_topics(where)
                began_s = time.monotonic()
                with self._worker(where) as worker:
                    wall_s = time.monotonic() - began_s
                    took_s = max(line["took_s"] for line in worker.events(OPENED))
                    costs.append({"wall_s": wall_s, "cpu_s": worker.cpu_s, "took_s": took_s, "peak": worker.peak_bytes})
            openings.append(costs)
        self.found["recovery"] = {
            "records": records,
            "tenants": self.sizes.tenants,
            "written_bytes": written,
            "standing_bytes": standing,
            "kinds": dict(kinds),
            "openings": openings,
        }

    def closing(self) -> None:
        """A large pane is closed in a thread: the longest time that the event loop was blocked."""
        day = make(self.day, self.cache)
        found = []
        for number in range(self.sizes.rounds):
            self.say(f"closing: a pane of {self.sizes.pane_calls:,} calls, {number + 1} of {self.sizes.rounds}")
            deployment = self._deployment(f"pane{number}.", partitions=1)
            broker_topics.create_topics(deployment)
            with self._process(("bench.pane_closing", day.path, str(self.sizes.pane_calls)), deployment) as process:
                found.append(process.await_event("closed"))
        self.found["closing"] = found

    # ----------------------------------------------------------------------------------------------------------------

    def as_data(self) -> Answer:
        """All results, for a program."""
        speed = {
            name: [{"name": who.name, "start": asdict(start), "cost": asdict(cost)} for who, start, cost in costs]
            for name, costs in self.costs.items()
        }
        return {"speed": speed, **self.found}

    def _deployment(self, inputs: str, partitions: int = PARTITIONS, policy: str | None = None) -> Deployment:
        number = next(self._number)
        return Deployment(self.address, inputs, f"{inputs}{number}.", f"bench-{number}", partitions, policy)

    def _process(
        self,
        module: tuple[str, ...],
        deployment: Deployment,
        environment: dict[str, str] | None = None,
        program: Program = THIS,
    ) -> MeasuredProcess:
        log = self.folder / f"{deployment.application}-{module[0]}-{next(self._number)}.log"
        mine = {
            "BENCH_APP": deployment.application,
            "CALLWARDEN_WEB_PORT": str(free_ports(1)[0]),
            "FAUST_DATADIR": str(self.folder / f"{deployment.application}-data"),
            "BENCH_FOLDER": str(self.folder / f"{deployment.application}-peer"),
        }
        return MeasuredProcess(module, log, {**deployment.environment, **mine, **(environment or {})}, program)

    @contextmanager
    def _worker(self, deployment: Deployment) -> Iterator[MeasuredProcess]:
        """A worker that has opened all partitions."""
        with self._process(("streams.cli", "worker", "--json-logs"), deployment) as worker:
            worker.await_event(OPENED, deployment.partitions)
            yield worker


def _read(contender: Contender, deployment: Deployment, processes: Sequence[MeasuredProcess], records: int) -> int:
    """Wait until it has read all records; return the number."""
    if contender.is_worker:
        asyncio.run(broker_topics.all_decided(deployment))
        return records
    return int(processes[0].await_event("done")["records"])
