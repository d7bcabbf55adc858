"""A pane of millions of calls is closed by its owner on a real broker: how long is the event loop blocked?

Run as ``python -m bench.pane_closing FILE CALLS``; its settings are a worker's environment variables.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from bench import usage
from bench.calls import templates
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.policy.load import load as load_policy
from monitor.policy.model import Policy
from monitor.simulate.settings import HOUR_MS
from streams.kafka.api import TP, FetchedBatch, Listener
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings, load
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition_owner import PartitionOwner

_PANE_MS = 300_000
_ROWS = 5_000
_TICK_S = 0.002
_TEMPLATES = 200_000


class NoConsumer:
    """A consumer that does nothing: the bench feeds the owner itself."""

    async def start(self, listener: Listener) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def assignment(self) -> frozenset[TP]:
        """Return nothing."""
        return frozenset()

    def pause(self, tps: Sequence[TP]) -> None:
        """Do nothing."""

    def resume(self, tps: Sequence[TP]) -> None:
        """Do nothing."""

    def seek(self, tp: TP, offset: int) -> None:
        """Do nothing."""

    async def poll(self, tps: Sequence[TP], timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """Return nothing."""
        return {}

    unanswered_s = 0.0

    def undecided(self) -> dict[TP, int]:
        """Return nothing."""
        return {}


class EventLoopLag:
    """Measures repeatedly how long the event loop was blocked."""

    def __init__(self) -> None:
        self.blocked_s: list[float] = []

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self.blocked_s.append(time.perf_counter() - before_s - _TICK_S)


async def main(path: str, calls: int) -> None:
    """Open a partition, feed the calls of one pane, and report the cost when the next pane begins."""
    settings, policy = load(), load_policy(None)
    cluster = KafkaCluster(settings)
    owner = _owner(cluster, settings, policy)
    owner.begin()
    while owner.phase is not OwnedPhase.RUNNING:  # the parent process has a timeout
        await asyncio.sleep(0.01)
    running = owner.running
    assert running is not None
    partition = running.task
    fed_s: list[float] = []
    # It ends with an hour, and so do windows of all steps: more work than most panes cause.
    end_ms = (time.time_ns() // 1_000_000 - policy.lateness_ms) // HOUR_MS * HOUR_MS
    for rows in _pane(path, calls, end_ms - _PANE_MS):
        began_s = time.perf_counter()
        running.feed(INPUTS.index("cdr"), rows)
        fed_s.append(time.perf_counter() - began_s)
    fed_bytes = usage.resident_bytes()
    for source in range(len(INPUTS)):
        partition.sources.move(source, end_ms + policy.lateness_ms)
    open_calls = len(partition.shard.open_panes)
    spent = await _close_pane(owner)
    await cluster.stop()
    memory = {"resident_bytes": fed_bytes, "peak_bytes": usage.peak_bytes()}
    about = {"event": "closed", "calls": open_calls, "tenants": partition.shard.tenants}
    print(json.dumps({**about, "fed_s": max(fed_s), **spent, **memory}), flush=True)


def _owner(cluster: KafkaCluster, settings: Settings, policy: Policy) -> PartitionOwner:
    names = TopicNames.from_settings(settings)

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    application = settings.application_id
    setup = WorkerContext(
        cluster, names, policy, b"", DecidingSettings(), 1, "murmur2", application, 1.0, now_ms, WorkerMetrics(policy)
    )
    return PartitionOwner(0, setup, NoConsumer())


def _pane(path: str, calls: int, start_ms: int) -> Iterator[RecordBatch]:
    """That many calls, spread evenly over the pane that begins at that time."""
    prepared = templates(path, _TEMPLATES)
    lines = itertools.cycle(prepared)
    for first in range(0, calls, _ROWS):
        count = min(_ROWS, calls - first)
        end_ms = start_ms + np.arange(first, first + count) * _PANE_MS // calls
        some = list(zip(range(first, first + count), end_ms.tolist(), itertools.islice(lines, count), strict=True))
        values = [line.at(number // len(prepared), at_ms) for number, at_ms, line in some]
        keys = [line.tenant for _, _, line in some]
        yield RecordBatch(first, first + count, np.arange(first, first + count), end_ms, values, keys)


async def _close_pane(owner: PartitionOwner) -> dict[str, float]:
    """The time until the pane is closed and committed, and how long the event loop was blocked."""
    lag = EventLoopLag()
    ticking = asyncio.create_task(lag.run())
    await asyncio.sleep(0.1)
    lag.blocked_s.clear()
    began_s = time.perf_counter()
    owner.tick()
    await asyncio.sleep(0)
    running = owner.running
    assert running is not None
    assert running.busy, "no thread closes the pane; expected a due pane that is too large for the event loop"
    while running.busy:
        await asyncio.sleep(0.001)
    busy_s = time.perf_counter() - began_s
    await owner.give_up()  # waits for the transaction
    took_s = time.perf_counter() - began_s
    ticking.cancel()
    over = sum(blocked > 0.1 for blocked in lag.blocked_s)
    return {"in_thread_s": busy_s, "took_s": took_s, "blocked_s": max(lag.blocked_s), "blocked_over_100_ms": over}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
