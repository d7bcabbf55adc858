"""The charts' data as JSON in the page, limited in size."""

from collections import defaultdict
from typing import Any

import msgspec

from monitor.policy.metrics import METRICS
from monitor.policy.model import Condition, Rule
from monitor.report import labels
from monitor.report.charts import Charts, Series
from monitor.report.labels import label
from monitor.report.read import Replay
from monitor.report.views import Viewer, duration, quantity
from monitor.text.bilingual import Bilingual
from schemas.outputs import Enforcement

_SIGNS = {"above": ">", "below": "<", "at_least": "≥", "at_most": "≤"}


def chart_json(charts: Charts | None, replay: Replay, viewer: Viewer, budget: int) -> tuple[str, list[str]]:
    """JSON for a script element, and the display names of its tenants: as many as ``budget`` bytes allow."""
    if charts is None or replay.policy is None:
        return '{"rules":{},"tenants":[],"base":0}', []
    base = viewer.clock.shifted(charts.start_ms)
    made: defaultdict[tuple[str, str], list[Enforcement]] = defaultdict(list)
    for event in (*replay.decisions, *replay.shadow):
        if event.data.measure is not None and event.data.kind not in ("reversal", "lapse"):
            made[event.subject, event.data.rule_id].append(event)
    tenants: list[str] = []
    names: list[str] = []
    left = budget
    for tenant, series in charts.tenants.items():
        drawn = [_series(s, made[tenant, s.rule.id], viewer, base) for s in series]
        encoded = script_safe({"name": viewer.names(tenant), "series": drawn})
        left -= len(encoded)
        if left < 0:
            break
        tenants.append(encoded)
        names.append(viewer.names(tenant))
    rules = script_safe({viewer.display.id(rule.id): _rule(rule) for rule in replay.policy.rules})
    return f'{{"rules":{rules},"base":{base},"tenants":[{",".join(tenants)}]}}', names


def _rule(rule: Rule) -> dict[str, Any]:
    metric = METRICS.get(rule.metric)
    return {
        "name": label(labels.METRIC_NAMES, rule.metric),
        "unit": metric.unit if metric else "count",
        "divided": metric is None or metric.divided,
        "direction": rule.direction,
        "threshold": quantity(rule.metric, rule.threshold),
        "mode": rule.mode,
        "mode_label": label(labels.MODES, rule.mode),
        "window": duration(rule.window_ms),
        "confidence": rule.confidence,
        "min": rule.min_denominator,
        "also": [_condition(one) for one in rule.also],
    }


def _condition(condition: Condition) -> Bilingual:
    name = label(labels.METRIC_NAMES, condition.metric)
    said = f"{_SIGNS[condition.op]} {quantity(condition.metric, condition.value)}"
    return Bilingual(f"{name.zh} {said}", f"{name.en[:1].lower()}{name.en[1:]} {said}")


def _series(series: Series, events: list[Enforcement], viewer: Viewer, base: int) -> dict[str, Any]:
    """Times in seconds after ``base``; the browser divides numerators by denominators itself, which is shorter."""
    constant = len(set(series.thresholds)) == 1
    counts = all(n is None for n in series.denominators)
    return {
        "rule": viewer.display.id(series.rule.id),
        "t": [(viewer.clock.shifted(ms) - base) // 1000 for ms in series.ends_ms],
        "n": series.numerators,
        "d": None if counts else series.denominators,
        "b": None if series.rule.confidence is None else [b if b is None else _short(b) for b in series.bounds],
        "limit": series.thresholds[0] if constant else series.thresholds,
        "marks": [
            [
                (viewer.clock.shifted(e.data.decided_ms) - base) // 1000,
                e.data.measure.value if e.data.measure else None,
                e.data.tier or "none",
                label(labels.KINDS, e.data.kind),
                viewer.anchors.get(e.id),
            ]
            for e in events[-60:]
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def script_safe(value: Any) -> str:
    """JSON in which nothing can end the enclosing script element; escapes are JSON's own."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
