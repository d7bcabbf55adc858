"""What was judged, in counters: the same for a worker's transactions and for a replay."""

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
    """How many decisions and alerts there are, by the labels of their counters."""

    decisions: Counter[Labels]
    alerts: Counter[tuple[str, str, str]]


class DecisionCounters:
    """Records, decisions and alerts by the catalogue."""

    def __init__(self, policy: Policy, registry: CollectorRegistry) -> None:
        self._courses = CaseTransitions(policy)
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
            for fault in ErrorCode:
                self._rejected.labels(topic, fault.value)

    def read(self, rows: int, duplicates: int, late: int) -> None:
        """So many records were read, so many of them twice or late."""
        self._records.inc(rows)
        self._duplicates.inc(duplicates)
        self._late.inc(late)

    def rejected(self, topic: str, reason: str, times: int = 1) -> None:
        """So many records were refused; the reason begins with a code word."""
        self._rejected.labels(topic, reason.partition(":")[0]).inc(times)

    def counts(
        self, enforcement: Iterable[Enforcement], shadow: Iterable[Enforcement], alerts: Iterable[Alert]
    ) -> DecisionCounts:
        """Decisions and alerts, counted by their labels: of use to a thread, for there may be 100,000s."""
        decisions = Counter(self._courses.labels(event) for event in enforcement)
        decisions.update(self._courses.labels(event, shadow=True) for event in shadow)
        return DecisionCounts(decisions, Counter((a.rule_id, a.severity, a.state) for a in alerts))

    def decided(self, counts: DecisionCounts) -> None:
        """These decisions and alerts."""
        for labels, times in counts.decisions.items():
            self._decisions.labels(*labels).inc(times)
        for alert, times in counts.alerts.items():
            self._alerts.labels(*alert).inc(times)
