"""Tenants near a threshold, measured for a scrape, so that series vanish with tenants that are no longer near."""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from monitor.core.escalation_distance import FAR, EscalationDistances
from monitor.core.threshold_distance import (
    BUCKETS,
    DistanceOptions,
    ThresholdDistances,
    merge_distances,
    pairs,
)
from monitor.text.display import DEFAULT, Display
from streams.metrics.factory import gauges, histograms

_AGAIN_S = 10.0

Measure = Callable[[DistanceOptions], Awaitable[ThresholdDistances | None]]


class TenantCollector(Collector):
    """Shows the tenants of the registered partitions as they were when last measured.

    `measure` belongs to the event loop; `collect` only reads its results, and may run in a thread.
    """

    def __init__(
        self, options: DistanceOptions, now_s: Callable[[], float] = time.monotonic, display: Display = DEFAULT
    ) -> None:
        self._options, self._now_s, self._display = options, now_s, display
        self._measures: dict[int, Measure] = {}
        self._measured: dict[int, tuple[float, ThresholdDistances]] = {}
        self._took_s = 0.0

    def show(self, number: int, measure: Measure) -> None:
        """Add a partition. ``measure`` returns None while its tenants cannot be measured."""
        self._measures[number] = measure
        self._measured.pop(number, None)

    def hide(self, number: int) -> None:
        """Remove a partition: it was revoked, or is stopped."""
        self._measures.pop(number, None)
        self._measured.pop(number, None)

    async def measure(self) -> None:
        """Measure each partition whose last measurement is ten seconds old."""
        for number, measure in list(self._measures.items()):
            began_s, last = self._now_s(), self._measured.get(number)
            if last is not None and began_s - last[0] < _AGAIN_S:
                continue
            distances = await measure(self._options)
            if distances is not None and self._measures.get(number) is measure:
                self._measured[number] = began_s, distances
                self._took_s = self._now_s() - began_s

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registration must not trigger a measurement."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The current metrics."""
        measured = [distances for _, distances in list(self._measured.values())]
        yield from distance_metrics(merge_distances(measured, self._options), self._options, self._display)
        took = gauges("callwarden_tenant_look_seconds")
        took.add_metric([], self._took_s)
        yield took


def distance_metrics(
    seen: ThresholdDistances, options: DistanceOptions, display: Display = DEFAULT
) -> Iterator[Metric]:
    """Distances as metrics: at most 4 series for each of ``options.most`` pairs, and one for each of the busiest.

    Of tenants and escalations again ``options.most`` pairs, with at most 3 series each.
    """
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
    yield from _single(seen, options, display)
    yield from _escalations(seen.escalations, display)


def _spread(seen: ThresholdDistances) -> Metric:
    family = histograms("callwarden_threshold_ratio")
    for rule_id, spread in seen.spread.items():
        upto = spread.counts.cumsum().tolist()
        buckets = [(str(bound), float(count)) for bound, count in zip((*BUCKETS, "+Inf"), upto, strict=True)]
        family.add_metric([rule_id], buckets, round(spread.total, 6))
    return family


def _single(seen: ThresholdDistances, options: DistanceOptions, display: Display) -> Iterator[Metric]:
    share = gauges("callwarden_tenant_threshold_ratio")
    value, threshold = gauges("callwarden_tenant_value"), gauges("callwarden_tenant_threshold")
    calls = {display.tenant(tenant_id): count for count, tenant_id in seen.busiest}
    for near in pairs(seen, options):
        rule, tenant = near.rule, display.tenant(near.tenant_id)
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


def _escalations(seen: EscalationDistances, display: Display) -> Iterator[Metric]:
    takes, tenants = gauges("callwarden_escalation_violations"), gauges("callwarden_escalation_tenants")
    for escalation_id, missing_of in seen.by_escalation.items():
        takes.add_metric([escalation_id, missing_of.kind], missing_of.at_least)
        for missing in range(1, FAR + 1):  # zeros too, so that an alert sees the first tenant
            shown = str(missing) if missing < FAR else f"{FAR} or more"
            tenants.add_metric([escalation_id, missing_of.kind, shown], missing_of.tenants[missing])
    yield takes
    yield tenants
    counted, lacking = gauges("callwarden_tenant_violations"), gauges("callwarden_tenant_violations_missing")
    on_record: dict[str, int] = {}
    for near in seen.near:
        tenant = display.tenant(near.tenant_id)
        counted.add_metric([tenant, near.escalation], near.counted)
        lacking.add_metric([tenant, near.escalation], near.missing)
        on_record[tenant] = near.on_record
    yield counted
    yield lacking
    recorded = gauges("callwarden_tenant_violations_on_record")
    for tenant, count in on_record.items():
        recorded.add_metric([tenant], count)
    yield recorded
