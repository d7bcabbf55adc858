"""Options that several commands have, and what their values are read by."""

from pathlib import Path
from typing import Annotated

import typer

Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
]
InputPrefix = Annotated[
    str | None, typer.Option("--input-prefix", metavar="PREFIX", help="What the input topics begin with.")
]
OutputPrefix = Annotated[
    str | None, typer.Option("--output-prefix", metavar="PREFIX", help="What our own topics begin with.")
]
WorkersPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy", metavar="FILE", help="A policy file.  [default: CALLWARDEN_POLICY; without it the built-in one]"
    ),
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who.  [default: the login name]")]


def named(value: str | Path) -> Path:
    """A path that is written to. An empty one, as of a variable that is not set, does not mean the current folder."""
    if not str(value):
        raise typer.BadParameter("it is empty; expected a name, or . for the current folder")
    return Path(value)
