"""The size and time of a worker's metrics page with many tenants: `python -m bench.metrics`. Asserts no time."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.early import feeder
from bench.workload import CACHE, Workload, make
from monitor.core.shard import Shard
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from monitor.partition.task import StreamTask
from monitor.policy.load import load
from monitor.replay.files import line_chunks, open_input
from streams.worker.metrics import WorkerMetrics

_READ = 0.75  # of the day: in the evening the windows are full
_TIMES = 5
CASES = {
    "defaults": DistanceOptions(),
    "all near": DistanceOptions(near=0.0),
    "no tenant names": DistanceOptions(busiest=0, most=0),
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its series, the series that name a tenant, its size; the CPU time of the measurement, and of the whole
    page.
    """

    case: str
    series: int
    named: int
    size_bytes: int
    left_out: int
    evaluation_ms: float
    page_ms: float


def pages(path: str, records: int) -> list[Page]:
    """Replay the first part of a file as a worker does, and render its page in each of the cases."""
    policy = load(None)
    partition = StreamTask(policy, sources=1)
    with open_input(path) as stream:
        feed = feeder(partition, (line for _, some in line_chunks(stream, 5_000) for line in some))
        for _ in range(int(_READ * records) // 5_000):
            feed(5_000)
            partition.advance()
            partition.take()
    shard = partition.shard
    return [_page(case, distance_options, shard) for case, distance_options in CASES.items()]


def _page(case: str, distance_options: DistanceOptions, shard: Shard) -> Page:
    telemetry = WorkerMetrics(shard.policy, distance_options)
    telemetry.phase(0, "running")
    took_evaluation, took_page = [], []
    for _ in range(_TIMES):
        telemetry.opened(0, 1.0, shard.policy, partial(_measure, shard))  # forces a new measurement
        began = time.process_time()
        seen = measure_distances(shard, distance_options)
        took_evaluation.append(time.process_time() - began)
        began = time.process_time()
        text = asyncio.run(telemetry.page())
        took_page.append(time.process_time() - began)
    series = [line for line in text.splitlines() if not line.startswith(b"#")]
    named = sum(b'tenant="' in line for line in series)
    times = (statistics.median(took) * 1000 for took in (took_evaluation, took_page))
    return Page(case, len(series), named, len(text), seen.left_out, *times)


async def _measure(shard: Shard, distance_options: DistanceOptions) -> ThresholdDistances:
    return measure_distances(shard, distance_options)


def as_markdown(pages_found: Sequence[Page], tenants: int) -> str:
    """The table of docs/reference/metrics.md."""
    lines = [
        f"| {tenants:,} tenants | series | with a tenant | left out | page, kB | evaluation, CPU ms | page, CPU ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for page in pages_found:
        lines.append(
            f"| {page.case} | {page.series:,} | {page.named:,} | {page.left_out:,} | {page.size_bytes / 1000:,.0f} | "
            f"{page.evaluation_ms:,.0f} | {page.page_ms:,.0f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics", description=__doc__)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    made = make(Workload(f"metrics{options.tenants}", options.tenants, options.calls), options.cache)
    print(as_markdown(pages(made.path, made.records), options.tenants))


if __name__ == "__main__":
    main()
