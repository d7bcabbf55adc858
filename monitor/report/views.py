"""Views of records for the template: labels chosen, times formatted, numbers masked, no logic left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy
from monitor.report import labels
from monitor.report.labels import label
from monitor.report.standing import DecisionOutcome, TenantSummaries
from monitor.text.bilingual import Bilingual
from monitor.text.display import Display
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import date_time, in_zone, rfc3339
from schemas.outputs import Alert, Enforcement, Measure, Reason, Window

OUTCOMES = {
    "stands": None,
    "open": None,
    "upheld": Bilingual("已复核维持", "Upheld"),
    "reversed": Bilingual("已撤销", "Reversed"),
    "lapsed": Bilingual("已失效", "Lapsed"),
}


class Clock:
    """Formats times in one zone, with UTC beside it."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def local(self, ms: int) -> str:
        """``2026-11-25 09:30:00`` in the zone; with milliseconds if not zero."""
        return date_time(ms, self.zone, "shortest")

    def utc(self, ms: int) -> str:
        """The same time as RFC 3339 in UTC."""
        return rfc3339(ms)

    def shifted(self, ms: int) -> int:
        """``ms`` plus the zone's offset, for charts that have no zones and draw everything as UTC."""
        offset = datetime.fromtimestamp(ms // 1000, self.zone).utcoffset()
        return ms + (int(offset.total_seconds()) * 1000 if offset else 0)


class DisplayNames:
    """The display names of tenants. If masking or cutting changed an id, a serial number keeps it distinct."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self._shown: dict[str, str] = {}

    def __call__(self, tenant: str) -> str:
        if tenant not in self._shown:
            shown = self.display.id(tenant)
            self._shown[tenant] = shown if shown == tenant else f"{shown} #{len(self._shown) + 1}"
        return self._shown[tenant]


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One kind of evidence: its ids, each with its anchor on the page, if any."""

    label: Bilingual
    ids: list[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class MeasureView:
    """A measure in words: ``200 / 1,031 = 19.4 %`` against its threshold."""

    metric: str
    name: Bilingual
    counts: str
    value: str
    threshold: str
    bound: str | None


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision, ready for display."""

    anchor: str
    event_id: str
    tenant: str
    at: str
    at_utc: str
    tier: str
    tier_label: Bilingual
    kind: str
    kind_label: Bilingual
    status: str
    status_label: Bilingual
    outcome: DecisionOutcome
    outcome_label: Bilingual | None
    behaviour: Bilingual
    clause: int | None
    rule: str
    refunds: str
    refunds_label: Bilingual
    actions: list[Bilingual]
    proposed: list[Bilingual]
    reason: Bilingual
    window: str | None
    measure: MeasureView | None
    evidence: list[EvidenceView]
    violations: int
    review_by: str | None
    left: Bilingual | None
    overdue: bool
    links: list[tuple[Bilingual, str, str | None]]


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert from its first to its last state."""

    tenant: str
    rule: str
    severity: str
    severity_label: Bilingual
    firing: bool
    since: str
    until: str | None
    lasted: Bilingual
    measure: MeasureView | None
    reason: Bilingual
    decision: str | None


def number(value: float | int) -> str:
    """A count with thousands grouped, anything else with four significant digits."""
    return f"{int(value):,}" if value == int(value) else f"{value:,.4g}"


def quantity(metric: str, value: float | None) -> str:
    """A metric's value in its unit; an em dash if there is none."""
    if value is None:
        return "—"
    unit = METRICS[metric].unit if metric in METRICS else "count"
    if unit == "ratio":
        return f"{100 * value:.4g} %"
    return f"{number(value)} s" if unit == "seconds" else number(value)


def duration(ms: int) -> Bilingual:
    """A duration in its two largest units: ``2 天 4 小时``, ``2 d 4 h``."""
    minutes = max(ms, 0) // 60_000
    parts = ((minutes // 1440, "天", "d"), (minutes // 60 % 24, "小时", "h"), (minutes % 60, "分钟", "min"))
    first = next((n for n, part in enumerate(parts) if part[0]), 2)
    shown = [part for n, part in enumerate(parts[first : first + 2]) if part[0] or n == 0]
    return Bilingual(" ".join(f"{n} {zh}" for n, zh, _ in shown), " ".join(f"{n} {en}" for n, _, en in shown))


def measure_view(measure: Measure | None) -> MeasureView | None:
    """``measure`` in words."""
    if measure is None:
        return None
    counts = number(measure.numerator)
    if measure.denominator is not None:
        divided = measure.metric not in METRICS or METRICS[measure.metric].divided
        counts = f"{counts} / {number(measure.denominator)}" if divided else f"n = {number(measure.denominator)}"
    return MeasureView(
        metric=measure.metric,
        name=label(labels.METRIC_NAMES, measure.metric),
        counts=counts,
        value=quantity(measure.metric, measure.value),
        threshold=quantity(measure.metric, measure.threshold),
        bound=None if measure.bound is None else quantity(measure.metric, measure.bound),
    )


class Viewer:
    """Converts decisions and alerts to views; holds the policy, clock, names and every decision's anchor."""

    def __init__(
        self, policy: Policy | None, clock: Clock, names: DisplayNames, summaries: TenantSummaries, end_ms: int
    ) -> None:
        self.policy, self.clock, self.names, self.summaries, self.end_ms = policy, clock, names, summaries, end_ms
        self.display = names.display
        self.anchors: dict[str, str] = {}

    def anchor(self, events: Iterable[Enforcement], prefix: str) -> None:
        """Assign an anchor to each event that the page will show."""
        for n, event in enumerate(events, len(self.anchors)):
            self.anchors[event.id] = f"{prefix}{n}"

    def decision(self, event: Enforcement, shadow: bool = False) -> DecisionView:
        """The view of ``event``; a shadow decision has no outcome."""
        data, clock, show, ids = event.data, self.clock, self.display.id, ids_of(event)
        outcome: DecisionOutcome = "stands" if shadow else self.summaries.outcome(event)
        evidence = [
            EvidenceView(name, [(show(i), self.anchors.get(i)) for i in getattr(data.evidence, key)])
            for key, name in labels.EVIDENCE.items()
        ]
        waits = outcome == "open" and data.review_by_ms is not None
        return DecisionView(
            anchor=self.anchors.get(event.id, ""),
            event_id=show(event.id),
            tenant=self.names(event.subject),
            at=clock.local(data.decided_ms),
            at_utc=clock.utc(data.decided_ms),
            tier=data.tier or "none",
            tier_label=label(labels.TIERS, data.tier or "none"),
            kind=data.kind,
            kind_label=label(labels.KINDS, data.kind),
            status=data.status,
            status_label=label(labels.STATUSES, data.status),
            outcome=outcome,
            outcome_label=OUTCOMES[outcome],
            behaviour=self._behaviour(data.behaviour),
            clause=data.clause,
            rule=show(data.rule_id),
            refunds=data.refunds,
            refunds_label=label(labels.REFUNDS, data.refunds),
            actions=[label(labels.ACTIONS, a) for a in data.actions],
            proposed=[label(labels.ACTIONS, a) for a in data.proposed_actions],
            reason=self._reason(data.reason, ids),
            window=self._window(data.window),
            measure=measure_view(data.measure),
            evidence=[e for e in evidence if e.ids],
            violations=data.violations_on_record,
            review_by=clock.local(data.review_by_ms) if waits and data.review_by_ms else None,
            left=duration(data.review_by_ms - self.end_ms) if waits and data.review_by_ms else None,
            overdue=waits and (data.review_by_ms or 0) - self.end_ms < 86_400_000,
            links=[
                (name, show(other), self.anchors.get(other))
                for name, other in (
                    (Bilingual("撤销", "Reverses"), data.reverses),
                    (Bilingual("取代", "Supersedes"), data.supersedes),
                )
                if other is not None
            ],
        )

    def alert(self, alert: Alert) -> AlertView:
        """The view of ``alert``."""
        firing = alert.state == "firing"
        return AlertView(
            tenant=self.names(alert.tenant_id),
            rule=self.display.id(alert.rule_id),
            severity=alert.severity,
            severity_label=label(labels.SEVERITIES, alert.severity),
            firing=firing,
            since=self.clock.local(alert.since_ms),
            until=None if firing else self.clock.local(alert.updated_ms),
            lasted=duration((self.end_ms if firing else alert.updated_ms) - alert.since_ms),
            measure=measure_view(alert.measure),
            reason=self._reason(alert.reason, ids_of(alert)),
            decision=self.anchors.get(alert.enforcement_id or ""),
        )

    def _reason(self, reason: Reason, ids: Sequence[str]) -> Bilingual:
        zh, en = (in_zone(self.display.reason(text, ids), self.clock.zone) for text in (reason.zh, reason.en))
        return Bilingual(zh, en)

    def _window(self, window: Window | None) -> str | None:
        return None if window is None else f"[{self.clock.local(window.start_ms)}, {self.clock.local(window.end_ms)})"

    def _behaviour(self, code: str) -> Bilingual:
        wording = self.policy.behaviours.get(code) if self.policy else None
        if wording is not None and code not in labels.BEHAVIOURS:
            return Bilingual(self.display.text(wording.zh), self.display.text(wording.en))
        return label(labels.BEHAVIOURS, code)
