"""`callwarden settings`: what the settings are, where each comes from, and what it means."""

from typing import Annotated

import typer

from streams.cli.options import Json
from streams.cli.outputs import print_json


def run(
    as_json: Json = False,
    table: Annotated[
        bool, typer.Option("--table", help="The table of docs/reference/settings.md: defaults and meanings.")
    ] = False,
) -> None:
    """Show every setting with its value, its source (default, environment, FILE:LINE:COLUMN) and its meaning.

    Secrets are not shown. A wrong or unknown setting is reported with its place.

    Exit status: 2 a setting is wrong.
    """
    from dataclasses import asdict

    from streams.cli.inputs import fail
    from streams.cli.settings_table import markdown, rows
    from streams.settings.load import SettingsError, read

    if table:
        typer.echo(markdown())
        return
    try:
        found = list(rows(*read()))
    except SettingsError as error:
        fail(str(error))
    if as_json:
        print_json([asdict(row) for row in found])
        return
    for row in found:
        typer.echo(f"{row.name}={'' if row.value is None else row.value}    ({row.source})")
        typer.echo(f"    {row.meaning}")
