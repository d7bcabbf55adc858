"""Replay: evaluates files of records. It is the test oracle: the same records give the same decisions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice, repeat
from os import PathLike
from typing import BinaryIO

import numpy as np

from monitor.adapters.base import Adapter
from monitor.core.calls.keys import salt_of
from monitor.core.policy_chain import field_layouts
from monitor.core.record_places import RecordLogs
from monitor.core.results import WantedOutput
from monitor.core.threshold_distance import DistanceOptions
from monitor.decoding.decode import NO_CLOCK_MS, DecodedRows, Decoder, LateCall, PlacedRows, RejectedRow, Source, merge
from monitor.decoding.late_line import LateLine
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion
from monitor.replay.files import line_chunks, open_input
from monitor.replay.outcome import Outcome, ReplaySummary, order_and_count
from monitor.replay.parallel_pool import Pool
from monitor.replay.sharding import LocalShards, Shards
from schemas.outputs import Enforcement, JudgedWindow

PIECE_LINES = 5_000


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """The progress of a replay: rows read, the watermark (None at the end), and the decisions since the last report."""

    read: int
    watermark_ms: int | None
    decided: Sequence[Enforcement]


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How files are evaluated.

    ``switches`` are later policies with their start times, in order. ``windows`` requests every evaluated window,
    ``measures`` those of each hour, ``distance_options`` the threshold distances at the end. ``not_after_ms`` rejects
    later event times. ``until_ms`` continues the evaluation after the last record. Events before ``enforce_from_ms``
    are counted but decide nothing. ``secret`` salts the keys of numbers. ``places`` requests the places of the records
    that decisions name; it needs one job. ``shards``, ``jobs`` (processes, one shard each) and ``piece_lines`` affect
    only the speed.
    """

    switches: Sequence[PolicyVersion] = ()
    windows: bool = False
    measures: bool = False
    distance_options: DistanceOptions | None = None
    not_after_ms: int | None = None
    until_ms: int | None = None
    enforce_from_ms: int = 0
    secret: bytes = b""
    places: bool = False
    shards: int = 1
    jobs: int = 1
    piece_lines: int = PIECE_LINES


def replay(
    paths: Sequence[str | PathLike[str]],
    policy: Policy,
    options: ReplayOptions = ReplayOptions(),
    *,
    adapter: Adapter | Sequence[Adapter | None] | None = None,
    on_windows: Callable[[Sequence[JudgedWindow]], None] | None = None,
    on_measures: Callable[[Sequence[bytes]], None] | None = None,
    progress: Callable[[ReplayProgress], None] | None = None,
) -> Outcome:
    """Evaluate files of records by a policy. Each file is a source. ``adapter`` reads all of them, or one each.

    ``on_windows`` receives the evaluated windows, in the order of their file, as soon as no earlier one can come; the
    outcome then does not keep them, as there may be millions. ``on_measures`` receives the measures in the same way.

    Raises UntilTooEarlyError if ``until_ms`` is before the last record.
    """
    salt = salt_of(options.secret)
    versions = (PolicyVersion(0, policy), *options.switches)
    wanted = WantedOutput(options.windows, options.measures)
    distance_options, not_after_ms = options.distance_options, options.not_after_ms
    handed = _HandedOver(on_windows, on_measures)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(str(path))) for path in paths]
        adapters = adapter if isinstance(adapter, Sequence) else [adapter] * len(streams)
        if options.jobs > 1:
            pool = stack.enter_context(
                Pool(versions, options.jobs, wanted, salt, not_after_ms, options.enforce_from_ms, distance_options)
            )
            run = _Run(pool, paths, versions, options.until_ms, progress, handed)
            decoded = [
                pool.decoded(stream, each, options.piece_lines, len(streams))
                for stream, each in zip(streams, adapters, strict=True)
            ]
        else:
            logs = RecordLogs(list(range(len(streams)))) if options.places else None
            local = LocalShards(versions, options.shards, wanted, distance_options, options.enforce_from_ms, logs)
            run = _Run(local, paths, versions, options.until_ms, progress, handed)
            layout, later = field_layouts(versions)
            decoder = Decoder(layout, salt, not_after_ms, later)
            decoded = [
                _decoded(stream, decoder, each, options.piece_lines)
                for stream, each in zip(streams, adapters, strict=True)
            ]
        run.read(decoded)
        outcome = run.finish()
    outcome.summary.not_after_ms = not_after_ms
    return outcome


class UntilTooEarlyError(ValueError):
    """``--until`` is before the largest event time of the input."""


def _decoded(stream: BinaryIO, decoder: Decoder, adapter: Adapter | None, piece_lines: int) -> Iterator[DecodedRows]:
    if adapter is None:
        for first_line, lines in line_chunks(stream, piece_lines):
            yield decoder.lines(lines, first_line)
    else:
        rows = iter(adapter.rows(stream))
        while piece := list(islice(rows, piece_lines)):
            yield decoder.rows(piece)


class _Feed:
    """A source being read: its current piece and the position in it."""

    def __init__(self, number: int, decoded: Iterator[DecodedRows]) -> None:
        self.source = Source(number)
        self._decoded = decoded
        self.piece: PlacedRows | None = None
        self.at = 0
        self.next_piece()

    def next_piece(self) -> None:
        """Move to the next piece that has rows. ``piece`` is None if there is none."""
        self.piece, self.at = None, 0
        for decoded in self._decoded:
            if len(decoded.event_ms):
                self.piece = self.source.place(decoded)
                return

    @property
    def clock_ms(self) -> int:
        """The clock before the next row."""
        assert self.piece is not None
        return int(self.piece.before_ms[self.at])


_Measured = tuple[int, str, bytes]
"""An hour, a tenant, and its measures."""


@dataclass(slots=True)
class _HandedOver:
    """The evaluated windows and the measures that are to be handed over, and to whom; None: they are kept."""

    on_windows: Callable[[Sequence[JudgedWindow]], None] | None
    on_measures: Callable[[Sequence[bytes]], None] | None
    windows: list[JudgedWindow] = field(default_factory=list)
    measures: list[_Measured] = field(default_factory=list)

    def hand_over(self, summary: ReplaySummary) -> None:
        """Hand over those that are here, in the order of their files. No earlier ones may come."""
        if self.on_windows is not None:
            self.windows.sort(key=_order_of_windows)
            summary.windows += len(self.windows)
            self.on_windows(self.windows)
            self.windows = []
        if self.on_measures is not None:
            self.on_measures(self.ordered_measures())
            self.measures = []

    def ordered_measures(self) -> list[bytes]:
        """The values of the measures that are here, in the order of their file: by hour, then by tenant."""
        return [value for _, _, value in sorted(self.measures)]


class _Run:
    """One replay: reads the sources in order, feeds the shards, and collects their output."""

    def __init__(
        self,
        shards: Shards,
        paths: Sequence[str | PathLike[str]],
        versions: Sequence[PolicyVersion],
        until_ms: int | None,
        progress: Callable[[ReplayProgress], None] | None,
        handed: _HandedOver,
    ) -> None:
        self._handed = handed
        self.outcome = Outcome()
        self._shards = shards
        self._paths = [str(path) for path in paths]
        self._lateness = LateLine.of(versions)
        self._until_ms = until_ms
        self._progress = progress
        self._late: list[LateCall] = []
        self._rejected: list[RejectedRow] = []

    def read(self, sources: Sequence[Iterator[DecodedRows]]) -> None:
        """Read all sources to their ends, in reading order, and decide as far as the watermark allows."""
        feeds = [_Feed(number, decoded) for number, decoded in enumerate(sources)]
        watermark_ms = NO_CLOCK_MS
        while reading := [feed for feed in feeds if feed.piece is not None]:
            ready = _ready(reading)
            batch = merge(ready, self._lateness)
            self.outcome.summary.read += batch.rows
            self._shards.take(ready, batch, watermark_ms)
            self._late += batch.late
            self._rejected += batch.rejected
            for feed in reading:
                if feed.piece is not None and feed.at == len(feed.piece):
                    feed.next_piece()
            left = [feed.clock_ms for feed in feeds if feed.piece is not None]
            if left and min(left) > NO_CLOCK_MS:
                watermark_ms = self._lateness.line(min(left))
                self._shards.advance(watermark_ms)
                self._collect(watermark_ms)
        last_ms = max((feed.source.clock_ms for feed in feeds), default=NO_CLOCK_MS)
        if last_ms > NO_CLOCK_MS:
            if self._until_ms is not None and self._until_ms < last_ms:
                raise UntilTooEarlyError(f"--until {self._until_ms} is before the largest event time {last_ms}")
            self.outcome.summary.last_event_ms = last_ms
            self._shards.finish(last_ms, self._until_ms)
        self._collect(None)

    def _collect(self, watermark_ms: int | None) -> None:
        decided: list[Enforcement] = []
        outcome = self.outcome
        for output in self._shards.collect():
            decided += output.enforcement
            outcome.enforcement += output.enforcement
            outcome.shadow += output.shadow
            outcome.alerts += output.alerts
            outcome.places |= output.places
            self._handed.windows += output.windows
            for hour in output.measures:
                self._handed.measures += zip(repeat(hour.hour_ms), hour.tenant_ids, hour.values, strict=False)
            outcome.summary.duplicates += output.duplicates
            self._rejected += [
                RejectedRow(rejection.ref, rejection.reason, rejection.raw) for rejection in output.rejected
            ]
        if self._shards.settled:
            self._handed.hand_over(outcome.summary)
        if self._progress is not None:
            self._progress(ReplayProgress(outcome.summary.read, watermark_ms, decided))

    def finish(self) -> Outcome:
        """The outcome, sorted and counted."""
        outcome, summary = self.outcome, self.outcome.summary
        self._handed.hand_over(summary)
        if self._handed.on_windows is None:
            outcome.windows = sorted(self._handed.windows, key=_order_of_windows)
            summary.windows = len(outcome.windows)
        outcome.measures = self._handed.ordered_measures()
        summary.tenants = self._shards.tenants
        outcome.seen = self._shards.distances()
        order_and_count(outcome, self._late, self._rejected, self._paths)
        return outcome


def _order_of_windows(window: JudgedWindow) -> tuple[int, str, str]:
    return window.end_ms, window.tenant_id, window.rule_id


def _ready(reading: Sequence[_Feed]) -> list[tuple[PlacedRows, int, int]]:
    """The rows that can be read without later pieces: the rest of one piece, and the rows of others before its end.

    It is the piece whose end has the lowest clock (the first at a tie): all rows before its end are available.
    """
    last = min(reading, key=lambda feed: (feed.source.clock_ms, feed.source.number))
    ready = []
    for feed in reading:
        assert feed.piece is not None
        stop = len(feed.piece)
        if feed is not last:
            earlier = feed.source.number < last.source.number
            stop = int(np.searchsorted(feed.piece.before_ms, last.source.clock_ms, "right" if earlier else "left"))
        if stop > feed.at:
            ready.append((feed.piece, feed.at, stop))
            feed.at = stop
    return ready
