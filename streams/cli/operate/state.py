"""`callwarden state`: take the stored state out into a file, look at such a file, and bring it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.operate import state_rescale as move
from streams.cli.options import Bootstrap, InputPrefix, OutputPrefix, named

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings
    from streams.topics.partition_state import PartitionState

app = typer.Typer()
app.command("move")(move.run)


@app.command("export")
def export(
    to: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="The file to be made, or where it is to be made.", parser=named)
    ],
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Write the state of all partitions to one file: a backup, and what `callwarden audit --from` begins at.

    Workers may be at work meanwhile. The file holds what the state holds: ids of tenants, calls and complaints, and
    keys made of phone numbers; nobody else may read it. Exit status: 1 it cannot be written, 2 there is such a file, or
    nothing to be written, 3 no broker.
    """
    import time
    from datetime import UTC, datetime

    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail
    from streams.cli.outputs import must_be_new, writing
    from streams.kafka.topic_names import TopicNames
    from streams.savepoint.export import export as write

    settings = _settings(input_prefix, output_prefix, bootstrap)
    names = TopicNames(settings.input_prefix, settings.output_prefix)
    made_ms = time.time_ns() // 1_000_000
    if to.is_dir():
        to /= f"callwarden-state-{datetime.fromtimestamp(made_ms // 1000, UTC):%Y%m%dT%H%M%SZ}.zst"
    elif to.suffix != ".zst" and to.parent.is_dir():
        fail(f"{to}: there is no such folder; expected a folder that is there, or the name of a file that ends in .zst")
    must_be_new(to)
    with writing(to):
        header = operate("state export", settings, lambda cluster: write(cluster, names, to, made_ms, _tell))
    typer.echo(f"written: {to}, {header.partitions} partitions, {to.stat().st_size:,} bytes")


@app.command("show")
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="What `callwarden state export` wrote.")]) -> None:
    """Tell what an export holds, and whether it is whole. Exit status: 2 it is not."""
    from monitor.core.decisions.enforcement_events import rfc3339
    from streams.savepoint.archive import ArchiveReader

    with faults():
        found = ArchiveReader(file)
        header = found.header
        typer.echo(
            f"made {rfc3339(header.made_ms)}, inputs {header.input_prefix}*, outputs {header.output_prefix}*, "
            f"{header.partitions} partitions"
        )
        for part in found.parts():
            _tell(part)
    typer.echo("it is whole")


@app.command("import")
def bring_back(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `callwarden state export` wrote.")],
    partitions: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="This one alone; repeatable.  [default: all]")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In place of the state that is there.")] = False,
    rebind: Annotated[
        bool,
        typer.Option(
            "--rebind-inputs",
            help="The input topics are copies: other topic ids, the same records at the same offsets.",
        ),
    ] = False,
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Bring the state back out of an export, where there is none. The workers must be stopped.

    What was decided since the export is decided again when a worker starts, and not put out again. Whatever does not
    fit is refused before anything is written. Exit status: 2 it does not fit, 3 no broker.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail
    from streams.kafka.admin import members
    from streams.kafka.api import PermanentError
    from streams.kafka.topic_names import TopicNames
    from streams.savepoint.archive import ArchiveReader
    from streams.savepoint.restore import restore_state as write

    settings = _settings(input_prefix, output_prefix, bootstrap)
    names = TopicNames(settings.input_prefix, settings.output_prefix)

    async def work(cluster: "KafkaCluster") -> list[str]:
        if at_work := await members(cluster.questions, settings.group):
            raise PermanentError(
                f"workers are at work ({at_work} in the group {settings.group}); expected none: end them first"
            )
        return await write(
            cluster,
            names,
            settings.application_id,
            found,
            only=partitions,
            replace=replace,
            rebind=rebind,
            told=_tell,
        )

    with faults():
        found = ArchiveReader(file)
        if wrong := [number for number in partitions or () if number >= found.header.partitions]:
            fail(f"--partition {wrong[0]}: {file} has {found.header.partitions} partitions, from 0")
        others = operate("state import", settings, work)
    typer.echo(
        "brought back; the workers can be started. A command of an operator that none had taken before is taken then"
    )
    if others:
        typer.echo(
            f"{', '.join(others)}: not the topic that the state was made from (another topic id): workers refuse the "
            "partitions until `callwarden accept lost-input`. If it holds the same records at the same offsets, the "
            "same command with --replace --rebind-inputs is right",
            err=True,
        )


def _settings(input_prefix: str | None, output_prefix: str | None, bootstrap: str | None) -> "Settings":
    from streams.cli.inputs import settings_for

    given = {"input_prefix": input_prefix, "output_prefix": output_prefix, "bootstrap_servers": bootstrap}
    return settings_for(dict(given))


@contextmanager
def faults() -> Iterator[None]:
    """A file that is no export, or not whole, ends the command with exit status 2."""
    from streams.cli.inputs import fail
    from streams.savepoint.archive import ArchiveError

    try:
        yield
    except ArchiveError as error:
        fail(str(error))


def _tell(part: "PartitionState") -> None:
    from monitor.core.decisions.enforcement_events import rfc3339

    judged = part.judged
    if judged is None:
        typer.echo(f"partition {part.number}: nothing was decided yet")
        return
    size = sum(map(len, part.entries.values()))
    told = f"judged up to {rfc3339(judged.watermark_ms)}, {len(part.entries):,} entries, {size:,} bytes"
    typer.echo(f"partition {part.number}: {told}")
