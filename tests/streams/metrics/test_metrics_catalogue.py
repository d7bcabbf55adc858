"""The catalogue lists exactly the metrics of the programs and of the reference page."""

import asyncio
import platform
import re
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from measured_tenants import measure_of
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from helpers.shard_harness import ShardHarness, escalation, rule
from monitor.core.record_ref import RecordRef
from monitor.core.threshold_distance import DistanceOptions, measure_distances
from monitor.decoding.merge import RejectedRow
from monitor.partition.processing.task_output import TaskOutput
from monitor.policy.load import load
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome, ReplaySummary
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.billing.telemetry import BillingMetrics as BillingTelemetry
from streams.consumers.ledger.main import LedgerMetrics
from streams.consumers.service import pages_app
from streams.ingest.assemble.telemetry import AssembleMetrics
from streams.ingest.bridge.telemetry import BridgeMetrics
from streams.ingest.follow.telemetry import FollowMetrics
from streams.ingest.http.telemetry import IngestMetrics
from streams.ingest.partitions.telemetry import PartitionMetrics
from streams.metrics import replay_metrics as replayed
from streams.metrics.case_transitions import transition_of
from streams.metrics.catalogue import BY_NAME, CATALOGUE
from streams.metrics.decision_counters import DecisionCounters
from streams.metrics.document import MarksError, rewritten
from streams.metrics.factory import about_process, counter, gauge, http_refusals
from streams.metrics.spec import Program
from streams.worker.metrics import WorkerMetrics

OF_PROCESS = "callwarden_build_info"
OF_PAGES = "callwarden_http_connections_refused_total"
APART = {OF_PROCESS, OF_PAGES}
"""The metrics of a process and of its pages, not of its work."""
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def busy_harness() -> ShardHarness:
    """Decisions that were pending, upheld, overturned, dismissed and lapsed."""
    harness = ShardHarness(
        rules=[rule("shown", mode="shadow", min_denominator=2), rule("asked", mode="review")],
        escalations=[escalation(at_least=5)],
    )
    harness.complaint(1, name="p1")
    harness.complaint(1, name="p2")
    harness.likely_ban(2, "f1")
    harness.likely_ban(3, "f2")
    harness.short_calls(1, 2, 3)
    return harness


def busy_telemetry() -> WorkerMetrics:
    harness = busy_harness()
    telemetry = WorkerMetrics(harness.shard.policy)
    harness.until(5)
    taken = TaskOutput(
        harness.output,
        rows=7,
        duplicates=2,
        rejected=[RejectedRow(RecordRef(0, 1, 2, 3), "too_deep: 99 levels", b"", b"k")],
    )
    telemetry.committed(3, telemetry.counts(taken), 1_000, 0.02)
    telemetry.transaction_failed()
    telemetry.opened(3, 0.1, harness.shard.policy, measure_of(harness.shard))
    telemetry.phase(3, "running")
    telemetry.clock("cdr", 3, 1_500)
    telemetry.lag("cdr", 3, 17)
    telemetry.owner_bans(3, 1)
    telemetry.review_keys(3, {"li": "..."})
    telemetry.feed_silent(2.0)
    telemetry.silent("cdr", 2.0)
    telemetry.broker(away=False)
    telemetry.stale()
    telemetry.agents.add("crm")
    asyncio.run(telemetry.page())  # measures the tenants
    return telemetry


def exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def faults(families: list[Metric], by: Program) -> Iterator[str]:
    """The differences between a page and the catalogue."""
    shown = {exposed(metric): metric for metric in families}
    wanted = {entry.name: entry for entry in CATALOGUE if by in entry.by and entry.name not in APART}
    yield from (f"{name} is not in the catalogue" for name in shown.keys() - wanted.keys())
    yield from (f"{name} is not shown" for name in wanted.keys() - shown.keys())
    for name in wanted.keys() & shown.keys():
        metric, entry = shown[name], wanted[name]
        if (metric.type, metric.documentation) != (entry.kind, entry.help):
            yield f"{name}: {metric.type}, {metric.documentation}"
        labels = {label.name for label in entry.labels}
        for sample in metric.samples:
            if sample.labels.keys() - {"le"} != labels:
                yield f"{name} has the labels {sorted(sample.labels)}"
        if not metric.samples:
            yield f"{name} has no value"


def test_a_worker_shows_the_catalogue_and_nothing_else() -> None:
    assert list(faults(list(busy_telemetry().registry.collect()), "worker")) == []


def test_a_replay_shows_what_a_worker_shows_of_the_same_records() -> None:
    harness, distance_options = busy_harness(), DistanceOptions()
    harness.until(5)
    output = harness.output
    outcome = Outcome(output.enforcement, output.shadow, output.alerts, summary=ReplaySummary(read=7, last_event_ms=5))
    outcome.seen = measure_distances(harness.shard, distance_options)
    page = replayed.page(outcome, harness.shard.policy, distance_options).decode()
    shown = list(text_string_to_metric_families(page))
    wanted = {entry.name for entry in CATALOGUE if "replay" in entry.by}
    assert set(map(exposed, shown)) == wanted
    live = [metric for metric in busy_telemetry().registry.collect() if exposed(metric) in wanted]
    apart = {"callwarden_duplicates_total", "callwarden_rejected_total", "callwarden_last_event_timestamp_seconds"}
    assert values(shown, apart) == values(live, apart)


def values(families: list[Metric], apart: set[str]) -> dict[tuple[object, ...], float]:
    """Every sample by its name and labels, except those of some metrics."""
    samples = [sample for metric in families for sample in metric.samples if exposed(metric) not in apart]
    assert len(samples) > 50
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}


def test_a_page_is_rendered_beside_the_event_loop() -> None:
    """It may have thousands of series: rendering in the loop blocked it for a tenth of a second."""
    telemetry, threads = busy_telemetry(), []

    class Witness(Collector):
        def collect(self) -> Iterator[Metric]:
            threads.append(threading.get_ident())
            yield from ()

    telemetry.registry.register(Witness())
    threads.clear()
    assert b"callwarden_tenant_calls" in asyncio.run(telemetry.page())
    assert threads
    assert threading.get_ident() not in threads


def test_names_are_as_prometheus_has_them() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert re.fullmatch(r"callwarden_[a-z_]+", entry.name)
        assert entry.name.endswith("_total") == (entry.kind == "counter"), entry.name
        assert ("seconds" in entry.unit) <= entry.name.endswith("_seconds"), entry.name
        assert (entry.unit == "Unix time") == entry.name.endswith("_timestamp_seconds"), entry.name
        assert (entry.kind == "histogram") == bool(entry.buckets), entry.name
        assert all(label.bound for label in entry.labels)


def test_what_is_not_in_the_catalogue_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        gauge("callwarden_anything", CollectorRegistry())
    with pytest.raises(AssertionError, match="is a gauge in the catalogue"):
        counter("callwarden_broker_away", CollectorRegistry())


def test_the_page_has_the_catalogue_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    assert rewritten(page) == page, "make metrics"
    assert rewritten(page.replace("Duplicate records, dropped", "?")) == page
    with pytest.raises(MarksError, match="no place for the catalogue"):
        rewritten("# A page\n")


# Case transitions ----------------------------------------------------------------------------------------------------


def test_every_transition_of_a_case_is_distinguished() -> None:
    harness = ShardHarness(rules=[rule("shown", mode="shadow"), rule("asked", mode="review")])
    harness.complaint(1, name="p1")
    harness.complaint(1, name="p2")
    harness.likely_ban(2, "f1")
    harness.likely_ban(3, "f2")
    harness.short_calls(1)
    events = harness.until(5)
    by_id = {event.id: event for event in events}
    found = [(event.data.rule_id, transition_of(event)) for event in events]
    warned, banned = ("blind_calling", "decided"), ("undeclared_prohibited_business", "referred")
    assert sorted(found) == sorted([warned, warned, banned, banned, ("asked", "referred")])
    leak, _, first_ban, second_ban, _ = sorted(by_id.values(), key=lambda event: event.data.decided_ms)
    harness.review(6, "uphold", first_ban, "v1")
    harness.review(7, "overturn", second_ban, "v2")
    harness.review(8, "overturn", leak, "v3")
    harness.complaint(9, "dismissed", "p1")
    harness.complaint(9, "dismissed", "p2")
    later = harness.until(8 * 24 * 60)
    assert [(event.data.rule_id, transition_of(event)) for event in later] == [
        ("undeclared_prohibited_business", "upheld"),
        ("undeclared_prohibited_business", "overturned"),
        ("blind_calling", "overturned"),
        ("blind_calling", "withdrawn"),
        ("asked", "lapsed"),
    ]


def decisions(policy: Policy) -> tuple[DecisionCounters, CollectorRegistry]:
    registry = CollectorRegistry()
    return DecisionCounters(policy, registry), registry


def labels_of(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    order = ("rule", "tier", "mode", "kind", "status", "transition")
    return {
        tuple(sample.labels[name] for name in order): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "callwarden_decisions_total"
    }


def test_what_is_decided_is_counted_where_a_zero_was_shown_before() -> None:
    harness = busy_harness()
    counted, registry = decisions(harness.shard.policy)
    before = labels_of(registry)
    assert set(before.values()) == {0.0}
    for minute in (5, 8 * 24 * 60):
        harness.until(minute)
        counted.decided(counted.counts(harness.output.enforcement, harness.output.shadow, []))
    after = labels_of(registry)
    assert after.keys() == before.keys()
    assert after["shown", "minor", "shadow", "warning", "final", "decided"] == 1
    assert after["asked", "minor", "review", "lapse", "final", "lapsed"] == 1
    assert after["blind_calling", "minor", "record", "warning", "final", "decided"] == 2
    assert sum(after.values()) == 9


def test_the_series_of_decisions_are_few() -> None:
    policy = load(None)
    _, registry = decisions(policy)
    rules = len(policy.rules) + len(policy.escalations) + len(policy.behaviours) + 2
    assert len(labels_of(registry)) <= 6 * rules


def test_a_watermark_is_shown_once_there_is_one_whether_anything_is_decided_or_not() -> None:
    telemetry = WorkerMetrics(busy_harness().shard.policy)

    def shown() -> float | None:
        return telemetry.registry.get_sample_value("callwarden_watermark_timestamp_seconds", {"partition": "3"})

    telemetry.committed(3, telemetry.counts(TaskOutput()), 0, 0.1)
    assert shown() is None
    telemetry.watermark(3, 5_000)
    assert shown() == 5.0
    telemetry.released(3)
    assert shown() is None


def test_clocks_and_silence_are_shown_while_there_are_some() -> None:
    telemetry = WorkerMetrics(busy_harness().shard.policy)

    def shown() -> tuple[float | None, float | None]:
        value = telemetry.registry.get_sample_value
        clock = value("callwarden_clock_timestamp_seconds", {"topic": "cdr", "partition": "3"})
        return clock, value("callwarden_silent_seconds", {"topic": "cdr"})

    telemetry.clock("cdr", 3, 0)
    telemetry.silent("cdr", None)
    assert shown() == (None, None)
    telemetry.clock("cdr", 3, 5_000)
    telemetry.silent("cdr", 7.0)
    assert shown() == (5.0, 7.0)
    telemetry.released(3)
    telemetry.silent("cdr", None)
    assert shown() == (None, None)


# Consumers ----------------------------------------------------------------------------------------------------------


def named_by(registry: CollectorRegistry) -> set[str]:
    return {exposed(metric) for metric in registry.collect()}


def wanted_of(program: Program) -> set[str]:
    entries = [entry for entry in CATALOGUE if program in entry.by]
    apart = ("callwarden_consumer_", *APART)
    return {entry.name for entry in entries if not entry.name.startswith(apart)}


@pytest.mark.parametrize("program", ["worker", "billing", "ledger", "notify", "ingest", "bridge", "assemble", "follow"])
def test_every_program_says_which_release_it_is_and_what_it_takes_of_the_machine(program: Program) -> None:
    assert program in BY_NAME[OF_PROCESS].by
    registry = CollectorRegistry()
    about_process(registry)
    names = {metric.name for metric in registry.collect()}
    assert {OF_PROCESS, "process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= names
    assert {"python_info", "python_gc_collections"} <= names
    [sample] = [sample for metric in registry.collect() for sample in metric.samples if sample.name == OF_PROCESS]
    assert sample.labels == {"version": version("callwarden"), "python": platform.python_version()}


def test_connections_that_are_refused_are_counted_from_nothing_on() -> None:
    """A series that begins with its first event shows no increase to an alert."""
    registry = CollectorRegistry()
    refused = http_refusals(registry)
    refused("limit")
    samples = {s.labels["reason"]: s.value for metric in registry.collect() for s in metric.samples}
    assert samples == {"limit": 1, "deadline": 0, "unreadable": 0}
    assert BY_NAME[OF_PAGES].by == (
        "worker", "billing", "ledger", "notify", "console", "ingest", "bridge", "assemble", "follow",
    )  # fmt: skip


async def test_the_pages_of_consumers_have_it() -> None:
    transport = httpx.ASGITransport(app=pages_app(CollectorRegistry(), lambda: None))
    async with httpx.AsyncClient(transport=transport, base_url="http://consumer") as client:
        page = (await client.get("/metrics")).text
    assert "callwarden_build_info{" in page
    assert "process_resident_memory_bytes" in page


def test_billing_the_ledger_and_the_ingest_service_show_what_the_catalogue_says() -> None:
    billing, ledger = CollectorRegistry(), CollectorRegistry()
    BillingTelemetry(billing)
    LedgerMetrics(ledger, ["callwarden.enforcement", "callwarden.reviews"])
    assert named_by(billing) == wanted_of("billing")
    assert named_by(ledger) == wanted_of("ledger")
    service = CollectorRegistry()
    IngestMetrics(service)
    assert named_by(service) == wanted_of("ingest")
    bridge = CollectorRegistry()
    BridgeMetrics(bridge)
    PartitionMetrics("bridge", bridge)
    assert named_by(bridge) == wanted_of("bridge")
    assembling = CollectorRegistry()
    AssembleMetrics(assembling)
    PartitionMetrics("assemble", assembling)
    assert named_by(assembling) == wanted_of("assemble")
    follower = CollectorRegistry()
    FollowMetrics(follower, "pbx")
    assert named_by(follower) == wanted_of("follow")
    assert named_by(ConsoleMetrics().registry) == wanted_of("console")


def test_what_an_override_has_judged_in_shadow_is_no_decision() -> None:
    to_shadow = {
        "tenant": "acme",
        "rule": "half",
        "mode": "shadow",
        "owner": "o",
        "reason": "r",
        "expires": "2030-01-01",
    }
    harness = ShardHarness(rules=[rule("half")], overrides=[to_shadow])
    harness.short_calls(1)
    harness.short_calls(1, tenant="bravo")
    counted, registry = decisions(harness.shard.policy)
    harness.until(5)
    counted.decided(counted.counts(harness.output.enforcement, harness.output.shadow, []))
    printed = {labels[2]: value for labels, value in labels_of(registry).items() if labels[0] == "half" and value}
    assert printed == {"enforce": 1, "shadow": 1}
