"""What was judged, in counters: the same for a worker's transactions and for a replay."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from monitor.policy.model import Policy
from monitor.shard.docket import severity_of
from monitor.topics import INPUTS
from schemas.faults import Fault
from schemas.outputs import Alert, Enforcement
from streams.metrics.courses import Courses
from streams.metrics.make import counter


class Counted:
    """Records, decisions and alerts by the catalogue."""

    def __init__(self, policy: Policy, registry: CollectorRegistry) -> None:
        self._courses = Courses(policy)
        self._records = counter("callwarden_records_total", registry)
        self._duplicates = counter("callwarden_duplicates_total", registry)
        self._late = counter("callwarden_late_total", registry)
        self._rejected = counter("callwarden_rejected_total", registry)
        self._decisions = counter("callwarden_decisions_total", registry)
        self._alerts = counter("callwarden_alerts_total", registry)
        self._policy: Policy | None = None
        self.follow(policy)

    def follow(self, policy: Policy) -> None:
        """That policy decides from now on."""
        if policy is self._policy:
            return
        self._policy = policy
        self._courses.follow(policy)
        # Shown as 0 until the first comes, so that a rate sees it.
        for labels in self._courses.expected():
            self._decisions.labels(*labels)
        for rule in policy.rules:
            for state in ("firing", "resolved"):
                self._alerts.labels(rule.id, severity_of(rule, policy.behaviours[rule.behaviour]), state)

    def expect_refusals(self) -> None:
        """Show those of each topic and code word, too."""
        for topic in INPUTS:
            for fault in Fault:
                self._rejected.labels(topic, fault.value)

    def read(self, rows: int, duplicates: int, late: int) -> None:
        """So many records were read, so many of them twice or late."""
        self._records.inc(rows)
        self._duplicates.inc(duplicates)
        self._late.inc(late)

    def rejected(self, topic: str, reason: str) -> None:
        """A record was refused; its reason begins with a code word."""
        self._rejected.labels(topic, reason.partition(":")[0]).inc()

    def decided(
        self, enforcement: Iterable[Enforcement], shadow: Iterable[Enforcement], alerts: Iterable[Alert]
    ) -> None:
        """Decisions and alerts."""
        for event in enforcement:
            self._decisions.labels(*self._courses.labels(event)).inc()
        for event in shadow:
            self._decisions.labels(*self._courses.labels(event, shadow=True)).inc()
        for alert in alerts:
            self._alerts.labels(alert.rule_id, alert.severity, alert.state).inc()
