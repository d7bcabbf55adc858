"""The console's metrics."""

from prometheus_client import CollectorRegistry

from streams.metrics.factory import counter


class ConsoleMetrics:
    """The console's metrics in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rejected = counter("callwarden_console_rejected_total", self.registry)
        self._lost = counter("callwarden_console_lost_total", self.registry)

    def rejected(self, records: int) -> None:
        """Count undecodable records."""
        self._rejected.inc(records)

    def lost(self) -> None:
        """Count a loss: records were deleted before they were handled."""
        self._lost.inc()
