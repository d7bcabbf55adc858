"""The metrics of `callwarden assemble`: events and calls by outcome, open calls, and clocks."""

from collections.abc import Iterator, Mapping
from weakref import WeakValueDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.ingest.assemble.raw_partition import Outcome, RawPartition
from streams.metrics.factory import counter, gauges


class AssembleMetrics:
    """The metrics of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = counter("callwarden_assemble_events_total", registry)
        self._calls = counter("callwarden_assemble_calls_total", registry)
        self._partitions: WeakValueDictionary[int, RawPartition] = WeakValueDictionary()
        registry.register(_PartitionGauges(self._partitions))

    def follow(self, partition: RawPartition) -> None:
        """Show the state of a partition for as long as it is in use."""
        self._partitions[partition.tp.partition] = partition

    def counted(self, counts: Mapping[Outcome, int]) -> None:
        """Count what a transaction has committed."""
        for (what, result), number in counts.items():
            (self._events if what == "event" else self._calls).labels(result).inc(number)


class _PartitionGauges(Collector):
    """Computed at scrape time."""

    def __init__(self, partitions: "WeakValueDictionary[int, RawPartition]") -> None:
        self._partitions = partitions

    def collect(self) -> Iterator[GaugeMetricFamily]:
        calls = gauges("callwarden_assemble_open_calls")
        clocks = gauges("callwarden_assemble_clock_timestamp_seconds")
        for number, partition in sorted(self._partitions.items()):
            calls.add_metric([str(number)], partition.open_calls)
            if partition.clock_ms:
                clocks.add_metric([str(number)], partition.clock_ms / 1000)
        yield calls
        yield clocks
