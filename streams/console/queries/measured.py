"""What was measured of a tenant, by rule: from its decisions, shadow decisions and alerts."""

import zlib
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from monitor.policy.model import Escalation, Policy, Rule
from schemas.measures import TenantHour
from schemas.outputs import Measure
from streams.console.cases.escalations import TenantViolations
from streams.console.tables import ALERTS, EVENTS, MEASURES
from streams.consumers.record_decoding import alert_of, event_of

_HOUR_MS: Final = 3_600_000
_DECODE: Final = msgspec.json.Decoder(TenantHour).decode
FAR_OVER: Final = 10.0

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
class RuleDistance:
    """How near the newest value of a series is to its threshold.

    ``rule``: that of the policy in force, None if it has none. ``share`` is bound (without confidence value) /
    threshold for ``above``, threshold / bound for ``below``, at most `FAR_OVER`; None if there is no value.
    """

    series: RuleSeries
    rule: Rule | None
    share: float | None


@dataclass(frozen=True, slots=True)
class EscalationDistance:
    """An escalation of the policy, and how many violations of the tenant count towards it.

    ``oldest_leaves_ms``: when the oldest of these no longer counts; None if there is none.
    """

    escalation: Escalation
    counted: int
    oldest_leaves_ms: int | None = None

    @property
    def missing(self) -> int:
        """How many more it takes; never less than one, since only a new violation can cause it."""
        return max(1, self.escalation.at_least - self.counted)


def measured_series(connection: Connection, tenant_id: str, since_ms: int, policy: Policy) -> list[RuleSeries]:
    """The series of each rule that measured the tenant since then, by rule: at the ends of hours, and at decisions and
    alerts, which have the value in full."""
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
    metrics = {rule.id: rule.metric for rule in policy.rules}
    for hour in tenant_hours(connection, tenant_id, since_ms):
        for one in hour.rules:
            if one.rule_id in metrics:
                counts = one.numerator, one.denominator, one.value, one.threshold, one.bound
                measure = Measure(metrics[one.rule_id], *counts)
                found.setdefault((one.rule_id, hour.hour_ms + _HOUR_MS), measure)
    series: dict[str, RuleSeries] = {}
    for (rule_id, at_ms), measure in sorted(found.items(), key=lambda item: item[0]):
        series.setdefault(rule_id, RuleSeries(rule_id)).points.append(MeasuredPoint(at_ms, measure))
    return list(series.values())


def tenant_hours(connection: Connection, tenant_id: str, since_ms: int) -> list[TenantHour]:
    """What was measured of a tenant in the hours that end after ``since_ms``, the oldest first."""
    m = MEASURES.c
    query = select(m.value).where(m.tenant_id == tenant_id, m.hour_ms > since_ms - _HOUR_MS).order_by(m.hour_ms)
    return [_DECODE(zlib.decompress(value)) for (value,) in connection.execute(query)]


def rule_distances(series: list[RuleSeries], policy: Policy) -> list[RuleDistance]:
    """The distance of each series, the nearest first."""
    rules = {rule.id: rule for rule in policy.rules}
    made = [
        RuleDistance(one, rules.get(one.rule_id), share_of(one.newest.measure, rules.get(one.rule_id)))
        for one in series
    ]
    return sorted(made, key=lambda one: (-(-1.0 if one.share is None else one.share), one.series.rule_id))


def share_of(measure: Measure, rule: Rule | None) -> float | None:
    """See `RuleDistance`."""
    judged = measure.value if measure.bound is None else measure.bound
    if judged is None:
        return None
    over, under = (
        (judged, measure.threshold) if rule is None or rule.direction == "above" else (measure.threshold, judged)
    )
    return min(max(over, 0.0) / under, FAR_OVER) if under > 0 else FAR_OVER if over > 0 else 0.0


def escalation_distances(record: TenantViolations, now_ms: int) -> list[EscalationDistance]:
    """For each escalation of the policy how many violations count: those in its window that it has not used.

    Empty if a termination or ban is in force: escalations decide nothing then.
    """
    if record.stopped:
        return []
    made = []
    for escalation in record.policy.escalations:
        oldest_ms = min((each.at_ms for each in record.unused(escalation, now_ms)), default=None)
        leaves_ms = None if oldest_ms is None else oldest_ms + escalation.window_ms
        made.append(EscalationDistance(escalation, record.counted(escalation, now_ms), leaves_ms))
    return made
