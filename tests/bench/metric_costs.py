"""What metrics add to the other built-in rules, alternately without and with: `python -m bench.metric_costs`.

CPU time of a worker's stream task without Kafka, and the memory of its windows after the last record. ``--only``
measures some of the metrics.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.early import feeder
from bench.memory import parts_of
from bench.workload import CACHE, Workload, make
from monitor.partition.task import StreamTask
from monitor.policy.load import load, loads
from monitor.policy.metrics import METRICS as TABLE
from monitor.policy.model import Policy
from monitor.policy.serialize import rule_plain
from monitor.replay.files import open_input

METRICS = (
    "callers",
    "calls_per_caller",
    "callee_peak",
    "top_callee_share",
    "block_ratio",
    "consent_peak",
    "short_cancel_ratio",
    "out_of_hours_reject_ratio",
    "median_talk_s",
)
WITHOUT = "without"
ALL = "all"
_HIGH, _HIGH_SHARE = 1e6, 0.999999  # thresholds that nothing exceeds, because decisions would be measured, too
_PARTS = ("running sums and closed panes", "distinct counts", "talk times")


class Run(NamedTuple):
    """The CPU time of one pass over the records, and the bytes of the windows at its end."""

    cpu_s: float
    window_bytes: int


def policies() -> dict[str, Policy]:
    """The built-in rules without these metrics, and with a rule of a day for each metric and for all of them."""
    asked: dict[str, Sequence[str]] = {WITHOUT: (), **{metric: (metric,) for metric in METRICS}, ALL: METRICS}
    return {name: _with(metrics) for name, metrics in asked.items()}


def _with(metrics: Sequence[str]) -> Policy:
    rules = [rule_plain(rule) for rule in load(None).rules if not set(rule.metrics) & set(METRICS)]
    rules += [
        {
            "id": f"bench-{metric}",
            "behaviour": "blind_calling",
            "metric": metric,
            "above": _HIGH_SHARE if TABLE[metric].proportion else _HIGH,
            "window": "24h",
            "step": "1h",
            "mode": "shadow",
        }
        for metric in metrics
    ]
    return loads(json.dumps({"id": "bench", "version": "1", "rules": rules}), "bench.json")


def measured(path: str, policy: Policy) -> Run:
    """One pass over a file in pieces of 5,000 lines."""
    partition = StreamTask(policy, sources=1)
    with open_input(path) as stream:
        lines = stream.read().splitlines()
    feed = feeder(partition, iter(lines))
    began_s = time.process_time()
    for _ in range(0, len(lines), 5_000):
        feed(5_000)
        partition.advance()
        partition.take()
    cpu_s = time.process_time() - began_s
    parts = parts_of(partition.shard)
    return Run(cpu_s, sum(parts[part] for part in _PARTS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[*METRICS, ALL], default=[*METRICS, ALL])
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args(arguments)
    made = make(Workload(f"distinct-{given.tenants}", given.tenants, given.calls), given.cache)
    runs: dict[str, list[tuple[Run, Run]]] = {}
    every = policies()
    for _ in range(given.rounds):
        for name in given.only:
            pair = measured(made.path, every[WITHOUT]), measured(made.path, every[name])
            runs.setdefault(name, []).append(pair)
    print("| metric | without, CPU us per record | with | with / without | windows, bytes per tenant | added |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, pairs in runs.items():
        without, added = (median(pair[side].cpu_s for pair in pairs) / made.records * 1e6 for side in (0, 1))
        ratio = median(one.cpu_s / other.cpu_s for other, one in pairs)
        before, after = (pairs[0][side].window_bytes / given.tenants for side in (0, 1))
        print(f"| {name} | {without:.2f} | {added:.2f} | {ratio:.2f} | {after:,.0f} | {after - before:,.0f} |")


if __name__ == "__main__":
    main()
