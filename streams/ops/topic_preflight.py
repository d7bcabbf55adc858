"""What-if on topics: preflight with the tenants that would change tier, and what tenants have in common."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.whatif.across import AcrossReport, SharedUse, standing_bans
from monitor.whatif.backtest import Change, changes, outcome_of
from monitor.whatif.distinct_records import DistinctRecords
from monitor.whatif.preflight import FieldUseCounter, Preflight, preflight_of, without_exemptions
from schemas import codec
from schemas.inputs import Record
from streams.kafka.api import TP, Cluster, CorruptLog
from streams.kafka.topic_names import TopicNames

Judge = Callable[[Policy], Awaitable[Outcome]]
"""Judges all records of the input topics by a policy."""


async def preflight_topics(
    cluster: Cluster, names: TopicNames, judge: Judge, before: Policy, after: Policy, max_ahead_ms: int
) -> tuple[Preflight, list[Change]]:
    """The effect of the policy ``after`` on the records of the input topics, and the tenants whose tier would change.

    ``max_ahead_ms``: the setting of the workers. Raises the cluster's TransientError and PermanentError.
    """
    counting = FieldUseCounter()
    await add_topics(cluster, names, counting.add, after, max_ahead_ms)
    outcome = await judge(after)
    changed = changes(outcome_of(await judge(before), before), outcome_of(outcome, after))
    if after.exemptions or after.profiles:
        outcome = await judge(without_exemptions(after))
    return preflight_of(outcome, after, counting), changed


async def across_topics(
    cluster: Cluster, names: TopicNames, judge: Judge, policy: Policy, key: bytes, max_ahead_ms: int
) -> AcrossReport:
    """What the tenants of the input topics have in common, judged by the policy. ``key``: see `SharedUse`.

    ``max_ahead_ms``: the setting of the workers. Raises the cluster's TransientError and PermanentError.
    """
    use = SharedUse(policy.params.callee_limit, policy.params.timezone, key)
    await add_topics(cluster, names, use.add, policy, max_ahead_ms)
    return use.report(standing_bans((await judge(policy)).enforcement))


async def add_topics(
    cluster: Cluster, names: TopicNames, add: Callable[[Record], None], policy: Policy, max_ahead_ms: int
) -> None:
    """Call ``add`` with each record of the input topics that counts, see `DistinctRecords`."""
    counts = await cluster.partitions(names.inputs)
    tps = [TP(topic, number) for topic, count in counts.items() for number in range(count)]
    starts, ends = await cluster.starts(tps), await cluster.ends(tps)
    for tp in tps:
        start, distinct = starts[tp], DistinctRecords(policy.lateness_ms)
        while start < ends[tp]:
            try:
                async for fetched in cluster.read(tp, start, ends[tp]):
                    rows = zip(fetched.offsets.tolist(), fetched.timestamps_ms.tolist(), fetched.values, strict=True)
                    for offset, stamp_ms, value in rows:
                        with suppress(codec.InvalidRecordError):  # `judge` counts it as rejected
                            if offset not in fetched.unreadable:
                                record = codec.read(value or b"")
                                if distinct.take(record, stamp_ms + max_ahead_ms, clock_ms=stamp_ms):
                                    add(record)
                break
            except CorruptLog as damaged:  # `judge` knows whether to skip it
                start = damaged.last + 1
