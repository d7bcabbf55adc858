"""A tenant's page: how it stands, what was measured, who else has its owner, and its history."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from monitor.policy.describe import rule_names
from monitor.policy.metric_wording import OPERATORS
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.report.labels import METRIC_NAMES, MODES, TIERS
from monitor.report.views import measure_view, quantity
from streams.console.cases.escalations import tenant_violations
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.formats import Formats
from streams.console.pages.path_ids import segments_after, tenant_id_of
from streams.console.pages.render import formats_of, render
from streams.console.pages.texts import text
from streams.console.policies.exceptions import changes_of
from streams.console.queries.cursors import InvalidCursor
from streams.console.queries.history import tenant_history
from streams.console.queries.measured import (
    RuleDistance,
    escalation_distances,
    measured_series,
    rule_distances,
    rules_of,
)
from streams.console.queries.rule_series import DrawnColumns, last_of_each
from streams.console.queries.tenants import tenant_overview

router = APIRouter(include_in_schema=False)

_DAYS: Final = 30
_DAY_MS: Final = 86_400_000


@router.get("/tenants/{rest:path}")
async def tenant(
    request: Request,
    user: Annotated[User, Depends(needs(Permission.VIEW_TENANTS))],
    context: Annotated[ConsoleContext, Depends(context_of)],
) -> Response:
    """``/tenants/ID`` is the page, ``/tenants/ID/measures`` the data of its charts: times in seconds, and for each
    chart the number of its times, and columns."""
    first, *more = segments_after(request, "/tenants/")
    tenant_id = tenant_id_of(request, first)
    if more == ["measures"] or (not first and "measures" in request.query_params):
        return await _measures(request, context, tenant_id)
    if more:
        raise HTTPException(404)
    return await _page(request, context, tenant_id)


async def _page(request: Request, context: ConsoleContext, tenant_id: str) -> Response:
    now_ms, after, chosen = context.clock(), request.query_params.get("after"), request.query_params.get("rule")

    def read(connection: Connection) -> dict[str, Any]:
        policy = context.policies.now(connection, now_ms)
        overview = tenant_overview(connection, tenant_id)
        history, following = tenant_history(connection, tenant_id, after)
        series = measured_series(connection, tenant_id, now_ms - _DAYS * _DAY_MS, policy)
        measured = {one.rule_id for one in series}
        return {
            "policy": policy,
            "overview": overview,
            "history": history,
            "following": following,
            "distances": rule_distances(series, rules_of(policy, tenant_id, now_ms)),
            "days": [(one.rule_id, last_of_each(one, _DAY_MS)) for one in series if one.rule_id == chosen],
            "unmeasured": [rule for rule in policy.rules if rule.id not in measured],
            "escalations": escalation_distances(tenant_violations(connection, tenant_id, policy), now_ms),
        }

    try:
        values = await context.read(read)
    except InvalidCursor:
        raise HTTPException(400, "the cursor is not valid") from None
    policy: Policy = values["policy"]
    bases = {rule.id: rule for rule in policy.rules}
    overrides = [
        (one, changes_of(bases[one.rule.id], one.rule))
        for one in policy.overrides
        if one.tenant == tenant_id and one.expires_ms > now_ms
    ]
    exemptions = [one for one in policy.every_exemption() if one.tenant == tenant_id and one.expires_ms > now_ms]
    return render(
        request,
        "tenant.html.j2",
        tenant_id=tenant_id,
        overrides=overrides,
        exemptions=exemptions,
        first=after is None,
        view=measure_view,
        gap=partial(_gap, formats_of(request)),
        operators=OPERATORS,
        rule_names=rule_names(policy),
        **values,
    )


def _gap(seen: Formats, gap: float, metric: str) -> str:
    """How far a value of the metric is from a threshold; of a share in percentage points."""
    if metric in METRICS and METRICS[metric].unit == "ratio":
        points = f"{100 * gap:.3g}"
        return text(seen.language, "tenant.point" if points == "1" else "tenant.points", n=points)
    return quantity(metric, gap)


async def _measures(request: Request, context: ConsoleContext, tenant_id: str) -> Response:
    now_ms = context.clock()

    def read(connection: Connection) -> tuple[Policy, list[RuleDistance]]:
        policy = context.policies.now(connection, now_ms)
        series = measured_series(connection, tenant_id, now_ms - _DAYS * _DAY_MS, policy)
        return policy, rule_distances(series, rules_of(policy, tenant_id, now_ms))

    policy, distances = await context.read(read)
    seen = formats_of(request)
    drawn = [(one, columns) for one in distances if (columns := one.series.drawn(one.rule)).times_ms]
    times = {id(columns.times_ms): columns.times_ms for _, columns in drawn}  # most series share one
    numbers = {key: number for number, key in enumerate(times)}
    charts = [_chart(one, columns, policy, seen) | {"times": numbers[id(columns.times_ms)]} for one, columns in drawn]
    seconds = [[at_ms // 1000 for at_ms in times_ms] for times_ms in times.values()]
    return Response(orjson.dumps({"series": charts, "times": seconds}), media_type="application/json")


def _chart(distance: RuleDistance, columns: DrawnColumns, policy: Policy, seen: Formats) -> dict[str, Any]:
    """The columns of one chart; a column of equal values is that value. ``threshold_name`` says what being beyond the
    threshold means."""
    series, metric = distance.series, METRICS.get(distance.series.metric)
    return {
        "rule": series.rule_id,
        "name": seen.label(METRIC_NAMES, series.metric),
        "unit": metric.unit if metric else "count",
        "threshold_name": _threshold_name(distance.rule, policy, seen),
        "value": columns.values,
        "bound": _column(columns.bounds),
        "threshold": _column(columns.thresholds),
    }


def _column(values: Sequence[float | None]) -> Sequence[float | None] | float | None:
    return values[0] if values.count(values[0]) == len(values) else values


def _threshold_name(rule: Rule | None, policy: Policy, seen: Formats) -> str:
    """The threshold with the tier of a violation, and the mode of a rule that does not decide by itself."""
    name = text(seen.language, "tenant.threshold")
    if rule is None:
        return name
    parts = [seen.label(TIERS, policy.behaviours[rule.behaviour].tier)]
    if rule.mode != "enforce":
        parts.append(seen.label(MODES, rule.mode))
    return f"{name} ({' · '.join(parts)})"
