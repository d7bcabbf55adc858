"""`callwarden skip`: have a record sent to the dead letters instead of being read."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap, By, Wait


def run(
    topic: Annotated[
        str, typer.Option("--topic", metavar="TOPIC", help="The input topic, as the worker's log names it.")
    ],
    partition: Annotated[int, typer.Option("--partition", min=0, help="The partition.")],
    offset: Annotated[int, typer.Option("--offset", min=0, help="The offset of the record.")],
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="WHY", help="Why; it is stored in the dead letter and in callwarden.clock."),
    ],
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Tell the partition's worker to send one record to the dead letters instead of reading it.

    Use it for a record that stops its partition, which the worker's log names. The record then decides nothing;
    `callwarden dead-letter retry` can write it back.

    Exit status: 1 not taken, or not confirmed; 2 there is no such record; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import fail_unless_taken, operate, signed
    from streams.cli.inputs import fail, settings_for
    from streams.kafka.api import TP, Cluster, PermanentError
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import CommandAnswers, send_command
    from streams.topics.control_topic import SkipCommand

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)
    if names.source(topic) is None:
        fail(f"--topic {topic}: expected an input topic: one of {', '.join(names.inputs)}")
    command = SkipCommand(topic, offset, **signed(reason, by))

    async def work(cluster: Cluster) -> CommandAnswers:
        log = TP(topic, partition)
        start, end = (await cluster.starts([log]))[log], (await cluster.ends([log]))[log]
        if start >= end:
            raise PermanentError(f"{topic}-{partition} has no records")
        if not start <= offset < end:
            raise PermanentError(f"--offset: expected {start} to {end - 1} in {topic}-{partition}, got {offset}")
        return await send_command(cluster, names, settings.application_id, [partition], command, wait)

    said = operate("skip", settings, work)
    record = f"{topic}-{partition} offset {offset}"
    if not wait:
        typer.echo(f"written: {record} is skipped when the worker of partition {partition} reads the command")
        return
    if said.done:
        typer.echo(f"taken: {record} goes to the dead letters")
    fail_unless_taken(
        said,
        f"not taken within {wait:g} s: {record}. The command stays in {names.output('control')} and is taken "
        f"when a worker opens partition {partition}",
    )
