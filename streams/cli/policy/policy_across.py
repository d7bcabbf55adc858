"""`callwarden policy across`: what tenants have in common, a report for people."""

from typing import TYPE_CHECKING, Any

import typer

from streams.cli.inputs import policy_for
from streams.cli.options import Bootstrap, Constants, Format, FromTopics, Json, NotAfter, RecordFiles, WorkersPolicy
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.policy.model import Policy
    from monitor.text.display import Display
    from monitor.whatif.across import AcrossReport
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings

_SHOWN = 20  # of each list; --json has more


def across(
    files: RecordFiles = None,
    from_topics: FromTopics = False,
    bootstrap: Bootstrap = None,
    policy: WorkersPolicy = None,
    format_: Format = None,
    set_: Constants = None,
    not_after: NotAfter = None,
    as_json: Json = False,
) -> None:
    """Show what tenants have in common: callees, caller numbers, consents. A report for people; it decides nothing.

    It lists numbers that several tenants of one owner called in a day more often than `callee_limit` together, caller
    numbers of banned tenants that others use since, consent ids of several tenants, and tenants that call the same
    numbers far beyond chance.

    Exit status: 3 Kafka cannot be reached.
    """
    from monitor.whatif.across import across as look
    from streams.cli.inputs import files_or_topics, latest_event_ms, reading, settings_for

    names, adapters, _ = files_or_topics(files, from_topics, bootstrap, format_, set_, not_after)
    settings = settings_for({"bootstrap_servers": bootstrap, "policy": policy})
    ruled = policy_for(str(settings.policy) if settings.policy else None)
    if from_topics:
        found = _across_topics(settings, ruled)
    else:
        with reading(names):
            found = look(names, ruled, adapters, _key(settings), latest_event_ms(not_after))
    if as_json:
        print_json(_as_json(found))
        return
    for line in _lines(found, settings.display):
        typer.echo(line)


def _key(settings: "Settings") -> bytes:
    """The key of the hashes by which keys are sampled: of the key file, else random, and so different in each run."""
    from hashlib import sha256
    from secrets import token_bytes

    secret = settings.secret()
    return sha256(b"policy across" + secret).digest() if secret else token_bytes(32)


def _across_topics(settings: "Settings", ruled: "Policy") -> "AcrossReport":
    from dataclasses import replace

    from streams.cli.cluster_session import operate
    from streams.kafka.topic_names import TopicNames
    from streams.ops.topic_preflight import across_topics
    from streams.ops.topic_replay import TopicReplayOptions

    names = TopicNames.from_settings(settings)
    options = replace(TopicReplayOptions.from_settings(settings), follow=False)

    async def work(cluster: "KafkaCluster") -> "AcrossReport":
        return await across_topics(cluster, names, options, ruled, _key(settings))

    return operate("policy across", settings, work)


def _as_json(found: "AcrossReport") -> dict[str, Any]:
    from dataclasses import asdict

    from monitor.text.masking import mask_number
    from monitor.whatif.across import MOST_SHOWN

    plain = asdict(found)
    for name in ("joint_callees", "reused_callers", "shared_consents", "overlaps"):
        plain[f"{name}_in_all"] = len(plain[name])
        plain[name] = plain[name][:MOST_SHOWN]
    for item in plain["joint_callees"]:
        item["callee"] = mask_number(item["callee"])
    for item in plain["reused_callers"]:
        item["caller"] = mask_number(item["caller"])
    return plain


def _lines(found: "AcrossReport", display: "Display") -> "Iterator[str]":
    from monitor.text.masking import mask_number
    from monitor.text.timestamps import rfc3339

    def named(counts: dict[str, int]) -> str:
        return ", ".join(f"{display.id(name)} {count:,}" for name, count in counts.items())

    yield f"{found.records:,} records of {found.tenants:,} tenants; numbers are masked"
    lists = (
        (
            "callees that several tenants of one owner called too often in a day",
            found.callees_kept,
            [
                f"{mask_number(one.callee)} {one.day}, owner {display.id(one.owner_id)}: {named(one.attempts)}"
                for one in found.joint_callees[:_SHOWN]
            ],
            len(found.joint_callees),
        ),
        (
            "caller numbers of banned tenants that other tenants use since the ban",
            found.callers_kept,
            [
                f"{mask_number(one.caller)}: {display.id(one.banned_tenant_id)}, banned "
                f"{rfc3339(one.banned_ms, 'shortest')} ({one.enforcement_id}); {display.id(one.tenant_id)} until "
                f"{rfc3339(one.last_ms, 'shortest')}"
                for one in found.reused_callers[:_SHOWN]
            ],
            len(found.reused_callers),
        ),
        (
            "consent ids of several tenants",
            found.consents_kept,
            [f"{display.id(one.consent_id)}: {named(one.calls)}" for one in found.shared_consents[:_SHOWN]],
            len(found.shared_consents),
        ),
        (
            "tenants that called the same numbers far beyond chance",
            1.0,
            [
                f"{' and '.join(map(display.id, one.tenant_ids))}: {one.in_common:,.0f} of {one.callees[0]:,.0f} and "
                f"{one.callees[1]:,.0f} numbers, by chance {one.by_chance:,.1f}"
                for one in found.overlaps[:_SHOWN]
            ],
            len(found.overlaps),
        ),
    )
    for title, kept, items, count in lists:
        sampled = "" if kept == 1 else f" (in a sample of {kept:.2%} of the keys)"
        yield ""
        yield f"{title}: {count:,}{sampled}"
        yield from (f"  {item}" for item in items)
        if count > len(items):
            yield f"  and {count - len(items):,} more; --json lists them"
