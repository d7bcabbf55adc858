"""`callwarden accept`: let a worker go on although something is lost."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.control import AcceptCommand

app = typer.Typer()

Partition = Annotated[int, typer.Option("--partition", min=0, help="As the worker's refusal says.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="As the worker's refusal says.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Is kept with the command.")]
Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
]


@app.command("lost-state")
def lost_state(partition: Partition, offset: Offset, reason: Reason, bootstrap: Bootstrap = None) -> None:
    """Make a partition's lost state anew out of what the input topics still have.

    The worker's refusal says what that forgets. Exit status 3: no broker.
    """
    from streams.control import AcceptCommand

    _accept(AcceptCommand("lost_state", offset, reason), partition, bootstrap)


@app.command("lost-input")
def lost_input(
    topic: Annotated[str, typer.Option("--topic", help="As the worker's refusal says.")],
    partition: Partition,
    offset: Offset,
    reason: Reason,
    bootstrap: Bootstrap = None,
) -> None:
    """Go on although records that are still needed have been deleted from an input topic.

    The worker's refusal says what that loses. Exit status 3: no broker.
    """
    from streams.control import AcceptCommand

    _accept(AcceptCommand("lost_input", offset, reason, topic), partition, bootstrap)


def _accept(command: "AcceptCommand", partition: int, bootstrap: str | None) -> None:
    from monitor.cli.inputs import fail, settings_for
    from monitor.cli.operator import operate
    from streams.cluster import Cluster, Refused
    from streams.commands import partition_count, send
    from streams.names import Names

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = Names(settings.input_prefix, settings.output_prefix)
    if command.topic is not None and names.source(command.topic) is None:
        fail(f"--topic {command.topic}: no input topic; expected one of {', '.join(names.inputs)}")

    async def work(cluster: Cluster) -> None:
        count = await partition_count(cluster, names)
        if partition >= count:
            raise Refused(f"--partition {partition}: there are {count}; expected 0 to {count - 1}")
        await send(cluster, names, settings.application_id, [partition], command)

    operate("accept", settings, work)
    typer.echo(f"written: the worker of partition {partition} tries again, and its log says what came of it")
