"""What was measured of a tenant, by rule: at the ends of hours, and at its decisions, shadow decisions and alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from monitor.policy.model import Escalation, Policy, Rule
from schemas.outputs import Measure
from streams.console import measure_values
from streams.console.cases.escalations import TenantViolations
from streams.console.queries.cursors import InvalidCursor, decode_cursor, encode_cursor
from streams.console.queries.rule_series import MeasuredPoint, RuleSeries, StoredHour, series_of_hours
from streams.console.tables import ALERTS, EVENTS, MEASURES
from streams.consumers.record_decoding import alert_of, event_of

_HOUR_MS: Final = 3_600_000
_DECODE: Final = msgspec.json.Decoder(StoredHour).decode
FAR_OVER: Final = 10.0

POINTS: Final = 1_000
"""The newest decisions, and alerts, that are read."""

END_MS: Final = 2**53
"""After all times."""


@dataclass(slots=True)
class MeasuredInstant:
    """What was measured in the windows that end at one time, by rule."""

    at_ms: int
    points: dict[str, MeasuredPoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleDistance:
    """How near the newest value of a series is to its threshold.

    ``rule``: that of the policy in force, with the tenant's override, None if it has none. ``share`` is bound (without
    confidence value) / threshold for ``above``, threshold / bound for ``below``, at most `FAR_OVER`; None if there is
    no value or the denominator is too small.
    """

    series: RuleSeries
    rule: Rule | None
    share: float | None

    @property
    def gap(self) -> float | None:
        """How much is missing to the threshold, or how far the bound (without confidence the value) is beyond it, in
        the metric's unit; None without a share."""
        measure = self.series.newest.measure
        judged = _judged(measure)
        return None if self.share is None or judged is None else abs(judged - measure.threshold)

    @property
    def is_beyond(self) -> bool:
        """Whether it is beyond the threshold; the rule's further conditions are not looked at."""
        return self.share is not None and self.share > 1


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


def measured_series(
    connection: Connection, tenant_id: str, from_ms: int, policy: Policy, before_ms: int = END_MS
) -> list[RuleSeries]:
    """The series of each rule that measured the tenant from ``from_ms`` to before ``before_ms``, by rule: at the ends
    of hours, and at decisions and alerts, which have the value in full.

    Of decisions and of alerts, the newest `POINTS` are read.
    """
    hours = series_of_hours(tenant_hours(connection, tenant_id, from_ms, before_ms), _HOUR_MS)
    found = {rule.id: hours[rule.id].of_metric(rule.metric) for rule in policy.rules if rule.id in hours}
    for rule_id, points in _decided_points(connection, tenant_id, from_ms, before_ms).items():
        found.setdefault(rule_id, RuleSeries(rule_id)).add(points)
    return [found[rule_id] for rule_id in sorted(found)]


def measured_page(
    connection: Connection, tenant_id: str, since_ms: int, policy: Policy, after: str | None, limit: int
) -> tuple[list[MeasuredInstant], str | None]:
    """A page of the same points by window end, the newest first, and the cursor of the next one.

    It reaches back ``limit`` hours from its newest point, so that a page reads few rows. Raises InvalidCursor.
    """
    place = decode_cursor(after, "i")
    before_ms = END_MS if place is None else int(place[0])
    if not 0 <= before_ms <= END_MS:
        raise InvalidCursor("expected the `next` of an earlier answer of this list")
    newest_ms = _newest_before(connection, tenant_id, since_ms, before_ms)
    if newest_ms is None:
        return [], None
    from_ms = max(since_ms, newest_ms - limit * _HOUR_MS)
    instants: dict[int, MeasuredInstant] = {}
    for series in measured_series(connection, tenant_id, from_ms, policy, before_ms):
        for point in series.points:
            instants.setdefault(point.at_ms, MeasuredInstant(point.at_ms)).points[series.rule_id] = point
    ordered = [instants[at_ms] for at_ms in sorted(instants, reverse=True)]
    if len(ordered) > limit:
        return ordered[:limit], encode_cursor(ordered[limit - 1].at_ms)
    more = _newest_before(connection, tenant_id, since_ms, from_ms) is not None
    return ordered, encode_cursor(from_ms) if more else None


def tenant_hours(connection: Connection, tenant_id: str, from_ms: int, before_ms: int) -> list[StoredHour]:
    """What was measured of a tenant in the hours that end from ``from_ms`` to before ``before_ms``, by hour."""
    m = MEASURES.c
    ends = m.hour_ms >= from_ms - _HOUR_MS, m.hour_ms < before_ms - _HOUR_MS
    query = select(m.dictionary, m.value).where(m.tenant_id == tenant_id, *ends).order_by(m.hour_ms)
    rows = connection.execute(query).all()
    known = measure_values.dictionaries(connection, (number for number, _ in rows))
    return [_DECODE(measure_values.decompress(value, number, known)) for number, value in rows]


def _decided_points(
    connection: Connection, tenant_id: str, from_ms: int, before_ms: int
) -> dict[str, dict[int, MeasuredPoint]]:
    """What decisions and alerts measured from ``from_ms`` to before ``before_ms``, by rule and time."""
    e, a, found = EVENTS.c, ALERTS.c, dict[str, dict[int, MeasuredPoint]]()
    alerts = select(a.value).where(a.tenant_id == tenant_id, a.updated_ms >= from_ms, a.updated_ms < before_ms)
    for (value,) in connection.execute(alerts.order_by(a.updated_ms.desc()).limit(POINTS)):
        alert = alert_of(value)
        if alert.measure is not None:
            at_ms, is_firing = alert.updated_ms, alert.state == "firing"
            found.setdefault(alert.rule_id, {})[at_ms] = MeasuredPoint(at_ms, alert.measure, in_breach=is_firing)
    events = select(e.value).where(e.tenant_id == tenant_id, e.decided_ms >= from_ms, e.decided_ms < before_ms)
    for (value,) in connection.execute(events.order_by(e.decided_ms.desc()).limit(POINTS)):
        data = event_of(value).data
        # A later event of the same case repeats what was measured at the decision.
        if data.measure is not None and data.window is not None and data.window.end_ms == data.decided_ms:
            at_ms = data.decided_ms
            found.setdefault(data.rule_id, {})[at_ms] = MeasuredPoint(at_ms, data.measure, in_breach=True)
    return found


def _newest_before(connection: Connection, tenant_id: str, from_ms: int, before_ms: int) -> int | None:
    """The time of the newest measures, decision or alert from ``from_ms`` to before ``before_ms``."""
    e, a, m = EVENTS.c, ALERTS.c, MEASURES.c
    found = []
    for of, at, later_ms in (
        (m.tenant_id, m.hour_ms, _HOUR_MS),
        (a.tenant_id, a.updated_ms, 0),
        (e.tenant_id, e.decided_ms, 0),
    ):
        within = of == tenant_id, at >= from_ms - later_ms, at < before_ms - later_ms
        at_ms = connection.execute(select(func.max(at)).where(*within)).scalar()
        if at_ms is not None:
            found.append(at_ms + later_ms)
    return max(found, default=None)


def rules_of(policy: Policy, tenant_id: str, now_ms: int) -> dict[str, Rule]:
    """The rules that apply to a tenant, with its overrides."""
    rules = {rule.id: rule for rule in policy.rules}
    return rules | {
        one.rule.id: one.rule for one in policy.overrides if one.tenant == tenant_id and one.expires_ms > now_ms
    }


def rule_distances(series: list[RuleSeries], rules: Mapping[str, Rule]) -> list[RuleDistance]:
    """The distance of each series by these rules of the policy, the nearest first."""
    made = [RuleDistance(one, rules.get(one.rule_id), _share(one.newest, rules.get(one.rule_id))) for one in series]
    return sorted(made, key=lambda one: (-(-1.0 if one.share is None else one.share), one.series.rule_id))


def _judged(measure: Measure) -> float | None:
    """What is compared with the threshold."""
    return measure.value if measure.bound is None else measure.bound


def _share(point: MeasuredPoint, rule: Rule | None) -> float | None:
    """See `RuleDistance`."""
    measure = point.measure
    judged = _judged(measure)
    if judged is None or not point.is_judged(rule):
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
