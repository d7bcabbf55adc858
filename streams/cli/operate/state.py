"""`callwarden state`: take the stored state out into a file, look at such a file, and bring it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.operate import state_rescale as move
from streams.cli.options import Bootstrap, InputPrefix, Json, OutputPrefix, named
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings
    from streams.topics.partition_state import PartitionState

app = typer.Typer()
app.command("move")(move.run)


@app.command("export")
def export(
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE|DIR", help="A new file whose name ends in .zst, or a folder.", parser=named
        ),
    ],
    input_prefix: InputPrefix = None,
    output_prefix: OutputPrefix = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Write the state of all partitions to one file: a backup, and a start for `callwarden audit --state`.

    Workers may be running. The file contains ids of tenants, calls and complaints, and keys made of phone numbers; only
    you can read it.

    Exit status: 1 it cannot be written; 2 the file exists already, or there is no state; 3 Kafka cannot be reached.
    """
    from monitor.text.timestamps import file_stamp
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail
    from streams.cli.outputs import must_be_new, writing
    from streams.kafka.topic_names import TopicNames
    from streams.runtime.wall_clock import epoch_ms
    from streams.savepoint.export import export as write

    settings = _settings(input_prefix, output_prefix, bootstrap)
    names = TopicNames.from_settings(settings)
    made_ms = epoch_ms()
    if out.is_dir():
        out /= f"callwarden-state-{file_stamp(made_ms)}.zst"
    elif out.suffix != ".zst" and out.parent.is_dir():
        fail(f"{out}: expected an existing folder, or the name of a file that ends in .zst")
    must_be_new(out)
    with writing(out):
        header = operate("state export", settings, lambda cluster: write(cluster, names, out, made_ms, _tell))
    typer.echo(f"written: {out}, {header.partitions} partitions, {out.stat().st_size:,} bytes")


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `callwarden state export`.")],
    as_json: Json = False,
) -> None:
    """Show what an export holds, and verify its checksums.

    Exit status: 2 it is not an export, or not complete.
    """
    from monitor.text.timestamps import rfc3339
    from streams.savepoint.archive import ArchiveReader

    with faults():
        found = ArchiveReader(file)
        header = found.header
        if as_json:
            print_json(
                {
                    "made_ms": header.made_ms,
                    "input_prefix": header.input_prefix,
                    "output_prefix": header.output_prefix,
                    "partition_count": header.partitions,
                    "partitions": [_plain(part) for part in found.parts()],
                }
            )
            return
        typer.echo(
            f"made {rfc3339(header.made_ms)}, inputs {header.input_prefix}*, outputs {header.output_prefix}*, "
            f"{header.partitions} partitions"
        )
        for part in found.parts():
            _tell(part)
    typer.echo("the export is complete")


@app.command("import")
def bring_back(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `callwarden state export`.")],
    partitions: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Only this partition; repeatable.  [default: all]")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the existing state.")] = False,
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
    """Restore the state from an export, where there is none. Stop the workers first.

    Decisions made since the export are made again when a worker starts, and are not emitted twice. The command checks
    everything before it writes anything.

    Exit status: 2 the export does not fit; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail
    from streams.kafka.admin import members
    from streams.kafka.api import PermanentError
    from streams.kafka.topic_names import TopicNames
    from streams.savepoint.archive import ArchiveReader
    from streams.savepoint.restore import RestoreOptions
    from streams.savepoint.restore import restore_state as write

    settings = _settings(input_prefix, output_prefix, bootstrap)
    names = TopicNames.from_settings(settings)

    async def work(cluster: "KafkaCluster") -> list[str]:
        if at_work := await members(cluster.questions, settings.group):
            raise PermanentError(
                f"expected no running workers, got {at_work} in the group {settings.group}: stop them first"
            )
        return await write(
            cluster,
            names,
            settings.application_id,
            found,
            RestoreOptions(only=partitions, replace=replace, rebind=rebind),
            told=_tell,
        )

    with faults():
        found = ArchiveReader(file)
        if wrong := [number for number in partitions or () if number >= found.header.partitions]:
            fail(f"--partition: expected 0 to {found.header.partitions - 1} of {file}, got {wrong[0]}")
        others = operate("state import", settings, work)
    typer.echo(
        "restored; you can start the workers. They then take the operator commands that no worker had taken before"
    )
    if others:
        typer.echo(
            f"{', '.join(others)}: not the topic that the state was built from (another topic id): workers refuse the "
            "partitions until `callwarden accept lost-input`. If it holds the same records at the same offsets, run "
            "the same command with --replace --rebind-inputs",
            err=True,
        )


def _settings(input_prefix: str | None, output_prefix: str | None, bootstrap: str | None) -> "Settings":
    from streams.cli.inputs import settings_for

    given = {"input_prefix": input_prefix, "output_prefix": output_prefix, "bootstrap_servers": bootstrap}
    return settings_for(dict(given))


@contextmanager
def faults() -> Iterator[None]:
    """A file that is not an export, or not complete, ends the command with exit status 2."""
    from streams.cli.inputs import fail
    from streams.savepoint.archive import ArchiveError

    try:
        yield
    except ArchiveError as error:
        fail(str(error))


def _plain(part: "PartitionState") -> dict[str, int | None]:
    judged = part.judged
    return {
        "partition": part.number,
        "judged_ms": judged.watermark_ms if judged else None,
        "entries": len(part.entries),
        "bytes": sum(map(len, part.entries.values())),
    }


def _tell(part: "PartitionState") -> None:
    from monitor.text.timestamps import rfc3339

    judged = part.judged
    if judged is None:
        typer.echo(f"partition {part.number}: no decisions yet")
        return
    size = sum(map(len, part.entries.values()))
    told = f"judged up to {rfc3339(judged.watermark_ms)}, {len(part.entries):,} entries, {size:,} bytes"
    typer.echo(f"partition {part.number}: {told}")
