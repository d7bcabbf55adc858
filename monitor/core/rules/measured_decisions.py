"""Measured decisions: what a rule decides on a tenant in breach, with its reason and its evidence."""

from monitor import reasons
from monitor.core.calls.evidence import NewestCalls
from monitor.core.calls.newest_calls import NEWEST
from monitor.core.decisions.cooldowns import Cooldowns, keys_started_by
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.proposals import Proposals
from monitor.core.record_places import PlacedEvidence
from monitor.core.tenants.tenant_record import TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.windows.aggregation_plan import placed_field, ruled_field
from monitor.core.windows.policy_history import FieldAvailability
from monitor.policy.metrics import METRICS
from monitor.policy.model import Condition, Policy, Rule
from schemas.outputs import Evidence, Measure, Window


class MeasuredDecisions:
    """Decides on tenants in breach of a rule. ``calls`` holds the newest calls of each kind of evidence."""

    def __init__(
        self,
        policy: Policy,
        history: FieldAvailability,
        calls: NewestCalls,
        cooldowns: Cooldowns,
        decisions: DecisionLifecycle,
        tenant_records: TenantRecords,
    ) -> None:
        self._policy = policy
        self._history = history
        self._calls = calls
        self._cooldowns = cooldowns
        self._decisions = decisions
        self._proposals = Proposals(policy)
        self._tenant_records = tenant_records
        self._fields = {field: number for number, field in enumerate(history.counting.ruled)}

    def decide(
        self,
        rule: Rule,
        tenant: int,
        measure: Measure,
        also: tuple[tuple[Condition, float | None], ...],
        end_ms: int,
    ) -> str | None:
        """Decide at a window end, and start the cool-down. ``also`` holds the values of the `also` conditions.

        Returns the id of the decision, None for a rule in shadow mode.
        """
        tenant_record = self._tenant_records.of(tenant)
        behaviour = self._policy.behaviours[rule.behaviour]
        window = Window(end_ms - rule.window_ms, end_ms)
        status = {"enforce": "final", "review": "pending_review", "shadow": "shadow"}[rule.mode]
        review_by_ms = end_ms + self._policy.review_within_ms if rule.mode == "review" else None
        reason = reasons.measured(rule, measure, window, status, behaviour, also, review_by_ms)
        grounds = self._evidence(rule, tenant_record, window)
        for key in keys_started_by(rule):
            self._cooldowns.extend(key, tenant, tenant_record.extend_cooldown(key, end_ms + rule.cooldown_ms))
        if rule.mode == "shadow":
            self._decisions.events.shadow(tenant_record, rule, window, measure, grounds, reason)
            return None
        proposed = self._proposals.of_measure(rule, window, measure, grounds, reason)
        return self._decisions.decide(tenant_record, end_ms, proposed)

    def _evidence(self, rule: Rule, tenant_record: TenantRecord, window: Window) -> PlacedEvidence:
        """The newest calls or complaints of the numerator; for ``below``, those of the denominator outside it.

        For a metric of keys, only the places of calls.
        """
        metric = METRICS[rule.metric]
        if metric.family == "complaints" and rule.direction == "above":
            found = []
            for entry in tenant_record.complaints.values():
                at_ms = entry.verified_ms if metric.numerator == "verified" else entry.first_ms
                counts = at_ms is not None and window.start_ms <= at_ms < window.end_ms and not entry.dismissed
                if counts and not (metric.numerator == "complainants" and entry.complainant is None):
                    found.append((at_ms, entry.complaint_id, entry.record_place))
            complaints = sorted((name, place) for _, name, place in sorted(found)[-NEWEST:])
            return PlacedEvidence(
                Evidence(complaint_ids=tuple(name for name, _ in complaints)), tuple(place for _, place in complaints)
            )
        layout = self._history.counting.layout
        field = self._fields.get(placed_field(rule, layout))
        if field is None:
            return PlacedEvidence()
        named = ruled_field(rule, layout)[0] >= 0
        kept_from_ms = self._history.evidence_from(rule) if named else self._history.places_from(rule)
        calls = self._calls.newest(tenant_record.tenant, field, max(window.start_ms, kept_from_ms))
        evidence = Evidence(call_ids=tuple(name for name, _ in calls)) if named else Evidence()
        return PlacedEvidence(evidence, tuple(place for _, place in calls))
