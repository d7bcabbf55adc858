"""Replay from topics: judges all records of the input topics, with the clocks that the workers recorded."""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from monitor.core.threshold_distance import DistanceOptions, measure_distances, merge_distances
from monitor.decoding.merge import LateCall, RejectedRow
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.journal import EnforceFrom, JournalEntry, OwnerBanTaken, PolicyChange, PolicyWithdrawal
from monitor.partition.partitioner import Partitioner
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import PolicyError
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome, order_and_count
from monitor.replay.run import ReplayProgress
from schemas.owners import OwnerBan
from streams.kafka.api import TP, Cluster, CorruptLog, FetchedBatch, PermanentError
from streams.kafka.topic_changes import GROWN_PAGE
from streams.kafka.topic_names import TopicNames, require_topics
from streams.ops.in_step import WORTHWHILE_MS, PartitionsInStep
from streams.topics import clock_topic

if TYPE_CHECKING:
    from streams.settings.load import Settings

_SLICE_ROWS = 5_000
_ENDED: Final = object()


@dataclass(frozen=True, slots=True)
class TopicReplayOptions:
    """How topics are judged: the settings of the workers, and what is asked.

    ``live`` and ``enforce_from_ms`` apply unless the clock log has others. If ``follow`` is false, the policies that
    are recorded in the clock log are ignored, and all records decide, whenever enforcement begins. Bans of owners then
    take effect as in a replay of files, not as the clock log has them; also if no policy is recorded. ``to_watermark``
    stops where the logs' clocks allow no more: the result is what workers that have caught up have decided. Otherwise
    the logs are taken as ended, and everything is decided, as in a replay of files. ``distance_options`` measures the
    tenants' distances at the end. ``first``: offsets of input partitions before which records are not read, as if they
    had been deleted. ``ends``: where reading stops, from `current_ends`; by default where the logs end now. Replays
    that are compared need the same, because more records come meanwhile.
    """

    secret: bytes = b""
    live: DecidingSettings | None = None
    partitioner: Partitioner = "murmur2"
    enforce_from_ms: int = 0
    to_watermark: bool = False
    follow: bool = True
    distance_options: DistanceOptions | None = None
    first: Mapping[TP, int] = field(default_factory=dict)
    ends: Mapping[TP, int] | None = None

    @classmethod
    def from_settings(cls, settings: "Settings") -> "TopicReplayOptions":
        """The options that follow from the settings of the workers, except ``enforce_from_ms``."""
        return cls(secret=settings.secret(), live=settings.deciding, partitioner=settings.partitioner)


async def replay_topics(
    cluster: Cluster,
    names: TopicNames,
    policy: Policy,
    options: TopicReplayOptions = TopicReplayOptions(),
    *,
    progress: Callable[[ReplayProgress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Outcome:
    """Judge the input topics as they are now; rejected rows are named by topic-partition and offset.

    The policies are those recorded in the clock log; ``policy`` applies first if none is recorded. ``warn`` is called
    about records that are not judged.

    Clocks that running workers have moved since their last transactions are not recorded yet: records after these may
    be judged differently than the workers will. Raises the cluster's TransientError, PermanentError and
    OffsetOutOfRange.
    """
    count = await partitions_of(cluster, names)
    for topic, there in (await cluster.partitions(names.inputs)).items():
        if there > count and warn is not None:
            warn(f"{topic} has {there} partitions; only {count} are judged; see {GROWN_PAGE}")
    inputs, clocks = _logs(names, count)
    starts = await cluster.starts([*inputs, *clocks])
    ends = await current_ends(cluster, names, count) if options.ends is None else options.ends
    run, recorded = _Run(policy, count, progress), False
    for number in range(count):
        place = PartitionIdentity(number, count, options.partitioner)
        partition = StreamTask(
            policy, options.secret, options.live, place, replaying=True, enforce_from_ms=options.enforce_from_ms
        )
        for source, topic in enumerate(names.inputs):
            start = starts[TP(topic, number)]
            partition.sources.pass_over(source, max(start, options.first.get(TP(topic, number), 0)))
            if start > 0 and warn is not None:
                warn(f"{topic}-{number} begins at offset {start}: earlier records were deleted and are not judged")
        recorded |= await recall(
            cluster, clocks[number], starts[clocks[number]], ends[clocks[number]], partition, options.follow
        )
        if partition.enforce_from_ms != options.enforce_from_ms and warn is not None:
            warn(
                f"partition {number}: {clocks[number].topic} says that it enforces from "
                f"{partition.enforce_from_ms or 'the beginning'}; that is used, not "
                f"{options.enforce_from_ms or 'the beginning'}"
            )
        run.partitions.append(partition)
    if recorded:
        await run.read(cluster, names, ends)
    else:
        await run.read_in_step(cluster, names, ends, options.to_watermark)
    outcome = run.finish([f"{tp.topic}-{tp.partition}" for tp in inputs], options.to_watermark)
    distance_options = options.distance_options
    if distance_options is not None:
        seen = []
        for partition in run.partitions:
            now_ms = partition.watermark.ms if options.to_watermark else outcome.summary.last_event_ms
            seen.append(measure_distances(partition.shard, distance_options, now_ms))
        outcome.seen = merge_distances(seen, distance_options)
    return outcome


async def current_ends(cluster: Cluster, names: TopicNames, count: int) -> dict[TP, int]:
    """The ends of the input topics and of the clock log, which have ``count`` partitions."""
    inputs, clocks = _logs(names, count)
    # The ends of the clock log are read last: it then has every entry on the records read of the inputs, except those
    # that a running worker has in memory or in an open transaction.
    ends = await cluster.ends(inputs)
    return ends | await cluster.ends(clocks)


def _logs(names: TopicNames, count: int) -> tuple[list[TP], list[TP]]:
    """The partitions of the inputs, topic by topic, and of the clock log."""
    inputs = [TP(topic, number) for topic in names.inputs for number in range(count)]
    return inputs, [TP(names.output("clock"), number) for number in range(count)]


async def partitions_of(cluster: Cluster, names: TopicNames) -> int:
    """The number of partitions. Raises PermanentError if topics are missing or do not fit together.

    No worker reads the records in further partitions of an input.
    """
    wanted = [*names.inputs, names.output("clock")]
    counts = await cluster.partitions(wanted)
    require_topics(counts, wanted)
    if min(counts.values()) < counts[wanted[-1]]:
        found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise PermanentError(f"expected the same number of partitions in all topics, got: {found}")
    return counts[wanted[-1]]


async def recall(cluster: Cluster, clock: TP, start: int, end: int, partition: StreamTask, follow: bool = True) -> bool:
    """Pass the journal entries between ``start`` and ``end`` to the partition, those on decisions only if ``follow``.

    Returns whether there is a policy among them, so that workers have judged the partition. Raises PermanentError if an
    entry cannot be read.
    """
    entries: defaultdict[int | None, list[JournalEntry]] = defaultdict(list)
    async for _, source, entry in clock_topic.journal_entries(cluster, clock, start, end):
        if follow or not isinstance(entry, PolicyChange | PolicyWithdrawal | EnforceFrom | OwnerBanTaken):
            entries[source].append(entry)
    if entries:
        entries[None] += []  # the absence of an entry of the partition tells how it was begun, too
    try:
        for source, recorded in entries.items():
            partition.recall(source, recorded)
    except PolicyError as error:
        raise PermanentError(f"{clock.topic} has a policy that this release cannot read: {error}") from None
    return any(isinstance(entry, PolicyChange) for entry in entries[None])


async def replay_logs(
    cluster: Cluster, tps: Sequence[TP], ends: Mapping[TP, int], partition: StreamTask
) -> AsyncIterator[None]:
    """Feed the partition from its sources' logs ``tps`` up to ``ends``; yields after each piece for it to advance.

    Skips damage that an operator has skipped; else raises CorruptLog.
    """
    logs: dict[int, AsyncIterator[FetchedBatch]] = {
        source: cluster.read(tp, partition.sources.offsets[source], ends[tp]) for source, tp in enumerate(tps)
    }
    async with AsyncExitStack() as opened:
        for log in logs.values():
            opened.push_async_callback(_close, log)
        while logs:
            # Read the source that is furthest behind: records of the others would only wait in memory.
            source = min(logs, key=lambda source: (partition.sources.clocks_ms[source], source))
            try:
                fetched = await anext(logs[source], None)
            except CorruptLog as torn:
                through = partition.sources.passed_over(source, torn.offset)
                if through is None:
                    raise
                fetched = torn.passed_over(partition.sources.offsets[source], through)
                logs[source] = cluster.read(tps[source], through + 1, ends[tps[source]])
                opened.push_async_callback(_close, logs[source])
            if fetched is None:
                del logs[source]
                stop = max(partition.sources.offsets[source], ends[tps[source]])
                partition.feed(source, _nothing(partition.sources.offsets[source], stop))
            else:
                offsets = fetched.offsets
                rows = fetched.rows
                for piece in rows.cut(offsets[_SLICE_ROWS::_SLICE_ROWS].tolist()) or [rows]:
                    partition.feed(source, piece)
            yield


async def _close(log: AsyncIterator[Any]) -> None:
    """Close a log now: after an interrupt it would otherwise be left to the end of the event loop."""
    if isinstance(log, AsyncGenerator):
        await log.aclose()


class _Run:
    """Collects the outcome of the partitions of one replay, one after the other."""

    def __init__(self, policy: Policy, count: int, progress: Callable[[ReplayProgress], None] | None) -> None:
        self._outcome = Outcome()
        self._count = count
        self._progress = progress
        self.partitions: list[StreamTask] = []
        self._late: list[LateCall] = []
        self._rejected: list[RejectedRow] = []

    async def read(self, cluster: Cluster, names: TopicNames, ends: Mapping[TP, int]) -> None:
        """Feed the partitions with all records of their logs, one after the other."""
        for number, partition in enumerate(self.partitions):
            async for _ in replay_logs(cluster, names.of(number)[:-1], ends, partition):
                if partition.due:
                    partition.advance()
                    self._collect(partition)

    async def read_in_step(
        self, cluster: Cluster, names: TopicNames, ends: Mapping[TP, int], to_watermark: bool
    ) -> None:
        """Feed the partitions with all records of their logs, always the one that is furthest behind."""
        partitions = self.partitions
        step = PartitionsInStep(partitions, self._collect, to_watermark)
        async with AsyncExitStack() as opened:
            logs = {}
            for number, partition in enumerate(partitions):
                logs[number] = replay_logs(cluster, names.of(number)[:-1], ends, partition)
                opened.push_async_callback(_close, logs[number])
            while logs:
                number = min(logs, key=lambda number: (partitions[number].watermark.ms, number))
                if await anext(logs[number], _ENDED) is _ENDED:
                    del logs[number]
                least_ms = min((partitions[number].watermark.ms for number in logs), default=NO_CLOCK_MS)
                least_ms = min(least_ms, self._last_ms)  # a log that has ended decides up to there, too
                if least_ms - step.reached_ms >= WORTHWHILE_MS:
                    step.advance(least_ms)
        step.advance(self._last_ms)
        for partition in partitions:  # recorded clocks may be further
            partition.advance()
            self._collect(partition)

    def finish(self, sources: list[str], to_watermark: bool) -> Outcome:
        """The outcome; ``sources`` are the names of all topics' partitions, topic by topic."""
        last_ms = self._last_ms
        summary = self._outcome.summary
        for partition in self.partitions:
            if to_watermark:
                partition.advance()
            else:
                partition.finish(last_ms)
            self._collect(partition)
            summary.tenants += partition.shard.tenants
        summary.last_event_ms = last_ms if last_ms > NO_CLOCK_MS else None
        order_and_count(self._outcome, self._late, self._rejected, sources)
        return self._outcome

    @property
    def _last_ms(self) -> int:
        return max((partition.intake.last_ms for partition in self.partitions), default=NO_CLOCK_MS)

    def _collect(self, partition: StreamTask) -> Sequence[OwnerBan]:
        taken, outcome = partition.take(), self._outcome
        outcome.enforcement += taken.output.enforcement
        outcome.shadow += taken.output.shadow
        outcome.alerts += taken.output.alerts
        outcome.summary.read += taken.rows
        outcome.summary.duplicates += taken.duplicates
        number = self.partitions.index(partition)
        rows: list[LateCall | RejectedRow] = [*taken.late, *taken.rejected]
        for one in rows:
            # Here a source is one partition of one topic, among all partitions.
            one.ref = one.ref._replace(source=one.ref.source * self._count + number)
        self._late += taken.late
        self._rejected += taken.rejected
        if self._progress is not None:
            watermark_ms = partition.watermark.ms
            decided = taken.output.enforcement
            self._progress(
                ReplayProgress(outcome.summary.read, watermark_ms if watermark_ms > NO_CLOCK_MS else None, decided)
            )
        return taken.output.owner_bans


def _nothing(start: int, stop: int) -> RecordBatch:
    """An empty batch up to the end of a log, so that the entries there take effect."""
    return RecordBatch(start, stop, np.empty(0, np.int64), np.empty(0, np.int64), [], [])
