"""`callwarden policy`: check, show, compare and explain policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.inputs import moment, policy_for
from streams.cli.options import Bootstrap, Constants, Format, Json, WorkersPolicy
from streams.cli.policy import policy_change as policy_switch

if TYPE_CHECKING:
    from monitor.policy.model import Policy
    from monitor.replay.outcome import Outcome
    from monitor.whatif.backtest import Change
    from monitor.whatif.preflight import Preflight
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings

app = typer.Typer(no_args_is_help=True)
app.command()(policy_switch.apply)
app.command()(policy_switch.withdraw)
app.command()(policy_switch.status)

_SHOWN = 5  # tenants named for each rule

PolicyOption = Annotated[
    str | None, typer.Option("--policy", metavar="FILE", help="A policy file.  [default: the built-in one]")
]


@app.command()
def check(file: Annotated[str, typer.Argument(metavar="FILE", help="A policy file.")]) -> None:
    """Say every fault of a policy file, with its line and column; exit 2 if there is one."""
    import time

    from monitor.policy.warnings import notes

    policy = policy_for(file)
    for note in notes(policy, time.time_ns() // 1_000_000):
        typer.echo(f"{file}: note: {note}", err=True)
    parts = (
        _count(len(policy.rules), "rule"),
        _count(len(policy.escalations), "escalation"),
        _count(len(policy.overrides), "override"),
        _count(len(policy.exemptions), "exemption"),
        _count(len(policy.catalogue), "prohibited business", "es"),
    )
    typer.echo(f"{file}: good: {policy.id} {policy.version}, {', '.join(parts)}, sha256 {policy.sha256}")


@app.command()
def show(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A policy file.  [default: the built-in policy]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the resolved policy, every value written out; it is a policy file itself, of the same hash."""
    import sys

    from monitor.policy.serialize import to_plain
    from monitor.policy.write import dump_json, dump_yaml

    policy = policy_for(file)
    plain = to_plain(policy)
    text = dump_json(plain) if as_json else f"# sha256 {policy.sha256}\n{dump_yaml(plain)}"
    sys.stdout.buffer.write(text.encode())  # whatever the terminal's encoding: the file is UTF-8


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A policy file, or `access-rules` for the built-in policy.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Say what changes from policy A to policy B once both are resolved."""
    from monitor.policy.diff import diff as differences

    old, new = (policy_for(None if name == "access-rules" and not Path(name).exists() else name) for name in (a, b))
    lines = differences(old, new)
    if not lines:
        typer.echo(f"the same policy, sha256 {old.sha256}")
    for line in lines:
        typer.echo(line)


@app.command()
def explain(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")],
    policy: PolicyOption = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339 or epoch ms.  [default: now]")] = None,
) -> None:
    """Say which rules hold for one tenant, with whose overrides and exemptions, in Chinese and English."""
    import time

    from monitor.policy.explain import explain as explained

    at_ms = moment("--at", at) if at is not None else time.time_ns() // 1_000_000
    for line in explained(policy_for(policy), tenant, at_ms):
        typer.echo(line)


@app.command()
def match(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A business, as declared or as found.")],
    policy: PolicyOption = None,
) -> None:
    """Say which prohibited businesses a text names: row, term, and the `unless` word that takes a match away."""
    from monitor.policy.catalogue import Catalogue

    catalogue = Catalogue(policy_for(policy).catalogue)
    best = catalogue.match(text)
    hits = catalogue.explain(text)
    for hit in hits:
        row = f"{hit.row.key} ({hit.row.zh}; {hit.row.en})"
        if hit.unless is not None:
            said = f"no match: {row}: contains `{hit.term}`, but `{hit.unless}` takes it away"
        elif hit.certain:
            said = f"certain: {row}: is `{hit.term}`"
        else:
            said = f"likely: {row}: contains `{hit.term}`"
        typer.echo(said)
    if best is None:
        typer.echo("not prohibited" if hits else "not prohibited: no term of the catalogue is in it")
    else:
        typer.echo(f"prohibited, {'certain' if best.certain else 'likely'}: {best.row.key}, by `{best.term}`")


@app.command()
def preflight(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Records: .jsonl, .gz, .zst, or - for standard input.")
    ] = None,
    from_topics: Annotated[
        bool, typer.Option("--from-topics", help="Look at the input topics of a Kafka cluster in place of files.")
    ] = False,
    bootstrap: Bootstrap = None,
    policy: WorkersPolicy = None,
    format_: Format = None,
    set_: Constants = None,
    as_json: Json = False,
) -> None:
    """Before anything is enforced: how far each optional field is filled, and how many tenants each rule would hit.

    With --from-topics also: which tenants would change tier over what the topics hold, from the policy of the workers.
    Exit status 3: no broker.
    """
    from monitor.whatif.preflight import preflight as look
    from streams.cli.inputs import adapter_for, fail, reading, settings_for

    misplaced = {"FILE": files, "--format": format_, "--set": set_} if from_topics else {"--bootstrap": bootstrap}
    if given := [option for option, value in misplaced.items() if value]:
        fail(f"{', '.join(given)}: {'not with' if from_topics else 'only with'} --from-topics")
    if not files and not from_topics:
        fail("nothing to look at: expected FILE..., or --from-topics")
    settings = settings_for({"bootstrap_servers": bootstrap, "policy": policy})
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    if from_topics:
        _preflight_topics(settings_for({"bootstrap_servers": bootstrap}), ruled, as_json)
        return
    adapter = adapter_for(format_, set_ or [])
    with reading(files or []):
        found = look(files or [], ruled, adapter)
    if as_json:
        import orjson

        typer.echo(orjson.dumps(_as_json(found)).decode())
        return
    for line in _told(found):
        typer.echo(line)


def _preflight_topics(settings: "Settings", after: "Policy", as_json: bool) -> None:
    """Look at the topics, and say what was found."""
    from monitor.partition.checkpoint import DecidingSettings
    from streams.cli.cluster_session import operate
    from streams.cli.judge.backtest import change_lines
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.ops.topic_preflight import preflight_topics
    from streams.ops.topic_replay import replay_topics
    from streams.topics.policy_log import logged_policies, newest

    names = TopicNames(settings.input_prefix, settings.output_prefix)
    live = DecidingSettings(settings.idle_after_ms, settings.max_ahead_ms, settings.outage_grace_ms)

    async def work(cluster: "KafkaCluster") -> "tuple[Policy, Preflight, list[Change]]":
        async def judge(policy: "Policy") -> "Outcome":
            return await replay_topics(
                cluster,
                names,
                policy,
                secret=settings.secret(),
                live=live,
                partitioner=settings.partitioner,
                follow=False,
            )

        last = newest(await logged_policies(cluster, names, range(await partition_count(cluster, names))))
        before = last.policy if last else policy_for(str(settings.policy) if settings.policy else None)
        return before, *await preflight_topics(cluster, names, judge, before, after)

    before, found, changed = operate("policy preflight", settings, work)
    if as_json:
        import msgspec

        policies = {"before": before.sha256, "after": after.sha256}
        typer.echo(msgspec.json.encode({**_as_json(found), **policies, "changes": changed}).decode())
        return
    for line in _told(found):
        typer.echo(line)
    typer.echo(
        f"\n{_count(len(changed), 'tenant')} would change tier over what the topics hold, from {before.id} "
        f"{before.version} ({before.sha256[:12]}) to {after.id} {after.version} ({after.sha256[:12]})"
    )
    for line in change_lines(changed):
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
            }
            for r in found.rules
        ],
    }


def _told(found: "Preflight") -> list[str]:
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
        names = ", ".join(breaches.tenants[:_SHOWN])
        more = f" and {len(breaches.tenants) - _SHOWN:,} more" if len(breaches.tenants) > _SHOWN else ""
        lines.append(f"{breaches.rule.id:<32}{breaches.rule.mode:<9}{share:>9}  {names}{more}".rstrip())
        for name in breaches.scanty:
            lines.append(
                f"    rests on {name}, which {by[name]} of the tenants fill: do not enforce it on such records"
            )
    return lines


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _count(number: int, word: str, plural: str = "s") -> str:
    return f"{number:,} {word}{plural if number != 1 else ''}"
