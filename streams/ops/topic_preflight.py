"""What-if on topics: preflight with the tenants that would change tier, and what tenants have in common."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.whatif.across import AcrossReport, SharedUse, standing_bans
from monitor.whatif.backtest import Change, changes, outcome_of
from monitor.whatif.preflight import FieldUseCounter, Preflight, preflight_of, without_exemptions
from schemas import codec
from streams.kafka.api import TP, Cluster, CorruptLog
from streams.kafka.topic_names import TopicNames

Judge = Callable[[Policy], Awaitable[Outcome]]
"""Judges all records of the input topics by a policy."""


async def preflight_topics(
    cluster: Cluster, names: TopicNames, judge: Judge, before: Policy, after: Policy
) -> tuple[Preflight, list[Change]]:
    """The effect of the policy ``after`` on the records of the input topics, and the tenants whose tier would change.

    Raises the cluster's TransientError and PermanentError.
    """
    counting = FieldUseCounter()
    await add_topics(cluster, names, counting.add)
    outcome = await judge(after)
    changed = changes(outcome_of(await judge(before), before), outcome_of(outcome, after))
    if after.exemptions or after.profiles:
        outcome = await judge(without_exemptions(after))
    return preflight_of(outcome, after, counting), changed


async def across_topics(cluster: Cluster, names: TopicNames, judge: Judge, policy: Policy, key: bytes) -> AcrossReport:
    """What the tenants of the input topics have in common, judged by the policy. ``key``: see `SharedUse`.

    Raises the cluster's TransientError and PermanentError.
    """
    use = SharedUse(policy.params.callee_limit, policy.params.timezone, key)
    await add_topics(cluster, names, use.add)
    return use.report(standing_bans((await judge(policy)).enforcement))


async def add_topics(cluster: Cluster, names: TopicNames, add: Callable[[object], None]) -> None:
    """Call ``add`` with each valid record of the input topics."""
    counts = await cluster.partitions(names.inputs)
    tps = [TP(topic, number) for topic, count in counts.items() for number in range(count)]
    starts, ends = await cluster.starts(tps), await cluster.ends(tps)
    for tp in tps:
        start = starts[tp]
        while start < ends[tp]:
            try:
                async for fetched in cluster.read(tp, start, ends[tp]):
                    for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                        with suppress(codec.InvalidRecordError):  # `judge` counts it as rejected
                            if offset not in fetched.unreadable:
                                add(codec.read(value or b""))
                break
            except CorruptLog as damaged:  # `judge` knows whether to skip it
                start = damaged.last + 1
