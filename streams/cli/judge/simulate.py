"""`callwarden simulate`: write labelled traffic of honest and bad tenants."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import Json, named


def run(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="The folder for the records and labels.jsonl.", parser=named),
    ],
    tenants: Annotated[
        int, typer.Option(help="How many tenants; with 30 or more every kind occurs.", min=1, max=1_000_000)
    ] = 200,
    days: Annotated[int, typer.Option(help="How many days.", min=1, max=400)] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 1,
    calls_per_day: Annotated[
        float | None, typer.Option(help="Calls on a weekday by all tenants.  [default: 150 a tenant]")
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="The first instant.")] = "2026-03-02T00:00:00+08:00",
    late_share: Annotated[float, typer.Option(help="The share of calls that arrive too late.")] = 0.0005,
    duplicate_share: Annotated[float, typer.Option(help="The share of records that arrive twice.")] = 0.001,
    lateness: Annotated[
        str, typer.Option(metavar="DURATION", help="The delay beyond which a call is late, such as 90s or 10m.")
    ] = "10m",
    optional: Annotated[bool, typer.Option(help="Fill consent_id, hangup_by, answered_by and ring_ms.")] = True,
    split: Annotated[bool, typer.Option(help="Write one file for each topic instead of records.jsonl.")] = False,
    as_json: Json = False,
) -> None:
    """Write labelled traffic of honest and bad tenants, as records in the order of their arrival."""
    import time

    from monitor.simulate.run import simulate
    from monitor.simulate.settings import DEFAULT_CALLS_PER_TENANT, SimulationSettings
    from streams.cli.inputs import duration, fail, parse_time
    from streams.cli.outputs import print_json, writing

    try:
        settings = SimulationSettings(
            tenants=tenants,
            days=days,
            seed=seed,
            calls_per_day=tenants * DEFAULT_CALLS_PER_TENANT if calls_per_day is None else calls_per_day,
            start_ms=parse_time("--start", start),
            lateness_ms=duration("--lateness", lateness),
            late_share=late_share,
            duplicate_share=duplicate_share,
            optional=optional,
            split=split,
        )
    except ValueError as error:
        fail(f"callwarden simulate: {error}")
    began = time.perf_counter()
    with writing(out):
        summary = simulate(settings, out)
    took = time.perf_counter() - began
    lines = sum(summary.records.values())
    if as_json:
        shown = {
            "records": dict(sorted(summary.records.items())),
            "duplicates": summary.duplicates,
            "late": summary.late,
            "tenants": {"honest": summary.honest, "bad": summary.bad},
            "files": [str(path) for path in summary.files],
            "labels": str(summary.labels),
        }
        print_json(shown)
        return
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(summary.records.items()))
    typer.echo(f"{lines:,} records ({counts}); of them {summary.duplicates:,} twice, {summary.late:,} late calls")
    typer.echo(f"{summary.honest:,} honest and {summary.bad:,} bad tenants, {days} days, seed {seed}")
    typer.echo(f"{took:.1f} s, {lines / max(took, 1e-9):,.0f} records/s")
    for path in (*summary.files, summary.labels):
        typer.echo(str(path))
