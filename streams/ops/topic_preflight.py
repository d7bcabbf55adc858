"""What-if on topics: preflight with the tenants that would change tier, and what tenants have in common."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.key_check import KeyCheck
from monitor.policy.model import Policy
from monitor.whatif.across import AcrossReport, SharedUse, standing_bans
from monitor.whatif.backtest import Change, PolicyOutcome, changes, outcome_of
from monitor.whatif.distinct_records import DistinctRecords
from monitor.whatif.preflight import FieldUseCounter, Preflight, preflight_of, without_exemptions
from schemas import codec
from schemas.inputs import Record
from streams.kafka.api import TP, Cluster, CorruptLog
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import TopicReplayOptions, current_ends, partitions_of, replay_topics


async def preflight_topics(
    cluster: Cluster, names: TopicNames, options: TopicReplayOptions, before: Policy, after: Policy
) -> tuple[Preflight, list[Change]]:
    """The effect of the policy ``after`` on the records of the input topics, and the tenants whose tier would change.

    Raises the cluster's TransientError and PermanentError.
    """
    options = await ending_now(cluster, names, options)
    counting = FieldUseCounter()
    await add_topics(cluster, names, options, counting.add, after)
    outcome = await replay_topics(cluster, names, after, options)
    was = outcome_of(await replay_topics(cluster, names, before, options), before)
    changed = changes(was, outcome_of(outcome, after))
    if after.exemptions or after.profiles:
        outcome = await replay_topics(cluster, names, without_exemptions(after), options)
    return preflight_of(outcome, after, counting), changed


async def across_topics(
    cluster: Cluster, names: TopicNames, options: TopicReplayOptions, policy: Policy, key: bytes
) -> AcrossReport:
    """What the tenants of the input topics have in common, judged by the policy. ``key``: see `SharedUse`.

    Raises the cluster's TransientError and PermanentError.
    """
    options = await ending_now(cluster, names, options)
    use = SharedUse(policy.params.callee_limit, policy.params.timezone, key)
    await add_topics(cluster, names, options, use.add, policy)
    return use.report(standing_bans((await replay_topics(cluster, names, policy, options)).enforcement))


async def outcomes(
    cluster: Cluster, names: TopicNames, options: TopicReplayOptions, policies: Sequence[Policy]
) -> list[PolicyOutcome]:
    """What each policy decides on the same records, those that the topics have now."""
    options = await ending_now(cluster, names, options)
    return [outcome_of(await replay_topics(cluster, names, policy, options), policy) for policy in policies]


async def ending_now(cluster: Cluster, names: TopicNames, options: TopicReplayOptions) -> TopicReplayOptions:
    """The options for several replays of the same records, while others come."""
    return replace(options, ends=await current_ends(cluster, names, await partitions_of(cluster, names)))


async def add_topics(
    cluster: Cluster, names: TopicNames, options: TopicReplayOptions, add: Callable[[Record], None], policy: Policy
) -> None:
    """Call ``add`` with each record before ``options.ends`` that counts: none with a wrong key or topic, see also
    `DistinctRecords`.
    """
    ends = options.ends or {}
    count = await partitions_of(cluster, names)
    max_ahead_ms = (options.live or DecidingSettings()).max_ahead_ms
    tps = {TP(topic, number): topic for topic in names.inputs for number in range(count)}
    starts = await cluster.starts(list(tps))
    for tp, topic in tps.items():
        start, distinct = starts[tp], DistinctRecords(policy.lateness_ms)
        keys, bare = KeyCheck(tp.partition, count, options.partitioner), topic.removeprefix(names.input_prefix)
        while start < ends[tp]:
            try:
                async for fetched in cluster.read(tp, start, ends[tp]):
                    offsets, stamps_ms = fetched.offsets.tolist(), fetched.timestamps_ms.tolist()
                    for offset, stamp_ms, key, value in zip(
                        offsets, stamps_ms, fetched.keys, fetched.values, strict=True
                    ):
                        with suppress(codec.InvalidRecordError):  # the replay counts it as rejected
                            if offset not in fetched.unreadable:
                                record = codec.read(value or b"")
                                if keys.fault(bare, record, key) is None and distinct.take(
                                    record, stamp_ms + max_ahead_ms, clock_ms=stamp_ms
                                ):
                                    add(record)
                break
            except CorruptLog as damaged:  # the replay knows whether to skip it
                start = damaged.last + 1
