"""A partition number as the worker sees it: its phase, its input, what is in memory, and how it stops."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from monitor.partition.idleness import ReadProgress
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from streams.kafka.api import TP, Consumer, FetchedBatch
from streams.worker.context import OwnedPhase, WorkerContext
from streams.worker.running.partition_input import PartitionInput
from streams.worker.running.running_partition import RunningPartition

log = structlog.get_logger("callwarden")

_STANDING_STILL = (OwnedPhase.REFUSED, OwnedPhase.STOPPED)  # until an operator's command arrives


class OwnedPartition(ABC):
    """A partition number of all topics. ``running`` is the partition in memory; ``why`` says why it does not run.

    An error stops this partition alone: a worker that ended by it would pass it on to the next owner.
    """

    def __init__(self, number: int, context: WorkerContext, consumer: Consumer) -> None:
        self.number = number
        self.phase = OwnedPhase.OPENING
        self.why = ""
        self.input = PartitionInput(number, context.names, consumer)
        self.running: RunningPartition | None = None
        self._context = context

    @property
    def partition(self) -> StreamTask | None:
        """The stream task in memory, or None."""
        return None if self.running is None else self.running.task

    @property
    def wanted(self) -> list[TP]:
        """The topic partitions to fetch now; for a stopped or refused partition only the operator's commands."""
        if self.phase is OwnedPhase.RUNNING and self.running is not None:
            if self.running.busy:
                return []
            return [self.input.control] if self.running.crowded else self.input.wanted(self.running.task)
        return [self.input.control] if self.phase in _STANDING_STILL else []

    def listens(self, tp: TP) -> bool:
        """Whether it can use records of ``tp`` in its present phase."""
        return self.phase is OwnedPhase.RUNNING or (self.phase in _STANDING_STILL and tp == self.input.control)

    @property
    def takes(self) -> bool:
        """Whether the partition can take more records now."""
        return self.running is None or self.running.takes

    def next_offset(self, tp: TP) -> int:
        """The offset at which reading of ``tp`` continues."""
        return self.input.next_offset(tp, self.partition)

    def reading(self, tp: TP) -> ReadProgress | None:
        """How far an input has been read; None if no partition is loaded or ``tp`` is not an input."""
        source = self._context.names.source(tp.topic)
        return None if self.running is None or source is None else self.running.task.sources.reading(source)

    @abstractmethod
    def control(self, fetched: FetchedBatch) -> None:
        """Apply fetched commands."""

    @abstractmethod
    def failed(self, tp: TP, rows: RecordBatch, error: BaseException) -> None:
        """Handle an unexpected error of feeding ``rows``."""

    # Stopping ---------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Discard the memory."""
        if self.running is not None:
            self.running.discarded = True
        self.running = None
        self.input.release()

    @contextmanager
    def guard(self, at: str) -> Iterator[None]:
        """Make an error stop only this partition: else it would end this worker, and then the next owner's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - stops this partition, loudly
            self._fault(at, error)

    def _fault(self, at: str, error: BaseException) -> None:
        offsets = self.running.task.sources.offsets if self.running is not None else None
        read = None if offsets is None else dict(zip(self._context.names.inputs, offsets, strict=True))
        log.error("partition stopped by an unexpected error", partition=self.number, at=at, read=read, exc_info=error)
        self._halt(OwnedPhase.STOPPED, f"{at}: {type(error).__name__}")

    def _halt(self, phase: OwnedPhase, why: str) -> None:
        self.why = why
        self.forget()
        self._show(phase)
        if phase is OwnedPhase.REFUSED:
            log.error("partition refused", partition=self.number, why=why)
        self.input.commands_only()

    def _show(self, phase: OwnedPhase) -> None:
        self.phase = phase
        if phase is OwnedPhase.RUNNING:
            self.why = ""
        self._context.telemetry.phase(self.number, phase.value)
