"""A pool of processes. Each reads all input and judges its share of the tenants; only results are sent between them."""

import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from types import TracebackType
from typing import TYPE_CHECKING

from monitor.core.threshold_distance import ThresholdDistances, merge_distances
from monitor.decoding.source import NO_CLOCK_MS
from monitor.replay.job_settings import JobSettings
from monitor.replay.local import ReplayPart
from monitor.replay.parallel_messages import BANS, DONE, PART
from monitor.replay.parallel_process import Process, WorkerError
from monitor.replay.parallel_sources import JobSource, Pump, file_range
from schemas.owners import OwnerBan

if TYPE_CHECKING:
    from monitor.adapters.base import Adapter


class Pool:
    """The processes of a replay. They agree on the reading order, because it depends only on the input."""

    def __init__(self, settings: JobSettings, paths: Sequence[str], adapters: "Sequence[Adapter | None]") -> None:
        self._settings = settings
        self._processes: list[Process] = []
        self._pumps: list[Pump] = []
        self._bans: dict[int, list[OwnerBan]] = {}  # by process: those of a stop that the others have not reached yet
        self._distances: list[ThresholdDistances] = []
        self._done: set[int] = set()
        self._watermark_ms: int | None = NO_CLOCK_MS
        self._tenants = 0
        try:
            self._start(paths, adapters)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def parts(self) -> Iterator[ReplayPart]:
        """What the processes read and decide, as it comes. Raises errors of the input, and `WorkerError`."""
        by_connection = {process.connection: number for number, process in enumerate(self._processes)}
        while len(self._done) < len(self._processes):
            for connection in wait(list(by_connection)):
                number = by_connection[connection]  # type: ignore[index]
                if (part := self._receive(number)) is not None:
                    yield part
                if number in self._done:
                    del by_connection[connection]  # type: ignore[arg-type]
        self._raise_error_of_pump()

    @property
    def tenants(self) -> int:
        """The number of tenants; known at the end."""
        return self._tenants

    def distances(self) -> ThresholdDistances | None:
        """The threshold distances at the end, if requested."""
        options = self._settings.distance_options
        return merge_distances(self._distances, options) if options else None

    def _start(self, paths: Sequence[str], adapters: "Sequence[Adapter | None]") -> None:
        context, jobs = multiprocessing.get_context("spawn"), self._settings.jobs
        sources: list[list[JobSource]] = [[] for _ in range(jobs)]
        try:
            for path, adapter in zip(paths, adapters, strict=True):
                own = file_range(path) if adapter is None else None
                if own is not None:
                    for of_process in sources:
                        of_process.append(own)
                    continue
                outlets = []
                for of_process in sources:
                    theirs, ours = context.Pipe(duplex=False)
                    of_process.append(theirs)
                    outlets.append(ours)
                decoder = self._settings.decoder()
                self._pumps.append(Pump(path, adapter, decoder, self._settings.piece_lines, outlets))
            for number, of_process in enumerate(sources):
                self._processes.append(Process(context, number, of_process))
        finally:
            for source in {id(one): one for of_process in sources for one in of_process}.values():
                source.close()  # the processes have copies of it
        for process in self._processes:
            process.send(self._settings)
        for pump in self._pumps:
            pump.start()

    def _close(self) -> None:
        for process in self._processes:
            process.close()

    def _receive(self, number: int) -> ReplayPart | None:
        """Handle a message of a process. Returns a part."""
        what, content = self._processes[number].receive()
        if what == PART:
            part: ReplayPart = content
            if number:
                part.watermark_ms = self._watermark_ms
            else:
                self._watermark_ms = part.watermark_ms
            return part
        if what == BANS:
            self._bans[number] = content
            if len(self._bans) == len(self._processes):
                self._exchange_bans()
        elif what == DONE:
            self._done.add(number)
            tenants, distances = content
            self._tenants += tenants
            if distances is not None:
                self._distances.append(distances)
        else:
            self._raise_error_of_pump()  # then the process lacks its input
            of_input, trace = content
            raise of_input or WorkerError(trace)
        if self._bans and self._done:
            raise WorkerError("the processes of the replay disagree about bans of owners")
        return None

    def _exchange_bans(self) -> None:
        """All processes have stopped at the same time: give each the bans of the others."""
        for number, process in enumerate(self._processes):
            process.send([ban for other, bans in sorted(self._bans.items()) if other != number for ban in bans])
        self._bans.clear()

    def _raise_error_of_pump(self) -> None:
        for pump in self._pumps:
            if pump.error is not None:
                raise pump.error
