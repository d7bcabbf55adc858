"""The intake of a partition: rows of a source become calls and records of the shard, or are passed on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.keys import salt_of
from monitor.core.decisions.pending_record import Place
from monitor.core.shard import Shard
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows, reject_later
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.merge import merge
from monitor.decoding.review_keys import SignatureChecks
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.idleness import CALLS
from monitor.partition.key_check import KeyCheck
from monitor.partition.policy_versions import PolicyVersions
from monitor.partition.processing.task_output import PassedOn
from monitor.partition.processing.watermark import Watermark
from monitor.partition.record_batch import RecordBatch
from monitor.partition.source_position import SourceProgress
from schemas.review_signature import kept

_REVIEWS = INPUTS.index("reviews")


def decode_rows(
    rows: RecordBatch,
    source: int,
    decoder: Decoder,
    keying: KeyCheck | None,
    max_ahead_ms: NDArray[np.int64] | int,
    skipped: Mapping[int, str],
) -> DecodedRows:
    """Decode rows. Rejects those that are unreadable, in the wrong place, too far ahead, or ``skipped``.

    Signatures are not checked.
    """
    reasons = {offset: one.reason for offset, one in rows.unreadable.items()} | dict(skipped)
    decoded = decoder.messages(rows.values, rows.offsets, reasons)
    if keying is not None and rows.keys is not None:
        keying.check(INPUTS[source], decoded, rows.keys)
    reject_later(decoded, rows.timestamps_ms + max_ahead_ms)
    if rows.signatures:
        headers = ((offset, kept(values)) for offset, values in rows.signatures.items())
        decoded.signatures = {offset: header for offset, header in headers if header is not None}
    return decoded


class RecordIntake:
    """Reads rows into a shard. ``last_ms`` is the largest event time read.

    After a restart, records that were decided, counted or written before are read again, and are not passed on twice.
    """

    def __init__(
        self,
        place: PartitionIdentity | None,
        secret: bytes,
        policies: PolicyVersions,
        watermark: Watermark,
        passed_on: PassedOn,
    ) -> None:
        self._keying = KeyCheck(place.number, place.partitions, place.partitioner) if place else None
        self._salt = salt_of(secret)
        self._policies = policies
        self._watermark = watermark
        self._passed_on = passed_on
        self._decoder: Decoder
        self._signatures = SignatureChecks()
        self.last_ms = NO_CLOCK_MS
        self._decided_ms = NO_CLOCK_MS  # records before this time were decided before the restart
        self._decided: Place = ()  # as were later records up to this place

    def lay_out(self, layout: FieldLayout, later: tuple[tuple[int, FieldLayout], ...]) -> None:
        """Lay out calls for the policy, and for each later one from its time on (`field_layouts`)."""
        self._decoder = Decoder(layout, self._salt, None, later)

    def restore(self, decided_ms: int, decided: Place) -> None:
        """Before a restart, records before ``decided_ms`` were decided, and later ones up to the place ``decided``."""
        self._decided_ms, self._decided = decided_ms, decided

    def feed(self, shard: Shard, position: SourceProgress, rows: RecordBatch) -> None:
        """Feed the next rows of a source, through which its clock does not move otherwise, to the shard."""
        reader, done, passed_on = position.source, position.done, self._passed_on
        skipped = position.skipped(rows.offsets) if position.skips else {}
        reasons = {offset: f"skipped: {skip.reason}" for offset, skip in skipped.items()}
        decoded = decode_rows(
            rows, reader.number, self._decoder, self._keying, position.max_ahead_ms(rows.offsets), reasons
        )
        if reader.number == _REVIEWS and position.keys.changes:
            # Last of all, on the fewest records: it costs the most.
            passed_on.verified(*self._signatures.check(decoded, position.keys.at, rows.signatures))
        timestamps_ms = position.timestamps_ms(rows.offsets, rows.timestamps_ms)
        placed = reader.place(decoded, rows.offsets, timestamps_ms)
        batch = merge([(placed, 0, len(placed))], self._policies.lateness)
        passed_on.count(rows=len(rows) - int(rows.offsets.searchsorted(done)))
        if batch.late:
            passed_on.late([late for late in batch.late if late.ref.offset >= done])
        rejections = []
        for rejected in batch.rejected:
            offset = rejected.ref.offset
            fresh = offset in skipped and skipped[offset].offset in position.fresh
            if offset >= done or fresh:
                if offset in rows.unreadable:
                    rejected.first_offset = rows.unreadable[offset].first_offset
                if rows.keys is not None:
                    row = int(np.searchsorted(rows.offsets, offset))
                    rejected.key, rejected.raw = rows.keys[row], rows.values[row]
                rejected.signature = decoded.signatures.get(offset)
                rejections.append(rejected)
        if rejections:
            passed_on.reject(rejections)
        lateness_ms = shard.policy.lateness_ms if INPUTS[reader.number] == CALLS else None
        position.reads(decoded, rows.offsets, timestamps_ms, lateness_ms)
        self.last_ms = max(self.last_ms, position.newest_ms, *(one.at_ms for one in batch.waiting))
        for waiting in batch.waiting:
            if waiting.ref.offset >= done or (waiting.at_ms >= self._decided_ms and waiting.place > self._decided):
                shard.wait(waiting)
        if batch.calls is not None:
            batch.calls.place = batch.calls.offset + self._watermark.sources.logs.start(reader.number)
            known = position.duplicates
            offsets = batch.calls.offset
            before = known.among(offsets) if len(known) else None
            duplicate = shard.apply(batch.names, batch.calls, self._watermark.decided_ms, before)
            if duplicate.any():
                again = offsets[duplicate]
                passed_on.count(duplicates=int((again >= done).sum()))
                known.add(again)
