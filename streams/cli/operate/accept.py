"""`callwarden accept`: let a worker continue after a loss."""

from typing import Annotated, Literal

import typer

from streams.cli.options import Bootstrap, By, Wait

app = typer.Typer()

Partition = Annotated[int, typer.Option("--partition", min=0, help="As in the worker's error message.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="As in the worker's error message.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is stored in callwarden.clock.")]


@app.command("lost-state")
def lost_state(
    partition: Partition,
    offset: Offset,
    reason: Reason,
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Rebuild a partition's lost state from what the input topics still hold.

    The worker's error message says what is lost.

    Exit status: 1 not taken, or not confirmed; 2 there is no such loss; 3 Kafka cannot be reached.
    """
    _accept("lost_state", None, partition, offset, reason, by, wait, bootstrap)


@app.command("lost-input")
def lost_input(
    topic: Annotated[str, typer.Option("--topic", metavar="TOPIC", help="As in the worker's error message.")],
    partition: Partition,
    offset: Offset,
    reason: Reason,
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Continue without records that are still needed and were deleted from an input topic.

    The worker's error message says what is lost.

    Exit status: 1 not taken, or not confirmed; 2 there is no such loss; 3 Kafka cannot be reached.
    """
    _accept("lost_input", topic, partition, offset, reason, by, wait, bootstrap)


def _accept(
    what: Literal["lost_state", "lost_input"],
    topic: str | None,
    partition: int,
    offset: int,
    reason: str,
    by: str | None,
    wait: float,
    bootstrap: str | None,
) -> None:
    from streams.cli.cluster_session import fail_unless_taken, operate, signed
    from streams.cli.inputs import fail, settings_for
    from streams.kafka.api import Cluster, PermanentError
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import CommandAnswers, partition_count, send_command
    from streams.topics.control_topic import AcceptCommand
    from streams.worker.recovery import objection_to_loss

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)
    if topic is not None and names.source(topic) is None:
        fail(f"--topic {topic}: expected an input topic: one of {', '.join(names.inputs)}")
    command = AcceptCommand(what, offset, topic=topic, **signed(reason, by))

    async def work(cluster: Cluster) -> CommandAnswers:
        count = await partition_count(cluster, names)
        if partition >= count:
            raise PermanentError(f"--partition: expected 0 to {count - 1}, got {partition}")
        if wrong := await objection_to_loss(cluster, names, partition, command):
            raise PermanentError(wrong)
        return await send_command(cluster, names, settings.application_id, [partition], command, wait)

    said = operate("accept", settings, work)
    if not wait:
        typer.echo(f"written: the worker of partition {partition} tries again when it reads the command")
        return
    if said.done:
        typer.echo(f"taken: partition {partition} has continued, and has recorded it")
    fail_unless_taken(
        said,
        f"not taken within {wait:g} s: partition {partition} has not continued. Its worker's log and /readyz "
        f"say why: accept exactly what the line `partition refused` names, and each of several losses. "
        f"Without a worker, the command stays in {names.output('control')} until there is one",
    )
