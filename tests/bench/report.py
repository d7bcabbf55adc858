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
        "early_evaluations": bench.early_evaluations,
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
    against_decoding = [result for result in bench.results if result.scenario.reference == "decode"]
    if against_decoding:
        lines += ["**Replay and the decoding baseline**, one process", "", *_replay_table(against_decoding)]
    for result in bench.results:
        if result.scenario.reference == "one-job":
            lines += ["**Replay in several jobs**", "", *_jobs_table(result)]
    for name, answer in bench.phases.items():
        lines += [f"**CPU time by phase**: {name}", "", *phases_table(answer)]
    if bench.states:
        lines += ["**State**: a snapshot after each window end", "", *_state_table(bench)]
        lines += ["**Memory** of the restored shard, bytes per tenant", "", *_memory_table(bench)]
    for name, answer in bench.early_evaluations.items():
        lines += [f"**Early evaluation**: {name}", "", *_early_table(answer)]
    return "\n".join(lines)


def _replay_table(results: Sequence[Result]) -> list[str]:
    return table(
        (
            "scenario",
            "records",
            "decode only, CPU us per record",
            "replay, CPU us per record",
            "records per CPU s",
            "ratio",
            "lowest",
            "highest",
            "peak MB",
        ),
        (
            (
                f"{result.scenario.name}: {result.scenario.about}",
                f"{result.records:,}",
                f"{result.reference_median('cpu_s') / result.records * 1e6:.2f}",
                f"{result.replay_median('cpu_s') / result.records * 1e6:.2f}",
                f"{result.records_per_cpu_s:,.0f}",
                f"{median(result.ratios):.3f}",
                f"{min(result.ratios):.3f}",
                f"{max(result.ratios):.3f}",
                f"{result.peak_bytes / MB:,.0f}",
            )
            for result in results
        ),
    )


def _jobs_table(result: Result) -> list[str]:
    return table(
        ("", "1 job", f"{result.scenario.jobs} jobs"),
        (
            ("wall s", f"{result.reference_median('wall_s'):.2f}", f"{result.replay_median('wall_s'):.2f}"),
            ("CPU s", f"{result.reference_median('cpu_s'):.2f}", f"{result.replay_median('cpu_s'):.2f}"),
            ("CPU s of the job processes", "", f"{result.replay_median('children_cpu_s'):.2f}"),
            ("speed-up by wall time, median", "1", f"{median(result.ratios):.2f}"),
            ("lowest, highest", "", f"{min(result.ratios):.2f}, {max(result.ratios):.2f}"),
            ("speed-up that the CPU times allow on idle cores", "", f"{result.possible_speed_up:.2f}"),
            ("peak MB, largest process", "", f"{result.peak_bytes / MB:,.0f}"),
        ),
    )


def phases_table(answer: dict[str, Any]) -> list[str]:
    """The phases of ``records`` records, as a Markdown table."""
    total_s = sum(spent_s for _, spent_s, _ in answer["phases"])
    rows = [
        (name, f"{spent_s / answer['records'] * 1e6:.3f}", f"{spent_s / total_s:.1%}", f"{calls:,}")
        for name, spent_s, calls in answer["phases"]
    ]
    total = ("total", f"{total_s / answer['records'] * 1e6:.3f}", "100.0%", "")
    return table(("phase", "CPU us per record", "share", "function calls"), [*rows, total])


def _state_table(bench: Bench) -> list[str]:
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
            "CPU us per record",
            "snapshots",
            "CPU ms per snapshot",
            "MB written",
            "MB of tenant records",
            "MB of checkpoint metadata",
            "MB stored at end",
            "bytes per tenant",
            "restore, CPU s",
        ),
        rows,
    )


def _memory_table(bench: Bench) -> list[str]:
    names = list(bench.states)
    backs = [back for _, back in bench.states.values()]
    per = [max(back["tenants"], 1) for back in backs]
    rows = [("tenants", *(f"{back['tenants']:,}" for back in backs))]
    for part in backs[0]["parts"]:
        rows.append((part, *(f"{back['parts'][part] / n:,.0f}" for back, n in zip(backs, per, strict=True))))
    rows.append(("total", *(f"{sum(back['parts'].values()) / n:,.0f}" for back, n in zip(backs, per, strict=True))))
    resident = (
        "–" if back["resident_bytes"] is None else f"{back['resident_bytes'] / n:,.0f}"
        for back, n in zip(backs, per, strict=True)
    )
    rows.append(("growth of resident memory", *resident))
    return table(("part", *names), rows)


def _early_table(answer: dict[str, Any]) -> list[str]:
    rows = [
        (
            case["about"],
            f"{case['open_calls']:,}",
            f"{case['evaluations']:,}",
            f"{case['median_ms']:.3f}",
            f"{case['p99_ms']:.3f}",
            f"{case['alerts']:,}",
        )
        for case in answer["cases"]
    ]
    first = ("half of the file (first evaluation)", "", "1", f"{answer['first_ms']:.1f}", "", "")
    return table(
        ("new calls since the last", "open calls", "evaluations", "median, CPU ms", "p99, CPU ms", "alerts"),
        [*rows, first],
    )


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
