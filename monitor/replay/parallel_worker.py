"""One process of the pool: decodes pieces for all shards, and runs its own shard."""

import pickle
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.policy_chain import PolicyChain, field_layouts
from monitor.core.results import Output, WantedOutput
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from monitor.decoding.decode import Decoder, PlacedRows, merge
from monitor.decoding.late_line import LateLine
from monitor.decoding.lines import split_lines
from monitor.policy.timeline import PolicyVersion
from monitor.replay.parallel_messages import ADVANCE, BANS, DECODE, DECODED, DONE, ERROR, FINISH, OUTPUT, PIECE, TAKE
from monitor.replay.parallel_packed import pack, unpack
from monitor.replay.sharding import take_bans
from schemas.owners import OwnerBan


class Worker:
    """Decodes pieces, and runs one shard."""

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        shards: int,
        wanted: WantedOutput,
        salt: np.uint64,
        not_after_ms: int | None,
        enforce_from_ms: int,
        distance_options: DistanceOptions | None,
    ) -> None:
        self._chain = PolicyChain(versions, wanted, enforce_from_ms)
        self._distance_options = distance_options
        self._shards = shards
        self._lateness = LateLine.of(versions)
        layout, later = field_layouts(versions)
        self._decoder = Decoder(layout, salt, not_after_ms, later)
        self._pieces: dict[int, PlacedRows] = {}

    def decode(self, number: int, blob: bytes, first_line: int) -> tuple[str, Any]:
        """Decode a piece. Returns everything but the calls, and the packed calls of each shard."""
        decoded = self._decoder.lines(split_lines(blob), first_line)
        blank = decoded.line if len(decoded.line) != blob.count(b"\n") + 1 else None
        parts = pack(decoded, self._shards)
        return DECODED, (number, decoded.event_ms, decoded.others, decoded.rejected, blank, parts)

    def piece(
        self,
        number: int,
        source: int,
        packed: bytes,
        before_ms: NDArray[np.int64],
        after_ms: NDArray[np.int64],
        first_offset: int,
    ) -> None:
        """Receive this shard's part of a piece, with its position in the source."""
        offset = np.arange(first_offset, first_offset + len(before_ms))
        self._pieces[number] = PlacedRows(source, unpack(packed, before_ms), before_ms, after_ms, offset)

    def take(
        self, ready: list[tuple[int, int, int]], waiting: list[PendingRecord], watermark_ms: int
    ) -> tuple[str, Output]:
        """Take the rows of these pieces, in reading order."""
        for one in waiting:
            self._chain.shard.wait(one)
        batch = merge([(self._pieces[number], start, stop) for number, start, stop in ready], self._lateness)
        for number, _, stop in ready:
            if stop == len(self._pieces[number]):
                del self._pieces[number]
        output = Output()
        if batch.calls is not None:
            output.duplicates = int(self._chain.shard.apply(batch.names, batch.calls, watermark_ms).sum())
        return OUTPUT, output

    def advance(self, watermark_ms: int, owners_until_ms: int | None = None) -> tuple[str, Output]:
        """Decide what the watermark allows. See `Shard.advance`."""
        self._chain.advance(watermark_ms, owners_until_ms)
        return OUTPUT, self._chain.shard.output.take()

    def bans(self, bans: Sequence[OwnerBan]) -> None:
        """Take the bans of owners of the other shards."""
        take_bans(self._chain, bans)

    def finish(
        self, last_ms: int | None, until_ms: int | None
    ) -> tuple[str, tuple[Output, int, ThresholdDistances | None]]:
        """End the input. ``last_ms`` is None if there was no record."""
        if last_ms is not None:
            self._chain.finish(last_ms, until_ms)
        ended_ms = last_ms if until_ms is None else until_ms
        seen = None
        if self._distance_options:
            seen = measure_distances(self._chain.shard, self._distance_options, ended_ms)
        return DONE, (self._chain.shard.output.take(), self._chain.shard.tenants, seen)


def work(connection: Connection) -> None:
    """The main loop of a process: receives messages and sends answers. The first message has the settings."""
    try:
        worker = Worker(*pickle.loads(connection.recv_bytes()))
        acts: dict[str, Callable[..., Any]] = {
            DECODE: worker.decode,
            PIECE: worker.piece,
            TAKE: worker.take,
            ADVANCE: worker.advance,
            BANS: worker.bans,
            FINISH: worker.finish,
        }
        while True:
            what, arguments = pickle.loads(connection.recv_bytes())
            answer = acts[what](*arguments)
            if answer is not None:
                connection.send_bytes(pickle.dumps(answer, protocol=5))
    except (EOFError, KeyboardInterrupt):
        return  # the pool is gone
    except BaseException:  # noqa: BLE001 - whatever it was, the pool must say so and stop
        connection.send_bytes(pickle.dumps((ERROR, traceback.format_exc())))
