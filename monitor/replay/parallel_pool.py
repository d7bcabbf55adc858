"""A pool of processes that run the shards of a replay and decode pieces ahead of time."""

import multiprocessing
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from monitor.adapters.base import Adapter
from monitor.core.policy_chain import field_layouts
from monitor.core.results import Output, WantedOutput
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, merge_distances
from monitor.decoding.decode import DecodedRows, Decoder, LateCall, MergedRows, PlacedRows, ref_of
from monitor.decoding.late_line import LateLine
from monitor.policy.timeline import PolicyVersion
from monitor.replay.files import line_chunks
from monitor.replay.owner_barriers import OwnerBarriers
from monitor.replay.parallel_messages import ADVANCE, BANS, DECODE, DECODED, DONE, FINISH, OUTPUT, PIECE, TAKE
from monitor.replay.parallel_packed import pack
from monitor.replay.parallel_process import Process
from monitor.replay.sharding import event_times, shard_of
from schemas import codec
from schemas.inputs import Cdr
from schemas.owners import OwnerBan

_AHEAD = 3  # queued pieces per process, so that none is idle


class WorkerError(RuntimeError):
    """A process of the pool failed. The message is its traceback, or that it ended early."""


class _Piece(NamedTuple):
    number: int
    lines: Sequence[bytes]
    first_line: int


class Pool:
    """The shards of a replay in ``jobs`` processes (`monitor.replay.sharding.Shards`), which also decode."""

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        jobs: int,
        wanted: WantedOutput,
        salt: np.uint64,
        not_after_ms: int | None,
        enforce_from_ms: int = 0,
        distance_options: DistanceOptions | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        settings = (versions, jobs, wanted, salt, not_after_ms, enforce_from_ms, distance_options)
        self._distance_options = distance_options
        self._distances: list[ThresholdDistances] = []
        self._lateness = LateLine.of(versions)
        self._barriers = OwnerBarriers([version.policy for version in versions])
        self._bans: list[tuple[Process, list[OwnerBan]]] = []  # to exchange, with the process that they come from
        self._processes = [Process(context, settings) for _ in range(jobs)]
        layout, later = field_layouts(versions)
        self._own = Decoder(layout, salt, not_after_ms, later)
        self._answers: dict[int, Any] = {}
        self._parts: dict[int, list[bytes]] = {}
        self._outputs: list[Output] = []
        self._done = 0
        self._tenants = 0
        self._count = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()

    def decoded(
        self, stream: BinaryIO, adapter: Adapter | None, piece_lines: int, streams: int
    ) -> Iterator[DecodedRows]:
        """Yield the pieces of one of ``streams`` streams, in order. Pieces are decoded ahead of time."""
        if adapter is not None:
            rows = iter(adapter.rows(stream))
            while piece := list(islice(rows, piece_lines)):
                yield self._keep(self._own.rows(piece))
            return
        ahead: deque[_Piece] = deque()
        most = max(1, _AHEAD * len(self._processes) // streams)
        for first_line, lines in line_chunks(stream, piece_lines):
            ahead.append(self._ask(lines, first_line))
            if len(ahead) > most:
                yield self._answer(ahead.popleft())
        while ahead:
            yield self._answer(ahead.popleft())

    def take(self, ready: Sequence[tuple[PlacedRows, int, int]], batch: MergedRows, watermark_ms: int) -> None:
        """Take rows in reading order. Adds the late calls among them to ``batch``."""
        for placed, start, stop in ready:
            self._tell(placed)
            batch.late += self._late(placed, start, stop)
        self._barriers.read(batch.waiting, event_times(ready))
        numbered = [(placed.decoded.number, start, stop) for placed, start, stop in ready]
        for shard, process in enumerate(self._processes):
            mine = [w for w in batch.waiting if shard_of(w.record.tenant_id, len(self._processes)) == shard]
            process.ask_output(TAKE, numbered, mine, watermark_ms)

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        self._exchange_bans(watermark_ms)
        for process in self._processes:
            process.ask_output(ADVANCE, watermark_ms)

    def _exchange_bans(self, until_ms: int) -> None:
        """Stop where bans of owners may take effect, and give those of each shard to the others."""
        for at_ms in self._barriers.until(until_ms):
            for process in self._processes:
                process.ask_output(ADVANCE, at_ms, at_ms - 1)
            while any(process.outputs for process in self._processes):
                self._receive()
            for origin, bans in self._bans:
                for process in self._processes:
                    if process is not origin:
                        process.send(BANS, bans)
            self._bans.clear()

    def finish(self, last_ms: int | None, until_ms: int | None) -> None:
        """End the input, and wait for all output."""
        if last_ms is not None:
            self._exchange_bans(last_ms if until_ms is None else until_ms)
        for process in self._processes:
            process.send(FINISH, last_ms, until_ms)
        while self._done < len(self._processes):
            self._receive()

    def collect(self) -> list[Output]:
        """The output received since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    @property
    def tenants(self) -> int:
        """The number of tenants; known after `finish`."""
        return self._tenants

    @property
    def settled(self) -> bool:
        """Whether all processes are done. Before that, they progress independently."""
        return self._done == len(self._processes)

    def distances(self) -> ThresholdDistances | None:
        """The threshold distances after `finish`, if requested."""
        return merge_distances(self._distances, self._distance_options) if self._distance_options else None

    # Pieces -----------------------------------------------------------------------------------------------------

    def _ask(self, lines: Sequence[bytes], first_line: int) -> _Piece:
        """Send a piece to the process with the fewest pieces to decode."""
        self._count += 1
        process = min(self._processes, key=lambda one: one.pieces)
        process.pieces += 1
        process.send(DECODE, self._count, b"\n".join(lines), first_line)
        return _Piece(self._count, lines, first_line)

    def _answer(self, piece: _Piece) -> DecodedRows:
        while piece.number not in self._answers:
            self._receive()
        event_ms, others, rejected, numbers, parts = self._answers.pop(piece.number)
        lines = piece.lines
        if numbers is None:
            numbers = np.arange(piece.first_line, piece.first_line + len(lines))
        else:
            lines = [lines[number - piece.first_line] for number in numbers.tolist()]
        self._parts[piece.number] = parts
        return DecodedRows(event_ms, [], None, np.empty(0, np.intp), others, rejected, lines, numbers, piece.number)

    def _keep(self, decoded: DecodedRows) -> DecodedRows:
        """Register a piece that was decoded here. It keeps its calls, so that `merge` finds the late ones."""
        self._count += 1
        decoded.number = self._count
        self._parts[self._count] = pack(decoded, len(self._processes))
        return decoded

    def _tell(self, placed: PlacedRows) -> None:
        """Send each shard its part of a piece, once."""
        number, first = placed.decoded.number, int(placed.offset[0])
        for process, part in zip(self._processes, self._parts.pop(number, ()), strict=False):
            process.send(PIECE, number, placed.source, part, placed.before_ms, placed.after_ms, first)

    def _late(self, placed: PlacedRows, start: int, stop: int) -> list[LateCall]:
        """The late calls among these rows. They are few, so each is decoded again for its sort fields."""
        if placed.decoded.calls is not None:
            return []
        below = placed.decoded.event_ms < self._lateness.lines(placed.after_ms)
        below &= placed.decoded.event_ms >= 0
        below[[row for row, _ in placed.decoded.others]] = False
        late = []
        for row in (start + np.flatnonzero(below[start:stop])).tolist():
            raw = placed.decoded.raw[row]
            call = codec.decode(raw)
            assert isinstance(call, Cdr)
            late.append(LateCall(ref_of(placed, row), call.end_ms, call.tenant_id, call.call_id, raw))
        return late

    def _receive(self) -> None:
        """Wait for messages from processes, and handle them."""
        for connection in wait([process.connection for process in self._processes]):
            process = next(one for one in self._processes if one.connection is connection)
            try:
                what, answer = pickle.loads(process.connection.recv_bytes())
            except (EOFError, ConnectionResetError):
                raise WorkerError("a process of the replay ended before its work was done") from None
            if what == DECODED:
                process.pieces -= 1
                self._answers[answer[0]] = answer[1:]
            elif what == OUTPUT:
                process.outputs -= 1
                self._outputs.append(answer)
                if answer.owner_bans:
                    self._bans.append((process, answer.owner_bans))
            elif what == DONE:
                self._outputs.append(answer[0])
                self._tenants += answer[1]
                if answer[2] is not None:
                    self._distances.append(answer[2])
                self._done += 1
            else:
                raise WorkerError(answer)
