"""A burst of records, which a stream task with one source decides in steps, each stored separately."""

from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from streams.worker.running.work_estimate import transaction_work

DAY = 86_400_000
T0 = 1_790_000_100_000
NOT_AFTER_MS = T0 + 60 * DAY
SHORT_CALLS: dict[str, Any] = {
    "behaviour": "blind_calling",
    "metric": "short_call_ratio",
    "above": 0.5,
    "min_denominator": 2,
    "step": "5m",
}
"""A rule for more than half of the calls being short, without its id and window."""


def new_task(policy: Policy) -> StreamTask:
    return StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)


def feed(task: StreamTask, values: list[bytes]) -> None:
    """Feed what the task has not read yet."""
    start, stop = task.sources.offsets[0], len(values)
    stamps = np.full(stop - start, NOT_AFTER_MS)
    task.feed(0, RecordBatch(start, stop, np.arange(start, stop), stamps, values[start:]))


def decided_in_steps(
    policy: Policy,
    values: list[bytes],
    most: int,
    decided: Callable[[StreamTask], list[bytes]],
    restarts: bool = False,
) -> list[list[bytes]]:
    """What is ``decided`` in each step. With ``restarts`` another task continues from the stored state each time."""
    task, stored, steps = new_task(policy), dict[str, bytes](), list[list[bytes]]()
    feed(task, values)
    while task.due:
        assert transaction_work(task, most) > 0
        task.advance(most)
        steps.append(decided(task))
        for key, value in task.snapshot(hand_over=len(steps) % 3 == 0):
            stored.pop(key, None)
            if value is not None:
                stored[key] = value
        if restarts:
            task = new_task(policy)
            task.restore(stored)
            task.take_over()
            feed(task, values)
    return steps
