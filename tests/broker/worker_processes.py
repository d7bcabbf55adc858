"""Worker processes for the broker tests: started, killed or paused, and observed from outside, as by an operator."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

PARTITIONS = 8
_PAGE_S = 30.0  # a page of a paused process never comes
MAIN = "from streams.cli.app import main; main()"  # `callwarden`, by this interpreter
FORM = ["--json-logs"]
AWAY, BACK = "the broker is away; waiting for it", "the broker is back"
_PHASE = re.compile(r'^callwarden_partition\{partition="(\d+)",phase="(\w+)"\} 1\.0$', re.MULTILINE)
_LAG = re.compile(r"^callwarden_lag_records\{.*\} (.+)$", re.MULTILINE)


def wait_for(holds: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; raises AssertionError when it does not in time."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.1)


def run_command(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """The exit status of `callwarden`, and its output on both streams."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env={**os.environ, "NO_COLOR": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout


def callwarden(environment: Mapping[str, str], *arguments: str, status: int = 0) -> str:
    """The output of `callwarden`. Raises AssertionError when it ends with another exit status."""
    ended, said = run_command(environment, *arguments)
    assert ended == status, said
    return said


class Pages:
    """The pages of a process at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, page: str) -> tuple[int, str]:
        """Status and body of a page; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(self.url + page, timeout=_PAGE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()
        except OSError:
            return 0, ""


class Worker:
    """A `callwarden worker`, with JSON log lines in ``log``. ``main`` is the code that its interpreter runs."""

    def __init__(self, name: str, log: Path, environment: Mapping[str, str], main: str = MAIN) -> None:
        self.name, self.log = name, log
        self.paused = self.ended = False
        self._pages = Pages(f"http://127.0.0.1:{free_ports(1)[0]}")
        mine = {
            **os.environ,
            **environment,
            "PYTHONFAULTHANDLER": "1",
            "CALLWARDEN_WEB_PORT": self._pages.url.rpartition(":")[2],
        }
        with log.open("wb") as output:
            self._child = ChildProcess([sys.executable, "-c", main, "worker", *FORM], output, mine)

    @property
    def target(self) -> str:
        """The address of its pages: HOST:PORT."""
        return self._pages.url.removeprefix("http://")

    @property
    def running(self) -> bool:
        """Whether its process exists, paused or not."""
        return self._child.running

    @property
    def state(self) -> str:
        """The process's state in Linux's notation: T is stopped."""
        return Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def most_memory(self) -> int:
        """Its peak resident memory in bytes."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self._child.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def kill(self) -> int:
        """kill -9; its exit status."""
        self.ended = True
        return self._child.kill()

    def terminate(self) -> int:
        """TERM, then the exit status; -9 when it had to be killed."""
        self.ended = True
        return self._child.stop(PATIENCE_S)

    def dump(self) -> None:
        """Abort the process: the stacks of its threads go to its log."""
        self._child.signal(signal.SIGABRT)
        self._child.wait(10)

    def wait(self, within_s: float) -> int:
        """Wait for the process to end by itself; return its exit status."""
        return self._child.wait(within_s)

    def pause(self) -> None:
        """Pause it (STOP)."""
        self._child.signal(signal.SIGSTOP)
        self.paused = True

    def go_on(self) -> None:
        """Continue it (CONT)."""
        self._child.signal(signal.SIGCONT)
        self.paused = False

    def get(self, page: str) -> tuple[int, str]:
        """Status and body of a page; 0 when nothing answers."""
        return self._pages.get(page)

    def owned(self, phase: str = "running") -> set[int]:
        """The partitions that it owns in that phase."""
        return {int(number) for number, one in _PHASE.findall(self.get("/metrics")[1]) if one == phase}

    def metric(self, name: str) -> float:
        """A gauge without labels."""
        found = re.search(rf"^{name} (.+)$", self.get("/metrics")[1], re.MULTILINE)
        assert found, f"{self.name} has no {name}"
        return float(found[1])

    def values(self, name: str) -> list[float]:
        """A metric by all its labels, or the one value of a metric without labels."""
        page = self.get("/metrics")[1]
        return [float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (.+)$", page, re.MULTILINE)]

    def sum(self, name: str) -> float:
        """A metric over all its labels."""
        return sum(self.values(name))

    def lag(self) -> float | None:
        """The number of records it has not read yet; None if it does not report it."""
        values = _LAG.findall(self.get("/metrics")[1])
        return sum(map(float, values)) if values else None

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        return self.get("/readyz")[0] == 200

    def is_at_end(self) -> bool:
        """Whether it has read everything."""
        return self.lag() == 0

    def said(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        lines = self.log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]

    def said_else(self) -> list[str]:
        """Its output other than log lines, which should be empty."""
        return [line for line in self.log.read_text("utf-8").splitlines() if not line.startswith("{")]

    def opened(self) -> list[int]:
        """The partitions that it has opened so far, in order."""
        return [line["partition"] for line in self.said() if line["event"] == "partition opened"]

    def times_said(self, event: str) -> int:
        """How many times it logged that event."""
        return sum(line["event"] == event for line in self.said())


class Fleet:
    """The workers of one application."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self.all: list[Worker] = []

    @property
    def running(self) -> list[Worker]:
        """The workers that the test did not end, the oldest first; raises AssertionError when one ended by itself."""
        running = [worker for worker in self.all if not worker.ended]
        for worker in running:
            assert worker.running, f"{worker.name} ended by itself: {worker.said_else() or worker.said()[-3:]}"
        return running

    def add(self, also: Mapping[str, str] | None = None, main: str = MAIN) -> Worker:
        """Start another worker, with ``also`` in its environment."""
        name = f"worker-{len(self.all)}"
        worker = Worker(name, self._folder / f"{name}.log", {**self._environment, **(also or {})}, main)
        self.all.append(worker)
        return worker

    def owners(self) -> dict[int, list[str]]:
        """The owners of each partition among the workers that are not paused."""
        owners: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
        for worker in self.running:
            for number in worker.owned() if not worker.paused else ():
                owners[number].append(worker.name)
        return owners

    def settled(self) -> bool:
        """Whether every partition has one owner, and every worker owns some."""
        owners = self.owners()
        busy = {name for names in owners.values() for name in names}
        awake = {worker.name for worker in self.running if not worker.paused}
        return busy == awake and all(len(names) == 1 for names in owners.values())

    def settle(self) -> None:
        """Wait until it has settled."""
        try:
            wait_for(self.settled, "each partition run by one worker")
        except AssertionError as error:
            tail = "".join(f"\n{w.name}: {line}" for w in self.running for line in w.said()[-4:])
            owners = self.owners()
            for worker in self.running:
                if not worker.get("/healthz")[0]:
                    worker.dump()
            raise AssertionError(f"{error}; {owners}{tail}") from None

    def end(self) -> None:
        """Kill all workers."""
        for worker in self.all:
            worker.kill()


@contextmanager
def fleet_of(folder: Path, environment: Mapping[str, str]) -> Iterator[Fleet]:
    """A fleet that ends with the test."""
    fleet = Fleet(folder, environment)
    try:
        yield fleet
    finally:
        fleet.end()
