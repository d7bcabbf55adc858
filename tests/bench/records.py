"""Complaints of one tenant: the cost of one more in bytes, time and memory, and the longest blocking of the event loop.

Run as ``python -m bench.records``, in ``tests/``; all times are CPU times of one thread.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.memory import size_of
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import load
from streams.worker.running.input_delivery import OTHER_ROWS
from streams.worker.running.running_partition import _LARGE
from streams.worker.running.transaction import MOST_AT_ONCE
from streams.worker.running.work_estimate import early_work, transaction_work

T0 = 1_790_000_000_000
_NEVER_MS = 4_102_444_800_000
_LATENESS_MS = 600_000
_ONE_BY_ONE = 20


class Steps:
    """The duration in ms of single steps that block the event loop, and of those that run in a thread."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}

    def timed(self, name: str, step: Callable[[], Any]) -> Any:
        """Run a step and record its duration."""
        began_s = time.thread_time()
        done = step()
        self.longest[name] = max(self.longest.get(name, 0.0), 1_000 * (time.thread_time() - began_s))
        return done


def complaint(number: int, at_ms: int) -> bytes:
    """A verified complaint, which leads to a decision."""
    record = {
        "type": "complaint",
        "complaint_id": f"{number * 2_654_435_761 % 2**32:08x}-{number:08x}",
        "tenant_id": "acme",
        "category": "number_leak",
        "status": "verified",
        "reported_ms": at_ms,
        "updated_ms": at_ms,
        "complainant": f"{number % 1_000}",
    }
    return json.dumps(record).encode()


def complaints(counts: Sequence[int] = (1_000, 10_000, 100_000)) -> list[dict[str, Any]]:
    """Send one tenant's complaints in bursts of the given sizes; after each burst, some more one by one."""
    partition, steps = StreamTask(load(None), sources=1), Steps()
    sent, results = 0, []

    def feed(count: int) -> None:
        nonlocal sent
        values = [complaint(n, T0 + n) for n in range(sent, sent + count)]
        offsets = np.arange(sent, sent + count)
        rows = RecordBatch(sent, sent + count, offsets, np.full(count, _NEVER_MS), values)
        for piece in rows.cut(offsets[OTHER_ROWS::OTHER_ROWS].tolist()):
            steps.timed("feed", lambda piece=piece: partition.feed(0, piece))
        sent += count

    def commit() -> int:
        def decide() -> int:
            partition.advance(MOST_AT_ONCE)
            partition.take()
            return sum(len(value or b"") for _, value in partition.snapshot())

        in_thread = transaction_work(partition, MOST_AT_ONCE) > _LARGE
        return int(steps.timed("transaction in a thread" if in_thread else "transaction", decide))

    def decide_all() -> int:
        partition.sources.move(0, T0 + sent + _LATENESS_MS + 1)
        written = 0
        while partition.due:
            written += commit()
        return written

    for count in counts:
        began_s = time.thread_time()
        more = count - sent
        feed(more)
        in_thread = early_work(partition) > _LARGE
        steps.timed("early evaluation in a thread" if in_thread else "early evaluation", partition.early)
        decide_all()
        spent_s = time.thread_time() - began_s
        written = []
        for _ in range(_ONE_BY_ONE):
            feed(1)
            partition.early()
            written.append(decide_all())
        results.append(
            {
                "complaints": count,
                "us_each": 1e6 * spent_s / more,
                "bytes_one_more": sum(written) // len(written),
                "memory_each": size_of([partition.shard.tenant_records], set()) // sent,
                "longest_ms": {name: round(ms, 1) for name, ms in sorted(steps.longest.items())},
            }
        )
    return results


def main() -> None:
    """Print the table."""
    for row in complaints():
        print(json.dumps(row))


if __name__ == "__main__":
    main()
