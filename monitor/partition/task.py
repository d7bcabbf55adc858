"""The stream task of a partition: its sources with their clocks, and one shard. It can stop anywhere and resume from a
snapshot.

Nothing is stored between snapshots: open panes and waiting records *are* the input since the resume offsets. After a
restart that input is read again. Records that were decided, counted or written before (below ``done``) are not
processed twice. Calls that were duplicates then, when more ids were remembered, are still duplicates.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from monitor.core.calls.keys import salt_of
from monitor.core.codec import check_head
from monitor.core.decisions.pending_record import Place as DecisionPlace
from monitor.core.handover import Handover
from monitor.core.policy_chain import PolicyChain, field_layouts
from monitor.core.results import Output
from monitor.core.shard import Shard
from monitor.core.snapshot import ShardCheckpoint
from monitor.core.windows.policy_history import FieldAvailability, judged_later
from monitor.decoding.decode import NO_CLOCK_MS, Decoder, LateCall, RejectedRow, merge
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import (
    HANDOVER,
    HEAD,
    CheckpointMetadata,
    DecidingSettings,
    InputTopic,
    MismatchError,
    PartitionHandover,
    PartitionIdentity,
    must_be_whole,
    secret_fingerprint,
)
from monitor.partition.chunking import Chunker
from monitor.partition.idleness import CALLS
from monitor.partition.journal import EnforceFrom, LostState, Note, PolicyChange, PolicyWithdrawal, RefusedCommand
from monitor.partition.key_check import KeyCheck
from monitor.partition.log_tail import valid_rows
from monitor.partition.policy_versions import LostPolicyError, PolicyVersions
from monitor.partition.record_batch import RecordBatch
from monitor.partition.source_position import SourceProgress
from monitor.partition.sources import Sources
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion
from schemas.inputs import END_MS

_RECORD_WORK = 100  # the cost of deciding a record, in calls that are sealed and evaluated
_OUTPUT_WORK = 10  # the cost of a late or refused record that is passed on
_TENANT_WORK = 100  # the cost of a tenant that may get an alert or a decision, at a window end or in early evaluation
_MOST_PASSED_ON = 5_000  # late and refused records to pass on in one transaction, plus at most one slice of input
_PASSED_ON_BYTES = 4_096  # this many bytes of a record count as another record
_MOST_WAITING = 20_000  # records in a handover: more would make the transaction that releases the partition too large
_MANY_CALLS = 250_000  # fifty megabytes of open calls


@dataclass(slots=True)
class TaskOutput:
    """The input and output since the last call. Rows that are read again do not count.

    ``refused`` includes the refused records of ``sink``. ``notes`` are with their source number, None for the
    partition.
    """

    sink: Output = field(default_factory=Output)
    rows: int = 0
    late: list[LateCall] = field(default_factory=list)
    refused: list[RejectedRow] = field(default_factory=list)
    duplicates: int = 0
    notes: list[tuple[int | None, Note]] = field(default_factory=list)


class StreamTask:
    """Feeds pieces of its sources to its shard, in any order, and advances as their clocks allow.

    Sources are numbered as in `monitor.decoding.input_topics.INPUTS`. The caller chooses their order. Decisions do not
    depend on it, except for duplicates with different content, where the first one read counts. ``place`` None: the
    rows come from files, and keys and topics are not checked. Events before ``enforce_from_ms`` decide nothing; the
    value with which a partition started is part of its state and of the clock log.

    At a policy change, `advance` stops before the time of the change and the task is ``switching``: store it, and
    continue with a new task that is restored from that state. With ``replaying``, a task is not stored and switches
    by itself.
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
        self.sources = Sources(sources, live or DecidingSettings())
        self._live = live or DecidingSettings()
        self.control = 0
        self.inputs: list[InputTopic] = []  # stored, and compared by the worker that opens the partition
        self.last_ms = NO_CLOCK_MS  # the largest event time read
        self.place = place or PartitionIdentity(0, 1)
        self._keying = KeyCheck(place.number, place.partitions, place.partitioner) if place else None
        self._replaying = replaying
        self._restored: tuple[ShardCheckpoint, dict[str, bytes]] | None = None
        self._policies = PolicyVersions(policy)
        self._secret = secret_fingerprint(secret)
        self._salt = salt_of(secret)
        self._judge: Shard | PolicyChain
        self._begun = False  # whether a state was restored
        self.enforce_from_ms = enforce_from_ms
        self._take_turns()
        self.switching = False
        self._watermark_ms = NO_CLOCK_MS
        self._decided_ms = NO_CLOCK_MS  # records before this time were decided before the restart
        self._decided: DecisionPlace = ()  # as were later records up to this place
        self._most_ms = END_MS
        self._cutter = Chunker()
        self._entries: set[str] = set()  # the keys of the stored shard entries
        self._left: frozenset[str] = frozenset()
        self._taken = TaskOutput()
        self._passed_on = 0  # the weight of late and refused records since the last `take`
        self._notes: list[Note] = []
        if enforce_from_ms:
            self._notes.append(EnforceFrom(enforce_from_ms))
        self._notes.append(self._policies.note(self._policies.newest))
        self._handed_over = False
        self._handover_blob: bytes | None = None
        self._published: set[str] = set()
        self._published_ms = NO_CLOCK_MS

    def _take_turns(self) -> None:
        """Create the shard for the policy in force, or in a replay the chain that includes future policies."""
        policies = self._policies
        if self._replaying:
            layout, later = field_layouts(policies.versions)
            self._judge = PolicyChain(policies.versions, enforce_from_ms=self.enforce_from_ms, number=policies.number)
        else:
            history = policies.history
            layout, later = history.counting.layout, ()
            self._judge = Shard(history.policy, keep_state=True, history=history)
            self._judge.enforce_from(self.enforce_from_ms)
        self._decoder = Decoder(layout, self._salt, None, later)
        if self._restored is not None:
            self._judge.restore(*self._restored)

    @property
    def shard(self) -> Shard:
        """The shard of the policy in force."""
        return self._judge.shard if isinstance(self._judge, PolicyChain) else self._judge

    @property
    def policy(self) -> Policy:
        """The policy in force. It comes from the state, not from the worker's policy file."""
        return self.shard.policy

    # Input ------------------------------------------------------------------------------------------------------

    def feed(self, source: int, rows: RecordBatch) -> None:
        """Feed the next rows of a source. Raises MisplacedRecordError if they are not the next."""
        for position, part in self.sources.read(source, rows):
            self._feed(position, part)

    def _feed(self, position: SourceProgress, rows: RecordBatch) -> None:
        reader, done = position.source, position.done
        skipped = position.skipped(rows.offsets) if position.skips else {}
        reasons = {offset: f"skipped: {skip.reason}" for offset, skip in skipped.items()}
        decoded = valid_rows(
            rows, reader.number, self._decoder, self._keying, position.max_ahead_ms(rows.offsets), reasons
        )
        placed = reader.place(decoded, rows.offsets, rows.timestamps_ms)
        batch = merge([(placed, 0, len(placed))], self._policies.lateness)
        self._taken.rows += int((rows.offsets >= done).sum())
        late = [late for late in batch.late if late.ref.offset >= done]
        self._taken.late += late
        self._passed_on += sum(_weight(one.raw) for one in late)
        for refused in batch.refused:
            offset = refused.ref.offset
            fresh = offset in skipped and skipped[offset].offset in position.fresh
            if offset >= done or fresh:
                if offset in rows.unreadable:
                    refused.first_offset = rows.unreadable[offset].first_offset
                if rows.keys is not None:
                    row = int(np.searchsorted(rows.offsets, offset))
                    refused.key, refused.raw = rows.keys[row], rows.values[row]
                self._taken.refused.append(refused)
                self._passed_on += _weight(refused.raw)
        lateness_ms = self.policy.lateness_ms if INPUTS[reader.number] == CALLS else None
        position.reads(decoded, rows.offsets, rows.timestamps_ms, lateness_ms)
        self.last_ms = max(self.last_ms, position.newest_ms, *(one.at_ms for one in batch.waiting))
        for waiting in batch.waiting:
            if waiting.ref.offset >= done or (waiting.at_ms >= self._decided_ms and waiting.place > self._decided):
                self._judge.wait(waiting)
        if batch.calls is not None:
            known = position.duplicates
            offsets = batch.calls.offset
            before = known.among(offsets) if len(known) else None
            duplicate = self._judge.apply(batch.names, batch.calls, self._watermark_ms, before)
            if duplicate.any():
                again = offsets[duplicate]
                self._taken.duplicates += int((again >= done).sum())
                known.add(again)

    def refuse(self, refusal: RefusedCommand) -> None:
        """Note that a command was refused, so that it is not retried."""
        self._notes.append(refusal)

    def lose_state(self, loss: LostState) -> None:
        """Note the rebuild of a lost state. The caller that opens the partition rebuilds it."""
        self._notes.append(loss)

    def recall(self, source: int | None, notes: Iterable[Note], end: int | None = None) -> None:
        """Apply the notes of a source, or of the partition (``source`` None), from the clock log, before any reading.

        ``end``: the offset from which this worker's own limit applies; None: only noted limits apply. Noted policies
        apply as noted. Raises PolicyError if one cannot be read.
        """
        notes = list(notes)
        if source is not None:
            self.sources.recall(source, notes, end)
            return
        # Use the value that the partition started with. `LostState` notes have no effect here; they are an audit trail.
        begun = [note.from_ms for note in notes if isinstance(note, EnforceFrom)]
        if begun or not self._begun:  # a restored state holds the value itself
            self.enforce_from_ms = begun[-1] if begun else 0
        self._notes = [note for note in self._notes if not isinstance(note, EnforceFrom)]
        policies = [note for note in notes if isinstance(note, PolicyChange | PolicyWithdrawal)]
        if policies:
            self._policies.recall(policies)
            if any(note.from_ms == 0 for note in policies):
                self._notes = [note for note in self._notes if not isinstance(note, PolicyChange)]
        self._take_turns()

    def switch(self, plain: dict[str, Any], sha256: str, from_ms: int, reason: str, by: str, at_ms: int) -> str | None:
        """Apply another policy from ``from_ms``, or later if that was decided. Returns None, or an error message."""
        policies = self._policies
        version = policies.switch(plain, sha256, from_ms, self._watermark_ms, self._late_ms)
        if isinstance(version, str):
            return version
        self._notes.append(policies.note(version, reason, by, at_ms))
        return None

    def withdraw(self, sha256s: Collection[str], reason: str, by: str, at_ms: int) -> str | None:
        """Withdraw the future versions among these policies. Returns None, or why none of them can be withdrawn."""
        gone = self._policies.withdraw(sha256s, self._watermark_ms, self._late_ms)
        if isinstance(gone, str):
            return gone
        self._notes += [PolicyWithdrawal(version.from_ms, version.policy.sha256, reason, by, at_ms) for version in gone]
        return None

    @property
    def _late_ms(self) -> int:
        """The highest late line of any source. Calls below it may have been found late, even if not decided yet."""
        return self._policies.lateness.line(self.sources.furthest_ms)

    @property
    def newest(self) -> PolicyVersion:
        """The last known policy version, which may be in the future."""
        return self._policies.newest

    def judged_later(self) -> dict[str, int]:
        """The rules of the newest policy that are not evaluated from its start, with their first end."""
        return judged_later(FieldAvailability(self._policies.versions))

    @property
    def versions(self) -> Sequence[PolicyVersion]:
        """The known policy versions, in order of time. Some may be in the future."""
        return self._policies.versions

    def clear(self, left: Iterable[str]) -> None:
        """Discard a lost state. Its remaining records, ``left``, are deleted with the first snapshot."""
        self._left, self._cutter = frozenset(left), Chunker()

    def suppress(self, published: Mapping[str, int]) -> None:
        """Do not write these published decisions (id and ``decided_ms``) when they are made again."""
        self._published = set(published)
        self._published_ms = max(published.values(), default=NO_CLOCK_MS)

    @property
    def rebuilding(self) -> bool:
        """Whether published decisions may still be made again, so that `suppress` must have them."""
        return self._published_ms > NO_CLOCK_MS and self._published_ms >= self._watermark_ms

    # Deciding ---------------------------------------------------------------------------------------------------

    @property
    def watermark_ms(self) -> int:
        """The lowest clock of the sources that have not ended, less ``lateness``. It never falls. 0: none yet."""
        least_ms = self.sources.least_ms
        if least_ms == NO_CLOCK_MS:
            return self._watermark_ms
        return max(self._watermark_ms, min(self._policies.lateness.line(least_ms), self._most_ms))

    def hold(self, most_ms: int | None) -> None:
        """Cap the watermark at ``most_ms``; None removes the cap."""
        self._most_ms = END_MS if most_ms is None else most_ms

    @property
    def due(self) -> bool:
        """Whether `advance` would decide anything."""
        if self.switching:
            return False
        return self._ends_here is not None or self._judge.due(self.watermark_ms)

    def advance(self, most: int | None = None) -> None:
        """Decide what the clocks of the sources allow, up to a policy change.

        ``most``: if more records or lapses are due, decide only a first part, so that its output fits in one
        transaction. The task then stays ``due``. Decisions do not depend on ``most``.
        """
        if self.switching:
            return
        coming = self._ends_here
        if most is not None:
            until_ms = self.watermark_ms if coming is None else coming.from_ms - 1
            reached_ms = self.shard.advance_by(most, until_ms)
            if reached_ms is not None:
                self._watermark_ms = reached_ms
                return
        if coming is not None:
            self.shard.close(coming.from_ms, coming.policy)
            self._watermark_ms, self.switching = coming.from_ms, True
            return
        self._watermark_ms = self.watermark_ms
        if self._watermark_ms > NO_CLOCK_MS:
            self._judge.advance(self._watermark_ms)

    @property
    def _ends_here(self) -> PolicyVersion | None:
        """The next policy version, if the clocks have reached it and another task must continue."""
        coming = self._policies.coming
        return coming if coming and not self._replaying and coming.from_ms <= self.watermark_ms else None

    def early(self) -> None:
        """Evaluate rules early on input that cannot be decided yet. Call this when all available input was read."""
        if not self.switching:
            self.shard.early()

    @property
    def alerting(self) -> bool:
        """Whether there is an alert to write at once."""
        return bool(self.shard.sink.alerts)

    @property
    def pending(self) -> bool:
        """Whether there is anything to write: late or refused records, or alerts."""
        return bool(self._taken.late or self._taken.refused or self.shard.sink.refused or self.alerting)

    @property
    def full(self) -> bool:
        """Whether there are as many late and refused records as one transaction may carry.

        Feeding more before `take` makes the transaction larger.
        """
        return self._passed_on >= _MOST_PASSED_ON

    @property
    def open_calls(self) -> int:
        """The number of calls in open panes."""
        return self.shard.open_calls

    def work(self, most: int) -> int:
        """The cost of a transaction with `advance` of ``most``, in calls to seal, about a microsecond each."""
        due = self.shard.work_due(self.watermark_ms, most)
        told = len(self._taken.refused) + len(self._taken.late)
        judged = _TENANT_WORK * self.shard.tenants_due(self.watermark_ms)
        return self.shard.due_calls(self.watermark_ms) + _RECORD_WORK * due + _OUTPUT_WORK * told + judged

    @property
    def early_work(self) -> int:
        """The cost of `early`, in the unit of `work`."""
        return _RECORD_WORK * self.shard.early_work

    @property
    def open_work(self) -> int:
        """The cost of a handover of open calls and waiting records, in the unit of `work`."""
        return self.shard.open_calls + _RECORD_WORK * self.shard.waiting_records

    def ahead(self, source: int) -> bool:
        """Whether to pause the source: many open calls are in memory, and another source is far behind it."""
        return self.shard.open_calls > _MANY_CALLS and self.sources.far_ahead(source)

    def finish(self, last_ms: int | None = None) -> None:
        """End all sources. The largest event time is ``last_ms``, by default the highest clock."""
        last_ms = max(self.sources.clocks_ms) if last_ms is None else last_ms
        if last_ms > NO_CLOCK_MS:
            self._judge.finish(last_ms)

    def take(self) -> TaskOutput:
        """Return the output since the last call."""
        taken, self._taken, self._passed_on = self._taken, TaskOutput(), 0
        taken.notes = [*self.sources.take(), *((None, note) for note in self._notes)]
        self._notes = []
        taken.sink = self.shard.take()
        if self._published:
            taken.sink.enforcement = [one for one in taken.sink.enforcement if one.id not in self._published]
            taken.sink.shadow = [one for one in taken.sink.shadow if one.id not in self._published]
        taken.duplicates += taken.sink.duplicates
        taken.refused += [RejectedRow(r.ref, r.reason, r.raw, r.tenant_id.encode()) for r in taken.sink.refused]
        return taken

    # State ------------------------------------------------------------------------------------------------------

    def snapshot(self, hand_over: bool = False) -> list[tuple[str, bytes | None]]:
        """The changed records of the stored state, the head last. None marks a deleted record.

        Call this right after `advance` and `take`, and write their output in the same transaction. ``hand_over``: add a
        handover for the next owner, so that it need not read undecided input again, unless it would be too large.
        """
        heads = self.sources.heads(self.shard.open_since())
        changes: list[tuple[str, bytes | None]] = sorted(self.shard.changes().items())
        for key, blob in changes:
            (self._entries.discard if blob is None else self._entries.add)(key)
        changes += self._handover(hand_over and not self.switching)
        self._policies.forget(self.shard.at_ms, min((head.clock_ms for head in heads), default=NO_CLOCK_MS))
        changes += self._policies.changes()
        head = CheckpointMetadata(
            self.place,
            self.policy.sha256,
            self._secret,
            self._live,
            self._watermark_ms,
            self._published_ms,
            self.sources.outage_ended,
            self.control,
            self._handed_over,
            heads,
            self.shard.head(),
            self._policies.heads(),
            self.enforce_from_ms,
            len(self._entries),
            self.inputs,
        )
        records = self._cutter.cut([*changes, (HEAD, msgspec.msgpack.encode(head))])
        gone, self._left = self._left.difference(key for key, _ in records), frozenset()
        return [*((key, None) for key in sorted(gone)), *records]

    def _handover(self, wanted: bool) -> list[tuple[str, bytes | None]]:
        wanted = wanted and self.shard.waiting_records <= _MOST_WAITING
        handover = self.shard.handover(self._watermark_ms) if wanted else None
        before, self._handed_over = self._handed_over, handover is not None
        if handover is not None:
            handed_over = PartitionHandover(self.sources.offsets, self.sources.clocks_ms, handover.encode())
            return [(HANDOVER, msgspec.msgpack.encode(handed_over))]
        return [(HANDOVER, None)] if before else []

    def restore(self, records: Mapping[str, bytes]) -> list[int]:
        """Restore the stored records. Returns the offsets at which the sources resume. The task must be new.

        A stored handover is not applied, and its input is read again, unless `take_over` is called next. Raises
        StateFormatError if a format is unknown, and MismatchError if the secret or the identity differs or a policy is
        lost. Raises MissingChunkError if a part is missing; after `clear`, the task is new again.
        """
        blobs = self._cutter.join(records)
        packed = blobs.pop(HEAD)
        check_head(packed)
        head = msgspec.msgpack.decode(packed, type=CheckpointMetadata)
        head.must_match(self.place, self._secret)
        self._entries = must_be_whole(head.entries, blobs)
        self._taken, self._passed_on, self._notes = TaskOutput(), 0, []
        self.sources.restore(head.sources, head.outage_ended)
        self._watermark_ms = self._decided_ms = head.watermark_ms
        self._decided = head.shard.decided or ()
        self._published_ms = head.published_ms
        self.control = head.control
        self.inputs = list(head.inputs)
        blob = blobs.pop(HANDOVER, None)
        self._handed_over = blob is not None
        self._handover_blob = blob if head.handed_over else None
        self._begun = True
        self.enforce_from_ms = head.enforce_from_ms
        try:
            self._policies = PolicyVersions.stored(head.versions, blobs, head.watermark_ms)
        except LostPolicyError as error:
            raise MismatchError(str(error)) from None
        self._restored = (head.shard, blobs)
        self._take_turns()
        if not self._replaying:
            self._restored = None  # free the memory
        return self.sources.offsets

    def take_over(self) -> list[int]:
        """Apply the handover of a previous owner, if there is one. Returns the offsets at which the sources resume."""
        blob, self._handover_blob = self._handover_blob, None
        if blob is not None:
            handed_over = msgspec.msgpack.decode(blob, type=PartitionHandover)
            self.shard.take_over(Handover.decode(handed_over.shard))
            self.sources.take_over(handed_over.offsets, handed_over.clocks_ms)
        return self.sources.offsets


def _weight(raw: bytes | None) -> int:
    return 1 + len(raw or b"") // _PASSED_ON_BYTES
