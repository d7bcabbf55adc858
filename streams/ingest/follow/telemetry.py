"""A follower's metrics: rows by outcome, what is left to read, and what is lost."""

from typing import Final

from prometheus_client import CollectorRegistry

from streams.ingest.follow.follow_source import Backlog, SourceBatch
from streams.metrics.factory import counter, gauge

REASONS: Final = ("truncated", "gone", "compressed", "replaced")
RESULTS: Final = ("record", "event", "rejected", "left_out")


class FollowMetrics:
    """The metrics of the follower ``name``, in ``registry``."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._name = name
        self._rows = counter("callwarden_follow_rows_total", registry)
        self._rejected = counter("callwarden_follow_rejected_total", registry)
        self._read = counter("callwarden_follow_read_bytes_total", registry)
        self._losses = counter("callwarden_follow_losses_total", registry)
        self._lost = counter("callwarden_follow_lost_bytes_total", registry)
        self._left = gauge("callwarden_follow_backlog", registry)
        self._up = gauge("callwarden_follow_source_up", registry)
        for reason in REASONS:  # a series that begins with its first event has no increase that an alert could see
            self._losses.labels(name, reason)
            self._lost.labels(name, reason)
        for result in RESULTS:
            self._rows.labels(name, result)
        self._caught_up = gauge("callwarden_follow_caught_up_timestamp_seconds", registry)

    def wrote(self, batch: SourceBatch) -> None:
        """Count what was committed."""
        for result, count in batch.results.items():
            self._rows.labels(self._name, result).inc(count)
        for code, count in batch.codes.items():
            self._rejected.labels(code).inc(count)
        for reason, count in batch.losses.items():
            self._losses.labels(self._name, reason).inc(count)
            self._lost.labels(self._name, reason).inc(batch.lost[reason])
        self._read.labels(self._name).inc(batch.read_bytes)

    def look(self, backlog: Backlog, *, up: bool) -> None:
        """Set the gauges."""
        self._left.labels(self._name, backlog.unit).set(backlog.left)
        self._up.labels(self._name).set(up)

    def caught_up(self, at_s: float) -> None:
        """The source was read to its end at that time."""
        self._caught_up.labels(self._name).set(at_s)
