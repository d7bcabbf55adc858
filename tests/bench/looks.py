"""Early evaluations under a steady load: their share of a worker's CPU time: ``python -m bench.looks``.

One of eight partitions, without Kafka: its tenants have a day of calls behind them, and then make calls at an even
rate. Every quarter of a second what came is decided and stored, and evaluated early. ``--tenants`` and ``--rate`` are
those of all eight partitions. The first ``--warm`` seconds are not measured: until the windows hold more than a few
calls of each tenant, thresholds are near.
"""

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.calls import event_ms, head_of, template
from bench.policies import named
from bench.workload import CACHE, Workload, make
from monitor.partition.partitioner import partition_of
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from schemas import codec
from streams.worker.main import reduce_garbage_collection

_NEVER_MS = 4_102_444_800_000  # no record is ahead of it
_PARTITIONS = 8
_LOOK_MS = 250  # the interval of early evaluations in a worker
_BATCH_MS = 50
_NIGHT_MS = 10 * 3_600_000  # between the day and the load: calls at night would break rules
_CALLEE = re.compile(rb'("callee":"[^"]*?)(\d{4})"')
_HISTORY = 5_000  # records fed at once before the load

T = TypeVar("T")


class Spent:
    """CPU ms of each step, and the digest of what was decided and alerted."""

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {}
        self.alerts = 0
        self.digest = hashlib.sha256()

    def on(self, name: str, step: Callable[[], T]) -> T:
        """Run a step and add its time."""
        began_ns = time.thread_time_ns()
        done = step()
        self.steps.setdefault(name, []).append((time.thread_time_ns() - began_ns) / 1e6)
        return done

    def table(self, calls: int, look: str = "early evaluation") -> dict[str, Any]:
        """The totals and extremes, and the share of early evaluations in the sum of all steps."""
        total = sum(map(sum, self.steps.values()))
        looks = sorted(self.steps[look])
        return {
            "share": round(sum(looks) / total, 4),
            "look_ms": {"median": looks[len(looks) // 2], "p99": looks[-1 - len(looks) // 100], "most": looks[-1]},
            "us_a_call": {name: round(1e3 * sum(spent) / calls, 3) for name, spent in self.steps.items()},
            "most_ms": {name: round(max(spent), 1) for name, spent in self.steps.items()},
            "alerts": self.alerts,
            "digest": self.digest.hexdigest()[:16],
        }


class Load:
    """The calls of one partition of a workload: as they are, and then repeated at a rate."""

    def __init__(self, path: str, partition: int) -> None:
        homes: dict[str, int] = {}
        self.lines: list[bytes] = []
        with Path(path).open("rb") as stream:
            for line in stream:
                tenant = head_of(line).tenant_id
                if tenant not in homes:
                    homes[tenant] = partition_of(tenant.encode(), _PARTITIONS, "murmur2")
                if homes[tenant] == partition:
                    self.lines.append(line.rstrip(b"\n"))
        self._templates = [template(line) for line in self.lines if line.startswith(b'{"type":"cdr"')]
        np.random.default_rng(1).shuffle(self._templates)  # type: ignore[arg-type]
        self._start_ms = max(map(event_ms, self.lines)) + _NIGHT_MS

    def steady(self, rate: float, seconds: int) -> Iterator[list[bytes]]:
        """The calls of each batch."""
        sent = 0
        for batch in range(seconds * 1_000 // _BATCH_MS):
            until = int(rate * (batch + 1) * _BATCH_MS / 1_000)
            at_ms = self._start_ms + (batch + 1) * _BATCH_MS
            yield [self._at(number, at_ms) for number in range(sent, until)]
            sent = until

    def _at(self, number: int, at_ms: int) -> bytes:
        again, place = divmod(number, len(self._templates))
        return _CALLEE.sub(
            lambda found: b'%s%04d"' % (found[1], (int(found[2]) + 37 * again) % 10_000),
            self._templates[place].at(again, at_ms),
        )


def steady_looks(load: Load, policy: str, rate: int, warm: int, seconds: int) -> dict[str, Any]:
    """Read the history and the first ``warm`` seconds of the load, then measure each step of the others."""
    task, spent, before = StreamTask(named(policy), sources=1), Spent(), Spent()
    at = 0

    def feed(values: Sequence[bytes]) -> None:
        nonlocal at
        stop = at + len(values)
        task.feed(0, RecordBatch(at, stop, np.arange(at, stop), np.full(len(values), _NEVER_MS), values))
        at = stop

    def decide() -> None:
        task.advance(5_000)
        keep()
        task.snapshot()

    def keep() -> None:
        output = task.take().output
        spent.alerts += len(output.alerts)
        for one in (*output.enforcement, *output.alerts):
            spent.digest.update(codec.encode(one))

    for start in range(0, len(load.lines), _HISTORY):
        feed(load.lines[start : start + _HISTORY])
        decide()
    calls = 0
    for number, values in enumerate(load.steady(rate / _PARTITIONS, warm + seconds)):
        if number * _BATCH_MS < 1_000 * warm:
            feed(values)
            decide()
            continue
        if number * _BATCH_MS == 1_000 * warm:
            before.on("first early evaluation", task.early)
            keep()
        calls += len(values)
        spent.on("read", lambda values=values: feed(values))
        if (number + 1) * _BATCH_MS % _LOOK_MS == 0:
            spent.on("early evaluation", task.early)
            if task.due or task.pending:
                spent.on("decide and store", decide)
    return {"tenants": task.shard.tenants, "first_ms": before.steps["first early evaluation"][0], **spent.table(calls)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line for each number of tenants."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--warm", type=int, default=240)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--policy", default="built-in")
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args(arguments)
    reduce_garbage_collection()
    for tenants in given.tenants:
        made = make(
            Workload({10_000: "base", 100_000: "many"}.get(tenants, "looks"), tenants, given.calls), given.cache
        )
        load = Load(made.path, given.partition)
        print(json.dumps(steady_looks(load, given.policy, given.rate, given.warm, given.seconds)), flush=True)


if __name__ == "__main__":
    main()
