"""The report of the live bench: Markdown tables."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from bench.live import Cost, Live
from bench.live_contenders import Contender
from bench.report import MB, phases_table, table

_SPREAD = ("p50", "p99", "max")
Costs = Sequence[tuple[Contender, Cost, Cost]]


def as_markdown(live: Live) -> str:
    """All results, as Markdown."""
    lines: list[str] = []
    for name, costs in live.costs.items():
        title = "**One rule in other frameworks**" if name == "peers" else f"**Worker on Kafka**: {name}"
        lines += [title, "", *_speed(costs), *_compared(costs)]
    for reason in live.found.get("skipped_peers", []):
        lines += [f"Skipped: {reason}.", ""]
    for name, answer in live.found.get("phases", {}).items():
        lines += [f"**CPU time of the worker by phase**: {name}", "", *phases_table(answer), *_written(answer)]
    if "steady" in live.found:
        lines += ["**Idle and at a steady rate**", "", *_steady(live.found["steady"])]
    if "rates" in live.found:
        lines += ["**At several rates**", "", *_rates(live.found["rates"])]
    if "recovery" in live.found:
        lines += ["**State restore**", "", *_recovery(live.found["recovery"])]
    if "closing" in live.found:
        lines += ["**Closing a large pane**", "", *_closing(live.found["closing"])]
    return "\n".join(lines)


def cpu_us(start: Cost, cost: Cost) -> float:
    """CPU time per record in us, which equals seconds per million records, without start-up.

    With few records it may be zero or negative: the start-up was measured in a separate process.
    """
    return (cost.cpu_s - start.cpu_s) / (cost.records - start.records) * 1e6


def _ratio(value: float, to: float, spec: str) -> str:
    """``value / to``; a dash if one of them is too small to be measured."""
    return format(value / to, spec) if value > 0 and to > 0 else "–"


def _of(costs: Costs, name: str, what: Callable[[Cost, Cost], float]) -> list[float]:
    return [what(start, cost) for who, start, cost in costs if who.name == name]


def _speed(costs: Costs) -> list[str]:
    names = list(dict.fromkeys(who.name for who, _, _ in costs))
    ceiling = median(_of(costs, "ceiling", cpu_us))
    rows = []
    for name in names:
        found = _of(costs, name, cpu_us)
        rows.append(
            (
                name,
                f"{costs[names.index(name)][2].records:,}",
                *(f"{value:.2f}" for value in (median(found), min(found), max(found))),
                _ratio(ceiling, median(found), ".3f"),
                f"{median(_of(costs, name, lambda start, _: start.cpu_s)):.2f}",
                _ratio(median(_of(costs, name, _records)), median(_of(costs, name, _wall_s)), ",.0f"),
                f"{median(_of(costs, name, lambda _, cost: cost.peak_bytes)) / MB:,.0f}",
                _state(median(_of(costs, name, lambda _, cost: cost.state_bytes / cost.records))),
            )
        )
    head = (
        "",
        "records",
        "CPU us per record",
        "lowest",
        "highest",
        "relative to ceiling",
        "start, CPU s",
        "records/s",
        "peak MB",
    )
    return table((*head, "state, bytes per record"), rows)


def _state(bytes_per_record: float) -> str:
    """The size of stored state; a dash if a topic has none."""
    return f"{bytes_per_record:,.0f}" if bytes_per_record else "–"


def _records(start: Cost, cost: Cost) -> float:
    return cost.records - start.records


def _wall_s(start: Cost, cost: Cost) -> float:
    return cost.wall_s - start.wall_s


def _compared(costs: Costs) -> list[str]:
    """Each contender that is there, compared with the worker."""
    one, two, earlier = (_of(costs, name, cpu_us) for name in ("worker", "two workers", "baseline"))
    found = []
    if two:
        ratios = [_ratio(mine, single, ".2f") for single, mine in zip(one, two, strict=True)]
        text = f"Two workers use {_ratio(median(two), median(one), '.2f')} times the CPU time of one"
        found.append(f"{text} (run by run: {', '.join(ratios)}).")
    if earlier:
        ratio = _ratio(median(one), median(earlier), ".2f")
        found.append(f"The worker uses {ratio} times the CPU time of the baseline.")
    for name in dict.fromkeys(who.name for who, _, _ in costs if who.is_peer):
        ratio = _ratio(median(_of(costs, name, cpu_us)), median(one), ".1f")
        found.append(f"{name}, one rule: {ratio} times the CPU time of the worker.")
    return [*found, ""]


def _written(answer: dict[str, Any]) -> list[str]:
    rows = [
        (name, f"{size / MB:,.1f}", f"{size / answer['records']:,.1f}")
        for name, size in sorted(answer["written_bytes"].items(), key=lambda item: -item[1])
    ]
    title = f"Written in {answer['transactions']:,} transactions, before compression:"
    return [title, "", *table(("", "MB", "bytes per record"), rows)]


def _steady(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, about in (
        ("alerts", "calls sent to alert received"),
        ("enforcement", "watermark passed to decision received"),
    ):
        answer = found[name]
        for which, when in (("all", "all"), ("between_closings", "no pane closes within 30 s")):
            spread = answer[which]
            values = (f"{spread[key] * 1000:,.0f}" if key in spread else "–" for key in ("p50", "p99", "max"))
            rows.append((f"{about}: {when}", f"{spread['count']:,} of {answer['probes']:,}", *values))
    per_record_us = found["cpu_s"] / found["calls"] * 1e6
    return [
        f"Idle with {found['tenants']:,} tenants: {found['idle_share']:.2%} of a core.",
        f"At {found['calls'] / found['took_s']:,.0f} calls/s for {found['took_s']:,.0f} s: "
        f"{found['cpu_s'] / found['wall_s']:.0%} of a core, {per_record_us:.2f} CPU us per record; "
        f"peak {found['peak_bytes'] / MB:,.0f} MB.",
        f"The load generator was at most {found['most_behind']:,} calls behind schedule.",
        "",
        *table(("latency, ms", "probes", "p50", "p99", "max"), rows),
    ]


def _rates(found: dict[str, Any]) -> list[str]:
    rows = []
    for result in found["results"]:
        latencies = [result[name]["all"] for name in ("alerts", "enforcement")]
        values = (f"{spread[key] * 1000:,.0f}" if key in spread else "–" for spread in latencies for key in _SPREAD)
        share = result["cpu_s"] / result["wall_s"]
        rows.append((f"{result['calls'] / result['took_s']:,.0f}", f"{share:.1%}", *values))
    what = ("alert", "decision")
    head = ("calls/s", "of a core", *(f"{one} {key}, ms" for one in what for key in _SPREAD))
    return [
        f"{found['tenants']:,} tenants. Alerts: from sending the calls; decisions: from the watermark.",
        "",
        *table(head, rows),
    ]


def _recovery(found: dict[str, Any]) -> list[str]:
    openings = found["openings"]

    def more(what: str) -> str:
        values = [full[what] - empty[what] for empty, full in openings]
        return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    kinds = ", ".join(f"{kind} {size / MB:.1f}" for kind, size in sorted(found["kinds"].items()))
    rows = (
        ("state topic, MB", f"{found['written_bytes'] / MB:,.1f}"),
        ("live entries, MB", f"{found['standing_bytes'] / MB:,.1f} ({kinds})"),
        ("start until all partitions run, s more than without state", more("wall_s")),
        ("start, CPU s more than without state", more("cpu_s")),
        ("slowest partition, s to open", f"{median(full['took_s'] for _, full in openings):.2f}"),
        ("peak MB", f"{median(full['peak'] for _, full in openings) / MB:,.0f}"),
    )
    return table((f"{found['tenants']:,} tenants, {found['records']:,} records in 30 days", ""), rows)


def _closing(found: Sequence[dict[str, Any]]) -> list[str]:
    def of(what: str, unit: float = 1.0) -> str:
        values = [one[what] / unit for one in found]
        return f"{median(values):,.2f} ({min(values):,.2f} to {max(values):,.2f})"

    rows = (
        ("feed 5,000 calls, longest, s", of("fed_s")),
        ("close the pane in a thread, s", of("in_thread_s")),
        ("close and commit, s", of("took_s")),
        ("event loop blocked, longest, s", of("blocked_s")),
        ("event loop blocked for more than 0.1 s, times", of("blocked_over_100_ms")),
        ("resident before, MB", of("resident_bytes", MB)),
        ("peak MB", of("peak_bytes", MB)),
    )
    return table((f"{found[0]['calls']:,} calls of {found[0]['tenants']:,} tenants", ""), rows)
