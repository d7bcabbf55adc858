"""The report of a run: Markdown tables to read, plain data to keep."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Bench, Result

MB = 1_000_000


def machine() -> dict[str, Any]:
    """The machine's properties that the figures depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def as_data(bench: Bench, at: dict[str, Any]) -> dict[str, Any]:
    """All results, for a program."""
    return {
        "machine": at,
        "scenarios": [
            {
                "name": result.scenario.name,
                "about": result.scenario.about,
                "records": result.records,
                "reference": result.scenario.reference,
                "ratio": median(result.ratios),
                "records_per_cpu_s": result.records_per_cpu_s,
                "pairs": [{"reference": reference, "replay": replay} for reference, replay in result.pairs],
            }
            for result in bench.results
        ],
        "phases": bench.phases,
        "looks": bench.looks,
        "states": {name: {"stored": stored, "restored": back} for name, (stored, back) in bench.states.items()},
    }


def as_markdown(bench: Bench, at: dict[str, Any]) -> str:
    """All results, as Markdown."""
    load = ", ".join(str(value) for value in at["load"])
    lines = [
        f"{at['date']}, {at['python']}, {at['system']}, {at['processor']}, {at['cores']} cores; "
        f"load before the run {load}.",
        "",
    ]
    alone = [result for result in bench.results if result.scenario.reference == "decode"]
    if alone:
        lines += ["**Replay against reading and decoding alone** (CPU seconds, one core)", "", *_alone(alone)]
    for result in bench.results:
        if result.scenario.reference == "one-job":
            lines += ["**Two jobs against one** (wall seconds)", "", *_together(result)]
    for name, answer in bench.phases.items():
        lines += [f"**Where the time goes**: {name}", "", *phases_table(answer)]
    if bench.states:
        lines += ["**State**, written whenever a window has ended", "", *_states(bench)]
        lines += ["**Memory** of the restored shard, bytes a tenant", "", *_memory(bench)]
    for name, answer in bench.looks.items():
        lines += [f"**A look ahead of the judge**, ms of CPU: {name}", "", *_looks(answer)]
    return "\n".join(lines)


def _alone(results: Sequence[Result]) -> list[str]:
    return table(
        (
            "scenario",
            "records",
            "read and decode, us",
            "replay, us",
            "records a CPU second",
            "ratio",
            "from",
            "to",
            "peak MB",
        ),
        (
            (
                f"{result.scenario.name}: {result.scenario.about}",
                f"{result.records:,}",
                f"{result.referred('cpu_s') / result.records * 1e6:.2f}",
                f"{result.replayed('cpu_s') / result.records * 1e6:.2f}",
                f"{result.records_per_cpu_s:,.0f}",
                f"{median(result.ratios):.3f}",
                f"{min(result.ratios):.3f}",
                f"{max(result.ratios):.3f}",
                f"{result.peak_bytes / MB:,.0f}",
            )
            for result in results
        ),
    )


def _together(result: Result) -> list[str]:
    return table(
        ("", "one job", f"{result.scenario.jobs} jobs"),
        (
            ("wall s", f"{result.referred('wall_s'):.2f}", f"{result.replayed('wall_s'):.2f}"),
            ("CPU s", f"{result.referred('cpu_s'):.2f}", f"{result.replayed('cpu_s'):.2f}"),
            ("of them in the jobs", "", f"{result.replayed('children_cpu_s'):.2f}"),
            ("times as fast", "1", f"{median(result.ratios):.2f}"),
            ("from, to", "", f"{min(result.ratios):.2f}, {max(result.ratios):.2f}"),
            ("times as fast by CPU time, on as many idle cores", "", f"{result.possible_speed_up:.2f}"),
            ("peak MB of the largest process", "", f"{result.peak_bytes / MB:,.0f}"),
        ),
    )


def phases_table(answer: dict[str, Any]) -> list[str]:
    """The phases of ``records`` records, as a Markdown table."""
    total_s = sum(spent_s for _, spent_s, _ in answer["phases"])
    rows = [
        (name, f"{spent_s / answer['records'] * 1e6:.3f}", f"{spent_s / total_s:.1%}", f"{calls:,}")
        for name, spent_s, calls in answer["phases"]
    ]
    all_of_it = ("together", f"{total_s / answer['records'] * 1e6:.3f}", "100.0%", "")
    return table(("phase", "us a record", "share", "calls"), [*rows, all_of_it])


def _states(bench: Bench) -> list[str]:
    rows = []
    for name, (stored, back) in bench.states.items():
        written, kept = stored["written_bytes"], stored["stored_bytes"]
        rows.append(
            (
                name,
                f"{stored['cpu_s'] / stored['records'] * 1e6:.2f}",
                f"{stored['snapshots']:,}",
                f"{stored['snapshot_cpu_s'] / max(stored['snapshots'], 1) * 1e3:.1f}",
                f"{sum(written.values()) / MB:,.1f}",
                *(f"{written.get(kind, 0) / MB:,.1f}" for kind in ("tenant records", "head")),
                f"{sum(kept.values()) / MB:,.1f}",
                f"{sum(kept.values()) / max(stored['tenants'], 1):,.0f}",
                f"{back['cpu_s']:.2f}",
            )
        )
    return table(
        (
            "scenario",
            "us a record",
            "snapshots",
            "ms a snapshot",
            "MB written",
            "of them tenant records",
            "of them heads",
            "MB stored at the end",
            "bytes a tenant",
            "s to restore",
        ),
        rows,
    )


def _memory(bench: Bench) -> list[str]:
    names = list(bench.states)
    backs = [back for _, back in bench.states.values()]
    per = [max(back["tenants"], 1) for back in backs]
    rows = [("tenants", *(f"{back['tenants']:,}" for back in backs))]
    for part in backs[0]["parts"]:
        rows.append((part, *(f"{back['parts'][part] / n:,.0f}" for back, n in zip(backs, per, strict=True))))
    rows.append(("together", *(f"{sum(back['parts'].values()) / n:,.0f}" for back, n in zip(backs, per, strict=True))))
    resident = (
        "–" if back["resident_bytes"] is None else f"{back['resident_bytes'] / n:,.0f}"
        for back, n in zip(backs, per, strict=True)
    )
    rows.append(("grown in memory by the restore", *resident))
    return table(("part", *names), rows)


def _looks(answer: dict[str, Any]) -> list[str]:
    rows = [
        (
            case["about"],
            f"{case['open_calls']:,}",
            f"{case['looks']:,}",
            f"{case['median_ms']:.3f}",
            f"{case['p99_ms']:.3f}",
            f"{case['alerts']:,}",
        )
        for case in answer["cases"]
    ]
    first = ("half of the file, the first look", "", "1", f"{answer['first_ms']:.1f}", "", "")
    return table(("calls since the last look", "open calls", "looks", "median", "p99", "alerts"), [*rows, first])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns except the first are right-aligned, and an empty line."""
    rule = ["---", *("---:" for _ in head[1:])]
    return [*(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)), ""]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "a processor")
