"""The Prometheus metrics of a worker. Counters increase when a transaction is committed, never when rows are read."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from monitor.core.threshold_distance import DistanceOptions
from monitor.decoding.input_topics import INPUTS
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.processing.task_output import TaskOutput
from monitor.policy.model import Policy
from monitor.text.display import DEFAULT, Display
from streams.metrics.decision_counters import DecisionCounters, DecisionCounts
from streams.metrics.factory import Children, counter, gauge, histogram
from streams.metrics.tenant_collector import Measure, TenantCollector

_PHASES = ("opening", "running", "refused", "stopped", "misconfigured")


class Counts(NamedTuple):
    """The counts of one transaction; ``rejected`` by topic and reason code."""

    rows: int
    duplicates: int
    late: int
    rejected: Counter[tuple[str, str]]
    decided: DecisionCounts


class AgentMetrics:
    """The metrics of the agents of other packages, by the agent's name."""

    def __init__(self, registry: CollectorRegistry, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._failing = gauge("callwarden_agent_failing", registry)
        self._failures = counter("callwarden_agent_failures_total", registry)
        self._batch = gauge("callwarden_agent_batch_seconds", registry)
        self._records = counter("callwarden_agent_records_total", registry)
        self._lost = counter("callwarden_agent_lost_total", registry)
        self._since_s: dict[str, float] = {}

    def add(self, agent: str) -> None:
        """Show an agent, without failures so far."""
        self._failing.labels(agent).set(0)
        self._failures.labels(agent)
        self._batch.labels(agent).set_function(lambda: self._batch_s(agent))
        self._records.labels(agent)
        self._lost.labels(agent)

    def _batch_s(self, agent: str) -> float:
        since_s = self._since_s.get(agent)
        return 0.0 if since_s is None else self._now_s() - since_s

    def reading(self, agent: str) -> None:
        """Record that the agent has no batch, and its topics can be read."""
        self._failing.labels(agent).set(0)

    def received(self, agent: str) -> None:
        """Record that the agent received a batch."""
        self._since_s[agent] = self._now_s()

    def handled(self, agent: str, records: int) -> None:
        """Record that the agent handled its batch."""
        self._since_s.pop(agent, None)
        self._failing.labels(agent).set(0)
        self._records.labels(agent).inc(records)

    def lost(self, agent: str) -> None:
        """Record that records were deleted before the agent received them."""
        self._lost.labels(agent).inc()

    def failed(self, agent: str) -> None:
        """Record that the agent failed, cannot be loaded, or cannot read its topics."""
        self._failing.labels(agent).set(1)
        self._failures.labels(agent).inc()


class WorkerMetrics:
    """The worker's metrics, in their own registry."""

    def __init__(self, policy: Policy, options: DistanceOptions | None = None, display: Display = DEFAULT) -> None:
        self.registry = CollectorRegistry()
        self._rendering = asyncio.Lock()
        registry = self.registry
        self._counted = DecisionCounters(policy, registry)
        self._counted.expect_rejections()
        self._tenants = TenantCollector(options or DistanceOptions(), display=display)
        registry.register(self._tenants)
        self._failed = counter("callwarden_transactions_failed_total", registry)
        self._took = histogram("callwarden_transaction_seconds", registry)
        self._opening = histogram("callwarden_opening_seconds", registry)
        self._phase = Children(gauge("callwarden_partition", registry))
        self._watermark = Children(gauge("callwarden_watermark_timestamp_seconds", registry))
        self._clock = Children(gauge("callwarden_clock_timestamp_seconds", registry))
        self._lag = Children(gauge("callwarden_lag_records", registry))
        self._feed_silent = gauge("callwarden_cdr_feed_silent_seconds", registry)
        self._silent = gauge("callwarden_silent_seconds", registry)
        self._away = gauge("callwarden_broker_away", registry)
        self._topic_faults = gauge("callwarden_topic_faults", registry)
        self._skew = gauge("callwarden_host_clock_ahead_seconds", registry)
        self._stale = counter("callwarden_stale_batches_total", registry)
        self._review_keys = gauge("callwarden_review_keys", registry)
        self._owner_bans = Children(gauge("callwarden_owner_bans", registry))
        self._owner_bans_taken = counter("callwarden_owner_bans_taken_total", registry)
        self._owner_bans_rejected = counter("callwarden_owner_bans_rejected_total", registry)
        self._owners_lag = gauge("callwarden_owners_lag_records", registry)
        self._owners_unreadable = gauge("callwarden_owners_unreadable_seconds", registry)
        self.agents = AgentMetrics(registry)

    async def page(self) -> bytes:
        """The page in Prometheus' text format. Rendered in a thread: it may have thousands of series."""
        async with self._rendering:
            await self._tenants.measure()
            return await asyncio.to_thread(generate_latest, self.registry)

    def counts(self, taken: TaskOutput) -> Counts:
        """Count what was ``taken``; changes no metric, and may run in a thread."""
        return Counts(
            taken.rows,
            taken.duplicates,
            len(taken.late),
            Counter((INPUTS[one.ref.source], one.reason.partition(":")[0]) for one in taken.rejected),
            self._counted.counts(taken.output.enforcement, taken.output.shadow, taken.output.alerts),
        )

    def committed(self, number: int, counts: Counts, watermark_ms: int, took_s: float) -> None:
        """Record a committed transaction, its counts, and its duration."""
        self._counted.read(counts.rows, counts.duplicates, counts.late)
        for (topic, reason), times in counts.rejected.items():
            self._counted.rejected(topic, reason, times)
        self._counted.decided(counts.decided)
        self.watermark(number, watermark_ms)
        self._took.observe(took_s)

    def watermark(self, number: int, watermark_ms: int) -> None:
        """Set a partition's watermark, which advances even if there is nothing to decide."""
        if watermark_ms > NO_CLOCK_MS:
            self._watermark.of(number).set(watermark_ms / 1000)

    def transaction_failed(self) -> None:
        """Count a transaction that failed or may have failed."""
        self._failed.inc()

    def opened(self, number: int, took_s: float, policy: Policy, measure: Measure) -> None:
        """Record that a partition runs with ``policy``; ``measure`` measures its tenants, or returns None."""
        self._opening.observe(took_s)
        self._counted.follow(policy)
        self._tenants.show(number, measure)

    def phase(self, number: int, phase: str) -> None:
        """Set the phase of a partition."""
        for one in _PHASES:
            self._phase.of(number, one).set(one == phase)
        if phase != "running":
            self._tenants.hide(number)

    def released(self, number: int) -> None:
        """Remove the metrics of a partition that went to another worker."""
        self._tenants.hide(number)
        for children in (self._watermark, self._clock, self._phase, self._lag, self._owner_bans):
            children.remove({"partition": str(number)})
        self._review_keys.remove_by_labels({"partition": str(number)})

    def clock(self, topic: str, number: int, clock_ms: int) -> None:
        """Set the clock of a source; the lowest clock holds its partition's watermark back."""
        if clock_ms > NO_CLOCK_MS:
            self._clock.of(topic, number).set(clock_ms / 1000)

    def lag(self, topic: str, number: int, records: int) -> None:
        """Set the number of unread records of a log."""
        self._lag.of(topic, number).set(records)

    def feed_silent(self, seconds: float) -> None:
        """Set for how long every partition of the calls has been silent."""
        self._feed_silent.set(seconds)

    def silent(self, topic: str, seconds: float | None) -> None:
        """Set for how long this worker's partitions of a topic have been silent; None: it has none."""
        if seconds is None:
            self._silent.remove_by_labels({"topic": topic})
        else:
            self._silent.labels(topic).set(seconds)

    def review_keys(self, number: int, keys: Mapping[str, str]) -> None:
        """Set the review keys that are in force in a partition, by name."""
        self._review_keys.remove_by_labels({"partition": str(number)})
        text = "\n".join(f"{name}:{key}" for name, key in sorted(keys.items()))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12] if keys else "none"
        self._review_keys.labels(number, digest).set(len(keys))

    def owner_bans(self, number: int, standing: int) -> None:
        """Set the number of bans of owners that are in effect in a partition."""
        self._owner_bans.of(number).set(standing)

    def owner_bans_taken(self, count: int) -> None:
        """Count bans of owners, and liftings, that partitions took from the topic."""
        self._owner_bans_taken.inc(count)

    def owner_bans_rejected(self, count: int) -> None:
        """Count values of the topic of owners that are no bans."""
        self._owner_bans_rejected.inc(count)

    def owners_lag(self, records: int) -> None:
        """Set the number of unread records of the topic of owners."""
        self._owners_lag.set(records)

    def owners_unreadable(self, seconds: float) -> None:
        """Set for how long the topic of owners could not be read."""
        self._owners_unreadable.set(seconds)

    def broker(self, away: bool) -> None:
        """Set whether the broker is unreachable."""
        self._away.set(away)

    def topic_faults(self, count: int) -> None:
        """Set how many topics are missing or have a wrong number of partitions."""
        self._topic_faults.set(count)

    def skew(self, ahead_s: float) -> None:
        """Set by how much the host's clock is ahead of the broker's; negative: behind."""
        self._skew.set(ahead_s)

    def stale(self) -> None:
        """Count a batch that was fetched for another position."""
        self._stale.inc()
