"""Replay: judges files of records. The oracle of everything else: the same records, the same decisions."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from typing import BinaryIO, Protocol

import numpy as np

from monitor.adapters.base import Adapter
from monitor.files import open_input, pieces
from monitor.intake import NO_CLOCK_MS, Batch, Decoded, Decoder, Late, Placed, Refused, Source, merge
from monitor.lateness import Lateness
from monitor.policy.eras import Era
from monitor.policy.model import Policy
from monitor.shard.columns import Calls
from monitor.shard.keys import salt_of
from monitor.shard.nearness import Look, Looking, look, merged
from monitor.shard.relay import Relay, layouts
from monitor.shard.sink import Sink
from schemas.outputs import Alert, Enforcement, JudgedWindow

PIECE_LINES = 5_000


@dataclass(slots=True)
class Summary:
    """What a replay read and brought about; ``read`` = ``accepted`` + ``rejected`` + ``duplicates`` + ``late``."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    late: int = 0
    enforcement: int = 0
    shadow: int = 0
    alerts: int = 0
    windows: int = 0
    tenants: int = 0
    last_event_ms: int | None = None
    not_after_ms: int | None = None


@dataclass(slots=True)
class Rejection:
    """A rejected row: which file and line, why, and its bytes as they came."""

    file: str
    line: int
    reason: str
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """Everything that a replay brought about, each list in the order of its file (section 8 of the contract).

    ``seen``: how far tenants were from thresholds at the end, where that was asked for.
    """

    enforcement: list[Enforcement] = field(default_factory=list)
    shadow: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    windows: list[JudgedWindow] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    seen: Look | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay has come: rows read, the watermark (None before the first), and what was decided since."""

    read: int
    watermark_ms: int | None
    decided: Sequence[Enforcement]


def replay(
    paths: Sequence[str | PathLike[str]],
    policy: Policy,
    *,
    windows: bool = False,
    on_windows: Callable[[Sequence[JudgedWindow]], None] | None = None,
    not_after_ms: int | None = None,
    until_ms: int | None = None,
    enforce_from_ms: int = 0,
    adapter: Adapter | None = None,
    shards: int = 1,
    jobs: int = 1,
    piece_lines: int = PIECE_LINES,
    secret: bytes = b"",
    looking: Looking | None = None,
    progress: Callable[[Progress], None] | None = None,
    switches: Sequence[Era] = (),
) -> Outcome:
    """Judge files of records by a policy, and by those that follow it at their times (``switches``, in order).

    Each file is a source. ``windows`` asks for every judged window; ``on_windows`` gets them, in the order of their
    file, as soon as no earlier one can come, instead of the outcome's keeping them: there may be millions.
    ``not_after_ms`` rejects event times beyond it; ``until_ms`` goes on judging after the last record
    (UntilTooEarlyError when it lies before it). What was before ``enforce_from_ms`` is known and decides nothing.
    ``shards``, ``jobs`` (processes, a shard each) and ``piece_lines``
    change the speed alone. ``secret`` salts the keys by which numbers are counted. ``looking`` asks for a look at the
    tenants at the end.
    """
    salt = salt_of(secret)
    eras = (Era(0, policy), *switches)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(str(path))) for path in paths]
        if jobs > 1:
            from monitor.parallel.pool import Pool  # starts processes, which import this module

            pool = stack.enter_context(Pool(eras, jobs, windows, salt, not_after_ms, enforce_from_ms, looking))
            run = _Run(pool, paths, eras, until_ms, progress, on_windows)
            decoded = [pool.decoded(stream, adapter, piece_lines, len(streams)) for stream in streams]
        else:
            local = LocalShards(eras, shards, windows, looking, enforce_from_ms)
            run = _Run(local, paths, eras, until_ms, progress, on_windows)
            layout, later = layouts(eras)
            decoder = Decoder(layout, salt, not_after_ms, later)
            decoded = [_decoded(stream, decoder, adapter, piece_lines) for stream in streams]
        run.read(decoded)
        outcome = run.finish()
    outcome.summary.not_after_ms = not_after_ms
    return outcome


class UntilTooEarlyError(ValueError):
    """``--until`` lies before the largest event time of the input."""


def _decoded(stream: BinaryIO, decoder: Decoder, adapter: Adapter | None, piece_lines: int) -> Iterator[Decoded]:
    if adapter is None:
        for first_line, lines in pieces(stream, piece_lines):
            yield decoder.lines(lines, first_line)
    else:
        rows = iter(adapter.rows(stream))
        while piece := list(islice(rows, piece_lines)):
            yield decoder.rows(piece)


class _Feed:
    """A source that is being read: the piece at hand and how far into it."""

    def __init__(self, number: int, decoded: Iterator[Decoded]) -> None:
        self.source = Source(number)
        self._decoded = decoded
        self.piece: Placed | None = None
        self.at = 0
        self.next_piece()

    def next_piece(self) -> None:
        """Go on to the next piece that has rows; ``piece`` is None when there is none."""
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


class Shards(Protocol):
    """Where the calls and records of a replay go: the shards in this process, or in others (`monitor.parallel`)."""

    def take(self, ready: Sequence[tuple[Placed, int, int]], batch: Batch, watermark_ms: int) -> None:
        """Take rows in reading order: ``batch`` is the merged ``ready``; ``watermark_ms`` is that before them."""
        ...

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        ...

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """The input has ended."""
        ...

    def collect(self) -> list[Sink]:
        """What has been brought about since the last call, or is known of it by now; after `finish` all of it."""
        ...

    @property
    def tenants(self) -> int:
        """How many tenants there were."""
        ...

    @property
    def settled(self) -> bool:
        """Whether all shards have decided equally far, so that no window is still to come before those collected."""
        ...

    def look(self) -> Look | None:
        """What is to be seen of the tenants after `finish`, if that was asked for."""
        ...


class LocalShards:
    """Shards in this process."""

    def __init__(
        self,
        eras: Sequence[Era],
        shards: int,
        windows: bool,
        looking: Looking | None = None,
        enforce_from_ms: int = 0,
    ) -> None:
        self.shards = [Relay(eras, windows, enforce_from_ms) for _ in range(shards)]
        self._looking = looking
        self._duplicates = 0

    def take(self, ready: Sequence[tuple[Placed, int, int]], batch: Batch, watermark_ms: int) -> None:
        """Take rows in reading order."""
        count = len(self.shards)
        for waiting in batch.waiting:
            self.shards[shard_of(waiting.record.tenant_id, count)].wait(waiting)
        if batch.calls is None:
            return
        parts = [(batch.names, batch.calls)] if count == 1 else split(batch.names, batch.calls, count)
        for shard, (names, calls) in zip(self.shards, parts, strict=True):
            self._duplicates += int(shard.apply(names, calls, watermark_ms).sum())

    def advance(self, watermark_ms: int) -> None:
        """Decide what the watermark allows."""
        for shard in self.shards:
            shard.advance(watermark_ms)

    def finish(self, last_ms: int, until_ms: int | None) -> None:
        """The input has ended."""
        for shard in self.shards:
            shard.finish(last_ms, until_ms)

    def collect(self) -> list[Sink]:
        """What has been brought about since the last call."""
        sinks = [shard.take() for shard in self.shards]
        sinks[0].duplicates += self._duplicates
        self._duplicates = 0
        return sinks

    @property
    def tenants(self) -> int:
        """How many tenants there were."""
        return sum(relay.shard.tenants for relay in self.shards)

    @property
    def settled(self) -> bool:
        """Always: they advance together."""
        return True

    def look(self) -> Look | None:
        """What is to be seen of the tenants."""
        looking = self._looking
        return merged([look(relay.shard, looking) for relay in self.shards], looking) if looking else None


class _Run:
    """One replay: reads the sources in order, feeds the shards, gathers what they bring about."""

    def __init__(
        self,
        shards: Shards,
        paths: Sequence[str | PathLike[str]],
        eras: Sequence[Era],
        until_ms: int | None,
        progress: Callable[[Progress], None] | None,
        on_windows: Callable[[Sequence[JudgedWindow]], None] | None,
    ) -> None:
        self._on_windows = on_windows
        self._windows: list[JudgedWindow] = []
        self.outcome = Outcome()
        self._shards = shards
        self._paths = [str(path) for path in paths]
        self._lateness = Lateness.of(eras)
        self._until_ms = until_ms
        self._progress = progress
        self._late: list[Late] = []
        self._refused: list[Refused] = []

    def read(self, sources: Sequence[Iterator[Decoded]]) -> None:
        """Read all sources to their ends, in the one reading order, and decide as far as the watermark allows."""
        feeds = [_Feed(number, decoded) for number, decoded in enumerate(sources)]
        watermark_ms = NO_CLOCK_MS
        while reading := [feed for feed in feeds if feed.piece is not None]:
            ready = _ready(reading)
            batch = merge(ready, self._lateness)
            self.outcome.summary.read += batch.rows
            self._shards.take(ready, batch, watermark_ms)
            self._late += batch.late
            self._refused += batch.refused
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
        for sink in self._shards.collect():
            decided += sink.enforcement
            outcome.enforcement += sink.enforcement
            outcome.shadow += sink.shadow
            outcome.alerts += sink.alerts
            self._windows += sink.windows
            outcome.summary.duplicates += sink.duplicates
            self._refused += [Refused(refusal.log, refusal.reason, refusal.raw) for refusal in sink.refused]
        if self._on_windows is not None and self._shards.settled:
            self._hand_over(self._on_windows)
        if self._progress is not None:
            self._progress(Progress(outcome.summary.read, watermark_ms, decided))

    def _hand_over(self, on_windows: Callable[[Sequence[JudgedWindow]], None]) -> None:
        self._windows.sort(key=_order_of_windows)
        self.outcome.summary.windows += len(self._windows)
        on_windows(self._windows)
        self._windows = []

    def finish(self) -> Outcome:
        """The outcome, sorted and counted."""
        outcome, summary = self.outcome, self.outcome.summary
        if self._on_windows is None:
            outcome.windows = sorted(self._windows, key=_order_of_windows)
            summary.windows = len(outcome.windows)
        else:
            self._hand_over(self._on_windows)
        summary.tenants = self._shards.tenants
        outcome.seen = self._shards.look()
        settle(outcome, self._late, self._refused, self._paths)
        return outcome


def settle(outcome: Outcome, late: list[Late], refused: list[Refused], names: Sequence[str]) -> None:
    """Put everything but windows into the order of its file, and count it.

    The summary has ``read`` and ``duplicates`` already; ``names`` are those of the sources, by number.
    """
    summary = outcome.summary
    outcome.enforcement.sort(key=lambda e: (e.data.decided_ms, e.subject, e.id))
    outcome.shadow.sort(key=lambda e: (e.data.decided_ms, e.subject, e.id))
    outcome.alerts.sort(key=lambda a: (a.updated_ms, a.tenant_id, a.rule_id))
    late.sort(key=lambda c: (c.end_ms, c.tenant_id, c.call_id, c.raw))
    outcome.late = [one.raw for one in late]
    refused.sort(key=lambda r: r.log)
    outcome.rejected = [Rejection(names[r.log[1]], r.log[3], r.reason, r.raw or b"") for r in refused]
    summary.rejected, summary.late = len(outcome.rejected), len(outcome.late)
    summary.accepted = summary.read - summary.rejected - summary.late - summary.duplicates
    summary.enforcement, summary.shadow = len(outcome.enforcement), len(outcome.shadow)
    summary.alerts = len(outcome.alerts)


def _order_of_windows(window: JudgedWindow) -> tuple[int, str, str]:
    return window.end_ms, window.tenant_id, window.rule_id


def _ready(reading: Sequence[_Feed]) -> list[tuple[Placed, int, int]]:
    """What can be read now without looking at later pieces: the rest of one piece, and what others have before it.

    That one is the piece whose source ends with the least clock (at a tie the first): all rows that come before
    the end of it are at hand.
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


def shard_of(tenant_id: str, shards: int) -> int:
    """Which of so many shards a tenant belongs to."""
    return zlib.crc32(tenant_id.encode()) % shards


def split(names: list[str], calls: Calls, shards: int) -> list[tuple[list[str], Calls]]:
    """The calls of each shard's tenants, in reading order."""
    home = np.array([shard_of(name, shards) for name in names], np.int32)
    parts = []
    for shard in range(shards):
        mine = np.flatnonzero(home == shard)
        place = np.full(len(names), -1, np.int32)
        place[mine] = np.arange(len(mine), dtype=np.int32)
        part = calls.take(np.flatnonzero(home[calls.tenant] == shard))
        part.tenant = place[part.tenant]
        parts.append(([names[i] for i in mine], part))
    return parts
