"""The tenants on a worker's page: measured rarely, removed when far from a threshold, and limited in number."""

import asyncio

import pytest
from measured_tenants import measure_of
from prometheus_client import CollectorRegistry

from helpers.shard_harness import ShardHarness, escalation, rule
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from streams.metrics.tenant_collector import TenantCollector

NEAR = "callwarden_tenant_threshold_ratio"


class Page:
    """A page with only the tenants, and a clock that tests advance."""

    def __init__(self, distance_options: DistanceOptions | None = None) -> None:
        self.now_s = 100.0
        self.tenants = TenantCollector(distance_options or DistanceOptions(busiest=0), lambda: self.now_s)
        self.registry = CollectorRegistry()
        self.registry.register(self.tenants)

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The series of that name, each by its labels' values."""
        asyncio.run(self.tenants.measure())
        samples = [sample for metric in self.registry.collect() for sample in metric.samples]
        return {tuple(s.labels[k] for k in sorted(s.labels)): s.value for s in samples if s.name == name}

    @property
    def series(self) -> int:
        """The number of series of single tenants."""
        asyncio.run(self.tenants.measure())
        samples = [sample for metric in self.registry.collect() for sample in metric.samples]
        return sum("tenant" in sample.labels for sample in samples)


def harness(*tenants: str) -> ShardHarness:
    made = ShardHarness(rules=[rule("half", mode="shadow"), rule("all", above=0.95, mode="shadow")])
    for tenant in tenants:
        made.short_calls(1, 2, 3, tenant=tenant)
    made.until(5)
    return made


def test_tenants_no_longer_near_or_moved_elsewhere_are_removed() -> None:
    page, first, second = Page(), harness("acme"), harness("bravo")
    page.tenants.show(0, measure_of(first.shard))
    page.tenants.show(1, measure_of(second.shard))
    assert page.of(NEAR) == {
        ("all", "acme"): 1 / 0.95,
        ("half", "acme"): 2.0,
        ("all", "bravo"): 1 / 0.95,
        ("half", "bravo"): 2.0,
    }
    assert page.of("callwarden_tenants") == {(): 2.0}
    second.until(20)
    page.now_s += 10
    assert {tenant for _, tenant in page.of(NEAR)} == {"acme"}
    page.tenants.hide(0)
    assert page.of(NEAR) == {}
    assert page.of("callwarden_tenants") == {(): 1.0}


def test_a_shard_is_measured_every_ten_seconds_at_most() -> None:
    page, judged = Page(), harness("acme")
    asked: list[float] = []

    async def measure(options: DistanceOptions) -> ThresholdDistances:
        asked.append(page.now_s)
        return measure_distances(judged.shard, options)

    page.tenants.show(0, measure)
    assert asked == []
    for _ in range(25):
        page.of(NEAR)
        page.now_s += 1
    assert asked == [100, 110, 120]


def test_the_last_measurement_is_shown_while_a_shard_is_at_work() -> None:
    page, judged = Page(), harness("acme")
    at_work = False

    async def measure(options: DistanceOptions) -> ThresholdDistances | None:
        return None if at_work else measure_distances(judged.shard, options)

    page.tenants.show(0, measure)
    seen = page.of(NEAR)
    at_work = True
    judged.until(20)
    page.now_s += 60
    assert page.of(NEAR) == seen
    at_work = False
    assert page.of(NEAR) == {}


def test_a_partition_that_is_opened_again_does_not_show_its_earlier_measurement() -> None:
    page, judged = Page(), harness("acme")
    page.tenants.show(0, measure_of(judged.shard))
    assert page.of(NEAR)

    async def at_work(_: DistanceOptions) -> None:
        return None

    page.tenants.show(0, at_work)
    assert page.of(NEAR) == {}


def test_a_measurement_of_a_partition_that_was_revoked_meanwhile_is_not_shown() -> None:
    page, judged = Page(), harness("acme")

    async def revoked_meanwhile(options: DistanceOptions) -> ThresholdDistances:
        page.tenants.hide(0)
        return measure_distances(judged.shard, options)

    page.tenants.show(0, revoked_meanwhile)
    assert page.of(NEAR) == {}


@pytest.mark.parametrize("most", [0, 3, 10])
def test_no_crowd_makes_more_series_than_the_page_says(most: int) -> None:
    page = Page(DistanceOptions(near=0.8, busiest=2, most=most))
    page.tenants.show(0, measure_of(harness(*(f"t{number}" for number in range(40))).shard))
    page.tenants.show(1, measure_of(harness(*(f"u{number}" for number in range(40))).shard))
    assert page.series <= 4 * most + 2
    assert page.of("callwarden_tenant_pairs_left_out") == {(): 160.0 - most}
    assert len(page.of(NEAR)) == most


def test_values_stand_beside_their_thresholds() -> None:
    page = Page()
    page.tenants.show(0, measure_of(harness("acme").shard))
    assert page.of("callwarden_tenant_value")["short_call_ratio", "half", "acme"] == 1.0
    assert page.of("callwarden_tenant_threshold")["short_call_ratio", "all", "acme"] == 0.95
    assert page.of("callwarden_tenant_calls") == {("acme",): 3.0}


def test_the_histogram_holds_everybody() -> None:
    page, crowd = Page(), harness("acme", "bravo")
    crowd.short_calls(6, tenant="calm", talk_ms=60_000)
    crowd.until(10)
    page.tenants.show(0, measure_of(crowd.shard))
    buckets = page.of("callwarden_threshold_ratio_bucket")
    assert buckets["0.25", "half"] == 1
    assert (buckets["1.25", "half"], buckets["2.0", "half"], buckets["+Inf", "half"]) == (1, 3, 3)
    assert page.of("callwarden_threshold_ratio_count")["half",] == 3


def test_no_telephone_number_is_a_label_though_it_were_a_tenants_id() -> None:
    page = Page(DistanceOptions(busiest=5))
    page.tenants.show(0, measure_of(harness("+8613800138000", "+8613900138000").shard))
    tenants = {tenant for _, tenant in page.of(NEAR)} | {tenant for (tenant,) in page.of("callwarden_tenant_calls")}
    assert len(tenants) == 2
    assert all("138001380" not in tenant and "00~" in tenant for tenant in tenants)


# Escalations ----------------------------------------------------------------------------------------------------------

MISSING = "callwarden_tenant_violations_missing"


def warned(*tenants: str, times: int = 2) -> ShardHarness:
    made = ShardHarness(escalations=[escalation()])
    for tenant in tenants:
        for violation in range(times):
            made.complaint(1 + violation, name=f"p{violation}", tenant_id=tenant)
    made.until(5)
    return made


def test_the_violations_of_those_near_an_escalation_stand_beside_what_is_missing() -> None:
    page = Page()
    page.tenants.show(0, measure_of(warned("acme", "bravo").shard))
    page.tenants.show(1, measure_of(warned("coral", times=4).shard))  # three of them are used
    assert page.of(MISSING) == {("strikes", "acme"): 1.0, ("strikes", "bravo"): 1.0, ("strikes", "coral"): 2.0}
    assert page.of("callwarden_tenant_violations")["strikes", "coral"] == 1.0
    assert page.of("callwarden_tenant_violations_on_record")["coral",] == 4.0
    assert page.of("callwarden_escalation_violations") == {("strikes", "termination"): 3.0}
    assert page.of("callwarden_escalation_tenants") == {
        ("strikes", "termination", "1"): 2.0,
        ("strikes", "termination", "2"): 1.0,
        ("strikes", "termination", "3"): 0.0,
        ("strikes", "termination", "4 or more"): 0.0,
    }


@pytest.mark.parametrize("most", [0, 3, 10])
def test_no_crowd_of_violators_makes_more_series_than_the_page_says(most: int) -> None:
    page = Page(DistanceOptions(busiest=0, most=most))
    page.tenants.show(0, measure_of(warned(*(f"t{number}" for number in range(40))).shard))
    page.tenants.show(1, measure_of(warned(*(f"u{number}" for number in range(40))).shard))
    assert page.series == 3 * most
    assert page.of("callwarden_escalation_tenants")["strikes", "termination", "1"] == 80


def test_no_telephone_number_of_a_violator_is_a_label() -> None:
    page = Page()
    page.tenants.show(0, measure_of(warned("+8613800138000", "+8613900138000").shard))
    tenants = {tenant for _, tenant in page.of(MISSING)}
    assert {(tenant,) for tenant in tenants} == page.of("callwarden_tenant_violations_on_record").keys()
    assert len(tenants) == 2
    assert all("138001380" not in tenant and "00~" in tenant for tenant in tenants)
