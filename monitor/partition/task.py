"""The stream task of a partition: its sources with their clocks, and one shard. It can stop anywhere and resume from a
snapshot.

Nothing is stored between snapshots: open panes and waiting records *are* the input since the resume offsets. After a
restart that input is read again. Records that were decided, counted or written before (below ``done``) are not
processed twice. Calls that were duplicates then, when more ids were remembered, are still duplicates.
"""

from collections.abc import Iterable, Mapping

from monitor.core.advance_steps import advance_by
from monitor.core.handover import Handover
from monitor.core.policy_chain import PolicyChain, field_layouts
from monitor.core.results import DECISIONS_ONLY, WantedOutput
from monitor.core.shard import Shard
from monitor.core.snapshot import ShardCheckpoint
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.checkpoint import (
    HANDOVER,
    CheckpointMetadata,
    DecidingSettings,
    InputTopic,
    MismatchError,
    PartitionIdentity,
    secret_fingerprint,
)
from monitor.partition.journal import EnforceFrom, JournalEntry, PolicyChange, PolicyWithdrawal
from monitor.partition.policy_versions import LostPolicyError, PolicyVersions
from monitor.partition.processing.handover_record import HandoverRecord
from monitor.partition.processing.owner_ban_intake import OwnerBanIntake
from monitor.partition.processing.policy_changes import PolicyChanges
from monitor.partition.processing.published_output import PublishedOutput
from monitor.partition.processing.record_intake import RecordIntake
from monitor.partition.processing.stored_records import StoredRecords
from monitor.partition.processing.task_journal import TaskJournal
from monitor.partition.processing.task_output import PassedOn, TaskOutput
from monitor.partition.processing.watermark import Watermark
from monitor.partition.record_batch import RecordBatch
from monitor.partition.sources import Sources
from monitor.policy.model import Policy

_MOST_WAITING = 20_000  # records in a handover: more would make the transaction that releases the partition too large
_MANY_CALLS = 250_000  # fifty megabytes of open calls


class StreamTask:
    """Feeds pieces of its sources to its shard, in any order, and advances as their clocks allow.

    Sources are numbered as in `monitor.decoding.input_topics.INPUTS`; decisions do not depend on their order, except
    that the first of duplicates with different content counts. ``place`` None: the rows come from files, and keys are
    not checked. Events before ``enforce_from_ms`` decide nothing; that is part of the state and of the clock log.

    At a policy change, `advance` stops before the time of the change and the task is ``switching``: store it, and
    continue with a new task that is restored from that state. With ``replaying``, a task is not stored and switches
    by itself.

    The parts that callers use: ``sources`` and ``intake`` (what was read), ``passed_on`` (late and rejected records),
    ``watermark`` (how far it decides), ``policies`` and ``policy_changes``, ``journal`` (the entries to write),
    ``owners`` (bans of owners), ``published`` (decisions not to write again), ``stored``, and the ``shard`` in force.
    """

    def __init__(
        self,
        policy: Policy,
        secret: bytes = b"",
        live: DecidingSettings | None = None,
        place: PartitionIdentity | None = None,
        sources: int = len(INPUTS),
        replaying: bool = False,
        enforce_from_ms: int = 0,
    ) -> None:
        self._live = (live or DecidingSettings()).without_keys
        self._secret = secret_fingerprint(secret)
        self._replaying = replaying
        self.place = place or PartitionIdentity(0, 1)
        self.control, self._wanted, self.enforce_from_ms = 0, DECISIONS_ONLY, enforce_from_ms
        self.inputs: list[InputTopic] = []  # stored, and compared by the worker that opens the partition
        self.switching = False
        self.sources = Sources(sources, self._live, None if replaying or live is None else live.review_keys)
        self.policies = PolicyVersions(policy)
        self.watermark = Watermark(self.sources, self.policies)
        self.journal = TaskJournal()
        if enforce_from_ms:
            self.journal.add(EnforceFrom(enforce_from_ms))
        self.journal.add(self.policies.journal_entry(self.policies.newest))
        self.policy_changes = PolicyChanges(self.policies, self.watermark, self.journal, replaying)
        self.owners = OwnerBanIntake(self.watermark, self.journal)
        self.published = PublishedOutput(self.watermark)
        self.passed_on = PassedOn()
        self.intake = RecordIntake(place, secret, self.policies, self.watermark, self.passed_on)
        self.stored = StoredRecords()
        self._handover = HandoverRecord()
        self._restored: tuple[ShardCheckpoint, dict[str, bytes]] | None = None
        self._start_chain()

    def write_measures(self) -> None:  # before any other method
        """Write the measures of each hour, too."""
        self._wanted = WantedOutput(measures=True)
        self._start_chain()

    def _start_chain(self) -> None:
        """Start with the policy in force. Only in a replay does the chain also have the policies to come."""
        versions, number, logs = self.policies.versions, self.policies.number, self.sources.logs
        if not self._replaying:
            versions = versions[: number + 1]
        layouts = field_layouts(versions if self._replaying else versions[-1:])
        self._chain = PolicyChain(versions, self._wanted, self.enforce_from_ms, number, not self._replaying, logs)
        self.intake.lay_out(*layouts)
        if self._restored is not None:
            self._chain.restore(*self._restored)
        self.owners.begin(self._chain.shard)

    @property
    def shard(self) -> Shard:
        """The shard of the policy in force."""
        return self._chain.shard

    @property
    def policy(self) -> Policy:
        """The policy in force. It comes from the state, not from the worker's policy file."""
        return self._chain.shard.policy

    # Input ------------------------------------------------------------------------------------------------------

    def recall(self, source: int | None, entries: Iterable[JournalEntry], end: int | None = None) -> None:
        """Apply the entries of a source, or of the partition (``source`` None), from the clock log, before any reading.

        ``end``: the offset from which this worker's own limit applies; None: only recorded limits apply. Recorded
        policies apply as they were recorded. Raises PolicyError if one cannot be read.
        """
        entries = list(entries)
        if source is not None:
            self.sources.recall(source, entries, end)
            return
        # The value that the partition started with. `LostState` entries have no effect; they are an audit trail.
        begun = [entry.from_ms for entry in entries if isinstance(entry, EnforceFrom)]
        if begun or not self.stored.restored:  # a restored state holds the value itself
            self.enforce_from_ms = begun[-1] if begun else 0
        self.journal.drop(EnforceFrom)
        self.owners.recall(entries)
        policies = [entry for entry in entries if isinstance(entry, PolicyChange | PolicyWithdrawal)]
        if policies:
            self.policies.recall(policies)
            if any(entry.from_ms == 0 for entry in policies):
                self.journal.drop(PolicyChange)
        self._start_chain()

    def feed(self, source: int, rows: RecordBatch) -> None:
        """Feed the next rows of a source. Raises MisplacedRecordError if they are not the next."""
        for position, part in self.sources.read(source, rows):
            self.intake.feed(self._chain.shard, position, part)

    def ahead(self, source: int) -> bool:
        """Whether to pause the source: many calls are open, and another source is far behind it."""
        return len(self.shard.open_panes) > _MANY_CALLS and self.sources.far_ahead(source)

    # Deciding ---------------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether `advance` would decide anything."""
        if self.switching:
            return False
        return self.policy_changes.reached is not None or self._chain.due(self.watermark.ms)

    def advance(self, most: int | None = None) -> None:
        """Decide what the clocks of the sources allow, up to a policy change.

        ``most``: if more records, lapses, decisions of rules or alerts that end with a policy are due, decide only a
        first part, so that its output fits in one transaction. The task then stays ``due``. Decisions do not depend on
        ``most``.
        """
        if self.switching:
            return
        watermark, coming = self.watermark, self.policy_changes.reached
        if most is not None:
            until_ms, before = (watermark.ms, None) if coming is None else (coming.from_ms - 1, (coming.from_ms,))
            reached_ms = advance_by(self.shard, most, until_ms, before)
            if reached_ms is not None:
                # A part of what is due at the instant of a policy change must not fall back to the policy before it.
                watermark.decided_ms = max(watermark.decided_ms, reached_ms)
                return
        if coming is not None:
            self.switching = self.policy_changes.close(self.shard, coming, most)
            return
        watermark.decided_ms = watermark.ms
        if watermark.decided_ms > NO_CLOCK_MS:
            self._chain.advance(watermark.decided_ms)

    def early(self) -> bool:
        """Evaluate rules early, when all available input was read. Returns whether to call it again.

        Not while the alerts of a policy end: they would fire again.
        """
        stopped = self.switching or self.policy_changes.ending or self.shard.partial
        return not stopped and self.shard.early()

    def finish(self, last_ms: int | None = None) -> None:
        """End all sources. The largest event time is ``last_ms``, by default the highest clock."""
        last_ms = max(self.sources.clocks_ms) if last_ms is None else last_ms
        if last_ms > NO_CLOCK_MS:
            self._chain.finish(last_ms)

    # Output -----------------------------------------------------------------------------------------------------

    @property
    def alerting(self) -> bool:
        """Whether there is an alert to write at once."""
        return bool(self.shard.output.alerts)

    @property
    def pending(self) -> bool:
        """Whether there is anything to write: late or rejected records, or alerts."""
        return bool(len(self.passed_on) or self.shard.output.rejected or self.alerting)

    def take(self) -> TaskOutput:
        """Return the output since the last call."""
        output = self.owners.record(self.published.left(self.shard.output.take()))
        entries = [*self.sources.take(), *((None, entry) for entry in self.journal.take())]
        return self.passed_on.take(output, entries, self.sources.logs)

    # State ------------------------------------------------------------------------------------------------------

    def snapshot(self, hand_over: bool = False) -> list[tuple[str, bytes | None]]:
        """The changed records of the stored state, the head last. None marks a deleted record.

        Call this right after `advance` and `take`, and write their output in the same transaction. ``hand_over``: add a
        handover for the next owner, so that it need not read undecided input again, unless it would be too large.
        """
        state, decided_ms = self._chain.state, self.watermark.decided_ms
        wanted = hand_over and not self.switching and len(self.shard.pending_records) <= _MOST_WAITING
        heads = self.sources.heads(state.open_since())
        changes: list[tuple[str, bytes | None]] = sorted(state.changes().items())
        self.stored.count(changes)
        changes += self._handover.changes(state, self.sources, decided_ms, wanted)
        self.policies.forget(self.shard.at_ms, min((head.clock_ms for head in heads), default=NO_CLOCK_MS))
        changes += self.policies.changes()
        head = CheckpointMetadata(
            place=self.place,
            policy_sha256=self.policy.sha256,
            secret=self._secret,
            live=self._live,
            watermark_ms=decided_ms,
            published_ms=self.published.until_ms,
            outage_ended=self.sources.outage_ended,
            control=self.control,
            handed_over=self._handover.stored,
            sources=heads,
            shard=state.head(),
            versions=self.policies.heads(),
            enforce_from_ms=self.enforce_from_ms,
            entries=self.stored.entries,
            inputs=self.inputs,
            owners=self.owners.offset,
            logs=self.sources.logs,
            closing_ms=self.watermark.closing_ms,
        )
        return self.stored.changes(changes, head)

    def restore(self, records: Mapping[str, bytes]) -> list[int]:
        """Restore the stored records. Returns the offsets at which the sources resume. The task must be new.

        Without `take_over`, a stored handover is not applied, and its input is read again. Raises StateFormatError,
        MismatchError if the secret or the identity differs or a policy is lost, and MissingChunkError if a part is
        missing; after ``stored.clear``, the task is new again.
        """
        head, blobs = self.stored.restore(records, self.place, self._secret)
        self.passed_on.clear()
        self.journal.take()
        self.sources.restore(head.sources, head.outage_ended)
        self.sources.logs.restore(head.logs)
        self.watermark.decided_ms, self.watermark.closing_ms = head.watermark_ms, head.closing_ms
        self.intake.restore(head.watermark_ms, head.shard.decided or ())
        self.published.until_ms = head.published_ms
        self.control, self.inputs, self.owners.offset = head.control, list(head.inputs), head.owners
        self.enforce_from_ms = head.enforce_from_ms
        self._handover.restore(blobs.pop(HANDOVER, None), head.handed_over)
        try:
            self.policies.restore(head.versions, blobs, head.watermark_ms)
        except LostPolicyError as error:
            raise MismatchError(str(error)) from None
        self._restored = (head.shard, blobs)
        self._start_chain()
        if not self._replaying:
            self._restored = None  # free the memory
        return self.sources.offsets

    def take_over(self) -> list[int]:
        """Apply the handover of a previous owner, if there is one. Returns the offsets at which the sources resume."""
        handed_over = self._handover.take()
        if handed_over is not None:
            self._chain.state.take_over(Handover.decode(handed_over.shard))
            self.sources.take_over(handed_over.offsets, handed_over.clocks_ms)
        return self.sources.offsets
