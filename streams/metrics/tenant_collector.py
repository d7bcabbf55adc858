"""Tenants near a threshold, measured at each scrape, so that series vanish with tenants that are no longer near."""

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from monitor.core.shard import Shard
from monitor.core.threshold_distance import (
    BUCKETS,
    DistanceOptions,
    ThresholdDistances,
    measure_distances,
    merge_distances,
    pairs,
)
from monitor.text.display import tenant_label
from streams.metrics.factory import gauges, histograms

_AGAIN_S = 10.0


class TenantCollector(Collector):
    """Shows the tenants of the registered shards; each shard is measured at a scrape, at most every ten seconds.

    A reader returns None while a thread works on the shard: then the last measurement is shown.
    """

    def __init__(self, looking: DistanceOptions, now_s: Callable[[], float] = time.monotonic) -> None:
        self._looking, self._now_s = looking, now_s
        self._readers: dict[int, Callable[[], Shard | None]] = {}
        self._looks: dict[int, tuple[float, ThresholdDistances]] = {}
        self._took_s = 0.0

    def show(self, number: int, reader: Callable[[], Shard | None]) -> None:
        """Add a partition's shard."""
        self._readers[number] = reader
        self._looks.pop(number, None)

    def hide(self, number: int) -> None:
        """Remove a partition: it was revoked, or is stopped."""
        self._readers.pop(number, None)
        self._looks.pop(number, None)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registration must not trigger a measurement."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The current metrics."""
        began_s = self._now_s()
        for number, reader in self._readers.items():
            seen = self._looks.get(number)
            if seen is None or began_s - seen[0] >= _AGAIN_S:
                shard = reader()
                if shard is not None:
                    self._looks[number] = began_s, measure_distances(shard, self._looking)
                    self._took_s = self._now_s() - began_s
        yield from distance_metrics(
            merge_distances([seen for _, seen in self._looks.values()], self._looking), self._looking
        )
        took = gauges("callwarden_tenant_look_seconds")
        took.add_metric([], self._took_s)
        yield took


def distance_metrics(seen: ThresholdDistances, looking: DistanceOptions) -> Iterator[Metric]:
    """Distances as metrics: at most 4 series for each of ``looking.most`` pairs, and one for each of the busiest."""
    for name, count in (("callwarden_tenants", seen.tenants), ("callwarden_tenant_pairs_left_out", seen.left_out)):
        alone = gauges(name)
        alone.add_metric([], count)
        yield alone
    firing = gauges("callwarden_alerts_firing")
    for rule_id, count in seen.firing.items():
        firing.add_metric([rule_id], count)
    yield firing
    waiting, lapsing = gauges("callwarden_pending_decisions"), gauges("callwarden_pending_review_by_timestamp_seconds")
    for rule_id, (count, first_ms) in sorted(seen.pending.items()):
        waiting.add_metric([rule_id], count)
        lapsing.add_metric([rule_id], first_ms / 1000)
    yield waiting
    yield lapsing
    yield _spread(seen)
    yield from _single(seen, looking)


def _spread(seen: ThresholdDistances) -> Metric:
    family = histograms("callwarden_threshold_ratio")
    for rule_id, spread in seen.spread.items():
        upto = spread.counts.cumsum().tolist()
        buckets = [(str(bound), float(count)) for bound, count in zip((*BUCKETS, "+Inf"), upto, strict=True)]
        family.add_metric([rule_id], buckets, round(spread.total, 6))
    return family


def _single(seen: ThresholdDistances, looking: DistanceOptions) -> Iterator[Metric]:
    share = gauges("callwarden_tenant_threshold_ratio")
    value, threshold = gauges("callwarden_tenant_value"), gauges("callwarden_tenant_threshold")
    calls = {tenant_label(tenant_id): count for count, tenant_id in seen.busiest}
    for near in pairs(seen, looking):
        rule, tenant = near.rule, tenant_label(near.tenant_id)
        share.add_metric([tenant, rule.id], near.share)
        if near.value == near.value:
            value.add_metric([tenant, rule.id, rule.metric], near.value)
        threshold.add_metric([tenant, rule.id, rule.metric], rule.threshold)
        calls[tenant] = near.calls
    yield from (share, value, threshold)
    volume = gauges("callwarden_tenant_calls")
    for tenant, count in calls.items():
        volume.add_metric([tenant], count)
    yield volume
