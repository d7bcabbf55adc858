"""Three brokers: leaders are killed in turn, one is away for minutes, two are away, all are restarted; consumers and
workers are killed.

Decisions are as exact as with one broker. All parts work while one of three brokers is away, and report it.
"""

import asyncio
import json
import os
import random
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from worker_faults import Faults, hurt
from worker_judge import read_all
from worker_platform import Platform
from worker_processes import FORM, MAIN, PARTITIONS, Fleet, Pages, callwarden, wait_for

from helpers.patience import PATIENCE_S
from oracle.billing import holds
from streams.consumers.billing.holds import holds_of
from streams.consumers.database import Database
from streams.dev.kafka_cluster import DevCluster
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

AWAY_S = 150
_TOKEN = "a-token-of-the-tests"
# Phases that only an operator can end, and values that are unknown without the broker.
_WRONGLY_SAID = re.compile("refused|stopped|misconfigured|end-outage")


def own_errors(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors that a process itself logs; a client also logs each failed connection as an error."""
    return [line for line in lines if line["level"] in ("error", "critical") and "logger" not in line]


class Consumer:
    """`callwarden billing` or `callwarden ledger run` with a SQLite database, killed and restarted."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name, self._command, self._log = name, command, folder / f"{name}.log"
        port = free_ports(1)[0]
        self.pages = Pages(f"http://127.0.0.1:{port}")
        self.url = f"sqlite:///{folder / name}.db"
        upper = name.upper()
        self.environment = {
            **os.environ,
            **environment,
            f"CALLWARDEN_{upper}_DATABASE": self.url,
            f"CALLWARDEN_{upper}_PORT": str(port),
        }
        if name == "billing":
            self.environment["CALLWARDEN_BILLING_TOKEN"] = _TOKEN
        self._child = self._start()

    def kill(self) -> None:
        """kill -9, and start a new process."""
        assert self._child.running, self.log()[-2000:]
        assert self._child.kill() == -signal.SIGKILL
        self._child = self._start()

    def ready(self) -> bool:
        """Whether it reports ready. Raises AssertionError when it has ended by itself."""
        assert self._child.running, self.log()[-2000:]
        return self.pages.get("/readyz")[0] == 200

    def answer(self, tenant: str) -> int:
        """The status of billing's answer whether refunds to the tenant are frozen; 0 when it does not answer."""
        asking = urllib.request.Request(f"{self.pages.url}/v1/refunds/{tenant}")
        asking.add_header("Authorization", f"Bearer {_TOKEN}")
        try:
            with urllib.request.urlopen(asking, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            answer.close()
            return answer.code
        except OSError:
            return 0

    def stop(self) -> int:
        """Send TERM; return its exit status."""
        return self._child.stop(PATIENCE_S)

    def log(self) -> str:
        """Its whole log."""
        return self._log.read_text("utf-8")

    def errors(self) -> list[dict[str, Any]]:
        """Its error log lines."""
        lines = self.log().splitlines(keepends=True)
        return own_errors(json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n"))

    def _start(self) -> ChildProcess:
        with self._log.open("ab") as output:
            return ChildProcess([sys.executable, "-c", MAIN, *self._command, *FORM], output, self.environment)


class ClusterFaults(Faults):
    """The faults of one broker, but each broker fault leaves a majority of the brokers running, except one."""

    def __init__(self, platform: Platform, fleet: Fleet, chooser: random.Random, consumers: list[Consumer]) -> None:
        super().__init__(platform, fleet, chooser)
        assert isinstance(platform.node, DevCluster)
        self._cluster, self._consumers = platform.node, consumers
        self._billing = consumers[0]
        self._topics = [platform.names.output("state"), platform.names.inputs[0]]
        self._due: Iterator[Callable[[], str]] = iter(
            [
                *[lambda number=number: self.leader(number) for number in self._cluster.nodes],
                self.rolling_restart,
                self.away,
                self.two_away,
                self.rolling_restart,
            ]
        )

    def broker(self) -> str:
        did = next(self._due)()
        consumer = self._chooser.choice(self._consumers)
        consumer.kill()
        self._all_work(f"after {did}")
        return f"{did}; {consumer.name} was killed"

    def leader(self, number: int) -> str:
        """Kill a node that leads partitions."""
        node = self._cluster.nodes[number]
        wait_for(lambda: self._leads(number), f"node {number} leads a partition")
        node.kill()
        self._all_work(f"while node {number} is away")
        node.start(PATIENCE_S)
        self._in_sync()
        return f"node {number} was killed"

    def away(self) -> str:
        """One node is away for minutes; all parts work meanwhile."""
        number = self._chooser.choice(list(self._cluster.nodes))
        self._cluster.nodes[number].kill()
        until = time.monotonic() + AWAY_S
        self._all_work(f"while node {number} is away")
        time.sleep(max(until - time.monotonic(), 0))
        self._all_work(f"when node {number} was away for {AWAY_S} s")
        self._cluster.nodes[number].start(PATIENCE_S)
        self._in_sync()
        return f"node {number} was away for {AWAY_S} s"

    def two_away(self) -> str:
        """Two of three nodes are away: no write is acknowledged, and every part reports that it cannot work."""
        gone = self._chooser.sample(list(self._cluster.nodes), 2)
        for number in gone:
            self._cluster.nodes[number].kill()
        everybody = {worker.name: worker.get for worker in self._fleet.running}
        everybody |= {one.name: one.pages.get for one in self._consumers}
        wait_for(
            lambda: all(get("/readyz")[0] == 503 for get in everybody.values()),
            "all say that they cannot work",
        )
        said = {name: get("/readyz")[1].strip() for name, get in everybody.items()}
        assert not any(map(_WRONGLY_SAID.search, said.values())), said
        assert self._billing.answer("somebody") == 503
        self._cluster.start(PATIENCE_S)
        self._in_sync()
        return f"nodes {gone} were away together, and it was said: {said}"

    def rolling_restart(self) -> str:
        """Each node in turn shuts down and restarts, once all replicas are in sync."""
        for number, node in self._cluster.nodes.items():
            node.stop(PATIENCE_S)
            node.start(PATIENCE_S)
            self._in_sync()
            self._all_work(f"after the restart of node {number}")
        return "all nodes were restarted in turn"

    def _all_work(self, when: str) -> None:
        workers = self._fleet.running
        wait_for(lambda: all(w.get("/readyz")[0] == 200 for w in workers), f"all workers are ready {when}")
        wait_for(lambda: all(one.ready() for one in self._consumers), f"all consumers are ready {when}")
        wait_for(lambda: self._billing.answer("somebody") == 200, f"billing answers {when}")
        errors = [(worker.name, line) for worker in workers for line in own_errors(worker.said())]
        errors += [(one.name, line) for one in self._consumers for line in one.errors()]
        assert not errors, f"{when}: {errors[:3]}"

    def _in_sync(self) -> None:
        def whole() -> bool:
            return all(len(one["isr"]) == 3 for one in self._partitions())

        wait_for(whole, "all replicas are in sync")

    def _leads(self, number: int) -> bool:
        return any(one["leader"] == number for one in self._partitions())

    def _partitions(self) -> list[dict[str, Any]]:
        async def ask() -> list[dict[str, Any]]:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._cluster.address)
            await admin.start()
            try:
                return [part for topic in await admin.describe_topics(self._topics) for part in topic["partitions"]]
            finally:
                await admin.close()

        return asyncio.run(ask())


@contextmanager
def consumers_of(folder: Path, environment: dict[str, str]) -> Iterator[list[Consumer]]:
    """Billing and the ledger, which end with the test."""
    consumers: list[Consumer] = []
    try:
        for name, command in (("billing", ["billing"]), ("ledger", ["ledger", "run"])):
            consumers.append(Consumer(name, command, folder, environment))
        yield consumers
    finally:
        for consumer in consumers:
            consumer.stop()


@pytest.mark.soak
async def test_faults_of_three_brokers_change_nothing(three_brokers: Platform, tmp_path: Path) -> None:
    address, names = three_brokers.node.address, three_brokers.names
    with consumers_of(tmp_path, three_brokers.environment) as (billing, ledger):
        for consumer in (billing, ledger):
            await asyncio.to_thread(wait_for, consumer.ready, f"{consumer.name} is ready")
        await hurt(
            three_brokers, tmp_path, faults=28, broker_kills=7, calls=60_000,
            faults_of=partial(ClusterFaults, consumers=[billing, ledger]),
        )  # fmt: skip
        logs = await read_all(address, [names.output("enforcement")], PARTITIONS)
        expected = holds(record.value for record in logs.of(names.output("enforcement")))
        database = Database(billing.url, "billing")
        try:

            def held() -> dict[str, set[str]]:
                with database.reading() as connection:
                    found = holds_of(connection, list(expected))
                return {tenant: {hold.id for hold in each} for tenant, each in found.items() if each}

            await asyncio.to_thread(wait_for, lambda: held() == expected, "billing holds what it must")
        finally:
            database.close()
        assert expected
        await asyncio.to_thread(callwarden, ledger.environment, "ledger", "verify", "--with-topics")
        for consumer in (billing, ledger):
            assert "Traceback" not in consumer.log()
            assert await asyncio.to_thread(consumer.stop) == 0
