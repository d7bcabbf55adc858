"""The topic partitions of one partition number: what is fetched of them, from where, and what is held back."""

from collections.abc import Sequence

import numpy as np
import structlog

from monitor.byte_rows import ByteRows
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from streams.kafka.api import TP, Consumer, CorruptLog, FetchedBatch
from streams.kafka.topic_names import TopicNames

log = structlog.get_logger("callwarden")


class PartitionInput:
    """The inputs and the commands of a partition. ``control_next`` is the offset of the next command."""

    def __init__(self, number: int, names: TopicNames, consumer: Consumer) -> None:
        self.tps = names.of(number)
        self.control_next = 0
        self._names = names
        self._consumer = consumer
        self._held: list[tuple[TP, FetchedBatch]] = []
        self._probe: tuple[TP, int, int] | None = None

    @property
    def control(self) -> TP:
        """The topic partition of the operator's commands."""
        return self.tps[-1]

    def pause(self) -> None:
        """Fetch nothing."""
        self._consumer.pause(self.tps)

    def start(self, task: StreamTask) -> None:
        """Fetch everything, from where the task continues."""
        self.control_next = task.control
        for tp, offset in zip(self.tps, [*task.sources.offsets, self.control_next], strict=True):
            self._consumer.seek(tp, offset)
        self._consumer.resume(self.tps)

    def commands_only(self) -> None:
        """Fetch the operator's commands, and nothing else."""
        self.pause()
        self._consumer.seek(self.control, self.control_next)
        self._consumer.resume([self.control])

    def wanted(self, task: StreamTask) -> list[TP]:
        """The topic partitions to fetch now for a task that runs."""
        if task.passed_on.full or self._held:
            return [self.control]
        return [*(tp for source, tp in enumerate(self.tps[:-1]) if not task.ahead(source)), self.control]

    def next_offset(self, tp: TP, task: StreamTask | None) -> int:
        """The offset at which reading of ``tp`` continues."""
        source = self._names.source(tp.topic)
        return self.control_next if source is None or task is None else task.sources.offsets[source]

    # Batches ----------------------------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether fetched batches are held."""
        return bool(self._held)

    def hold(self, tp: TP, fetched: FetchedBatch) -> None:
        """Keep a batch that the partition could not take; no more inputs are fetched until it is fed."""
        self._held.append((tp, fetched))

    def release(self) -> list[tuple[TP, FetchedBatch]]:
        """Remove and return the held batches, in order."""
        held, self._held = self._held, []
        return held

    def slices(self, tp: TP, fetched: FetchedBatch, most: int, most_bytes: int) -> list[RecordBatch]:
        """The batch in pieces of at most ``most`` rows and ``most_bytes`` bytes; a larger row is a piece of its own.

        The last piece may have up to 10 % more rows: a piece has costs that do not depend on its size, and fetches of a
        megabyte would often end with a small one. Pieces have one row while an error is being located.
        """
        rows = fetched.rows
        if self._probe is not None and self._probe[0] == tp:
            _, first, last = self._probe
            if fetched.start >= last:
                self._probe = None  # this time there was no error
            elif fetched.stop > first:
                most = 1
        cuts = _cuts(fetched.values, most, most_bytes)
        return rows.cut(fetched.offsets[cuts].tolist()) if cuts else [rows]

    def locate(self, tp: TP, rows: RecordBatch) -> int | None:
        """The offset of the record on which feeding ``rows`` failed.

        None if it is not known yet: the same rows are then to be read again, and come one by one.
        """
        if len(rows) > 1:
            self._probe = (tp, int(rows.offsets[0]), rows.stop)
            return None
        self._probe = None
        return int(rows.offsets[0]) if len(rows) else rows.stop

    # Damaged logs -----------------------------------------------------------------------------------------------

    def read_around(self, torn: CorruptLog, task: StreamTask) -> FetchedBatch | None:
        """The row that represents the damaged range that an operator skipped; None if the damage is elsewhere.

        Raises ``torn`` if no skip covers the damage.
        """
        tp, source = torn.tp, self._names.source(torn.tp.topic)
        if source is None:
            return None
        if torn.offset != task.sources.offsets[source]:
            self._consumer.seek(tp, task.sources.offsets[source])
            return None
        through = task.sources.read_around(source, torn.offset, torn.last)
        if through is None:
            raise torn
        log.warning("skipping damaged records", partition=tp.partition, through=through, why=str(torn))
        self._consumer.seek(tp, through + 1)
        return torn.passed_over(torn.offset, through)


def _cuts(values: Sequence[bytes | None], most: int, most_bytes: int) -> list[int]:
    """The first row of each piece but the first piece. The last piece may have up to 10 % more rows than ``most``."""
    sizes = values.sizes if isinstance(values, ByteRows) else [len(value or b"") for value in values]
    ends = np.cumsum(np.maximum(np.asarray(sizes, np.int64), 0))
    cuts: list[int] = []
    first = before = 0
    while True:
        # The last row that fits, and at least one.
        fits = max(int(ends.searchsorted(before + most_bytes, "right")), first + 1)
        if fits == len(ends) <= first + most + most // 10:
            return cuts
        first = min(first + most, fits)
        if first >= len(ends):
            return cuts
        cuts.append(first)
        before = int(ends[first - 1])
