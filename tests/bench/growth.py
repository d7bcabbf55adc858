"""How the cost of a worker grows with tenants, rules, partitions and days: ``python -m bench.growth``.

Without Kafka; each measurement is a process of its own. It prints Markdown tables.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measure import child
from bench.report import MB, table
from bench.workload import CACHE, Workload

TENANTS, CALLS, PARTITIONS, BUILT_IN = 10_000, 300_000, 8, "built-in"


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: one row of a table. ``policy`` is a name of `bench.policies`."""

    label: str
    tenants: int = TENANTS
    policy: str = BUILT_IN
    partitions: int = PARTITIONS
    days: int = 1


TABLES: dict[str, Sequence[Case]] = {
    "tenants": [Case(f"{tenants:,}", tenants=tenants) for tenants in (1_000, 10_000, 100_000, 300_000)],
    "rules": [
        Case("28 of the baseline", policy="baseline"),
        Case("64 variants of these", policy="baseline64"),
        Case("256 variants of these", policy="baseline256"),
        Case("built-in"),
        Case("64 variants of the built-in", policy="rules64"),
        Case("256 variants of the built-in", policy="rules256"),
    ],
    "partitions": [Case(str(partitions), partitions=partitions) for partitions in (8, 64)],
    "days": [Case(str(days), days=days) for days in (1, 7, 30)],
}
_HEAD = (
    "records",
    "CPU us per record",
    "longest step in the event loop, CPU ms",
    "longest step in a thread, CPU ms",
    "peak MB",
    "stored MB",
    "restore all, CPU s",
)


class Growth:
    """Measures cases, each different one once."""

    def __init__(self, cache: Path, calls: int) -> None:
        self._cache, self._calls = cache, calls
        self.found: dict[Case, dict[str, Any]] = {}

    def measure(self, case: Case) -> dict[str, Any]:
        """The measurement of a case."""
        same = replace(case, label="")
        if same not in self.found:
            named = f"growth-{case.tenants}-{case.days}"
            workload = Workload(named, case.tenants, self._calls, case.days)
            about = {"name": named, "tenants": workload.tenants, "calls": workload.calls, "days": workload.days}
            made = child("workload", **about, cache=str(self._cache))
            self.found[same] = child("growth", path=made["path"], policy=case.policy, partitions=case.partitions)
        return self.found[same]


def as_table(what: str, found: Sequence[tuple[Case, dict[str, Any]]]) -> list[str]:
    """The table of one quantity."""
    rows = [
        (
            case.label if case.policy != BUILT_IN or what != "rules" else f"{one['rules']} built-in",
            f"{one['records']:,}",
            f"{one['cpu_s'] / one['records'] * 1e6:.2f}",
            _longest(one["loop_s"]),
            _longest(one["thread_s"]),
            f"{one['peak_bytes'] / MB:,.0f}",
            f"{one['stored_bytes'] / MB:,.1f}",
            f"{sum(one['restore_s']):.2f}",
        )
        for case, one in found
    ]
    return table((what, *_HEAD), rows)


def _longest(steps: dict[str, float]) -> str:
    """The longest step with its name; a dash if there was none."""
    if not steps:
        return "–"
    name = max(steps, key=lambda name: steps[name])
    return f"{steps[name] * 1000:,.0f} ({name})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen tables, and print each when it is complete."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="default: all")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"of each measurement; default: {CALLS:,}")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of the generated records")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args(arguments)
    growth, all_found = Growth(given.cache, given.calls), {}
    for what in given.only:
        found = []
        for case in TABLES[what]:
            print(f"{what}: {case.label}", file=sys.stderr, flush=True)
            found.append((case, growth.measure(case)))
        all_found[what] = {case.label: one for case, one in found}
        print("\n".join(as_table(what, found)), flush=True)
    print(f"Load at the end: {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.")
    if given.json:
        given.json.write_text(json.dumps(all_found, indent=1) + "\n")


if __name__ == "__main__":
    main()
