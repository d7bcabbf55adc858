"""A tenant's time line as marks and bars on a common axis, in per cent of its length."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitor.report import labels
from monitor.report.charts import Charts
from monitor.report.labels import label
from monitor.report.read import Replay
from monitor.report.standing import TenantStanding
from monitor.report.views import Clock, Viewer
from monitor.text.bilingual import Bilingual

# The maximum number of marks and bars a tenant; more would overlap.
MARKS = 60
BARS = 60
_STEPS_S = (300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400, 30 * 86400)


@dataclass(frozen=True, slots=True)
class Axis:
    """The time range that all tenants share, with its ticks: position in per cent, and text."""

    start_ms: int
    end_ms: int
    ticks: list[tuple[float, str]]

    @classmethod
    def of(cls, replay: Replay, charts: Charts | None, clock: Clock) -> "Axis":
        """The axis over all decisions, alerts and charted windows, with a margin so that no mark is cut off."""
        times = [e.data.decided_ms for e in replay.decisions] + [e.data.decided_ms for e in replay.shadow]
        times += [a.since_ms for a in replay.alerts]
        times += [charts.start_ms, charts.end_ms] if charts and charts.windows else []
        times += [replay.end_ms]
        margin = max((max(times) - min(times)) // 50, 60_000)
        start, end = min(times) - margin, max(times) + margin
        step = next((s for s in _STEPS_S if (end - start) / 1000 / s <= 8), 365 * 86400) * 1000
        ticks = []
        shift = clock.shifted(start) - start
        at = -(-(start + shift) // step) * step - shift
        while at < end:
            text = clock.local(at)
            ticks.append((_percent(at, start, end), text[5:10] if step >= 86_400_000 else text[5:16]))
            at += step
        return cls(start, end, ticks)

    def at(self, ms: int) -> float:
        """The position of ``ms`` in per cent."""
        return _percent(ms, self.start_ms, self.end_ms)


def strip(tenant: TenantStanding, viewer: Viewer, axis: Axis) -> dict[str, Any]:
    """The marks (decisions) and bars (alerts) of one tenant, the newest if there are too many."""
    decisions, alerts = tenant.decisions[-MARKS:], tenant.alerts[-BARS:]
    bars = []
    for alert in alerts:
        end = axis.end_ms if alert.state == "firing" else alert.updated_ms
        left = axis.at(alert.since_ms)
        tip = viewer.alert(alert)
        bars.append(
            {"left": left, "width": round(max(axis.at(end) - left, 0.4), 2), "severity": alert.severity,
             "tip": Bilingual(*(f"{severity} {tip.rule} {tip.since}" for severity in tip.severity_label))}
        )  # fmt: skip
    marks = []
    for event in decisions:
        data = event.data
        kind, tier = label(labels.KINDS, data.kind), label(labels.TIERS, data.tier or "none")
        status = label(labels.STATUSES, data.status)
        at = viewer.clock.local(data.decided_ms)
        marks.append(
            {"left": axis.at(data.decided_ms), "tier": data.tier or "none", "kind": data.kind, "status": data.status,
             "anchor": viewer.anchors.get(event.id),
             "tip": Bilingual(
                f"{at} {kind.zh}（{tier.zh}，{status.zh}）", f"{at} {kind.en} ({tier.en}, {status.en})"
            )}
        )  # fmt: skip
    return {"bars": bars, "marks": marks, "cut": _cut(tenant.decisions, MARKS) + _cut(tenant.alerts, BARS)}


def _cut(items: Iterable[Any], kept: int) -> int:
    return max(len(list(items)) - kept, 0)


def _percent(ms: int, start: int, end: int) -> float:
    return round(min(max(100 * (ms - start) / max(end - start, 1), 0.0), 100.0), 2)
