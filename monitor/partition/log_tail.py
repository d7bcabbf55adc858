"""The newest valid call of a log that another worker owns."""

from monitor.core.calls.keys import salt_of
from monitor.core.windows.aggregation_plan import AggregationPlan
from monitor.decoding.decode import Decoder
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.source import Source
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.idleness import CALLS, ReadProgress
from monitor.partition.key_check import KeyCheck
from monitor.partition.processing.record_intake import decode_rows
from monitor.partition.record_batch import RecordBatch
from monitor.partition.source_position import SourceProgress
from monitor.policy.model import Policy

_CALLS = INPUTS.index(CALLS)


class LogTail:
    """The end of a log of calls that another worker owns. A few records are read at each observation.

    Records are validated as by their owner. Records between two pieces are assumed to be similar to them.
    """

    def __init__(self, policy: Policy, secret: bytes, place: PartitionIdentity, max_ahead_ms: int) -> None:
        self._decoder = Decoder(AggregationPlan.of(policy).layout, salt_of(secret))
        self._keying = KeyCheck(place.number, place.partitions, place.partitioner)
        self._max_ahead_ms, self._lateness_ms = max_ahead_ms, policy.lateness_ms
        self._at = SourceProgress(Source(_CALLS), [])
        self._begun = False

    def begin(self, start: int) -> None:
        """Announce that the next rows start at ``start``. On the first call, records before it may show activity."""
        if not self._begun or start < self._at.source.offset:
            self._at, self._begun = SourceProgress(Source(_CALLS), [], led=start), True

    def read(self, rows: RecordBatch) -> None:
        """Read the next rows, after `begin`."""
        if len(rows):
            decoded = decode_rows(rows, _CALLS, self._decoder, self._keying, self._max_ahead_ms, {})
            self._at.reads(decoded, rows.offsets, rows.timestamps_ms, self._lateness_ms)
        self._at.source.offset = rows.stop

    def end(self, offset: int) -> None:
        """Record that there is nothing to read before ``offset``."""
        self._at.source.offset = offset

    @property
    def reading(self) -> ReadProgress:
        """How far the log was read."""
        return ReadProgress(self._at.source.offset, self._at.led)

    @property
    def newest_ms(self) -> int | None:
        """The largest event time of the valid calls read; None if there were none."""
        return self._at.newest_ms or None
