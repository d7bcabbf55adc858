"""Replay: evaluates files of records. It is the test oracle: the same records give the same decisions."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

from monitor.core.calls.keys import salt_of
from monitor.core.record_places import RecordLogs
from monitor.core.results import WantedOutput
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances
from monitor.decoding.late_line import LateLine
from monitor.decoding.merge import LateCall, RejectedRow
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion
from monitor.replay.files import open_input
from monitor.replay.job_settings import JobSettings
from monitor.replay.local import ReplayPart, decoded_pieces, judge
from monitor.replay.outcome import Outcome, ReplaySummary, order_and_count
from monitor.replay.reader import SourcesReader
from monitor.replay.sharding import LocalShards, Shards
from schemas.outputs import Enforcement, JudgedWindow

if TYPE_CHECKING:  # files of records need no adapters and their dependencies
    from monitor.adapters.base import Adapter

PIECE_LINES = 20_000


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
    adapter: "Adapter | Sequence[Adapter | None] | None" = None,
    on_windows: Callable[[Sequence[JudgedWindow]], None] | None = None,
    on_measures: Callable[[Sequence[bytes]], None] | None = None,
    progress: Callable[[ReplayProgress], None] | None = None,
) -> Outcome:
    """Evaluate files of records by a policy. Each file is a source. ``adapter`` reads all of them, or one each.

    ``on_windows`` receives the evaluated windows, in the order of their file, as soon as no earlier one can come; the
    outcome then does not keep them, as there may be millions. ``on_measures`` receives the measures in the same way.

    Raises UntilTooEarlyError if ``until_ms`` is before the last record.
    """
    versions = (PolicyVersion(0, policy), *options.switches)
    wanted = WantedOutput(options.windows, options.measures)
    names = [str(path) for path in paths]
    adapters = adapter if isinstance(adapter, Sequence) else [adapter] * len(names)
    settings = JobSettings(
        versions,
        options.jobs,
        wanted,
        salt_of(options.secret),
        options.not_after_ms,
        options.until_ms,
        options.enforce_from_ms,
        options.piece_lines,
        options.distance_options,
    )
    run = _Run(names, progress, _HandedOver(on_windows, on_measures))
    with ExitStack() as stack:
        shards: Shards
        if options.jobs > 1:
            from monitor.replay.parallel_pool import Pool  # one process does not need multiprocessing

            shards = pool = stack.enter_context(Pool(settings, names, adapters))
            parts = pool.parts()
        else:
            streams = [stack.enter_context(open_input(name)) for name in names]
            logs = RecordLogs(list(range(len(names)))) if options.places else None
            shards = local = LocalShards(
                versions, options.shards, wanted, options.distance_options, options.enforce_from_ms, logs
            )
            decoder = settings.decoder()
            sources = [
                decoded_pieces(stream, decoder, each, options.piece_lines)
                for stream, each in zip(streams, adapters, strict=True)
            ]
            parts = judge(SourcesReader(sources, LateLine.of(versions)), local, options.until_ms)
        for part in parts:
            run.take(part, in_order=options.jobs == 1)
        outcome = run.finish(shards.tenants, shards.distances())
    outcome.summary.not_after_ms = options.not_after_ms
    return outcome


_Measured = tuple[int, bytes, bytes]
"""An hour, the id of a tenant in UTF-8, which sorts as the id does, and its measures."""


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
    """One replay: collects what is read and decided."""

    def __init__(
        self, names: Sequence[str], progress: Callable[[ReplayProgress], None] | None, handed: _HandedOver
    ) -> None:
        self._names = names
        self._progress = progress
        self._handed = handed
        self._outcome = Outcome()
        self._late: list[LateCall] = []
        self._rejected: list[RejectedRow] = []

    def take(self, part: ReplayPart, in_order: bool) -> None:
        """Take the next part. ``in_order``: no later part has windows or measures that belong before its own."""
        decided: list[Enforcement] = []
        outcome, summary = self._outcome, self._outcome.summary
        summary.read += part.read
        self._late += part.late
        self._rejected += part.rejected
        for output in part.outputs:
            decided += output.enforcement
            outcome.enforcement += output.enforcement
            outcome.shadow += output.shadow
            outcome.alerts += output.alerts
            outcome.places |= output.places
            self._handed.windows += output.windows
            for hour in output.measures:
                self._handed.measures += [(hour.hour_ms, name, value) for name, value in hour.rows()]
            summary.duplicates += output.duplicates
            self._rejected += [
                RejectedRow(rejection.ref, rejection.reason, rejection.raw) for rejection in output.rejected
            ]
        if part.last_ms is not None:
            summary.last_event_ms = part.last_ms
        if in_order:
            self._handed.hand_over(summary)
        if self._progress is not None:
            self._progress(ReplayProgress(summary.read, part.watermark_ms, decided))

    def finish(self, tenants: int, distances: ThresholdDistances | None) -> Outcome:
        """The outcome, sorted and counted."""
        outcome, summary = self._outcome, self._outcome.summary
        self._handed.hand_over(summary)
        if self._handed.on_windows is None:
            outcome.windows = sorted(self._handed.windows, key=_order_of_windows)
            summary.windows = len(outcome.windows)
        outcome.measures = self._handed.ordered_measures()
        summary.tenants = tenants
        outcome.seen = distances
        order_and_count(outcome, self._late, self._rejected, self._names)
        return outcome


def _order_of_windows(window: JudgedWindow) -> tuple[int, str, str]:
    return window.end_ms, window.tenant_id, window.rule_id
