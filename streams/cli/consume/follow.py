"""`callwarden follow`: write the rows of growing files or of a table to the topics."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streams.cli.options import Bootstrap, Constants
from streams.cli.service_options import JsonLogs, serve

if TYPE_CHECKING:
    from streams.ingest.follow.main import FollowPlan
    from streams.ingest.foreign_rows import ForeignAdapter


def run(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...", help="Files that grow and rotate, or patterns in quotes: '/var/log/cdr/*.csv'."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="NAME|MAPPING.yaml", help="The format of the rows."),
    ] = "",
    constants: Constants = None,
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="URL", help="The database of a table: CALLWARDEN_FOLLOW_DATABASE."),
    ] = None,
    table: Annotated[str, typer.Option("--table", metavar="[SCHEMA.]NAME", help="The table.")] = "",
    key: Annotated[
        str, typer.Option("--key", metavar="COLUMN", help="Its unique integer column, by which rows are numbered.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The follower's name, unique.  [default: the format's]")
    ] = "",
    from_end: Annotated[
        bool,
        typer.Option("--from-end", help="Begin a new name at the ends of the files that exist, or of the table."),
    ] = False,
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Follow files that grow and rotate, or a table. Each row is mapped and written once. It stops on TERM.

    The positions are in the topic callwarden.follow, under the follower's name. See `docs/guides/follow.md`.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings or mapping, something
    that the cluster does not allow, or another process has started under the same name.
    """
    from streams.cli.inputs import fail, settings_for
    from streams.ingest.follow.main import run as follow
    from streams.kafka.api import PermanentError

    settings = settings_for({"bootstrap_servers": bootstrap, "follow_port": port, "follow_database": sql})
    url = settings.follow_database.get_secret_value() if settings.follow_database is not None else ""
    try:
        if table or key or sql:
            plan = _table_plan(files or [], _Table(url, table, key, from_end), form, constants or [], name)
        else:
            plan = _plan(files or [], form, constants or [], name, from_end)
    except PermanentError as error:
        fail(f"callwarden follow: {error}")

    serve("follow", settings, json_logs, lambda cluster: follow(settings, cluster, plan))


class _Table(NamedTuple):
    url: str
    name: str
    key: str
    from_end: bool


def _plan(files: list[str], form: str, constants: list[str], name: str, from_end: bool) -> "FollowPlan":
    from pathlib import Path

    from streams.cli.inputs import fail
    from streams.ingest.follow.files.file_source import FileSource
    from streams.ingest.follow.files.row_format import RowFormat
    from streams.ingest.follow.main import FollowPlan, checked_name

    if not files:
        fail("FILE: expected a file, or several; or a table: --sql URL --table NAME --key COLUMN")
    adapter = _adapter(form, constants)
    row_format = RowFormat(adapter, form)
    return FollowPlan(
        checked_name(name or Path(form).stem),
        adapter,
        lambda rows: FileSource(files, row_format, rows, from_ends=from_end),
    )


def _table_plan(files: list[str], table: _Table, form: str, constants: list[str], name: str) -> "FollowPlan":
    from pathlib import Path

    from streams.cli.inputs import fail
    from streams.ingest.follow.main import FollowPlan, checked_name
    from streams.ingest.follow.tables.row_document import RowDocument
    from streams.ingest.follow.tables.sql_table import SqlTable
    from streams.ingest.follow.tables.table_source import TableSource

    if files:
        fail("FILE: expected files or a table, got both")
    given = {"--sql": table.url, "--table": table.name, "--key": table.key}
    missing = [option for option, value in given.items() if not value]
    if missing:
        fail(f"{missing[0]}: expected it for a table: --sql URL --table NAME --key COLUMN")
    adapter = _adapter(form, constants)
    document, reader = RowDocument(adapter, form), SqlTable(table.url, table.name, table.key)
    return FollowPlan(
        checked_name(name or Path(form).stem),
        adapter,
        lambda rows: TableSource(reader, document, rows, from_end=table.from_end),
    )


def _adapter(form: str, constants: list[str]) -> "ForeignAdapter":
    from streams.cli.inputs import adapter_for, fail
    from streams.ingest.foreign_rows import DocumentAdapter, EventAdapter

    if not form:
        fail("--format: expected a format or a mapping file")
    adapter = adapter_for(form, constants)
    if not isinstance(adapter, DocumentAdapter | EventAdapter):
        fail(f"--format {form}: it reads whole files only; expected a mapping")
    return adapter
