"""The cost of early evaluations, by the number of calls since the last one and in open windows."""

import time
from collections.abc import Iterator
from itertools import islice
from statistics import quantiles
from typing import Any

import numpy as np

from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from monitor.replay.files import line_chunks, open_input

_NEVER_MS = 4_102_444_800_000  # no record is ahead of it
_PIECE = 500
# Shares of the file that are read before the first evaluation, and in each of the cases.
_BEFORE, _SMALL, _LARGE, _OPEN, _MANY_OPEN = 0.5, 0.1, 0.15, 0.2, 0.04


def early_evaluations(path: str, policy: Policy) -> dict[str, Any]:
    """Feed a file as a worker does, with early evaluations: a first one, and the later ones case by case."""
    partition = StreamTask(policy, sources=1)
    with open_input(path) as stream:
        lines = sum(len(some) for _, some in line_chunks(stream, 50_000))
    with open_input(path) as stream:
        feed = feeder(partition, (line for _, some in line_chunks(stream, 5_000) for line in some))

        def read(share: float, advance: bool, piece: int = 5_000) -> Iterator[None]:
            for _ in range(max(int(share * lines) // piece, 1)):
                feed(piece)
                if advance:
                    partition.advance()
                yield

        for _ in read(_BEFORE, True):
            partition.take()
        first_ms = _evaluate(partition)
        cases = [_case("none", partition, (None for _ in range(1_000)))]
        cases.append(_case(f"{_PIECE:,}", partition, read(_SMALL, True, _PIECE)))
        cases.append(_case(f"{10 * _PIECE:,}", partition, read(_LARGE, True, 10 * _PIECE)))
        for _ in read(_OPEN, False):
            pass
        partition.early()
        cases.append(_case(f"{_PIECE:,}, no pane closed for hours", partition, read(_MANY_OPEN, False, _PIECE)))
    return {"first_ms": first_ms, "tenants": partition.shard.tenants, "cases": cases}


def feeder(partition: StreamTask, lines: Iterator[bytes]) -> Any:
    """A function that feeds the next lines to the partition's first source."""
    at = 0

    def feed(count: int) -> None:
        nonlocal at
        some = list(islice(lines, count))
        offsets = np.arange(at, at + len(some))
        partition.feed(0, RecordBatch(at, at + len(some), offsets, np.full(len(some), _NEVER_MS), some))
        at += len(some)

    return feed


def _case(about: str, partition: StreamTask, steps: Iterator[None]) -> dict[str, Any]:
    """An early evaluation after each step: the median and maximum of its cost, and its alerts."""
    partition.take()
    spent_ms, alerts = [], 0
    for _ in steps:
        alerts -= len(partition.shard.output.alerts)
        spent_ms.append(_evaluate(partition))
        alerts += len(partition.shard.output.alerts)
        partition.take()
    return {
        "about": about,
        "open_calls": len(partition.shard.open_panes),
        "evaluations": len(spent_ms),
        "median_ms": quantiles([*spent_ms, *spent_ms], n=2)[0],
        "p99_ms": quantiles([*spent_ms, *spent_ms], n=100)[98],
        "alerts": alerts,
    }


def _evaluate(partition: StreamTask) -> float:
    """Run an early evaluation; return its CPU time in ms."""
    began_ns = time.process_time_ns()
    partition.early()
    return (time.process_time_ns() - began_ns) / 1e6
