"""Rescaling: converts the states of all partitions to another number of partitions. Each tenant follows its key.

The old partitions were read to their ends and have decided up to one common time. What they had read and not decided is
written to the logs of the new partitions before anything else, sorted by decision time. To a new partition it is input
that it has read before.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from monitor.core.owners.held_ban import encode_owner_bans
from monitor.core.record_places import FormerLog, RecordLogs, renumbered_places
from monitor.core.shard_state import ShardState
from monitor.core.snapshot import ShardCheckpoint, decode_names, encode_names
from monitor.core.split_by_tenant import ELSEWHERE, Numbers, merge_renumbered, renumbered
from monitor.core.tenants.active_alert import ActiveAlerts
from monitor.core.tenants.alert_store import decode_alerts, encode_alerts
from monitor.core.tenants.first_calls import NEVER, decode_first_calls, encode_first_calls
from monitor.core.tenants.tenant_store import decode_tenant_records, encode_tenant_records
from monitor.core.windows.pane import KEY_SETS, Pane
from monitor.core.windows.pane_store import WindowCheckpoint, decode_pane, encode_pane
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window import FINE_MS, HOUR_MS
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.late_line import LateLine
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, PartitionIdentity
from monitor.partition.chunking import Chunker
from monitor.partition.idleness import CALLS
from monitor.partition.journal import ClockAdvance, MaxAheadChange, ReviewKeysChange
from monitor.partition.key_check import partition_of
from monitor.partition.owner_merge import merged_owner_bans
from monitor.partition.policy_versions import POLICY, PolicyVersionRef
from monitor.partition.record_batch import RecordBatch
from monitor.partition.source_position import SourceHead
from monitor.partition.task import StreamTask
from monitor.policy.metrics import KeySet
from monitor.policy.timeline import PolicyVersion, version_at
from monitor.text.timestamps import rfc3339

_CALLS, _REVIEWS = INPUTS.index(CALLS), INPUTS.index("reviews")
_NO_LIMIT_MS = 100 * 366 * 86_400_000  # records that were accepted once must be accepted again


class RescaleError(ValueError):
    """The states cannot be rescaled as they are."""


class KeptTopics(NamedTuple):
    """A record that was read and is not decided. ``at_ms`` is its decision time; ``event_ms`` may be before that.

    ``signature`` is the header that signed it, if any.
    """

    at_ms: int
    event_ms: int
    key: bytes
    value: bytes
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class SourcePartition:
    """An old partition: its head, its other entries, and for each source the records read and not decided.

    ``kept_bytes`` is the size of these records.
    """

    head: CheckpointMetadata
    entries: dict[str, bytes]
    kept: Sequence[Sequence[KeptTopics]]
    versions: Sequence[PolicyVersion]
    kept_bytes: int = 0

    @property
    def named_logs(self) -> dict[int, FormerLog]:
        """The logs in which records lie whose places are known, by number."""
        head = self.head
        current = head.logs.current or range(len(head.sources))
        inputs = zip(current, head.inputs, strict=False)  # no inputs: their names are not known yet
        return head.logs.former | {log: FormerLog(topic.name, head.place.number) for log, topic in inputs}

    @property
    def history(self) -> FieldAvailability:
        """The history of policies up to the one in force."""
        return FieldAvailability(self.versions[: version_at(self.versions, self.head.watermark_ms) + 1])

    @property
    def coming(self) -> Sequence[PolicyVersion]:
        """The future policy versions."""
        return self.versions[version_at(self.versions, self.head.watermark_ms) + 1 :]


@dataclass(frozen=True, slots=True)
class RescaledPartition:
    """A new partition: its entries without the head, and for each source the records to write before anything else."""

    number: int
    entries: dict[str, bytes]
    kept: Sequence[Sequence[KeptTopics]]
    head: CheckpointMetadata
    versions: Sequence[PolicyVersion]
    review_keys: Mapping[str, str] = field(default_factory=dict)

    def head_at(
        self, offsets: Sequence[Sequence[int]], empty: Sequence[int], clocks_ms: Sequence[int]
    ) -> CheckpointMetadata:
        """The head, given the offsets of the kept records in each source, and the source clocks ``clocks_ms``.

        A source without kept records resumes at ``empty``. The kept reviews were accepted before: the review keys apply
        to those after them.
        """
        lateness = LateLine.of(self.versions)
        sources = [
            _source(kept, [*at, at[-1] + 1 if at else end], clock_ms, lateness, self.head.live.max_ahead_ms)
            for kept, at, end, clock_ms in zip(self.kept, offsets, empty, clocks_ms, strict=True)
        ]
        if self.review_keys:
            keys = ReviewKeysChange(sources[_REVIEWS].done, dict(self.review_keys))
            sources[_REVIEWS] = msgspec.structs.replace(sources[_REVIEWS], review_keys=[keys])
        return msgspec.structs.replace(self.head, sources=sources)


class SourceReading:
    """Builds a `SourcePartition` from stored records, and from the input that it reads again.

    The input is fed to a task in batches, so the result has exactly the records that a worker would accept, and only
    they are kept in memory. The calls come last.
    """

    def __init__(self, partition: StreamTask, records: dict[str, bytes]) -> None:
        """``partition`` is a new task, which restores ``records``."""
        self._partition, self._records = partition, records
        self.offsets = partition.restore(records)
        self._kept: list[list[KeptTopics]] = [[] for _ in self.offsets]
        self._waiting_kept = False
        self.kept_bytes = 0

    @property
    def order(self) -> list[int]:
        """The sources in the order in which they are fed."""
        return sorted(range(len(self.offsets)), key=lambda source: source == _CALLS)

    @property
    def done(self) -> list[int]:
        """For each source, the offset up to which it was read before the state was stored."""
        return self._partition.sources.done

    def feed(self, source: int, rows: RecordBatch) -> None:
        """Read the next records of a source again."""
        if source != _CALLS:
            assert not self._waiting_kept, "the calls come last"
            self._partition.feed(source, rows)
            return
        self._keep_waiting()
        for row in rows.cut(rows.offsets[1:].tolist()):
            open_before = len(self._partition.shard.open_panes)
            self._partition.feed(_CALLS, row)
            if len(self._partition.shard.open_panes) > open_before:
                assert row.keys is not None
                key, value = row.keys[0] or b"", row.values[0] or b""
                end_ms = msgspec.json.decode(value, type=_Ended).end_ms
                self._keep(_CALLS, KeptTopics(end_ms, end_ms, key, value))

    def result(self) -> SourcePartition:
        """The partition, once everything was fed."""
        self._keep_waiting()
        self._kept[_CALLS].sort(key=lambda one: one.at_ms)
        entries = Chunker().join(self._records)
        head = msgspec.msgpack.decode(entries.pop(HEAD), type=CheckpointMetadata)
        return SourcePartition(head, entries, self._kept, self._partition.policies.versions, self.kept_bytes)

    def _keep_waiting(self) -> None:
        """Keep the waiting records: all sources but the calls have been read."""
        if self._waiting_kept:
            return
        self._waiting_kept = True
        handover = ShardState(self._partition.shard).handover(self._partition.watermark.ms)
        assert handover is not None, "no call was read yet"
        for waiting in sorted(handover.waiting, key=lambda one: (one.at_ms, one.ref.offset)):
            record, tenant = waiting.record, waiting.record.tenant_id.encode()
            kept = KeptTopics(waiting.at_ms, record.updated_ms, tenant, waiting.raw, waiting.signature)
            self._keep(waiting.ref.source, kept)

    def _keep(self, source: int, kept: KeptTopics) -> None:
        self._kept[source].append(kept)
        self.kept_bytes += len(kept.key) + len(kept.value) + len(kept.signature or b"")


class _Ended(msgspec.Struct):
    end_ms: int


def rescaled(formers: Sequence[SourcePartition], partitions: int) -> Iterator[RescaledPartition]:
    """Yield the new partitions. Raises RescaleError if the old ones are not compatible."""
    _check(formers)
    versions, pasts = _policies(formers)
    _check_alike(formers)
    named = {POLICY + version.policy.sha256 for version in versions}
    policies = {key: value for former in formers for key, value in former.entries.items() if key in named}
    names = [decode_names(former.entries, former.head.shard.tenants) for former in formers]
    partitioner = formers[0].head.place.partitioner
    homes = [[partition_of(name.encode(), partitions, partitioner) for name in some] for some in names]
    former_logs, renumbered_logs = _logs(formers)
    for number in range(partitions):
        mine: list[str] = []
        numbers: list[Numbers] = []
        for some, at in zip(names, homes, strict=True):
            own = np.full(len(some), ELSEWHERE, np.int32)
            here = [tenant for tenant, home in enumerate(at) if home == number]
            own[here] = np.arange(len(mine), len(mine) + len(here))
            mine += [some[tenant] for tenant in here]
            numbers.append(own)
        kept = [
            sorted(
                (
                    one
                    for former in formers
                    for one in former.kept[source]
                    if partition_of(one.key, partitions, partitioner) == number
                ),
                key=lambda one: one.at_ms,
            )
            for source in range(len(formers[0].kept))
        ]
        first = formers[0].head
        head = msgspec.structs.replace(
            first,
            place=PartitionIdentity(number, partitions, partitioner),
            published_ms=0,
            outage_ended=all(former.head.outage_ended for former in formers),
            control=0,
            handed_over=False,
            sources=[],
            shard=_shard_head([former.head.shard for former in formers], numbers, len(mine)),
            versions=[PolicyVersionRef(version.from_ms, version.policy.sha256) for version in versions],
            inputs=[],
            owners=0,
            logs=RecordLogs(list(range(len(first.sources))), former_logs),
        )
        entries = _entries(formers, pasts, numbers, mine, renumbered_logs, _fine_from_ms(head.shard))
        head = msgspec.structs.replace(head, entries=len(entries))
        yield RescaledPartition(number, policies | entries, kept, head, versions, _newest_keys(formers[0]))


def _logs(formers: Sequence[SourcePartition]) -> tuple[dict[int, FormerLog], list[dict[int, int]]]:
    """The former logs of the new partitions, and for each old one the new number of each of its logs."""
    first = len(formers[0].head.sources)  # the new logs come first
    named = [former.named_logs for former in formers]
    logs = dict.fromkeys(log for some in named for log in some.values())
    every = {log: number for number, log in enumerate(logs, first)}
    return {number: log for log, number in every.items()}, [
        {number: every[log] for number, log in some.items()} for some in named
    ]


def _check(formers: Sequence[SourcePartition]) -> None:
    first = formers[0].head
    if [former.head.place for former in formers] != [
        msgspec.structs.replace(first.place, number=number) for number in range(first.place.partitions)
    ]:
        raise RescaleError("expected the state of each partition once, all with the same number of partitions")


def _check_alike(formers: Sequence[SourcePartition]) -> None:
    """Check that all have decided up to one time, with the same settings apart from policies. Raises RescaleError."""
    first = formers[0].head
    apart = {"versions", "policy_sha256", "place", "published_ms", "outage_ended", "control", "handed_over", "sources"}
    apart |= {"shard", "entries", "owners", "logs"}
    for former in formers:
        head, number = former.head, former.head.place.number
        for name in head.__struct_fields__:
            if name not in apart and getattr(head, name) != getattr(first, name):
                raise RescaleError(
                    f"expected the same {name} in all partitions; partition {number} differs from partition 0"
                )
        if head.published_ms >= head.watermark_ms > 0:
            raise RescaleError(
                f"partition {number} lost its state and still repeats decisions that are already published; "
                "run its worker until it has passed them"
            )
        if head.shard.sealed_ms != first.shard.sealed_ms:
            raise RescaleError(
                f"expected all partitions to have closed panes up to the same time; partition {number} differs from "
                "partition 0"
            )
        if _newest_keys(former) != _newest_keys(formers[0]):
            raise RescaleError(
                f"partition {number} has other review keys than partition 0; expected the same: give the keys by "
                "CALLWARDEN_REVIEW_KEYS_FILE, also to this command"
            )


def _newest_keys(former: SourcePartition) -> Mapping[str, str]:
    """The review keys of a partition, by name; empty: reviews need no signature."""
    changes = former.head.sources[_REVIEWS].review_keys if len(former.head.sources) > _REVIEWS else []
    return changes[-1].keys if changes else {}


def _policies(formers: Sequence[SourcePartition]) -> tuple[Sequence[PolicyVersion], Sequence[FieldAvailability | None]]:
    """The policies of the new partitions, and for each old one the history to convert its panes, None if not needed.

    If policies changed at different times, a new partition knows only the policy in force. Raises RescaleError if
    anything still to be evaluated depends on an earlier policy.
    """
    # Each partition keeps as many past policies as it needs; apart from that, the versions are the same.
    longest = max((former.versions for former in formers), key=len)
    if all(former.versions == longest[len(longest) - len(former.versions) :] for former in formers):
        return longest, [None] * len(formers)
    pasts = [former.history for former in formers]
    first, now_ms = formers[0], min(former.head.watermark_ms for former in formers)
    for former, past in zip(formers, pasts, strict=True):
        number, policy = former.head.place.number, past.policy
        if policy.sha256 != pasts[0].policy.sha256:
            until = next(
                (version for version in former.coming if version.policy.sha256 == pasts[0].policy.sha256), None
            )
            wait = (
                f"wait until {rfc3339(until.from_ms)}"
                if until
                else "run callwarden policy apply with the policy to use"
            )
            raise RescaleError(
                f"partition {number} applies the policy {policy.sha256[:12]}, partition 0 the policy "
                f"{pasts[0].policy.sha256[:12]}; expected the same policy in all partitions: {wait}"
            )
        if former.coming != first.coming:
            raise RescaleError(
                f"partition {number} has other scheduled policies than partition 0, or for other times; expected the "
                "same: run callwarden policy withdraw, and apply them again after the move"
            )
    settled_ms = max(past.settled_ms for past in pasts)
    if settled_ms > now_ms:
        raise RescaleError(
            "the policy in force began at different times in the partitions, and some rules count what was not counted "
            f"before it; their windows are complete from {rfc3339(settled_ms)} on: wait until then"
        )
    versions = [PolicyVersion(max(past.versions[-1].from_ms for past in pasts), first.history.policy), *first.coming]
    after = LateLine.of(versions)
    for former in formers:
        before = LateLine.of(former.versions)
        held = [
            source.done_ms
            for source in former.head.sources
            if before.line(source.done_ms) != after.line(source.done_ms)
        ]
        if held:
            raise RescaleError(
                f"partition {former.head.place.number} has not passed the time at which the lateness changes, and "
                "others have; wait until it has read later records"
            )
    return versions, pasts


def _shard_head(heads: Sequence[ShardCheckpoint], numbers: Sequence[Numbers], tenants: int) -> ShardCheckpoint:
    def levels(keys: KeySet, length: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for head, own in zip(heads, numbers, strict=True):
            found |= renumbered(head.spans[length].levels(keys), own)
        return found

    return msgspec.structs.replace(
        heads[0],
        # Everything due was decided in all partitions, so the latest evaluation time holds for all.
        at_ms=max(head.at_ms for head in heads),
        newest_ms=max(head.newest_ms for head in heads),
        tenants=tenants,
        decided=None,
        measured=None,
        spans={
            length: WindowCheckpoint.of(
                max(head.spans[length].left_ms for head in heads), {keys: levels(keys, length) for keys in KEY_SETS}
            )
            for length in heads[0].spans
        },
    )


def _fine_from_ms(head: ShardCheckpoint) -> int:
    """The time from which fine panes are needed.

    A shard that had nothing to evaluate for a long time has older ones, for which other shards have only hour panes.
    """
    fine_ms = max((length for length in head.spans if length <= FINE_MS), default=0)
    return (head.at_ms - fine_ms) // HOUR_MS * HOUR_MS


def _entries(
    formers: Sequence[SourcePartition],
    pasts: Sequence[FieldAvailability | None],
    numbers: Sequence[Numbers],
    names: Sequence[str],
    logs: Sequence[dict[int, int]],
    fine_from_ms: int,
) -> dict[str, bytes]:
    entries = encode_names(names, 0)
    first_calls = np.full(len(names), NEVER)
    alerts = ActiveAlerts({}, {})
    for former, own, of_logs in zip(formers, numbers, logs, strict=True):
        alerts.add(
            decode_alerts(former.entries).of({tenant: int(to) for tenant, to in enumerate(own) if to != ELSEWHERE})
        )
        first_calls[own[own != ELSEWHERE]] = decode_first_calls(former.entries, len(own))[own != ELSEWHERE]
        for tenant_record in decode_tenant_records(former.entries):
            if own[tenant_record.tenant] != ELSEWHERE:
                tenant_record.renumber(int(own[tenant_record.tenant]))
                tenant_record.renumber_logs(of_logs)
                entries |= {
                    key: value for key, value in encode_tenant_records([tenant_record]).items() if value is not None
                }
    entries |= encode_alerts(alerts) | encode_first_calls(first_calls)
    entries |= encode_owner_bans(
        merged_owner_bans([former.entries for former in formers], formers[0].head.watermark_ms)
    )
    stored = sorted(
        (key, number)
        for number, former in enumerate(formers)
        for key in former.entries
        if key[0] in "fh" and key[1:].isdigit() and not (key[0] == "f" and int(key[1:]) < fine_from_ms)
    )
    for key, owners in groupby(stored, key=lambda one: one[0]):
        pane = merge_renumbered(
            (
                _relogged(_read(key, decode_pane(formers[number].entries[key]), pasts[number]), logs[number]),
                numbers[number],
            )
            for _, number in owners
        )
        if pane is not None:
            entries[key] = encode_pane(pane)
    return entries


def _read(key: str, pane: Pane, past: FieldAvailability | None) -> Pane:
    if past is None:
        return pane
    return past.read(pane) if key[0] == "f" else past.read_hour(pane)


def _relogged(pane: Pane, logs: dict[int, int]) -> Pane:
    rows = pane.evidence
    return replace(pane, evidence=replace(rows, place=renumbered_places(rows.place, logs)))


def _clock_of(line_ms: int, lateness: LateLine) -> int:
    """The lowest clock that gives this late line, which must be a line that a clock had."""
    least, most = line_ms, line_ms + _NO_LIMIT_MS
    return least + bisect_left(range(most - least), line_ms, key=lambda more: lateness.line(least + more))


def _source(
    kept: Sequence[KeptTopics], offsets: Sequence[int], clock_ms: int, lateness: LateLine, max_ahead_ms: int
) -> SourceHead:
    """The head of a source that resumes before the kept records. The last of ``offsets`` is the one after them.

    Its clock is set so that no kept record is late or is decided later than before, and none moves it beyond
    ``clock_ms``: a record ahead of its timestamp did not, and its timestamp in the new topic is later.
    """
    resume, end = offsets[0], offsets[-1]
    raised = [(one, offset) for one, offset in zip(kept, offsets, strict=False) if one.at_ms > one.event_ms]
    moves = [
        *(ClockAdvance(offset, _clock_of(one.at_ms, lateness)) for one, offset in raised),
        ClockAdvance(end, clock_ms),
    ]
    return SourceHead(
        resume=resume,
        clock_ms=min(kept[0].at_ms, clock_ms) if kept else clock_ms,
        done=end,
        done_ms=clock_ms,
        duplicates=b"",
        moves=moves if kept else [],
        limits=[MaxAheadChange(resume, _NO_LIMIT_MS, clock_ms), MaxAheadChange(end, max_ahead_ms)]
        if kept
        else [MaxAheadChange(end, max_ahead_ms)],
        skips=[],
        fresh=[],
    )
