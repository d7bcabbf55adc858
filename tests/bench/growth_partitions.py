"""The stream tasks of a worker, without Kafka: fed in rounds as its consumer loop feeds them, with their transactions.

Each step is timed by CPU time. Large steps run in a thread in a worker, the others in its event loop, which they block.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from bench import usage
from bench.calls import head_of
from bench.policies import named
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from streams.kafka.topic_names import TopicNames
from streams.topics import transaction_records
from streams.worker.running.input_delivery import SLICE_ROWS
from streams.worker.running.running_partition import _BACKLOG_ROWS, _LARGE
from streams.worker.running.transaction import MOST_AT_ONCE
from streams.worker.running.work_estimate import early_work, transaction_work

_ROUND_ROWS = 20_000  # as the consumer loop polls
_COMMIT_ROWS = 100_000  # of all partitions: about a second of a backlog, after which each partition commits
_NEVER_MS = 4_102_444_800_000  # no record is ahead of it
_NAMES = TopicNames("", "")

T = TypeVar("T")


class Steps:
    """CPU time of steps in the event loop and in threads: the sum, and the longest by name."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self.loop_s: dict[str, float] = {}
        self.thread_s: dict[str, float] = {}

    def timed(self, name: str, step: Callable[[], T], in_thread: bool = False) -> T:
        """Run a step and record its CPU time."""
        began_s = time.thread_time()
        done = step()
        took_s = time.thread_time() - began_s
        self.total_s += took_s
        longest = self.thread_s if in_thread else self.loop_s
        longest[name] = max(longest.get(name, 0.0), took_s)
        return done


class Store:
    """The stored state of a partition, in a file: in memory it would count as memory of the worker."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}

    def write(self, changes: list[tuple[str, bytes | None]]) -> None:
        """Apply the changes of a snapshot."""
        for key, blob in changes:
            self._places.pop(key, None)
            if blob is not None:
                self._places[key] = self._file.seek(0, 2), len(blob)
                self._file.write(blob)

    @property
    def live_bytes(self) -> int:
        """The size of its live entries."""
        return sum(len(key) + size for key, (_, size) in self._places.items())

    def read(self) -> dict[str, bytes]:
        """Its live entries."""
        found = {}
        for key, (at, size) in self._places.items():
            self._file.seek(at)
            found[key] = self._file.read(size)
        return found


class Partition:
    """A stream task with its store."""

    def __init__(self, number: int, count: int, policy: Policy, steps: Steps, store: Store) -> None:
        self.number, self.store = number, store
        self.task = StreamTask(policy, place=PartitionIdentity(number, count), sources=1)
        self.task.write_measures()
        self._steps = steps
        self._at = 0
        self.undecided = 0

    def feed(self, values: list[bytes], keys: list[bytes]) -> None:
        """Feed the next records, in slices, as the consumer loop does."""
        stop = self._at + len(values)
        offsets = np.arange(self._at, stop)
        rows = RecordBatch(self._at, stop, offsets, np.full(len(values), _NEVER_MS), values, keys)
        for piece in rows.cut(offsets[SLICE_ROWS::SLICE_ROWS].tolist()):
            self._steps.timed("feed", lambda piece=piece: self.task.feed(0, piece))
        self._at = stop
        self.undecided += len(values)

    def commit(self) -> None:
        """Decide all that is due, in as many transactions as a worker needs."""
        while self.task.due or self.task.pending:
            work = self._steps.timed("estimate", lambda: transaction_work(self.task, MOST_AT_ONCE))
            changes = self._steps.timed("transaction", self._decide, work > _LARGE)
            self.store.write(changes)
        self.undecided = 0

    def _decide(self) -> list[tuple[str, bytes | None]]:
        self.task.advance(MOST_AT_ONCE)
        taken = self.task.take()
        changes = list(self.task.snapshot())
        transaction_records.records(_NAMES, self.number, taken, changes)
        return changes

    def look(self) -> None:
        """The first early evaluation, which covers all open windows."""
        work = self._steps.timed("estimate", lambda: early_work(self.task))
        self._steps.timed("early evaluation", self.task.early, work > _LARGE)


def measure(path: str, policy_name: str, partitions: int) -> dict[str, Any]:
    """Read a file to its end; return the cost per record, the longest steps, and the sizes of memory and state."""
    policy, steps = named(policy_name), Steps()
    with tempfile.TemporaryFile() as file:
        owned = [Partition(number, partitions, policy, steps, Store(file)) for number in range(partitions)]
        records = 0
        for round_records in _rounds(path, partitions):
            records += sum(len(values) for values, _ in round_records.values())
            for number, (values, keys) in round_records.items():
                owned[number].feed(values, keys)
            everyone = records % _COMMIT_ROWS < _ROUND_ROWS
            for one in owned:
                if everyone or one.undecided >= _BACKLOG_ROWS:
                    one.commit()
        for one in owned:
            one.commit()
        total_s = steps.total_s
        for one in owned:
            one.look()
        found = {
            "records": records,
            "rules": len(policy.rules),
            "tenants": sum(one.task.shard.tenants for one in owned),
            "cpu_s": total_s,
            "loop_s": steps.loop_s,
            "thread_s": steps.thread_s,
            "peak_bytes": usage.peak_bytes(),
            "stored_bytes": sum(one.store.live_bytes for one in owned),
        }
        stores = [one.store for one in owned]
        del owned, one
        return {**found, "restore_s": _restore(stores, policy)}


def _restore(stores: list[Store], policy: Policy) -> list[float]:
    """CPU time of restoring each partition."""
    took_s = []
    for number, store in enumerate(stores):
        stored, task = store.read(), StreamTask(policy, place=PartitionIdentity(number, len(stores)), sources=1)
        task.write_measures()
        began_s = time.thread_time()
        if stored:
            task.restore(stored)
        took_s.append(time.thread_time() - began_s)
    return took_s


def _rounds(path: str, partitions: int) -> Iterator[dict[int, tuple[list[bytes], list[bytes]]]]:
    """The values and keys of each partition, round by round, in the order of arrival."""
    homes: dict[bytes, int] = {}
    with Path(path).open("rb") as stream:
        while lines := [line.rstrip(b"\n") for line in islice(stream, _ROUND_ROWS)]:
            found: defaultdict[int, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
            for line in lines:
                key = head_of(line).tenant_id.encode()
                if key not in homes:
                    homes[key] = partition_of(key, partitions, "murmur2")
                values, keys = found[homes[key]]
                values.append(line)
                keys.append(key)
            yield found
