"""The notifier's metrics."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.consumers.notify.outbox import ChannelQueue
from streams.metrics.factory import counter, gauges

NOTHING: Final = ChannelQueue(0, None, 0)
"""The queue of a channel without waiting messages."""


class NotifyMetrics(Collector):
    """The notifier's metrics in their own registry. ``queues``: the waiting messages, see `outbox.queues`."""

    def __init__(self, channels: Collection[str], clock: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self.queues: Mapping[str, ChannelQueue] = dict.fromkeys(channels, NOTHING)
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
        """Count a message that a channel accepted."""
        self._sent.labels(channel, what).inc()

    def failed(self, channel: str) -> None:
        """Count a failed delivery."""
        self._failed.labels(channel).inc()

    def given_up(self, channel: str) -> None:
        """Count a message that is given up."""
        self._given_up.labels(channel).inc()

    def rejected(self, records: int) -> None:
        """Count undecodable records."""
        self._rejected.inc(records)

    def lost(self) -> None:
        """Count a loss: records were deleted before they were handled."""
        self._lost.inc()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = gauges("callwarden_notify_waiting_messages")
        oldest = gauges("callwarden_notify_oldest_waiting_seconds")
        set_aside = gauges("callwarden_notify_set_aside_messages")
        now_ms = self._clock()
        for channel, queue in self.queues.items():
            waiting.add_metric([channel], queue.messages)
            oldest.add_metric([channel], 0 if queue.oldest_ms is None else max(0, now_ms - queue.oldest_ms) / 1000)
            set_aside.add_metric([channel], queue.set_aside)
        yield waiting
        yield oldest
        yield set_aside
