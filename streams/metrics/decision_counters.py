"""Counters of records, decisions and alerts: the same for a worker's transactions and for a replay."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from monitor.core.rules.rule_state import severity_of
from monitor.decoding.input_topics import INPUTS
from monitor.policy.model import Policy
from schemas.error_codes import ErrorCode
from schemas.outputs import Alert, Enforcement
from streams.metrics.case_transitions import CaseTransitions, Labels
from streams.metrics.factory import counter


class DecisionCounts(NamedTuple):
    """The numbers of decisions and alerts, by the labels of their counters."""

    decisions: Counter[Labels]
    alerts: Counter[tuple[str, str, str]]


class DecisionCounters:
    """The catalogue's counters of records, decisions and alerts."""

    def __init__(self, policy: Policy, registry: CollectorRegistry) -> None:
        self._transitions = CaseTransitions(policy)
        self._records = counter("callwarden_records_total", registry)
        self._duplicates = counter("callwarden_duplicates_total", registry)
        self._late = counter("callwarden_late_total", registry)
        self._rejected = counter("callwarden_rejected_total", registry)
        self._decisions = counter("callwarden_decisions_total", registry)
        self._alerts = counter("callwarden_alerts_total", registry)
        self._policy: Policy | None = None
        self.follow(policy)

    def follow(self, policy: Policy) -> None:
        """Expect decisions of a new policy."""
        if policy is self._policy:
            return
        self._policy = policy
        self._transitions.follow(policy)
        # Shown as 0 before the first decision, so that a rate includes it.
        for labels in self._transitions.expected():
            self._decisions.labels(*labels)
        for rule in policy.rules:
            for state in ("firing", "resolved"):
                self._alerts.labels(rule.id, severity_of(rule, policy.behaviours[rule.behaviour]), state)

    def expect_rejections(self) -> None:
        """Show the rejections of each topic and reason code from the start, too."""
        for topic in INPUTS:
            for fault in ErrorCode:
                self._rejected.labels(topic, fault.value)

    def read(self, rows: int, duplicates: int, late: int) -> None:
        """Count records read, and those of them that were duplicates or late."""
        self._records.inc(rows)
        self._duplicates.inc(duplicates)
        self._late.inc(late)

    def rejected(self, topic: str, reason: str, times: int = 1) -> None:
        """Count rejected records; the reason begins with a reason code."""
        self._rejected.labels(topic, reason.partition(":")[0]).inc(times)

    def counts(
        self, enforcement: Iterable[Enforcement], shadow: Iterable[Enforcement], alerts: Iterable[Alert]
    ) -> DecisionCounts:
        """Count decisions and alerts by their labels; may run in a thread, for there may be 100,000s."""
        decisions = Counter(self._transitions.labels(event) for event in enforcement)
        decisions.update(self._transitions.labels(event, shadow=True) for event in shadow)
        return DecisionCounts(decisions, Counter((a.rule_id, a.severity, a.state) for a in alerts))

    def decided(self, counts: DecisionCounts) -> None:
        """Add counted decisions and alerts to the counters."""
        for labels, times in counts.decisions.items():
            self._decisions.labels(*labels).inc(times)
        for alert, times in counts.alerts.items():
            self._alerts.labels(*alert).inc(times)
