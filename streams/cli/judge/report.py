"""`callwarden report DIR`: one self-contained HTML page of a replay."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import named


def run(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The --out directory of a replay.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page.  [default: DIR/report.html]", parser=named),
    ] = None,
) -> None:
    """Make one self-contained HTML page of a replay: decisions, timelines, charts, and rejected records with reasons.

    Exit status: 2 DIR holds no replay.
    """
    from monitor.replay.output import FILES
    from monitor.report.page import make
    from monitor.report.read import NotAReplayError
    from streams.cli.inputs import display_setting
    from streams.cli.outputs import must_not_be_read

    display, page = display_setting(), out or directory / "report.html"
    must_not_be_read("--out", [page], [directory / name for name in FILES])
    try:
        made = make(directory, page, display)
    except NotAReplayError as error:
        typer.echo(f"callwarden report: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
