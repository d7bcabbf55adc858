"""The metrics of a group's partitions in one process."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from streams.metrics.factory import counter, gauge
from streams.metrics.partition_metrics import PHASES, Partitioned


class PartitionMetrics:
    """The metrics of ``program``, in ``registry``."""

    def __init__(self, program: Partitioned, registry: CollectorRegistry) -> None:
        self._partitions = gauge(f"callwarden_{program}_partitions", registry)
        self._lag = gauge(f"callwarden_{program}_lag_records", registry)
        self._failed = counter(f"callwarden_{program}_transactions_failed_total", registry)
        self.show([], {})

    def show(self, phases: list[str], lag: Mapping[int, int]) -> None:
        """Show the phase of each assigned partition, and how many offsets each has not read yet."""
        for phase in PHASES:
            self._partitions.labels(phase).set(phases.count(phase))
        self._lag.clear()
        for partition, records in lag.items():
            self._lag.labels(str(partition)).set(records)

    def failed(self) -> None:
        """Count a failure after which a partition was opened again."""
        self._failed.inc()
