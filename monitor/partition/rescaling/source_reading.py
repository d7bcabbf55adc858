"""Reads the input of an old partition of a rescale again, and keeps the records that are not decided."""

import msgspec

from monitor.core.shard_state import ShardState
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import HEAD, CheckpointMetadata
from monitor.partition.chunking import Chunker
from monitor.partition.idleness import CALLS
from monitor.partition.record_batch import RecordBatch
from monitor.partition.rescaling.source_partition import KeptRecord, SourcePartition
from monitor.partition.task import StreamTask

_CALLS = INPUTS.index(CALLS)


class SourceReading:
    """Builds a `SourcePartition` from stored records, and from the input that it reads again.

    The input is fed to a task in batches, so the result has exactly the records that a worker would accept, and only
    they are kept in memory. The calls come last.
    """

    def __init__(self, partition: StreamTask, records: dict[str, bytes]) -> None:
        """``partition`` is a new task, which restores ``records``."""
        self._partition, self._records = partition, records
        self.offsets = partition.restore(records)
        self._kept: list[list[KeptRecord]] = [[] for _ in self.offsets]
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
                self._keep(_CALLS, KeptRecord(end_ms, end_ms, key, value))

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
            kept = KeptRecord(waiting.at_ms, record.updated_ms, tenant, waiting.raw, waiting.signature)
            self._keep(waiting.ref.source, kept)

    def _keep(self, source: int, kept: KeptRecord) -> None:
        self._kept[source].append(kept)
        self.kept_bytes += len(kept.key) + len(kept.value) + len(kept.signature or b"")


class _Ended(msgspec.Struct):
    end_ms: int
