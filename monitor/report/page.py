"""The page: a whole replay in one HTML file that needs no network, limited to a size that browsers handle well."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment
from markupsafe import Markup

from monitor.report import labels
from monitor.report.archive import archive, labels_json
from monitor.report.charts import Charts, collect
from monitor.report.data import chart_json, script_safe
from monitor.report.labels import label
from monitor.report.read import Replay, read_replay
from monitor.report.rejection_wording import rejection_of
from monitor.report.standing import TenantStanding, TenantSummaries
from monitor.report.timeline import Axis, strip
from monitor.report.views import Clock, DisplayNames, Viewer, number
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT, Display, ids_in, party
from monitor.theme import THEME_CSS
from monitor.theme.templates import environment_of
from schemas.inputs import Cdr

# Bytes of each part; with plotly's script (4.8 MB) the page stays under 10 MB whatever the records contain.
BUDGETS = {
    "tenants": 400_000,
    "decisions": 900_000,
    "archive": 800_000,
    "pending": 200_000,
    "alerts": 300_000,
    "shadow": 400_000,
    "rejected": 300_000,
    "late": 150_000,
    "charts": 1_500_000,
}
CHARTED_TENANTS = 40
_COUNTS = ("read", "accepted", "rejected", "duplicates", "late")


@dataclass(frozen=True, slots=True)
class ReportSection:
    """The rows of a section that fit, and how many there are in total."""

    rows: list[Markup]
    total: int

    @property
    def left(self) -> int:
        """How many rows the page omits."""
        return self.total - len(self.rows)


def make(directory: Path, out: Path, display: Display = DEFAULT) -> Path:
    """Write the page of the replay in ``directory`` to ``out``. Raises `monitor.report.read.NotAReplayError`.

    ``display`` says which ids are masked. The same directory and display give the same bytes. The file is written
    atomically.
    """
    html = render(read_replay(directory), plotly_script(), display)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_text(html, encoding="utf-8", newline="\n")
        os.replace(unfinished, out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(out)) from None
    return out


def plotly_script() -> str:
    """Plotly's script from its Python package."""
    # Imported here, because it takes 0.1 s and only `make` needs it.
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # plotly has no types

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def render(replay: Replay, plotly: str, display: Display = DEFAULT) -> str:
    """The page of ``replay`` as HTML, with ``plotly`` as the script that draws the charts."""
    environment = _environment()
    rows: Any = environment.get_template("rows.html.j2").module
    zone = replay.policy.params.timezone if replay.policy else "UTC"
    clock, names = Clock(ZoneInfo(zone)), DisplayNames(display)
    summaries = TenantSummaries(replay.decisions, replay.alerts, replay.shadow_tenants)
    ranked = summaries.ranked()
    viewer = Viewer(replay.policy, clock, names, summaries, replay.end_ms)
    newest, shadow = replay.decisions[::-1], list(replay.shadow)[::-1]
    viewer.anchor(newest, "d")
    for tenant in ranked:
        names(tenant.tenant)
    decisions = _fit("decisions", newest, lambda e: rows.decision(viewer.decision(e), False))
    if decisions.left:
        # Nothing may link to omitted rows: render again with only the anchors that remain.
        kept = newest[: len(decisions.rows)]
        viewer.anchors = {event.id: viewer.anchors[event.id] for event in kept}
        decisions = ReportSection([Markup(rows.decision(viewer.decision(event), False)) for event in kept], len(newest))
    charts = _charts(replay, ranked)
    axis = Axis.of(replay, charts, clock)
    firing = sorted(replay.alerts, key=lambda a: (a.state != "firing", -a.updated_ms, a.tenant_id, a.rule_id))
    waiting = sorted(
        (e for t in ranked for e in t.open.values()), key=lambda e: (e.data.review_by_ms or 0, e.subject, e.id)
    )
    drawn, chart_tenants = chart_json(charts, replay, viewer, BUDGETS["charts"])
    tenants = _fit("tenants", ranked, lambda t: rows.tenant(_tenant(t, viewer, axis, chart_tenants)))
    rest = archive(newest[len(decisions.rows) :], ranked[len(tenants.rows) :], viewer, BUDGETS["archive"])
    parts = {
        "decisions": decisions,
        "tenants": tenants,
        "pending": _fit("pending", waiting, lambda e: rows.pending(viewer.decision(e))),
        "alerts": _fit("alerts", firing, lambda a: rows.alert(viewer.alert(a))),
        "shadow": _fit("shadow", shadow, lambda e: rows.decision(viewer.decision(e, shadow=True), True)),
        "rejected": _fit(
            "rejected", replay.rejected, lambda g: rows.rejected(_rejected(g, replay.rejected_count, display))
        ),
        "late": _fit("late", replay.late, lambda c: rows.late(_late(c, clock, names))),
    }
    script = environment.get_template("script.js.j2").render()
    return environment.get_template("page.html.j2").render(
        parts=parts,
        counts=_counts(replay),
        tiles=_tiles(replay, ranked),
        facts=_facts(replay, clock, display),
        policy=_policy(replay, display),
        zone=zone,
        replay=replay,
        axis=axis,
        charts=charts,
        chart_tenants=list(chart_tenants),
        chart_json=Markup(drawn),
        tenant_names=[names(t.tenant) for t in ranked if t.decisions][:2000],
        shadow_rules=[(display.id(r), n) for r, n in replay.shadow_rules.most_common(20)],
        plotly=Markup(plotly),
        script=Markup(script),
        theme=Markup(THEME_CSS),
        archive=rest,
        rest=Markup(script_safe({"codes": labels_json(), "decisions": rest.decisions, "tenants": rest.tenants})),
        hashes=[_hash(plotly), _hash(script)],
    )


@cache
def _environment() -> Environment:
    """The templates of the report."""
    environment = environment_of("monitor.report")
    environment.globals.update(L=labels, label=label, number=number)
    return environment


def _fit(part: str, items: Sequence[Any], show: Callable[[Any], Any]) -> ReportSection:
    """As many rows, from the first, as fit the part's budget."""
    rows: list[Markup] = []
    left = BUDGETS[part]
    for item in items:
        row = Markup(show(item))
        left -= len(row.encode())
        if left < 0:
            break
        rows.append(row)
    return ReportSection(rows, len(items))


def _charts(replay: Replay, ranked: list[TenantStanding]) -> Charts | None:
    if replay.windows is None or replay.policy is None or not replay.policy.rules:
        return None
    return collect(replay.windows, replay.policy, (t.tenant for t in ranked), CHARTED_TENANTS)


def _policy(replay: Replay, display: Display) -> dict[str, str]:
    """The policy's name; that of the newest decision if the directory does not contain the policy."""
    policy = replay.policy or next((event.data.policy for event in replay.decisions[::-1]), None)
    if policy is None:
        return {"id": "—", "version": "", "sha256": ""}
    return {
        "id": display.text(policy.id, limit=64),
        "version": display.text(policy.version, limit=64),
        "sha256": policy.sha256[:64],  # a hash: some have as many digits in a row as a telephone number
    }


def _tenant(tenant: TenantStanding, viewer: Viewer, axis: Axis, charted: Iterable[str]) -> dict[str, Any]:
    return {
        "name": viewer.names(tenant.tenant),
        "standing": tenant.standing,
        "standing_label": label(labels.STANDINGS, tenant.standing),
        "tiers": {tier: tenant.tiers[tier] for tier in labels.TIERS if tenant.tiers[tier]},
        "violations": len(tenant.violations),
        "frozen": bool(tenant.holds),
        "open": len(tenant.open),
        "alerts": len(tenant.alerts),
        "shadow": tenant.shadow,
        "decisions": len(tenant.decisions),
        "strip": strip(tenant, viewer, axis),
        "charted": viewer.names(tenant.tenant) in charted,
    }


def _rejected(group: Any, total: int, display: Display) -> dict[str, Any]:
    return {
        "code": display.text(group.code, limit=120),
        "meaning": rejection_of(group.code),
        "count": group.count,
        "share": 100 * group.count / max(total, 1),
        "samples": [_sample(line, display) for line in group.samples],
    }


def _sample(line: Any, display: Display) -> dict[str, Any]:
    raw = line.raw
    if line.raw_encoding == "base64":
        raw = base64.b64decode(line.raw[:8192]).decode(errors="replace")
    return {
        "file": display.text(line.file, limit=80),
        "line": line.line,
        "reason": display.text(line.reason, ids_in(raw[:8192]), limit=300),
        "raw": display.raw(raw),
    }


def _late(call: Cdr, clock: Clock, names: DisplayNames) -> dict[str, Any]:
    return {
        "at": clock.local(call.end_ms),
        "tenant": names(call.tenant_id),
        "call": names.display.id(call.call_id),
        "direction": label(labels.DIRECTIONS, call.direction),
        "outcome": label(labels.OUTCOMES, call.outcome),
        "caller": party(call.caller),
        "callee": party(call.callee),
    }


def _counts(replay: Replay) -> dict[str, int]:
    """The record counts of section 8; without a summary, those that can be counted here. Unknown ones are omitted."""
    known = {"rejected": replay.rejected_count, "late": replay.late_count} | replay.summary
    return {name: known[name] for name in _COUNTS if isinstance(known.get(name), int)}


def _tiles(replay: Replay, ranked: list[TenantStanding]) -> list[dict[str, Any]]:
    final = dict.fromkeys(("severe", "major", "minor"), 0)
    for event in replay.decisions:
        data = event.data
        if data.tier in final and data.status == "final" and data.kind not in ("reversal", "lapse"):
            final[data.tier] += 1
    made = [{"code": tier, "label": label(labels.TIERS, tier), "value": n} for tier, n in final.items()]
    more = (
        ("pending", Bilingual("待复核", "Pending review"), sum(len(t.open) for t in ranked)),
        ("frozen", Bilingual("冻结退款的租户", "Tenants with refunds frozen"), sum(bool(t.holds) for t in ranked)),
        ("touched", Bilingual("被处理的租户", "Tenants decided on"), sum(bool(t.decisions) for t in ranked)),
        ("firing", Bilingual("仍在预警", "Alerts still firing"), sum(a.state == "firing" for a in replay.alerts)),
        ("shadow", Bilingual("影子决定", "Shadow decisions"), replay.shadow_rules.total()),
    )
    return made + [{"code": code, "label": name, "value": n} for code, name, n in more]


def _facts(replay: Replay, clock: Clock, display: Display) -> list[tuple[str, str]]:
    """The summary's other plain values, at most 24; times are formatted."""
    facts = []
    for key, value in replay.summary.items():
        if key in _COUNTS or isinstance(value, bool | dict | list | None):
            continue
        local_time = clock.local(value) if key.endswith("_ms") and isinstance(value, int) and value > 10**11 else None
        plain = number(value) if isinstance(value, int | float) else display.text(str(value), limit=200)
        # One alert has several records: it fires, is decided, resolves. The page counts the alerts themselves.
        name = "alert records (alerts.jsonl)" if key == "alerts" else display.text(key, limit=60)
        facts.append((name, local_time or plain))
    return facts[:24]


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
