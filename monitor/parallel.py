"""Replay on several cores: each process decodes pieces of the files and runs one shard; this one keeps the order.

A piece is decoded by any process, its calls sorted by the shard that they belong to. Its event times come back here,
where clocks, lateness and reading order are settled as in `monitor.replay`; then each shard gets its part of the
piece, as the bytes that the decoding process made of it, and what of it comes next. So what crosses this process is
never unpacked in it, and the decisions are the same bytes for any number of processes.
"""

import multiprocessing
import pickle
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.base import Adapter
from monitor.files import pieces
from monitor.intake import Batch, Decoded, Decoder, Late, Placed, merge
from monitor.lateness import Lateness
from monitor.policy.eras import Era
from monitor.replay import shard_of, split
from monitor.shard.columns import Calls
from monitor.shard.nearness import Look, Looking, look, merged
from monitor.shard.records import Waiting
from monitor.shard.relay import Relay, layouts
from monitor.shard.sink import Sink
from monitor.shard.strings import Strings
from schemas import codec
from schemas.inputs import Cdr

_AHEAD = 3  # pieces that wait for each process, so that none is idle

# What goes to a process, as (what, arguments), and what comes back: a piece decoded, what a shard brought about, the
# end of a shard, or an error.
_DECODE, _PIECE, _TAKE, _ADVANCE, _FINISH = range(5)
_DECODED, _SINK, _DONE, _ERROR = range(4)


class WorkerError(RuntimeError):
    """A process of the pool failed; its traceback is the message."""


class _Part(NamedTuple):
    """One shard's calls of a piece, packed: ``rows`` are their rows in the piece, ``ids`` all ids in a row."""

    names: list[str]
    rows: NDArray[np.intp]
    columns: list[NDArray[Any]]
    ids: bytes
    id_sizes: NDArray[np.integer]


_PACKED = (
    "tenant",
    "word",
    "end_ms",
    "talk_ms",
    "ring_delay_ms",
    "id_key",
    "callee_key",
    "callee_numeric",
    "caller_key",
)


def _pack(decoded: Decoded, shards: int) -> list[bytes]:
    """Each shard's part of a decoded piece."""
    if decoded.calls is None:
        return [b""] * shards
    decoded.calls.offset = decoded.call_rows.astype(np.int64)
    parts = []
    for names, calls in split(decoded.names, decoded.calls, shards):
        ids = calls.call_id.packed()
        columns = [getattr(calls, name) for name in _PACKED]
        part = _Part(names, calls.offset, columns, ids.block, ids.size)
        parts.append(pickle.dumps(part, protocol=5) if len(calls) else b"")
    return parts


def _unpack(packed: bytes, before_ms: NDArray[np.int64]) -> Decoded:
    """A shard's part of a piece as the piece that the shard sees: the others' rows are not in it."""
    empty = Decoded(before_ms, [], None, np.empty(0, np.intp), [], [], _NoBytes(), before_ms)
    if not packed:
        return empty
    part: _Part = pickle.loads(packed)
    ids = Strings.in_row(part.ids, part.id_sizes)
    zeros = np.zeros(len(ids), np.int64)
    columns = dict(zip(_PACKED, part.columns, strict=True))
    sources = zeros.astype(np.int16)
    empty.calls = Calls(**columns, call_id=ids, source=sources, offset=zeros, clock_ms=zeros, line_ms=zeros)
    empty.names, empty.call_rows = part.names, part.rows
    return empty


class _NoBytes(Sequence[bytes]):
    """The bytes of rows where nobody needs them: late calls are written by the process that read the files."""

    def __getitem__(self, row: Any) -> Any:
        return b""

    def __len__(self) -> int:
        return 0


class _Worker:
    """What one process does: decode pieces, and run one shard."""

    def __init__(
        self,
        eras: Sequence[Era],
        shards: int,
        windows: bool,
        salt: np.uint64,
        not_after_ms: int | None,
        enforce_from_ms: int,
        looking: Looking | None,
    ) -> None:
        self._relay = Relay(eras, windows, enforce_from_ms)
        self._looking = looking
        self._shards = shards
        self._lateness = Lateness.of(eras)
        layout, later = layouts(eras)
        self._decoder = Decoder(layout, salt, not_after_ms, later)
        self._pieces: dict[int, Placed] = {}

    def decode(self, number: int, blob: bytes, first_line: int) -> tuple[int, Any]:
        """Decode a piece; all of it but the calls, and the calls' packed parts."""
        decoded = self._decoder.lines(blob.split(b"\n"), first_line)
        blank = decoded.line if len(decoded.line) != blob.count(b"\n") + 1 else None
        parts = _pack(decoded, self._shards)
        return _DECODED, (number, decoded.event_ms, decoded.others, decoded.refused, blank, parts)

    def piece(
        self,
        number: int,
        source: int,
        packed: bytes,
        before_ms: NDArray[np.int64],
        after_ms: NDArray[np.int64],
        first_offset: int,
    ) -> None:
        """This shard's part of a piece, in its place in its source."""
        offset = np.arange(first_offset, first_offset + len(before_ms))
        self._pieces[number] = Placed(source, _unpack(packed, before_ms), before_ms, after_ms, offset)

    def take(self, ready: list[tuple[int, int, int]], waiting: list[Waiting], watermark_ms: int) -> tuple[int, Sink]:
        """Take the rows of these pieces, in reading order."""
        for one in waiting:
            self._relay.wait(one)
        batch = merge([(self._pieces[number], start, stop) for number, start, stop in ready], self._lateness)
        for number, _, stop in ready:
            if stop == len(self._pieces[number]):
                del self._pieces[number]
        sink = Sink()
        if batch.calls is not None:
            sink.duplicates = int(self._relay.apply(batch.names, batch.calls, watermark_ms).sum())
        return _SINK, sink

    def advance(self, watermark_ms: int) -> tuple[int, Sink]:
        """Decide what the watermark allows."""
        self._relay.advance(watermark_ms)
        return _SINK, self._relay.take()

    def finish(self, last_ms: int | None, until_ms: int | None) -> tuple[int, tuple[Sink, int, Look | None]]:
        """The input has ended (without a record if ``last_ms`` is None)."""
        if last_ms is not None:
            self._relay.finish(last_ms, until_ms)
        seen = look(self._relay.shard, self._looking) if self._looking else None
        return _DONE, (self._relay.take(), self._relay.shard.tenants, seen)


def _work(connection: Connection) -> None:
    """A process: messages in, one after the other, answers out. The first has the settings."""
    try:
        worker = _Worker(*pickle.loads(connection.recv_bytes()))
        acts: dict[int, Callable[..., Any]] = {
            _DECODE: worker.decode,
            _PIECE: worker.piece,
            _TAKE: worker.take,
            _ADVANCE: worker.advance,
            _FINISH: worker.finish,
        }
        while True:
            what, arguments = pickle.loads(connection.recv_bytes())
            answer = acts[what](*arguments)
            if answer is not None:
                connection.send_bytes(pickle.dumps(answer, protocol=5))
    except (EOFError, KeyboardInterrupt):
        return  # the pool is gone
    except BaseException:  # noqa: BLE001 - whatever it was, the pool must say so and stop
        connection.send_bytes(pickle.dumps((_ERROR, traceback.format_exc())))


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """What is started in it leaves Ctrl-C, which a terminal sends to all, to us, who end it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class _Process:
    """A process of the pool. A thread sends, so that neither side ever waits for the other to read."""

    def __init__(self, context: multiprocessing.context.SpawnContext, settings: tuple[Any, ...]) -> None:
        self.connection, theirs = context.Pipe()
        # The settings go as a message: as arguments, more than a pipe holds, they would be waited for in vain where
        # the process ends before it has read them.
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _without_interrupt():
            self._process.start()
        theirs.close()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outbox.put(pickle.dumps(settings, protocol=5))
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()
        self.pieces = 0  # that it has not decoded yet

    def send(self, what: int, *arguments: Any) -> None:
        """Put a message into its queue."""
        self._outbox.put(pickle.dumps((what, arguments), protocol=5))

    def close(self) -> None:
        """End the process."""
        self._outbox.put(None)
        self._process.terminate()
        self._process.join()
        self._sender.join()  # what it still wanted to send finds nobody there
        self.connection.close()

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self.connection.send_bytes(message)
            except (BrokenPipeError, OSError):
                return  # it ended; whoever reads from it will see that


class _Piece(NamedTuple):
    number: int
    lines: list[bytes]
    first_line: int


class Pool:
    """The shards of a replay in ``jobs`` processes (`monitor.replay.Shards`), which decode, too."""

    def __init__(
        self,
        eras: Sequence[Era],
        jobs: int,
        windows: bool,
        salt: np.uint64,
        not_after_ms: int | None,
        enforce_from_ms: int = 0,
        looking: Looking | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        settings = (eras, jobs, windows, salt, not_after_ms, enforce_from_ms, looking)
        self._looking = looking
        self._looks: list[Look] = []
        self._lateness = Lateness.of(eras)
        self._processes = [_Process(context, settings) for _ in range(jobs)]
        layout, later = layouts(eras)
        self._own = Decoder(layout, salt, not_after_ms, later)
        self._answers: dict[int, Any] = {}
        self._parts: dict[int, list[bytes]] = {}
        self._sinks: list[Sink] = []
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

    def decoded(self, stream: BinaryIO, adapter: Adapter | None, piece_lines: int, streams: int) -> Iterator[Decoded]:
        """The pieces of one of ``streams`` streams, decoded ahead of being asked for, in order."""
        if adapter is not None:
            rows = iter(adapter.rows(stream))
            while piece := list(islice(rows, piece_lines)):
                yield self._keep(self._own.rows(piece))
            return
        ahead: deque[_Piece] = deque()
        most = max(1, _AHEAD * len(self._processes) // streams)
        for first_line, lines in pieces(stream, piece_lines):
            ahead.append(self._ask(lines, first_line))
            if len(ahead) > most:
                yield self._answer(ahead.popleft())
        while ahead:
            yield self._answer(ahead.popleft())

    def take(self, ready: Sequence[tuple[Placed, int, int]], batch: Batch, watermark_ms: int) -> None:
        """Take rows in reading order; the late calls among them are put into ``batch``."""
        for placed, start, stop in ready:
            self._tell(placed)
            batch.late += self._late(placed, start, stop)
        numbered = [(placed.decoded.number, start, stop) for placed, start, stop in ready]
        for shard, process in enumerate(self._processes):
            mine = [w for w in batch.waiting if shard_of(w.record.tenant_id, len(self._processes)) == shard]
            process.send(_TAKE, numbered, mine, watermark_ms)

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        for process in self._processes:
            process.send(_ADVANCE, watermark_ms)

    def finish(self, last_ms: int | None, until_ms: int | None) -> None:
        """The input has ended: wait for all that is still to come."""
        for process in self._processes:
            process.send(_FINISH, last_ms, until_ms)
        while self._done < len(self._processes):
            self._receive()

    def collect(self) -> list[Sink]:
        """What is known by now of what was brought about since the last call."""
        sinks, self._sinks = self._sinks, []
        return sinks

    @property
    def tenants(self) -> int:
        """How many tenants there were; known after `finish`."""
        return self._tenants

    @property
    def settled(self) -> bool:
        """Only at the end: the processes go each at its own pace."""
        return self._done == len(self._processes)

    def look(self) -> Look | None:
        """What is to be seen of the tenants after `finish`, if that was asked for."""
        return merged(self._looks, self._looking) if self._looking else None

    # Pieces -----------------------------------------------------------------------------------------------------

    def _ask(self, lines: list[bytes], first_line: int) -> _Piece:
        """Have a piece decoded by the process that has least to decode."""
        self._count += 1
        process = min(self._processes, key=lambda one: one.pieces)
        process.pieces += 1
        process.send(_DECODE, self._count, b"\n".join(lines), first_line)
        return _Piece(self._count, lines, first_line)

    def _answer(self, piece: _Piece) -> Decoded:
        while piece.number not in self._answers:
            self._receive()
        event_ms, others, refused, numbers, parts = self._answers.pop(piece.number)
        lines = piece.lines
        if numbers is None:
            numbers = np.arange(piece.first_line, piece.first_line + len(lines))
        else:
            lines = [lines[number - piece.first_line] for number in numbers.tolist()]
        self._parts[piece.number] = parts
        return Decoded(event_ms, [], None, np.empty(0, np.intp), others, refused, lines, numbers, piece.number)

    def _keep(self, decoded: Decoded) -> Decoded:
        """A piece that was decoded here; it keeps its calls, so that `merge` finds the late ones."""
        self._count += 1
        decoded.number = self._count
        self._parts[self._count] = _pack(decoded, len(self._processes))
        return decoded

    def _tell(self, placed: Placed) -> None:
        """Give each shard its part of a piece, once."""
        number, first = placed.decoded.number, int(placed.offset[0])
        for process, part in zip(self._processes, self._parts.pop(number, ()), strict=False):
            process.send(_PIECE, number, placed.source, part, placed.before_ms, placed.after_ms, first)

    def _late(self, placed: Placed, start: int, stop: int) -> list[Late]:
        """The late calls among these rows; few, so each is decoded once more for what it is sorted by."""
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
            log = (int(placed.before_ms[row]), placed.source, int(placed.offset[row]), int(placed.decoded.line[row]))
            late.append(Late(log, call.end_ms, call.tenant_id, call.call_id, raw))
        return late

    def _receive(self) -> None:
        """Wait until a process has said something, and take note of it."""
        for connection in wait([process.connection for process in self._processes]):
            process = next(one for one in self._processes if one.connection is connection)
            try:
                what, answer = pickle.loads(process.connection.recv_bytes())
            except (EOFError, ConnectionResetError):
                raise WorkerError("a process of the replay ended before its work was done") from None
            if what == _DECODED:
                process.pieces -= 1
                self._answers[answer[0]] = answer[1:]
            elif what == _SINK:
                self._sinks.append(answer)
            elif what == _DONE:
                self._sinks.append(answer[0])
                self._tenants += answer[1]
                if answer[2] is not None:
                    self._looks.append(answer[2])
                self._done += 1
            else:
                raise WorkerError(answer)
