"""What the notifier tells Prometheus of itself."""

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.metrics.make import counter, gauges


class Telemetry(Collector):
    """Its metrics, in a registry of their own. ``queues`` is what waits: see `outbox.queues`."""

    def __init__(self, channels: Collection[str], clock: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self.queues: Mapping[str, tuple[int, int]] = dict.fromkeys(channels, (0, 0))
        self._sent = counter("callwarden_notify_sent_total", self.registry)
        self._failed = counter("callwarden_notify_failed_total", self.registry)
        self._given_up = counter("callwarden_notify_given_up_total", self.registry)
        self._rejected = counter("callwarden_notify_rejected_total", self.registry)
        self._lost = counter("callwarden_notify_lost_total", self.registry)
        for channel in channels:
            self._failed.labels(channel)
            self._given_up.labels(channel)
        self.registry.register(self)

    def sent(self, channel: str, what: str) -> None:
        """A channel took a message."""
        self._sent.labels(channel, what).inc()

    def failed(self, channel: str) -> None:
        """It did not."""
        self._failed.labels(channel).inc()

    def given_up(self, channel: str) -> None:
        """It never will."""
        self._given_up.labels(channel).inc()

    def rejected(self, records: int) -> None:
        """So many records could not be read."""
        self._rejected.inc(records)

    def lost(self) -> None:
        """Records were deleted before they were handled."""
        self._lost.inc()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = gauges("callwarden_notify_waiting_messages")
        oldest = gauges("callwarden_notify_oldest_waiting_seconds")
        now_ms = self._clock()
        for channel, (n, oldest_ms) in self.queues.items():
            waiting.add_metric([channel], n)
            oldest.add_metric([channel], max(0, now_ms - oldest_ms) / 1000 if n else 0)
        yield waiting
        yield oldest
