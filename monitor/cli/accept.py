"""`callwarden accept`: let a worker go on although something is lost."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.control import AcceptCommand

app = typer.Typer()

Partition = Annotated[int, typer.Option("--partition", min=0, help="As the worker's refusal says.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="As the worker's refusal says.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Is kept with the command.")]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait until it is taken.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait.")]
Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
]


@app.command("lost-state")
def lost_state(
    partition: Partition,
    offset: Offset,
    reason: Reason,
    wait: Wait = 30,
    no_wait: NoWait = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Make a partition's lost state anew out of what the input topics still have.

    The worker's refusal says what that forgets. Exit status: 1 not taken in time, 3 no broker.
    """
    from streams.control import AcceptCommand

    _accept(AcceptCommand("lost_state", offset, reason), partition, None if no_wait else wait, bootstrap)


@app.command("lost-input")
def lost_input(
    topic: Annotated[str, typer.Option("--topic", help="As the worker's refusal says.")],
    partition: Partition,
    offset: Offset,
    reason: Reason,
    wait: Wait = 30,
    no_wait: NoWait = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Go on although records that are still needed have been deleted from an input topic.

    The worker's refusal says what that loses. Exit status: 1 not taken in time, 3 no broker.
    """
    from streams.control import AcceptCommand

    _accept(AcceptCommand("lost_input", offset, reason, topic), partition, None if no_wait else wait, bootstrap)


def _accept(command: "AcceptCommand", partition: int, wait: float | None, bootstrap: str | None) -> None:
    from monitor.cli.inputs import fail, settings_for
    from monitor.cli.operator import operate
    from streams.cluster import Cluster, Refused
    from streams.commands import opening_watch, partition_count, send
    from streams.names import Names

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = Names(settings.input_prefix, settings.output_prefix)
    if command.topic is not None and names.source(command.topic) is None:
        fail(f"--topic {command.topic}: no input topic; expected one of {', '.join(names.inputs)}")

    async def work(cluster: Cluster) -> bool:
        count = await partition_count(cluster, names)
        if partition >= count:
            raise Refused(f"--partition {partition}: there are {count}; expected 0 to {count - 1}")
        watch = opening_watch(cluster, names, partition)
        await watch.begin()
        await send(cluster, names, settings.application_id, [partition], command)
        return wait is None or await watch.answered(wait)

    taken = operate("accept", settings, work)
    if wait is None:
        typer.echo(f"written: the worker of partition {partition} tries again when it reads the command")
    elif taken:
        typer.echo(f"taken: partition {partition} is at work")
    else:
        fail(
            f"not taken within {wait:g} s: partition {partition} is not at work. Its worker's log and /readyz say why: "
            f"after `partition refused` expected is exactly what that line says; without a worker the command stays in "
            f"{names.output('control')} until there is one",
            1,
        )
