"""`callwarden schema`: the JSON Schemas of all records, the AsyncAPI document of all topics, the table of metrics."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import named

app = typer.Typer()

Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder; created if absent.", parser=named)]


@app.command("export")
def export(
    out: Out,
) -> None:
    """Write json/<record>.schema.json for each record, and asyncapi.json.

    Exit status: 1 they cannot be written.
    """
    from schemas.export import export as write

    try:
        written = write(out)
    except OSError as error:
        typer.echo(f"{out}: cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    for path in written:
        typer.echo(path)


@app.command("billing-pack")
def billing_pack(
    out: Out,
) -> None:
    """Write the conformance pack for billing teams: events, the expected answers after each, and schemas."""
    from streams.consumers.billing.conformance.write import export as write

    for path in write(out):
        typer.echo(path)


@app.command("check")
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The exported files.  [default: those that are installed]")
    ] = None,
) -> None:
    """Check whether exported files match what this version generates.

    Exit status: 1 they differ.
    """
    from schemas.export import COMMITTED, differences

    where = folder or COMMITTED
    found = differences(where)
    for line in found:
        typer.echo(line, err=True)
    if found:
        typer.echo(f"To fix it, run: callwarden schema export --out {where}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{where}: the schemas are those of this version")


@app.command("metrics")
def metrics(
    page: Annotated[Path, typer.Argument(metavar="FILE", help="The page, with the marks of its generated part.")],
) -> None:
    """Write the catalogue of metrics into a page such as docs/reference/metrics.md."""
    from streams.cli.inputs import fail
    from streams.metrics.document import MarksError, rewritten

    try:
        page.write_text(rewritten(page.read_text("utf-8")), "utf-8")
    except MarksError as error:
        fail(f"{page}: {error}")
    except UnicodeDecodeError:
        fail(f"{page}: expected a UTF-8 page such as docs/reference/metrics.md")
    typer.echo(page)
