"""The console's metrics."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.metrics.factory import counter, gauges, histogram

STATES: Final = ("waiting", "soon", "approval", "sent", "postponed", "admissions")

PREVIEW_STATES: Final = ("done", "failed", "cancelled")


class ConsoleState(NamedTuple):
    """The numbers that the metrics show. ``queued`` by `STATES`; empty while they are not known."""

    queued: dict[str, int]
    oldest_due_ms: int | None
    open_pages: int


class WaitingEvidence(NamedTuple):
    """The records that decisions name and that are to be fetched, and since when the oldest waits, epoch ms."""

    records: int
    oldest_ms: int | None


class ConsoleMetrics(Collector):
    """The console's metrics in their own registry."""

    def __init__(self, clock: Callable[[], int] = lambda: 0) -> None:
        """``clock`` gives epoch ms."""
        self.registry = CollectorRegistry()
        self._clock = clock
        self.state = ConsoleState({}, None, 0)
        self.seconds = histogram("callwarden_console_request_duration_seconds", self.registry)
        self._rejected = counter("callwarden_console_rejected_total", self.registry)
        self._lost = counter("callwarden_console_lost_total", self.registry)
        self._failed_sign_ins = counter("callwarden_console_failed_sign_ins_total", self.registry)
        self._fetched = counter("callwarden_console_evidence_records_total", self.registry)
        self.evidence = WaitingEvidence(0, None)
        self._previews = counter("callwarden_console_previews_total", self.registry)
        for state in PREVIEW_STATES:
            self._previews.labels(state)
        self.registry.register(self)

    def rejected(self, records: int) -> None:
        """Count undecodable records."""
        self._rejected.inc(records)

    def failed_sign_in(self) -> None:
        """Count a sign-in that failed."""
        self._failed_sign_ins.inc()

    def fetched(self, state: str, records: int) -> None:
        """Count records that decisions name, by what became of them."""
        self._fetched.labels(state).inc(records)

    def lost(self) -> None:
        """Count a loss: records were deleted before they were handled."""
        self._lost.inc()

    def preview(self, state: str) -> None:
        """Count a preview of a policy that has ended in one of `PREVIEW_STATES`."""
        self._previews.labels(state).inc()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        queued = gauges("callwarden_console_queued_cases")
        for state, cases in self.state.queued.items():
            queued.add_metric([state], cases)
        yield queued
        oldest, due_ms = gauges("callwarden_console_outbox_oldest_seconds"), self.state.oldest_due_ms
        oldest.add_metric([], 0 if due_ms is None else max(0, self._clock() - due_ms) / 1000)
        yield oldest
        waiting = gauges("callwarden_console_evidence_waiting_records")
        waiting.add_metric([], self.evidence.records)
        yield waiting
        longest, since_ms = gauges("callwarden_console_evidence_oldest_seconds"), self.evidence.oldest_ms
        longest.add_metric([], 0 if since_ms is None else max(0, self._clock() - since_ms) / 1000)
        yield longest
        pages = gauges("callwarden_console_open_pages")
        pages.add_metric([], self.state.open_pages)
        yield pages
