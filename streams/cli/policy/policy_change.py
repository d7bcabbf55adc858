"""`callwarden policy apply`, `withdraw` and `status`: change the policy of workers, withdraw the change, show it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Bootstrap, By, Json, Wait, Yes
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.partition.journal import PolicyChange, PolicyWithdrawal
    from monitor.policy.model import Policy
    from monitor.policy.timeline import PolicyVersion
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import CommandAnswers
    from streams.settings.load import Settings
    from streams.topics.policy_log import LoggedPolicies


def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The new policy.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Event time from which it applies.  [default: in some minutes]"),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is stored in callwarden.clock.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    preview: Annotated[
        bool, typer.Option(help="Show which tenants would change tier: this judges all records of the topics.")
    ] = True,
    yes: Yes = False,
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Change the policy of the workers from an event time on. Windows and tenant records stay.

    The command first shows what differs, which tenants would change tier over the days that the topics hold, and from
    when each rule can be judged.

    Exit status: 1 a partition has not taken it, or it is not confirmed; 2 a fault of the policy; 3 Kafka cannot be
    reached.
    """
    from monitor.policy.diff import diff
    from monitor.policy.timeline import PolicyVersion
    from monitor.policy.warnings import notes
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import checked_reason, fail, parse_time, policy_for, settings_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count, send_command
    from streams.ops.policy_commands import MARGIN_MS, PlannedChange, plan_change
    from streams.runtime.wall_clock import epoch_ms
    from streams.topics.control_topic import PolicyCommand
    from streams.topics.policy_log import logged_policies

    after = policy_for(file)
    if not dry_run:
        checked_reason(reason)
    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)
    now_ms = epoch_ms()
    from_ms = parse_time("--from", from_) if from_ else now_ms + settings.max_ahead_ms + MARGIN_MS
    if from_ms <= 0:
        fail(f"--from {from_}: expected a time after 1970")

    async def look(cluster: "KafkaCluster") -> PlannedChange:
        found = await logged_policies(cluster, names, range(await partition_count(cluster, names)))
        return plan_change(found, after.sha256, from_ms)

    plan = operate("policy apply", settings, look)
    if not plan.numbers:
        typer.echo(f"nothing to do: {after.sha256[:12]} is or will be the policy of all partitions")
        return
    if (other := plan.barred_by) is not None:
        fail(
            f"--from {_time(from_ms)}: {_named(other)} is scheduled from {_time(other.from_ms)} on; expected "
            "a later time, or `callwarden policy withdraw` first"
        )
    last, from_ms = plan.last, plan.from_ms
    before = last.policy if last else policy_for(str(settings.policy) if settings.policy else None)
    for line in diff(before, after):
        typer.echo(line)
    for note in notes(after, now_ms):
        typer.echo(f"note: {note.en}")
    if preview:
        for line in _changed_tiers(settings, names, before, after):
            typer.echo(line)
    for line in _judged_later(PolicyVersion(0, before), PolicyVersion(from_ms, after)):
        typer.echo(line)
    typer.echo(f"it would apply from event time {_time(from_ms)} on, or later where that was already judged")
    if dry_run:
        return
    if not yes and not typer.confirm("Apply it?"):
        raise typer.Exit(1)

    from monitor.policy.serialize import to_plain
    from streams.cli.cluster_session import signed

    command = PolicyCommand(to_plain(after), after.sha256, from_ms, **signed(reason, by))

    async def work(cluster: "KafkaCluster") -> "tuple[CommandAnswers, dict[int, LoggedPolicies]]":
        said = await send_command(cluster, names, settings.application_id, plan.numbers, command, wait)
        return said, await _recorded_since(cluster, names, said)

    said, found = operate("policy apply", settings, work)
    for number in said.done:
        since = f" from {_time(found[number].changes[-1].from_ms)} on" if number in found else ""
        typer.echo(f"taken: partition {number} applies it{since}")
    _all_must_take_it(said, wait, names)


def withdraw(
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is stored in callwarden.clock.")],
    yes: Yes = False,
    wait: Wait = 30,
    by: By = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Withdraw the policies that were applied and are not in force yet. The policy in force stays.

    Where a partition already decides under such a policy, it stays.

    Exit status: 1 a partition has not taken it, or it is not confirmed; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate, signed
    from streams.cli.inputs import checked_reason, settings_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count, send_command
    from streams.ops.policy_commands import partitions_to_withdraw
    from streams.topics.control_topic import WithdrawCommand
    from streams.topics.policy_log import logged_policies

    checked_reason(reason)
    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)

    async def look(cluster: "KafkaCluster") -> "dict[int, LoggedPolicies]":
        return await logged_policies(cluster, names, range(await partition_count(cluster, names)))

    found = operate("policy withdraw", settings, look)
    meant = {change.sha256 for one in found.values() for change in one.coming}
    if not meant:
        typer.echo("nothing to do: no policy is scheduled")
        return
    for number, one in found.items():
        for change in one.changes:
            if change.sha256 in meant and change in one.coming:
                typer.echo(
                    f"partition {number}: {_named(change)} is scheduled from {_time(change.from_ms)}{_signed(change)}"
                )
            elif change.sha256 in meant and change is one.changes[-1]:
                typer.echo(
                    f"partition {number}: {_named(change)} already applies, from {_time(change.from_ms)} on, and stays"
                )
    if not yes and not typer.confirm("Withdraw it?"):
        raise typer.Exit(1)
    numbers = partitions_to_withdraw(found, meant)
    command = WithdrawCommand(tuple(sorted(meant)), **signed(reason, by))

    async def work(cluster: "KafkaCluster") -> "tuple[CommandAnswers, dict[int, LoggedPolicies]]":
        said = await send_command(cluster, names, settings.application_id, numbers, command, wait)
        return said, await _recorded_since(cluster, names, said)

    said, found = operate("policy withdraw", settings, work)
    for number in said.done:
        holds = f", and continues under {_named(found[number].changes[-1])}" if number in found else ""
        typer.echo(f"taken: partition {number} has withdrawn it{holds}")
    _all_must_take_it(said, wait, names)


async def _recorded_since(
    cluster: "KafkaCluster", names: "TopicNames", said: "CommandAnswers"
) -> "dict[int, LoggedPolicies]":
    """What the partitions have recorded of the command; empty if the cluster cannot be reached any more."""
    from streams.kafka.api import TransientError
    from streams.topics.policy_log import logged_policies

    try:
        return await logged_policies(cluster, names, said.done)
    except TransientError:
        return {}


def _all_must_take_it(said: "CommandAnswers", wait: float, names: "TopicNames") -> None:
    """Fail if a partition refused the command or has not recorded it."""
    from streams.cli.cluster_session import fail_unless_taken

    silent = ", ".join(map(str, said.silent))
    if silent and not wait and not said.away:
        typer.echo(f"written for partition {silent}: a worker takes it when it reads the command")
        fail_unless_taken(said, None)
        return
    fail_unless_taken(
        said,
        f"not taken within {wait:g} s by partition {silent}. Its worker's log and /readyz say why. Where no worker "
        f"has the partition, the command stays in {names.output('control')} and is taken when one opens it",
    )


def status(as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show which policy is in force in each partition, since when, who applied it and why, and which are scheduled.

    It also shows what decisions wait for. The command only reads the topics, to their committed ends: its output is as
    of its start, 0 records behind.

    Exit status: 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate, waiting_lines
    from streams.cli.inputs import settings_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.runtime.wall_clock import epoch_ms
    from streams.topics.policy_log import logged_policies
    from streams.topics.reported_waits import ReportedWaits, TickReader

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)

    async def look(
        cluster: "KafkaCluster",
    ) -> tuple["dict[int, LoggedPolicies]", ReportedWaits]:
        numbers = range(await partition_count(cluster, names))
        return await logged_policies(cluster, names, numbers), await TickReader(names, numbers).read(cluster)

    as_of_ms = epoch_ms()
    found, reported = operate("policy status", settings, look)
    if as_json:
        partitions = [
            {
                "partition": number,
                "policies": [_plain(change) | {"coming": change in one.coming} for change in one.changes],
                "withdrawn": [_plain(change) | {"withdrawn": _who(withdrawal)} for change, withdrawal in one.withdrawn],
                "waits_for": reported.waits.get(number, []),
            }
            for number, one in found.items()
        ]
        print_json({"as_of_ms": as_of_ms, "behind": 0, "newest_tick_ms": reported.newest_ms, "partitions": partitions})
        return
    typer.echo(f"as of {_time(as_of_ms)}, 0 behind")
    for number, one in found.items():
        if not one.changes:
            typer.echo(f"partition {number}: it has no state yet and begins with its worker's CALLWARDEN_POLICY")
        for change in one.changes:
            since = f"from {_time(change.from_ms)}" if change.from_ms else "from the beginning"
            still = ", scheduled" if change in one.coming else ""
            typer.echo(f"partition {number}: {since}{still}: {_named(change)}{_signed(change)}")
        for change, withdrawal in one.withdrawn:
            until = f"withdrawn, was scheduled from {_time(change.from_ms)}"
            typer.echo(f"partition {number}: {until}: {_named(change)}{_signed(withdrawal)}")
    otherwise = "`callwarden topics check` shows what is wrong with the topic"
    for line in waiting_lines(reported, names.output("clock"), otherwise):
        typer.echo(line)


def _plain(change: "PolicyChange") -> dict[str, Any]:
    names = {"id": change.policy.get("id"), "version": change.policy.get("version"), "sha256": change.sha256}
    return {"from_ms": change.from_ms, "policy": names, **_who(change)}


def _who(note: "PolicyChange | PolicyWithdrawal") -> dict[str, Any]:
    from monitor.text.masking import mask_text

    return {"by": mask_text(note.by), "reason": mask_text(note.reason), "at_ms": note.at_ms}


def _named(change: "PolicyChange") -> str:
    return f"{change.policy.get('id')} {change.policy.get('version')}, sha256 {change.sha256[:12]}"


def _signed(note: "PolicyChange | PolicyWithdrawal") -> str:
    from monitor.text.masking import mask_text

    return f" ({mask_text(f'{note.by}: {note.reason}')})" if note.reason else ""


def _changed_tiers(settings: "Settings", names: "TopicNames", before: "Policy", after: "Policy") -> Iterator[str]:
    """The tenants for which the policies differ over the records of the topics."""
    from dataclasses import replace

    from monitor.whatif import backtest
    from streams.cli.cluster_session import operate
    from streams.cli.judge.backtest import change_lines
    from streams.ops.topic_preflight import outcomes
    from streams.ops.topic_replay import TopicReplayOptions

    options = replace(TopicReplayOptions.from_settings(settings), follow=False)

    async def judge(cluster: "KafkaCluster") -> "list[backtest.PolicyOutcome]":
        return await outcomes(cluster, names, options, (before, after))

    changed = backtest.changes(*operate("policy apply", settings, judge))
    yield f"{len(changed):,} tenants would change tier over the records of the topics"
    yield from change_lines(changed, settings.display)


def _judged_later(before: "PolicyVersion", after: "PolicyVersion") -> Iterator[str]:
    from monitor.core.windows.policy_history import FieldAvailability, judged_later

    for rule, from_ms in judged_later(FieldAvailability([before, after])).items():
        yield f"{rule}: judged from {_time(from_ms)} on: its metric was not counted before, or not for that long"


def _time(at_ms: int) -> str:
    from monitor.text.timestamps import rfc3339

    return rfc3339(at_ms, "seconds")
