"""What was measured of a tenant, by rule: from its decisions, shadow decisions and alerts."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, select

from monitor.policy.model import Escalation
from schemas.outputs import Measure
from streams.console.cases.escalations import TenantViolations
from streams.console.tables import ALERTS, EVENTS
from streams.consumers.record_decoding import alert_of, event_of

POINTS: Final = 1_000
"""The newest of each source that are read."""


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """The value of one window: its end, the bound if the rule has a confidence, the threshold it was judged by."""

    at_ms: int
    measure: Measure


@dataclass(slots=True)
class RuleSeries:
    """What one rule measured, the oldest first. ``metric``: that of the newest point."""

    rule_id: str
    points: list[MeasuredPoint] = field(default_factory=list)

    @property
    def newest(self) -> MeasuredPoint:
        """The newest point; a series has one or more."""
        return self.points[-1]

    @property
    def metric(self) -> str:
        """The metric of the newest point."""
        return self.newest.measure.metric


@dataclass(frozen=True, slots=True)
class EscalationDistance:
    """An escalation of the policy, and how many violations of the tenant count towards it."""

    escalation: Escalation
    counted: int

    @property
    def missing(self) -> int:
        """How many more it takes; never less than one, since only a new violation can cause it."""
        return max(1, self.escalation.at_least - self.counted)


def measured_series(connection: Connection, tenant_id: str, since_ms: int) -> list[RuleSeries]:
    """The series of each rule that measured the tenant since then, by rule."""
    e, a, found = EVENTS.c, ALERTS.c, dict[tuple[str, int], Measure]()
    events = select(e.value).where(e.tenant_id == tenant_id, e.decided_ms >= since_ms).order_by(e.decided_ms.desc())
    for (value,) in connection.execute(events.limit(POINTS)):
        data = event_of(value).data
        if data.measure is not None and data.window is not None and data.kind not in ("reversal", "lapse"):
            found[data.rule_id, data.window.end_ms] = data.measure
    alerts = select(a.value).where(a.tenant_id == tenant_id, a.since_ms >= since_ms).order_by(a.since_ms.desc())
    for (value,) in connection.execute(alerts.limit(POINTS)):
        alert = alert_of(value)
        if alert.measure is not None:
            found.setdefault((alert.rule_id, alert.updated_ms), alert.measure)
    series: dict[str, RuleSeries] = {}
    for (rule_id, at_ms), measure in sorted(found.items(), key=lambda item: item[0]):
        series.setdefault(rule_id, RuleSeries(rule_id)).points.append(MeasuredPoint(at_ms, measure))
    return list(series.values())


def escalation_distances(record: TenantViolations, now_ms: int) -> list[EscalationDistance]:
    """For each escalation of the policy how many violations count: those in its window that it has not used.

    Empty if a termination or ban is in force: escalations decide nothing then.
    """
    if record.stopped:
        return []
    return [EscalationDistance(one, record.counted(one, now_ms)) for one in record.policy.escalations]
