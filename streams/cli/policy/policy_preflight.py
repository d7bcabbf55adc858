"""`callwarden policy preflight`: what a policy would do with records, before anything is enforced."""

from typing import TYPE_CHECKING

import typer

from streams.cli.inputs import policy_for
from streams.cli.options import Bootstrap, Constants, Format, FromTopics, Json, NotAfter, RecordFiles, WorkersPolicy
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.text.display import Display
    from monitor.whatif.backtest import Change
    from monitor.whatif.preflight import Preflight
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings

_SHOWN = 5  # tenants named for each rule


def preflight(
    files: RecordFiles = None,
    from_topics: FromTopics = False,
    bootstrap: Bootstrap = None,
    policy: WorkersPolicy = None,
    format_: Format = None,
    set_: Constants = None,
    not_after: NotAfter = None,
    as_json: Json = False,
) -> None:
    """Show how far each optional field is filled, and how many tenants each rule would hit, before you enforce it.

    With --from-topics, also show which tenants would change tier over what the topics hold, compared with the policy
    of the workers.

    Exit status: 3 Kafka cannot be reached.
    """
    from monitor.whatif.preflight import preflight as look
    from streams.cli.inputs import files_or_topics, latest_event_ms, reading, settings_for

    names, adapters, _ = files_or_topics(files, from_topics, bootstrap, format_, set_, not_after)
    settings = settings_for({"bootstrap_servers": bootstrap, "policy": policy})
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    if from_topics:
        _preflight_topics(settings_for({"bootstrap_servers": bootstrap}), ruled, as_json)
        return
    with reading(names):
        found = look(names, ruled, adapters, latest_event_ms(not_after))
    if as_json:
        print_json(_as_json(found))
        return
    for line in _lines(found, settings.display):
        typer.echo(line)


def _preflight_topics(settings: "Settings", after: "Policy", as_json: bool) -> None:
    """Check the topics, and report the result."""
    from dataclasses import replace

    from streams.cli.cluster_session import operate
    from streams.cli.judge.backtest import change_lines
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.ops.topic_preflight import preflight_topics
    from streams.ops.topic_replay import TopicReplayOptions
    from streams.topics.policy_log import logged_policies, newest

    names = TopicNames.from_settings(settings)
    options = replace(TopicReplayOptions.from_settings(settings), follow=False)

    async def work(cluster: "KafkaCluster") -> "tuple[Policy, Preflight, list[Change]]":
        last = newest(await logged_policies(cluster, names, range(await partition_count(cluster, names))))
        before = last.policy if last else policy_for(str(settings.policy) if settings.policy else None)
        return before, *await preflight_topics(cluster, names, options, before, after)

    before, found, changed = operate("policy preflight", settings, work)
    if as_json:
        policies = {"before": before.sha256, "after": after.sha256}
        print_json({**_as_json(found), **policies, "changes": changed})
        return
    for line in _lines(found, settings.display):
        typer.echo(line)
    typer.echo(
        f"\n{_count(len(changed), 'tenant')} would change tier over the records of the topics, from {before.id} "
        f"{before.version} ({before.sha256[:12]}) to {after.id} {after.version} ({after.sha256[:12]})"
    )
    for line in change_lines(changed, settings.display):
        typer.echo(line)


def _as_json(found: "Preflight") -> dict[str, object]:
    return {
        "records": found.records,
        "rejected": found.rejected,
        "tenants": found.tenants,
        "fields": [
            {
                "field": f.name,
                "of": f.of,
                "filled": f.filled,
                "total": f.total,
                "share": f.share,
                "tenants": f.tenants,
                "filled_by": f.filled_by,
                "tenant_share": f.tenant_share,
            }
            for f in found.fields
        ],
        "rules": [
            {
                "rule": r.rule.id,
                "mode": r.rule.mode,
                "in_breach": len(r.tenants),
                "share": len(r.tenants) / found.tenants if found.tenants else None,
                "tenants": r.tenants,
                "not_filled": r.scanty,
                "may_go_to_review": r.ready,
            }
            for r in found.rules
        ],
    }


def _lines(found: "Preflight", display: "Display") -> list[str]:
    by = {field.name: _share(field.tenant_share) for field in found.fields}
    lines = [f"{found.records:,} records of {_count(found.tenants, 'tenant')}, {found.rejected:,} lines rejected", ""]
    lines.append(f"{'field':<32}{'filled':>8}  {'by tenants':>10}  of")
    lines += [
        f"{field.name:<32}{_share(field.share):>8}  {by[field.name]:>10}  {field.total:,} {field.of}"
        for field in found.fields
    ]
    lines += ["", f"{'rule':<32}{'mode':<9}{'in breach':>9}  tenants"]
    for breaches in found.rules:
        share = _share(len(breaches.tenants) / found.tenants if found.tenants else None)
        names = ", ".join(map(display.id, breaches.tenants[:_SHOWN]))
        more = f" and {len(breaches.tenants) - _SHOWN:,} more" if len(breaches.tenants) > _SHOWN else ""
        lines.append(f"{breaches.rule.id:<32}{breaches.rule.mode:<9}{share:>9}  {names}{more}".rstrip())
        for name in breaches.scanty:
            lines.append(f"    needs {name}, which {by[name]} of the tenants fill: do not enforce it on such records")
        if breaches.ready:
            fields = ", ".join(f"{name} ({by[name]} of the tenants)" for name in breaches.filled)
            lines.append(f"    {fields} is filled: this rule may go from shadow to review")
    return lines


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _count(number: int, word: str, plural: str = "s") -> str:
    return f"{number:,} {word}{plural if number != 1 else ''}"
