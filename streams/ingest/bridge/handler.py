"""Maps the records of one partition of the source topic. It has no state: each record is mapped by itself."""

from collections.abc import Callable
from typing import Final

from schemas.error_codes import ErrorCode
from streams.ingest.bridge.telemetry import BridgeMetrics
from streams.ingest.document_mapper import DocumentMapper, MappedOutputs
from streams.ingest.partitions.letters import origin_of, unreadable_origin
from streams.ingest.partitions.partition_handler import Fed
from streams.kafka.api import TP, FetchedBatch, TransientError
from streams.kafka.outputs import OutputRecord

_NO_VALUE = f"{ErrorCode.UNREADABLE}: the record has no value; expected a document of the format"
_FULL_BYTES: Final = 8 << 20  # of outputs: a few records can become many rows, and many dead letters


Decode = Callable[[bytes], bytes]
"""Makes a document of a value. Raises ValueError, whose text is the reason of a dead letter, and TransientError."""


class BridgeHandler:
    """See `streams.ingest.partitions.partition_handler.PartitionHandler`."""

    idle_after_s: float | None = None

    def __init__(
        self,
        tp: TP,
        mapper: DocumentMapper,
        metrics: BridgeMetrics,
        decode: Decode | None = None,
    ) -> None:
        self._tp, self._mapper, self._metrics, self._decode = tp, mapper, metrics, decode
        self._outputs = MappedOutputs()
        self._taken = self._outputs.counts

    async def restore(self) -> None:
        """There is no state."""

    def feed(self, batch: FetchedBatch) -> Fed:
        """See the protocol. A record that cannot be mapped is a dead letter.

        It ends before a record for which it would take more than a transaction, or which cannot be decoded now. The
        latter is then the first record of what is fed next, and raises: what came before is committed.
        """
        outputs, mapper, unreadable, decode = self._outputs, self._mapper, batch.unreadable, self._decode
        quick = not unreadable and decode is None
        for row, value in enumerate(batch.values):
            if outputs.bytes >= _FULL_BYTES:
                return Fed(outputs.bytes, _before(batch, row))
            try:
                if not (quick and value is not None and mapper.map_one(value, outputs)):
                    self._map(batch, row, value, outputs)
            except TransientError:
                if row == 0 and not outputs.records:
                    raise
                return Fed(outputs.bytes, _before(batch, row))
        return Fed(outputs.bytes, batch.stop)

    def _map(self, batch: FetchedBatch, row: int, value: bytes | None, outputs: MappedOutputs) -> None:
        """Any record: with the headers that say where it came from."""
        tp, mapper, key, offset = self._tp, self._mapper, batch.keys[row], int(batch.offsets[row])
        if offset in batch.unreadable:
            origin = unreadable_origin(tp, offset, batch)
            mapper.reject(value, batch.unreadable[offset].reason, origin, outputs, key)
        elif value is None:
            mapper.reject(None, _NO_VALUE, origin_of(tp, offset), outputs, key)
        else:
            try:
                document = value if self._decode is None else self._decode(value)
            except ValueError as error:
                mapper.reject(value, str(error), origin_of(tp, offset), outputs, key)
            else:
                if self._decode is None or not mapper.map_one(document, outputs):
                    mapper.map(document, origin_of(tp, offset), outputs, key, value)

    def take(self) -> list[OutputRecord]:
        """See the protocol."""
        outputs, self._outputs = self._outputs, MappedOutputs()
        self._taken = outputs.counts
        return outputs.records

    def committed(self) -> None:
        """See the protocol."""
        self._metrics.count(self._taken)

    def idle(self) -> OutputRecord | None:
        """Never asked."""
        return None


def _before(batch: FetchedBatch, row: int) -> int:
    """The position at which a row has not been read."""
    return int(batch.offsets[row - 1]) + 1 if row else batch.start
