"""`callwarden map`: check how a mapping turns a file into records, convert it; list and show the shipped mappings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Constants, Json
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.adapters.surveying.findings import Survey
    from monitor.text.display import Display

app = typer.Typer(no_args_is_help=True)

_SHOWN = 10
_OTHERWISE = {"reject": "rejected", "keep": "kept", "empty": "left empty", "value": "the `otherwise` value"}


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file (.gz, .zst, or - for standard input).")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME|MAPPING.yaml", help="A shipped name, or a mapping file.")
    ],
    rows: Annotated[int | None, typer.Option(min=1, help="Look at the first N rows only.  [default: all]")] = None,
    samples: Annotated[int, typer.Option(min=0, help="How many records to show, numbers masked.")] = 3,
    constants: Constants = None,
    as_json: Json = False,
) -> None:
    """Show what a mapping makes of a file, without judging anything.

    Exit status: 2 a fault of the mapping.
    """
    from dataclasses import asdict

    from monitor.adapters.assembled import AssembledAdapter
    from monitor.adapters.lines import bounded_lines
    from monitor.adapters.mapped import MappedAdapter
    from monitor.adapters.surveying.survey import survey
    from monitor.adapters.versioned import VersionedAdapter
    from monitor.replay.files import open_input
    from monitor.text.display import RECORDS
    from streams.cli.inputs import adapter_for, display_setting, reading

    adapter = adapter_for(form, constants or [])
    display = RECORDS if as_json else display_setting()
    with reading([file]), open_input(file) as stream:
        if isinstance(adapter, MappedAdapter | AssembledAdapter | VersionedAdapter):
            lines = adapter.lines(stream)
        else:
            lines = bounded_lines(stream)
        found = survey(adapter, lines, rows, samples, display)
    if as_json:
        print_json(asdict(found))
        return
    for line in _lines(file, found, display):
        typer.echo(line)


@app.command()
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file (.gz, .zst, or - for standard input).")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME|MAPPING.yaml", help="A shipped name, or a mapping file.")
    ],
    constants: Constants = None,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="FILE", help="Write rejected rows to FILE.  [default: standard error]"),
    ] = None,
) -> None:
    """Write the records that a mapping makes of a file to standard output, as JSON lines by event time.

    A rejected row does not end the command. Each is a line with its reason on standard error, or with --rejects a JSON
    line with file, line, reason and the row as it came.

    Exit status: 1 there are rows, and none became a record; 2 a fault of the mapping.
    """
    import sys
    from contextlib import ExitStack

    from monitor.replay.files import open_input
    from monitor.replay.output import rejected_line
    from monitor.text.masking import visible
    from monitor.text.private_files import open_private
    from schemas import codec
    from streams.cli.inputs import adapter_for, reading
    from streams.cli.outputs import writing

    adapter = adapter_for(form, constants or [])
    converted = rejected = 0
    out = sys.stdout.buffer
    with reading([file]), open_input(file) as stream, ExitStack() as opened:
        kept = None
        if rejects is not None:
            with writing(rejects):
                kept = opened.enter_context(open_private(rejects, "wb"))
        for row in adapter.rows(stream):
            if row.record is not None:
                converted += 1
                out.write(codec.encode(row.record) + b"\n")
                continue
            rejected += 1
            if kept is not None:
                kept.write(codec.encode(rejected_line(file, row.line, row.reason or "", row.raw)) + b"\n")
            else:
                typer.echo(f"{visible(file)}:{row.line}: {visible(row.reason or '')}", err=True)
    out.flush()
    if rejected and not converted:
        raise typer.Exit(1)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the shipped formats."""
    from monitor.adapters.shipped import NAMES, about

    if as_json:
        print_json([{"name": name, "about": about(name)} for name in NAMES])
        return
    for name in NAMES:
        typer.echo(f"{name:<17}{about(name)}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped name; `callwarden map list` has them.")],
) -> None:
    """Print a shipped mapping, as a start for your own.

    Exit status: 2 no mapping of that name is shipped.
    """
    import sys

    from monitor.adapters.shipped import NAMES, described

    if name not in NAMES:
        typer.echo(f"expected one of {', '.join(NAMES)}, got `{name}`", err=True)
        raise typer.Exit(2)
    sys.stdout.buffer.write(described(name).encode())  # whatever the terminal's encoding: the file is UTF-8
    sys.stdout.buffer.flush()  # here a closed pipe is handled, at the end of Python it is printed


def _lines(file: str, found: "Survey", display: "Display") -> list[str]:
    left = found.rows - found.records
    lines = [f"{file}: {_n(found.rows)} rows by {found.mapping}: {_n(found.records)} become records, {_n(left)} do not"]
    if found.events:
        calls = f"{_n(found.records)} calls become records, {_n(left)} calls and events do not"
        lines = [f"{file}: {_n(found.events)} events by {found.mapping}: {calls}"]
    lines += _rejections(found)
    lines.append(f"  columns read: {_names(found.used)}")
    lines.append(f"  columns not read: {_names(found.unused)}")
    if found.first_ms is not None and found.last_ms is not None:
        lines.append(f"  event time: {_time(found.first_ms)} to {_time(found.last_ms)}")
        lines.append(f"  order: {_order(found)}")
    lines.append(f"  fields never filled: {_names(found.never_filled)}")
    part = [f"{name} {count / found.records:.1%}" for name, count in found.filled.items() if 0 < count < found.records]
    if part:
        lines.append(f"  fields filled in part: {', '.join(part)}")
    lines += _doubts(found, display)
    for name, use in found.tables.items():
        lines.append(f"  table of {name} ({_names(list(use.columns))})")
        if use.never_met:
            lines.append(f"    entries never met: {_names([repr(key) for key in use.never_met])}")
        if use.without_entry:
            shown = [f"{value!r} ({_n(count)} rows)" for value, count in use.without_entry.items()]
            values = f"{_names(shown[:_SHOWN])}{_more(len(shown))}"
            lines.append(f"    values without an entry ({_OTHERWISE[use.otherwise]}): {values}")
    import orjson

    lines.extend(f"  such as: {orjson.dumps(sample).decode()}" for sample in found.samples)
    return lines


def _rejections(found: "Survey") -> list[str]:
    """Why rows are no records: the kinds of reason with the most rows."""
    shown = [
        f"  not a record: {_n(why.rows)} rows, first at line {why.line}: {why.example}"
        for why in found.reasons[:_SHOWN]
    ]
    if len(found.reasons) > _SHOWN:
        shown.append(f"  not a record: {_n(len(found.reasons) - _SHOWN)} more kinds of reason")
    return shown


def _doubts(found: "Survey", display: "Display") -> list[str]:
    """What makes decisions wrong although the rows are records: tenants, ids and numbers."""
    lines = []
    tenants, repeated = found.tenants, found.repeated
    if tenants.missing:
        lines.append(f"  without a tenant: {_n(tenants.missing)} rows, which are rejected")
    if tenants.constant and found.records > 1:
        lines.append(
            f"  one tenant in all records: {display.id(tenants.example)!r}; check that its column names the tenant"
        )
    elif found.records:
        lines.append(f"  tenants: {_n(tenants.count)}{'' if tenants.from_file else ', by --set or the format'}")
    if found.internal_legs:
        lines.append(f"  internal legs: {_n(found.internal_legs)} rows, whose calls other rows count")
    if found.settle_ms:
        lines.append(
            f"  versions: a call is held {_duration(found.settle_ms)}; another version counts in place of "
            f"{_n(found.superseded)} rows"
        )
    elif found.settle_ms is not None:
        lines.append("  versions: not held, as `settle` is 0s; the first record of a call counts")
    if repeated.rows:
        of = "" if repeated.compared == found.records else f" of the first {_n(repeated.compared)}"
        lines.append(
            f"  repeated ids: {_n(repeated.rows)} records{of} have the id of an earlier one, the first at line "
            f"{repeated.line}; replay drops them as duplicates"
        )
    for name, kept in found.kept_numbers.items():
        if kept.rows:
            such = ", ".join(map(repr, kept.examples))
            lines.append(f"  numbers of {name} that are not in E.164: {_n(kept.rows)} rows, such as {such}")
    return lines


def _order(found: "Survey") -> str:
    if not found.behind:
        return "by event time"
    how = "replay sorts them" if found.sorts else "`sort: false` leaves them so, and the oldest will be late"
    return (
        f"{_n(found.steps_back)} steps back in time; {_n(found.behind)} records lie before an earlier row's, "
        f"the furthest by {found.furthest_behind_ms / 1000:,.0f} s; {how}"
    )


def _names(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""


def _n(count: int) -> str:
    return f"{count:,}"


def _duration(ms: int) -> str:
    from monitor.text.durations import format_duration

    return format_duration(ms)


def _time(at_ms: int) -> str:
    from monitor.text.timestamps import rfc3339

    return rfc3339(at_ms, "seconds")
