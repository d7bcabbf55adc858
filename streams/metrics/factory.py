"""Makes metrics of the catalogue: whoever asks for one that is not in it gets an error."""

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from streams.metrics.catalogue import BY_NAME
from streams.metrics.spec import Kind, MetricSpec

# Or each counter would come with a second series, of when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]


def _entry(name: str, kind: Kind) -> MetricSpec:
    entry = BY_NAME[name]
    assert entry.kind == kind, f"{name} is a {entry.kind} in the catalogue"
    return entry


def _labels(entry: MetricSpec) -> list[str]:
    return [label.name for label in entry.labels]


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter, in the registry."""
    entry = _entry(name, "counter")
    return Counter(name.removesuffix("_total"), entry.help, _labels(entry), registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """A gauge, in the registry."""
    entry = _entry(name, "gauge")
    return Gauge(name, entry.help, _labels(entry), registry=registry)


class Children:
    """The children of a gauge that is set with each look at the logs: `Gauge.labels` checks all names each time."""

    def __init__(self, parent: Gauge) -> None:
        self._parent = parent
        self._children: dict[tuple[str | int, ...], Gauge] = {}

    def of(self, *labels: str | int) -> Gauge:
        """The child with these values of the labels."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._parent.labels(*labels)
        return child

    def remove(self, labels: dict[str, str]) -> None:
        """Show no child any more whose labels have these values."""
        self._parent.remove_by_labels(labels)
        self._children.clear()


class LabelValues(Collector):
    """A gauge without labels that is not shown before its first value is known: 0 would be told as if it were true."""

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._value: float | None = None
        registry.register(self)

    @property
    def value(self) -> float | None:
        """What it is; None before that is known."""
        return self._value

    def set(self, value: float) -> None:
        """It is this from now on."""
        self._value = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = gauges(self._name)
        if self._value is not None:
            family.add_metric([], self._value)
        yield family


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """A histogram, in the registry."""
    entry = _entry(name, "histogram")
    return Histogram(name, entry.help, _labels(entry), registry=registry, buckets=entry.buckets)


def http_refusals(registry: CollectorRegistry) -> Callable[[str], None]:
    """What counts the connections that a program's HTTP server refuses, by their reason."""
    refused = counter("callwarden_http_connections_refused_total", registry)
    for reason in ("limit", "deadline", "unreadable"):
        refused.labels(reason)  # shown from the start: a series that begins with its first event has no increase
    return lambda reason: refused.labels(reason).inc()


def gauges(name: str) -> GaugeMetricFamily:
    """A gauge's values as they are now, for a collector."""
    entry = _entry(name, "gauge")
    return GaugeMetricFamily(name, entry.help, labels=_labels(entry))


def histograms(name: str) -> HistogramMetricFamily:
    """A histogram's values as they are now, for a collector."""
    entry = _entry(name, "histogram")
    return HistogramMetricFamily(name, entry.help, labels=_labels(entry))


def about_process(registry: CollectorRegistry) -> None:
    """Show which release this process runs, and what it takes of the machine: ``process_*`` and ``python_*``, as
    prometheus_client has them."""
    gauge("callwarden_build_info", registry).labels(version("callwarden"), platform.python_version()).set(1)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
