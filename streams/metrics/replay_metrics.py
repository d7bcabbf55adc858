"""A replay's metrics page: the metrics that a worker would show after judging the same records."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.text.display import DEFAULT, Display
from streams.metrics.decision_counters import DecisionCounters
from streams.metrics.factory import gauge
from streams.metrics.tenant_collector import distance_metrics

_FILES = "files"


def page(
    outcome: Outcome,
    policy: Policy,
    options: DistanceOptions,
    topic_of: Callable[[str], str] = lambda source: _FILES,
    display: Display = DEFAULT,
) -> bytes:
    """The page in Prometheus' text format. The replay must have measured the tenants' distances.

    ``topic_of`` names the input topic of a source of rejected rows.
    """
    assert outcome.seen is not None
    registry = CollectorRegistry()
    counted, summary = DecisionCounters(policy, registry), outcome.summary
    counted.read(summary.read, summary.duplicates, summary.late)
    for rejection in outcome.rejected:
        counted.rejected(topic_of(rejection.file), rejection.reason)
    counted.decided(counted.counts(outcome.enforcement, outcome.shadow, outcome.alerts))
    if summary.last_event_ms is not None:
        gauge("callwarden_last_event_timestamp_seconds", registry).set(summary.last_event_ms / 1000)
    registry.register(_Seen(outcome.seen, options, display))
    return generate_latest(registry)


class _Seen(Collector):
    """Shows distances that were measured before."""

    def __init__(self, seen: ThresholdDistances, options: DistanceOptions, display: Display) -> None:
        self._seen, self._options, self._display = seen, options, display

    def collect(self) -> Iterator[Metric]:
        return distance_metrics(self._seen, self._options, self._display)
