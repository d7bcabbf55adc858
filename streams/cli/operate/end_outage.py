"""`callwarden end-outage`: tell the workers that no calls are missing."""

from typing import Annotated

import typer

from streams.cli.options import Bootstrap, By, Wait


def run(
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is stored in callwarden.clock.")],
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, help="Only this partition.  [default: all]")
    ] = None,
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Tell the workers that no calls are missing, so that they stop waiting for them.

    Windows are then judged without waiting for the outage grace, until the next call arrives. Calls of that time that
    arrive later are late.

    Exit status: 1 a partition has not taken it, or it is not confirmed; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import fail_unless_taken, operate, signed
    from streams.cli.inputs import settings_for
    from streams.kafka.api import Cluster, PermanentError
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import CommandAnswers, partition_count, send_command
    from streams.topics.control_topic import EndOutageCommand

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)

    command = EndOutageCommand(**signed(reason, by))

    async def work(cluster: Cluster) -> tuple[list[int], CommandAnswers]:
        count = await partition_count(cluster, names)
        if partition is not None and partition >= count:
            raise PermanentError(f"--partition: expected 0 to {count - 1}, got {partition}")
        numbers = list(range(count)) if partition is None else [partition]
        return numbers, await send_command(cluster, names, settings.application_id, numbers, command, wait)

    written, said = operate("end-outage", settings, work)
    if not wait:
        typer.echo(
            f"written for {_partitions(written)}: where its worker reads it, the clock follows the broker's time"
        )
        return
    if said.done:
        typer.echo(f"taken: the clock of {_partitions(said.done)} follows the broker's time until the next call")
    fail_unless_taken(
        said,
        f"not taken within {wait:g} s: {_partitions(said.silent)}. /readyz of the workers says why; the command "
        f"stays in {names.output('control')} and is taken when a worker opens the partition",
    )


def _partitions(numbers: list[int]) -> str:
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
