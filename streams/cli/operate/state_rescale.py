"""`callwarden state move`: bring the state to topics with another number of partitions."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings


def run(
    to_input_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="The prefix of the new input topics.")],
    to_output_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="The prefix of the new output topics.")],
    to_application_id: Annotated[str, typer.Option(metavar="ID", help="CALLWARDEN_APPLICATION_ID of the new workers.")],
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the former topics.")] = False,
) -> None:
    """Move the state by tenant to topics with another number of partitions, created by `callwarden topics create`.

    The settings are those of the current workers. Stop the workers and all writers to the old and new inputs until the
    command has ended; see `docs/guides/upgrades.md`. It checks everything before it writes anything. A later error
    message contains the way back. After a crash, run it again.

    Exit status: 2 something does not fit; 3 Kafka cannot be reached.
    """
    from monitor.partition.checkpoint import PartitionIdentity
    from monitor.partition.task import StreamTask
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail, policy_for, settings_for
    from streams.kafka.admin import existing_topics, members
    from streams.kafka.api import Fenced, PermanentError
    from streams.kafka.topic_admin import describe_mismatches, find_mismatches, partitions_for, required_topics
    from streams.kafka.topic_names import TopicNames
    from streams.savepoint.close import RescaleSide
    from streams.savepoint.rescale import move
    from streams.savepoint.rescale import undo as take_back
    from streams.topics.state_inputs import check_inputs
    from streams.worker.main import check_identity

    old = settings_for({})
    new = settings_for(
        {"input_prefix": to_input_prefix, "output_prefix": to_output_prefix, "application_id": to_application_id}
    )
    for name in ("input_prefix", "output_prefix", "application_id"):
        if getattr(old, name) == getattr(new, name):
            option = f"--to-{name.replace('_', '-')}"
            fail(f"{option}: expected another value than that of the former workers, got `{getattr(new, name)}`")
    policy = policy_for(str(old.policy) if old.policy else None)
    live = old.deciding

    async def side(cluster: "KafkaCluster", settings: "Settings") -> RescaleSide:
        if at_work := await members(cluster.questions, settings.group):
            raise PermanentError(
                f"expected no running workers, got {at_work} in the group {settings.group}: stop them first"
            )
        names = TopicNames.from_settings(settings)
        stored = await check_inputs(cluster, names)
        found = await existing_topics(cluster.questions, required_topics(settings))
        # Records in partitions beyond those of the state are carried over; new topics must fit.
        if faults := [
            fault
            for fault in find_mismatches(settings, found, stored)
            if fault.stops_workers and (settings is new or not fault.grown)
        ]:
            raise PermanentError(f"topics are misconfigured\n{describe_mismatches(faults)}")
        partitions = partitions_for(settings, found, stored)

        def made(number: int) -> StreamTask:
            place = PartitionIdentity(number, partitions, settings.partitioner)
            return StreamTask(policy, settings.secret(), live, place)

        return RescaleSide(names, settings.application_id, partitions, made, settings.measures == "on")

    async def work(cluster: "KafkaCluster") -> None:
        sides = await side(cluster, old), await side(cluster, new)
        try:
            if undo:
                await take_back(cluster, *sides)
            else:
                await check_identity(new, cluster, sides[1].partitions)
                await move(cluster, *sides, typer.echo)
        except Fenced:
            raise PermanentError(
                "another program writes to a partition's state: stop the workers, and run the same command again"
            ) from None

    operate("state move", old, work)
    if undo:
        typer.echo("undone: start the workers on the former topics; you can delete the new ones")
    else:
        typer.echo(
            f"moved: start the workers with CALLWARDEN_INPUT_PREFIX={to_input_prefix} CALLWARDEN_OUTPUT_PREFIX="
            f"{to_output_prefix} CALLWARDEN_APPLICATION_ID={to_application_id}, then the producers of the inputs"
        )
