"""Audits one partition: judges it again up to the time in its state's head, and compares the decisions.

The head is written in the same transaction as the decisions: up to its time every decision, and no other, must be in
the topic. So workers may run during an audit.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from monitor.core.codec import StateFormatError
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.checkpoint import DecidingSettings, MismatchError, PartitionIdentity, secret_fingerprint
from monitor.partition.chunking import MissingChunkError
from monitor.partition.journal import JournalEntry, LostInput, LostState, SkippedRecord
from monitor.partition.partitioner import Partitioner
from monitor.partition.task import StreamTask
from monitor.policy.load import PolicyError
from monitor.policy.model import Policy
from monitor.text.timestamps import rfc3339
from schemas.outputs import Enforcement
from streams.audit import compare
from streams.audit.compare import Compared, EventDifference, PublishedRecord, TopicPartitionRef
from streams.audit.evidence import EvidenceAudit
from streams.audit.measures import MeasuresAudit
from streams.audit.published import every_record, records_between
from streams.audit.signature_count import SignatureCount
from streams.kafka.api import TP, Cluster, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import replay_logs
from streams.topics import clock_topic
from streams.topics.partition_state import PartitionState
from streams.topics.state_topic import MARKERS_S, part_of
from streams.topics.stored_head import StoredHead

TOPICS = ("enforcement", "shadow")
_REST_S = 0.05


@dataclass(frozen=True, slots=True)
class AuditContext:
    """The settings of an audit. ``live`` and ``partitioner`` apply unless a state has others."""

    cluster: Cluster
    names: TopicNames
    policy: Policy
    secret: bytes = b""
    live: DecidingSettings = field(default_factory=DecidingSettings)
    partitioner: Partitioner = "murmur2"


@dataclass(slots=True)
class Audited:
    """The result for one partition.

    The decisions from ``from_ms`` (None: the beginning) to ``judged_ms`` (None: there are none yet) were compared.
    ``unchecked`` tells what could not be checked, one sentence each; ``notes`` are remarks; ``records`` is the number
    of records read.
    """

    number: int
    from_ms: int | None = None
    judged_ms: int | None = None
    compared: dict[str, Compared] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: int = 0

    @property
    def differences(self) -> list[EventDifference]:
        """The differences of all topics."""
        return [one for compared in self.compared.values() for one in compared.differences]


class PartitionAudit:
    """One audit of one partition number."""

    def __init__(self, setup: AuditContext, number: int, count: int, start: PartitionState | None) -> None:
        self._setup, self._number, self._count = setup, number, count
        # Without a head nothing had been decided: judge everything.
        self._begins = None if start is None else _judged(start)
        self._start = None if self._begins is None else start
        self._inputs = [TP(topic, number) for topic in setup.names.inputs]
        self._outputs = {name: TP(setup.names.output(name), number) for name in TOPICS}
        self._clock = TP(setup.names.output("clock"), number)
        self._evidence = EvidenceAudit(TopicPartitionRef(setup.names.output("evidence"), number), setup.names)
        self._measures = MeasuresAudit(TopicPartitionRef(setup.names.output("measures"), number))
        self._result = Audited(number)
        self._judged: StoredHead | None = None
        self._blocked = False
        self._bound_ms = NO_CLOCK_MS
        self._signatures, self._recorded_end = SignatureCount(), 0

    async def audit(self) -> Audited:
        cluster, result = self._setup.cluster, self._result
        # In this order: what is in the outputs now was decided by this state or an earlier one.
        before = await cluster.ends([*self._outputs.values(), self._clock])
        self._judged = judged = _judged(await part_of(cluster, self._setup.names, self._number))
        evidence, measured = TP(*self._evidence.place), TP(*self._measures.place)
        written = await cluster.high_watermarks([*self._outputs.values(), evidence, measured])
        starts = await cluster.starts([*self._inputs, self._clock, *self._outputs.values()])
        ends = await cluster.ends([*self._inputs, self._clock])
        self._recorded_end = ends[self._clock]
        entries = await self._recorded(starts[self._clock], self._recorded_end)
        partition = self._begun(judged, starts)
        try:
            for source, recorded in entries.items():
                partition.recall(source, [entry for _, entry in recorded])
        except PolicyError as error:
            raise PermanentError(
                f"{self._clock.topic}: expected policies that this release can read: {error}"
            ) from None
        self._check_journal([one for recorded in entries.values() for one in recorded])
        self._look_at_state(judged, partition)
        if not self._reach_back(partition, starts, ends):
            return result
        found = {name: await records_between(cluster, tp, starts[tp], before[tp]) for name, tp in self._outputs.items()}
        begun = any(offset < before[self._clock] for recorded in entries.values() for offset, _ in recorded)
        must, may = await self._judge(partition, ends, found["enforcement"], begun)
        result.notes += self._signatures.notes()
        after = await _ends_from(cluster, written)
        for name, tp in self._outputs.items():
            found[name] += await records_between(cluster, tp, before[tp], after[tp])
            result.compared[name] = self._compared(name, must[name], may[name], found[name], before[tp], starts[tp])
        every = [one for name in TOPICS for one in must[name]], [one for name in TOPICS for one in found[name]]
        records = await every_record(cluster, evidence)
        result.compared["evidence"] = self._evidence.compare(*every, records)
        result.notes += self._evidence.notes()
        measures = await every_record(cluster, measured)
        result.compared["measures"] = self._measures.compare(measures, result.from_ms or 0, self._bound_ms)
        result.notes += self._measures.notes()
        return result

    async def moved_on(self) -> bool:
        """Whether a worker has decided or recorded something since the audit."""
        now = _judged(await part_of(self._setup.cluster, self._setup.names, self._number))
        end = (await self._setup.cluster.ends([self._clock]))[self._clock]
        return now != self._judged or bool(await self._recorded(self._recorded_end, end))

    # Whether it can be checked -----------------------------------------------------------------------------------

    def _begun(self, judged: StoredHead | None, starts: Mapping[TP, int]) -> StreamTask:
        """The partition as of the export, or at the beginning of its topics."""
        setup, start = self._setup, self._start
        known = self._begins or judged
        partitioner = known.place.partitioner if known else setup.partitioner
        live = known.live if known else setup.live
        place = PartitionIdentity(self._number, self._count, partitioner)
        partition = StreamTask(setup.policy, setup.secret, live, place, replaying=True)
        partition.write_measures()
        if start is not None and self._begins is not None:
            try:
                partition.restore(start.entries)
            except (MismatchError, MissingChunkError, StateFormatError) as error:
                raise PermanentError(f"the export, partition {self._number}: {error}") from None
            self._result.from_ms = self._begins.watermark_ms
        else:
            for source, tp in enumerate(self._inputs):
                partition.sources.pass_over(source, starts[tp])
        return partition

    def _check_journal(self, entries: Iterable[tuple[int, JournalEntry]]) -> None:
        """Report what operators did since the export."""
        since = self._start.ends["clock"][0] if self._start else 0
        recent = [entry for offset, entry in entries if offset >= since]
        if skips := sum(isinstance(entry, SkippedRecord) for entry in recent):
            self._result.notes.append(f"{skips:,} records were skipped by operators and decide nothing")
        for entry in recent:
            if isinstance(entry, LostState):
                self._result.notes.append("its state was lost once, and recreated from the topics")
            elif isinstance(entry, LostInput):
                what = "its log was recreated" if entry.recreated else f"offsets {entry.needed} to {entry.offset}"
                self._cannot(f"an operator accepted that input records were lost ({what}): their decisions are unknown")

    def _look_at_state(self, judged: StoredHead | None, partition: StreamTask) -> None:
        if judged is None:
            return
        if self._start is None and (why := _moved_here(judged)):
            self._cannot(why)
        if judged.policy_sha256 not in {version.policy.sha256 for version in partition.policies.versions}:
            self._result.unchecked.append(
                f"its state has the policy {judged.policy_sha256[:12]}, which {self._clock.topic} does not name: a "
                "policy change is missing there, or --policy differs from the policy that the workers started with; "
                "expected --policy with the workers' file"
            )
        if judged.place.partitions != self._count:
            self._cannot(
                f"its state has {judged.place.partitions} partitions, the topics have {self._count}; expected the same "
                "number"
            )
        if judged.published_ms >= judged.watermark_ms > NO_CLOCK_MS:
            self._cannot("its state was lost and is being recreated; run the audit again once it has caught up")
        if judged.secret != secret_fingerprint(self._setup.secret):
            self._result.unchecked.append(
                "its state was made with another secret, from which metrics of more than 32,768 numbers are estimated, "
                "so they may differ here; expected the workers' key file (CALLWARDEN_KEY_FILE)"
            )

    def _reach_back(self, partition: StreamTask, starts: Mapping[TP, int], ends: Mapping[TP, int]) -> bool:
        """Whether everything can be judged again; if not, reports why."""
        done = [source.done for source in self._judged.sources] if self._judged else [0] * len(self._inputs)
        needs = partition.sources.offsets if self._start else [0] * len(self._inputs)
        for tp, needed, read in zip(self._inputs, needs, done, strict=True):
            if starts[tp] > needed:
                self._cannot(
                    f"{tp.topic}-{tp.partition} begins at offset {starts[tp]}, but is needed from {needed}: deleted "
                    "records cannot be judged again; expected --state with an export made before"
                )
            if read > ends[tp]:
                self._cannot(
                    f"{tp.topic}-{tp.partition} ends at offset {ends[tp]}, but was read up to {read}: it was "
                    "truncated or recreated"
                )
        since = self._start.ends["clock"][0] if self._start else 0
        if starts[self._clock] > since:
            self._cannot(
                f"{self._clock.topic}-{self._number} begins at offset {starts[self._clock]}: its entries were deleted"
            )
        decisions = self._outputs["enforcement"]
        if starts[decisions] > 0 and not self._start:
            begins = f"{decisions.topic}-{self._number} begins at offset {starts[decisions]}"
            self._result.notes.append(f"{begins}: decisions were deleted; expected none ever to be")
        return not self._blocked

    def _cannot(self, why: str) -> None:
        self._blocked = True
        self._result.unchecked.append(why)

    # Comparing decisions -----------------------------------------------------------------------------------------

    async def _judge(
        self, partition: StreamTask, ends: Mapping[TP, int], decided: Sequence[PublishedRecord], begun: bool
    ) -> tuple[dict[str, list[Enforcement]], dict[str, list[Enforcement]]]:
        """The decisions that must be in the topics by now, and those that may be in addition, by topic.

        ``begun``: something was recorded before the state was read, so that there must be a state.
        """
        judged, result = self._judged, self._result
        if judged is not None:
            self._bound_ms = judged.watermark_ms
            stops = {tp: min(one.done, ends[tp]) for tp, one in zip(self._inputs, judged.sources, strict=True)}
            partition.watermark.hold(self._bound_ms)
        else:
            # How far it had judged is unknown: at least to its last decision, for decisions are made in order.
            self._bound_ms = max((compare.decided_ms(one.value) for one in decided), default=NO_CLOCK_MS)
            stops = dict(ends)
            partition.watermark.hold(self._bound_ms + 1 if self._bound_ms else NO_CLOCK_MS)
        result.judged_ms = self._bound_ms or None
        must = await self._replayed(partition, stops)
        if judged is not None and partition.watermark.ms < judged.watermark_ms:
            result.unchecked.append(
                f"its state has judged up to {rfc3339(judged.watermark_ms)}, but its topics lead only to "
                f"{rfc3339(partition.watermark.ms)}: entries of {self._clock.topic} were deleted, records were "
                "changed, or it was moved here; after a move, expected --state with an export made after it"
            )
        partition.watermark.hold(None)
        may = await self._replayed(partition, ends)
        # If the state stopped at a change of policy, the next policy decides at that instant.
        if judged is None or any(version.from_ms == self._bound_ms for version in partition.policies.versions):
            for name in TOPICS:
                may[name] += [event for event in must[name] if event.data.decided_ms >= self._bound_ms]
                must[name] = [event for event in must[name] if event.data.decided_ms < self._bound_ms]
        if judged is None and (decided or begun):
            result.unchecked.append(
                "it has no state: how far it had judged is unknown, so decisions after its last one were not checked"
            )
        return must, may

    async def _replayed(self, partition: StreamTask, stops: Mapping[TP, int]) -> dict[str, list[Enforcement]]:
        brought: dict[str, list[Enforcement]] = {name: [] for name in TOPICS}

        def collect() -> None:
            partition.advance()
            taken = partition.take()
            brought["enforcement"] += taken.output.enforcement
            brought["shadow"] += taken.output.shadow
            self._evidence.collect(taken)
            self._measures.collect(taken)
            self._result.records += taken.rows
            self._signatures.add(taken)

        async for _ in replay_logs(self._setup.cluster, self._inputs, stops, partition):
            if partition.due:
                collect()
        collect()
        return brought

    def _compared(
        self,
        name: str,
        must: Sequence[Enforcement],
        may: Sequence[Enforcement],
        found: Sequence[PublishedRecord],
        seen: int,
        begins: int,
    ) -> Compared:
        """``seen``: records before that offset were decided by the state that was read, or an earlier one."""
        first, last = self._start.ends[name] if self._start else (0, 0)
        from_ms, bound_ms = self._result.from_ms or 0, self._bound_ms

        def forgiven(offset: int, decided_ms: int) -> bool:
            earlier = offset < first or (offset < last and decided_ms <= from_ms)
            return earlier or (offset >= seen and decided_ms >= bound_ms)

        compared = compare.compare(
            TopicPartitionRef(self._outputs[name].topic, self._number), must, may, found, forgiven
        )
        if name == "shadow" and begins > 0:
            # Shadows may expire.
            oldest_ms = min((compare.decided_ms(one.value) for one in found), default=bound_ms + 1)
            expired = [one for one in compared.differences if one.what == "missing" and one.decided_ms <= oldest_ms]
            compared.differences = [one for one in compared.differences if one not in expired]
            self._result.notes.append(f"{len(expired):,} shadow decisions have expired and were not checked")
        return compared

    # Reading the topics ------------------------------------------------------------------------------------------

    async def _recorded(self, start: int, end: int) -> dict[int | None, list[tuple[int, JournalEntry]]]:
        entries: dict[int | None, list[tuple[int, JournalEntry]]] = {}
        async for offset, source, entry in clock_topic.journal_entries(self._setup.cluster, self._clock, start, end):
            entries.setdefault(source, []).append((offset, entry))
        return entries


async def _ends_from(cluster: Cluster, written: Mapping[TP, int]) -> dict[TP, int]:
    """The ends of these logs once what was ``written`` is committed, if it is: markers are written one by one."""
    for _ in range(round(MARKERS_S / _REST_S)):
        ends = await cluster.ends(list(written))
        if all(ends[tp] >= offset for tp, offset in written.items()):
            break
        await asyncio.sleep(_REST_S)
    return ends


def _judged(part: PartitionState) -> StoredHead | None:
    try:
        return part.judged
    except (MissingChunkError, msgspec.DecodeError) as error:
        raise PermanentError(f"the state of partition {part.number} cannot be read: {error}") from None


def _moved_here(judged: StoredHead) -> str | None:
    """Why a state that was moved from other topics cannot be judged from these alone; None if it was not moved."""
    if not judged.logs.former:
        return None
    return (
        f"its state was moved here from {min(log.topic for log in judged.logs.former.values())} and other topics, "
        "which have what it was made from; expected --state with an export, best one made right after the move"
    )
