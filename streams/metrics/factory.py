"""Creates metrics of the catalogue; raises an error for a name that is not in it."""

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

# Else each counter would have a second series with its creation time.
disable_created_metrics()  # type: ignore[no-untyped-call]


def _entry(name: str, kind: Kind) -> MetricSpec:
    entry = BY_NAME[name]
    assert entry.kind == kind, f"{name} is a {entry.kind} in the catalogue"
    return entry


def _labels(entry: MetricSpec) -> list[str]:
    return [label.name for label in entry.labels]


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter, registered."""
    entry = _entry(name, "counter")
    return Counter(name.removesuffix("_total"), entry.help, _labels(entry), registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """A gauge, registered."""
    entry = _entry(name, "gauge")
    return Gauge(name, entry.help, _labels(entry), registry=registry)


class Children:
    """Caches the children of a gauge that is set often: `Gauge.labels` checks all label names each time."""

    def __init__(self, parent: Gauge) -> None:
        self._parent = parent
        self._children: dict[tuple[str | int, ...], Gauge] = {}

    def of(self, *labels: str | int) -> Gauge:
        """The child with these label values."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._parent.labels(*labels)
        return child

    def remove(self, labels: dict[str, str]) -> None:
        """Remove all children with these label values."""
        self._parent.remove_by_labels(labels)
        self._children.clear()


class LabelValues(Collector):
    """A gauge without labels that is hidden until its first value is known: 0 would look like a real value."""

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._value: float | None = None
        registry.register(self)

    @property
    def value(self) -> float | None:
        """The value; None while unknown."""
        return self._value

    def set(self, value: float) -> None:
        """Set the value."""
        self._value = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = gauges(self._name)
        if self._value is not None:
            family.add_metric([], self._value)
        yield family


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """A histogram, registered."""
    entry = _entry(name, "histogram")
    return Histogram(name, entry.help, _labels(entry), registry=registry, buckets=entry.buckets)


def http_refusals(registry: CollectorRegistry) -> Callable[[str], None]:
    """A function that counts the connections that a program's HTTP server refuses, by reason."""
    refused = counter("callwarden_http_connections_refused_total", registry)
    for reason in ("limit", "deadline", "unreadable"):
        refused.labels(reason)  # shown from the start: a series that begins with its first event has no increase
    return lambda reason: refused.labels(reason).inc()


def gauges(name: str) -> GaugeMetricFamily:
    """A gauge family for a collector's current values."""
    entry = _entry(name, "gauge")
    return GaugeMetricFamily(name, entry.help, labels=_labels(entry))


def histograms(name: str) -> HistogramMetricFamily:
    """A histogram family for a collector's current values."""
    entry = _entry(name, "histogram")
    return HistogramMetricFamily(name, entry.help, labels=_labels(entry))


def about_process(registry: CollectorRegistry) -> None:
    """Show this process's release, and its resource usage as prometheus_client's ``process_*`` and ``python_*``."""
    gauge("callwarden_build_info", registry).labels(version("callwarden"), platform.python_version()).set(1)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
