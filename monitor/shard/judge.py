"""The judge: at a window's end, which tenants break a rule, whose alert fires or resolves, and who is decided on."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor import reasons
from monitor.metrics import METRICS, Metric
from monitor.policy.model import Behaviour, Condition, Exemption, Override, Params, Policy, Rule
from monitor.shard.decisions import Decisions
from monitor.shard.evidence import NEWEST
from monitor.shard.evidence import Evidence as CallEvidence
from monitor.shard.fields import BIT, Layout
from monitor.shard.firing import Firing
from monitor.shard.gates import Gates
from monitor.shard.ids import alert_id
from monitor.shard.sink import Sink
from monitor.shard.span import Counts, Span
from monitor.shard.standing import Standing
from monitor.shard.standings import Standings
from monitor.shard.wilson import wilson_bound
from schemas.outputs import Alert, Evidence, JudgedWindow, Measure, Window

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
State = Literal["firing", "resolved"]

_OPS: dict[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
    "at_least": lambda value, limit: value >= limit,
    "at_most": lambda value, limit: value <= limit,
}


@dataclass(slots=True)
class _Docket:
    """One rule with its span, who is exempt until when, who has an override until when, and its alerts by tenant.

    ``settled`` is the span's version at which the rule last found nobody in breach, at the end ``settled_ms``.
    """

    rule: Rule
    metric: Metric
    span: Span
    exempt: dict[int, int]
    overrides: dict[int, tuple[Rule, int]]
    firing: dict[int, Firing]
    settled: tuple[int, int] | None = None
    settled_ms: int = 0


@dataclass(frozen=True, slots=True)
class _View:
    """What a rule sees of some tenants at one end: all arrays are ``[k]``, in step with ``tenants``."""

    tenants: Rows
    numerator: Counts
    denominator: Counts | None
    present: NDArray[np.bool_]

    def where(self, rows: NDArray[np.bool_] | Rows) -> "_View":
        return _View(
            self.tenants[rows],
            self.numerator[rows],
            None if self.denominator is None else self.denominator[rows],
            self.present[rows],
        )


class Judge:
    """Judges every rule at every multiple of its step, for all tenants at once.

    ``spans`` are by window length.
    """

    def __init__(
        self,
        policy: Policy,
        layout: Layout,
        spans: dict[int, Span],
        gates: Gates,
        decisions: Decisions,
        calls: CallEvidence,
        ruled: Sequence[tuple[int, int]],
        standings: Standings,
        sink: Sink,
        keep_windows: bool,
    ) -> None:
        self._policy = policy
        self._gates = gates
        self._decisions = decisions
        self._calls = calls
        self._standings = standings
        self._sink = sink
        self._keep_windows = keep_windows
        self._layout = layout
        self._places = {field: place for place, field in enumerate(ruled)}
        self._dockets = [
            _Docket(rule, METRICS[rule.metric], spans[rule.window_ms], {}, {}, {}) for rule in policy.rules
        ]
        self._by_step: dict[int, list[_Docket]] = {}
        for docket in self._dockets:
            self._by_step.setdefault(docket.rule.step_ms, []).append(docket)
        self._expiries = sorted({o.expires_ms for o in policy.overrides} | {e.expires_ms for e in policy.exemptions})
        # By tenant, so that thousands of exceptions do not make each new tenant dearer.
        self._overrides: dict[str, list[Override]] = {}
        for override in policy.overrides:
            self._overrides.setdefault(override.tenant, []).append(override)
        self._exemptions: dict[str, list[Exemption]] = {}
        for exemption in policy.exemptions:
            self._exemptions.setdefault(exemption.tenant, []).append(exemption)

    def know(self, tenant_id: str, tenant: int) -> None:
        """A tenant got its index: overrides and exemptions that name it apply from now on."""
        for override in self._overrides.get(tenant_id, ()):
            for docket in self._dockets:
                if docket.rule.id == override.rule.id:
                    docket.overrides[tenant] = (override.rule, override.expires_ms)
        for exemption in self._exemptions.get(tenant_id, ()):
            for docket in self._dockets:
                if docket.rule.id in exemption.rules:
                    docket.exempt[tenant] = max(docket.exempt.get(tenant, 0), exemption.expires_ms)

    def due(self, after_ms: int, bounds: Mapping[int, int]) -> int | None:
        """The next end after ``after_ms`` at which a rule has anything to judge.

        ``bounds`` has the last end for each step.
        """
        found = None
        for step_ms, dockets in self._by_step.items():
            end_ms = (after_ms // step_ms + 1) * step_ms
            if end_ms > bounds[step_ms] or (found is not None and end_ms >= found):
                continue
            if any(docket.span.live or docket.firing for docket in dockets):
                found = end_ms
        return found

    def judge(self, end_ms: int, tenants: int, bounds: Mapping[int, int]) -> None:
        """Judge the rules that have a window ending at ``end_ms``, in file order."""
        for docket in self._dockets:
            if end_ms % docket.rule.step_ms == 0 and end_ms <= bounds[docket.rule.step_ms]:
                docket.span.leave(end_ms - docket.rule.window_ms)
                if docket.span.live or docket.firing:
                    self._judge(docket, end_ms, tenants)

    def _judge(self, docket: _Docket, end_ms: int, tenants: int) -> None:
        rule, span = docket.rule, docket.span
        expired = bisect_right(self._expiries, docket.settled_ms) < bisect_right(self._expiries, end_ms)
        if docket.settled == span.version and not expired and not self._keep_windows:
            return
        views: dict[Params, _View] = {}
        view = everybody = self._look(docket, rule, tenants)
        if self._keep_windows:
            self._write_windows(docket, view, end_ms, views)
        view = view.where(self._concerned(docket, view, tenants))
        apart = {t for t, (_, expires) in docket.overrides.items() if end_ms < expires and t < tenants}
        exempt = {t for t, expires in docket.exempt.items() if end_ms < expires and t < tenants}
        common = view
        if apart or exempt:
            common = view.where(~np.isin(view.tenants, list(apart | exempt)))
        found = self._apply(docket, rule, common, end_ms, tenants)
        for tenant in sorted(apart - exempt):
            if not everybody.present[tenant] and tenant not in docket.firing:
                continue
            override = docket.overrides[tenant][0]
            alone = self._look_once(docket, override, tenants, views).where(np.array([tenant]))
            found |= self._apply(docket, override, alone, end_ms, tenants)
        for tenant in sorted(exempt & docket.firing.keys()):
            self._resolve(docket, rule, tenant, None, end_ms)
        docket.settled = None if found or docket.firing else span.version
        docket.settled_ms = end_ms

    @staticmethod
    def _look(docket: _Docket, rule: Rule, tenants: int) -> _View:
        numerator, denominator = docket.span.measure(rule.metric, rule, tenants)
        return _View(np.arange(tenants), numerator, denominator, docket.span.present(tenants))

    def _look_once(self, docket: _Docket, override: Rule, tenants: int, views: dict[Params, _View]) -> _View:
        """What overrides with these parameters see, looked up once at an end and kept in ``views``."""
        if override.params not in views:
            views[override.params] = self._look(docket, override, tenants)
        return views[override.params]

    @staticmethod
    def _concerned(docket: _Docket, view: _View, tenants: int) -> Rows:
        """Who may be in breach by the cheapest look, or has an alert standing; all dearer looks are at them alone."""
        rule = docket.rule
        if view.denominator is not None:
            may = view.denominator >= rule.min_denominator
        elif rule.direction == "above":
            may = view.numerator > rule.threshold
        else:
            may = view.numerator < rule.threshold
        may &= view.present
        may[list(docket.firing)] = True
        return np.flatnonzero(may)

    def _apply(self, docket: _Docket, rule: Rule, view: _View, end_ms: int, tenants: int) -> bool:
        """Decide and alert for these tenants; whether any of them is in breach."""
        above = rule.direction == "above"
        value = _values(docket.metric, view.numerator, view.denominator)
        enough = view.present.copy()
        if view.denominator is not None:
            enough &= view.denominator >= rule.min_denominator
        beyond = enough & (value > rule.threshold if above else value < rule.threshold)
        breach = view.where(beyond)
        bound = _bound(rule, breach, np.arange(len(breach.tenants)))
        if rule.confidence is not None:
            sure = bound > rule.threshold if above else bound < rule.threshold
            breach, bound = breach.where(sure), bound[sure]
        also: list[tuple[Condition, Floats]] = []
        for condition in rule.also:
            if not len(breach.tenants):
                break
            beside = self._other(docket, rule, condition.metric, breach.tenants, tenants)
            holds = _OPS[condition.op](beside, condition.value)
            breach = breach.where(holds)
            bound = bound[holds]
            also = [(c, v[holds]) for c, v in also] + [(condition, beside[holds])]

        decided: dict[int, str | None] = {}
        may = self._gates.open(rule, end_ms, breach.tenants)
        fresh = np.array([t not in docket.firing for t in breach.tenants.tolist()], np.bool_)
        for row in np.flatnonzero(may | fresh):
            tenant = int(breach.tenants[row])
            measure = _measure(docket.metric, rule, breach, row, bound[row])
            if may[row]:
                values = tuple((c, None if np.isnan(v[row]) else float(v[row])) for c, v in also)
                decided[tenant] = self._decide(docket, rule, tenant, measure, values, end_ms)
            if fresh[row]:
                docket.firing[tenant] = Firing(end_ms, decided.get(tenant))
                self._alert(docket, rule, tenant, "firing", measure, end_ms)
            elif decided.get(tenant):
                docket.firing[tenant].enforcement_id = decided[tenant]
        self._recover(docket, rule, view, value, enough, end_ms)
        return len(breach.tenants) > 0

    def _recover(
        self, docket: _Docket, rule: Rule, view: _View, values: Floats, enough: NDArray[np.bool_], end_ms: int
    ) -> None:
        """Resolve the alerts of those whose value is not beyond ``recover`` any more, or is not there."""
        if not docket.firing or not len(view.tenants):
            return
        standing = np.fromiter(docket.firing, np.int64, len(docket.firing))
        rows = np.searchsorted(view.tenants, standing)
        rows = rows[(rows < len(view.tenants)) & (view.tenants[np.minimum(rows, len(view.tenants) - 1)] == standing)]
        value = values[rows]
        still = enough[rows] & (value > rule.recover if rule.direction == "above" else value < rule.recover)
        for row in rows[~still]:
            measure = None
            if view.present[row]:
                measure = _measure(docket.metric, rule, view, row, _bound(rule, view, np.array([row]))[0])
            self._resolve(docket, rule, int(view.tenants[row]), measure, end_ms)

    def _resolve(self, docket: _Docket, rule: Rule, tenant: int, measure: Measure | None, end_ms: int) -> None:
        self._alert(docket, rule, tenant, "resolved", measure, end_ms)
        del docket.firing[tenant]

    @staticmethod
    def _other(docket: _Docket, rule: Rule, name: str, who: Rows, tenants: int) -> Floats:
        numerator, denominator = docket.span.measure(name, rule, tenants)
        return _values(METRICS[name], numerator[who], None if denominator is None else denominator[who])

    def _decide(
        self,
        docket: _Docket,
        rule: Rule,
        tenant: int,
        measure: Measure,
        also: tuple[tuple[Condition, float | None], ...],
        end_ms: int,
    ) -> str | None:
        standing = self._standings.of(tenant)
        behaviour = self._policy.behaviours[rule.behaviour]
        window = Window(end_ms - rule.window_ms, end_ms)
        status = {"enforce": "final", "review": "pending_review", "shadow": "shadow"}[rule.mode]
        review_by_ms = end_ms + self._policy.review_within_ms if rule.mode == "review" else None
        reason = reasons.measured(rule, measure, window, status, behaviour, also, review_by_ms)
        evidence = self._evidence(docket, rule, standing, window)
        return self._decisions.of_measure(standing, rule, window, measure, evidence, reason)

    def _evidence(self, docket: _Docket, rule: Rule, standing: Standing, window: Window) -> Evidence:
        """The newest calls or complaints of the numerator, or for ``below`` of the denominator outside it."""
        metric = docket.metric
        if metric.family == "complaints" and rule.direction == "above":
            found = []
            for entry in standing.complaints.values():
                at_ms = entry.decided.get("verified") if metric.numerator == "verified" else entry.first_ms
                counts = at_ms is not None and window.start_ms <= at_ms < window.end_ms and not entry.dismissed
                if counts and not (metric.numerator == "complainants" and entry.complainant is None):
                    found.append((at_ms, entry.complaint_id))
            return Evidence(complaint_ids=tuple(sorted(name for _, name in sorted(found)[-NEWEST:])))
        place = self._places.get(ruled_field(rule, self._layout))
        if place is None:
            return Evidence()
        return Evidence(call_ids=self._calls.newest(standing.tenant, place, window.start_ms))

    def _alert(
        self,
        docket: _Docket,
        rule: Rule,
        tenant: int,
        state: Literal["firing", "resolved"],
        measure: Measure | None,
        end_ms: int,
    ) -> None:
        tenant_id = self._standings.names[tenant]
        firing = docket.firing[tenant]
        behaviour = self._policy.behaviours[rule.behaviour]
        severity = _severity(rule, behaviour)
        self._sink.alerts.append(
            Alert(
                alert_id=alert_id(tenant_id, rule.id, firing.since_ms),
                tenant_id=tenant_id,
                rule_id=rule.id,
                severity=severity,
                state=state,
                measure=measure,
                since_ms=firing.since_ms,
                updated_ms=end_ms,
                enforcement_id=firing.enforcement_id,
                reason=reasons.alert(rule, measure, state, behaviour),
            )
        )

    def _write_windows(self, docket: _Docket, view: _View, end_ms: int, views: dict[Params, _View]) -> None:
        rule = docket.rule
        for row in np.flatnonzero(view.present):
            tenant = int(view.tenants[row])
            seen, at = view, row
            if tenant in docket.overrides and end_ms < docket.overrides[tenant][1]:
                seen = self._look_once(docket, docket.overrides[tenant][0], len(view.tenants), views)
            measure = _measure(docket.metric, rule, seen, at, np.nan)
            self._sink.windows.append(
                JudgedWindow(
                    self._standings.names[tenant],
                    rule.id,
                    rule.metric,
                    rule.window_ms,
                    end_ms,
                    measure.numerator,
                    measure.denominator,
                    measure.value,
                )
            )

    def firing(self) -> dict[str, dict[int, Firing]]:
        """The alerts that stand, by rule and tenant."""
        return {docket.rule.id: docket.firing for docket in self._dockets if docket.firing}

    def restore(self, firing: dict[str, dict[int, Firing]]) -> None:
        """Take over the alerts that stood before a restart."""
        for docket in self._dockets:
            docket.firing = dict(firing.get(docket.rule.id, {}))


def _severity(rule: Rule, behaviour: Behaviour) -> Literal["info", "warning", "critical"]:
    if rule.mode == "shadow":
        return "info"
    return "warning" if behaviour.tier == "minor" else "critical"


def ruled_field(rule: Rule, layout: Layout) -> tuple[int, int]:
    """Which calls are a rule's evidence, as ``(bit that is set, bit that is not, or -1)``; ``(-1, -1)``: none.

    The calls of the numerator for ``above``, those of the denominator outside it for ``below``.
    """
    metric = METRICS[rule.metric]
    if metric.family == "calls" and rule.direction == "above":
        return layout.evidence_bit(metric.numerator, rule.params), -1
    if metric.family == "calls" and metric.denominator is not None:
        return layout.field(metric.denominator, rule.params), layout.evidence_bit(metric.numerator, rule.params)
    if metric.family == "complaints" and metric.denominator is not None and rule.direction == "below":
        return BIT[metric.denominator], -1
    return -1, -1


def _values(metric: Metric, numerator: Counts, denominator: Counts | None) -> Floats:
    """Values as doubles, NaN where the denominator is 0."""
    if denominator is None:
        return numerator.astype(np.float64)
    value = np.full(len(numerator), np.nan)
    np.divide(numerator, metric.scale * denominator, out=value, where=denominator != 0)
    return value


def _bound(rule: Rule, view: _View, rows: Rows) -> Floats:
    """The Wilson bounds that a rule with a confidence judges by, NaN where there is none."""
    bound = np.full(len(rows), np.nan)
    if rule.confidence is not None and view.denominator is not None:
        some = view.denominator[rows] > 0
        numerator, denominator = view.numerator[rows][some], view.denominator[rows][some]
        bound[some] = wilson_bound(numerator, denominator, rule.confidence, lower=rule.direction == "above")
    return bound


def _measure(metric: Metric, rule: Rule, view: _View, row: np.intp | int, bound: float) -> Measure:
    one = view.where(np.array([row]))
    value = float(_values(metric, one.numerator, one.denominator)[0])
    return Measure(
        metric=metric.name,
        numerator=int(view.numerator[row]),
        denominator=None if view.denominator is None else int(view.denominator[row]),
        value=None if np.isnan(value) else int(value) if view.denominator is None else value,
        threshold=rule.threshold,
        bound=None if np.isnan(bound) else float(f"{bound:.12g}"),
    )
