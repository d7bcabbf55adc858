"""A tenant's page: how it stands, what was measured, who else has its owner, and its history."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.report.labels import METRIC_NAMES, MODES, TIERS
from monitor.report.views import measure_view
from streams.console.cases.escalations import tenant_violations
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.formats import Formats
from streams.console.pages.path_ids import segments_after, tenant_id_of
from streams.console.pages.render import formats_of, render
from streams.console.pages.texts import text
from streams.console.queries.cursors import InvalidCursor
from streams.console.queries.history import tenant_history
from streams.console.queries.measured import (
    MeasuredPoint,
    RuleDistance,
    RuleSeries,
    escalation_distances,
    measured_series,
    rule_distances,
    rules_of,
)
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
    """``/tenants/ID`` is the page, ``/tenants/ID/measures`` the data of its charts."""
    first, *more = segments_after(request, "/tenants/")
    tenant_id = tenant_id_of(request, first)
    if more == ["measures"] or (not first and "measures" in request.query_params):
        return await _measures(request, context, tenant_id)
    if more:
        raise HTTPException(404)
    return await _page(request, context, tenant_id)


async def _page(request: Request, context: ConsoleContext, tenant_id: str) -> Response:
    now_ms, after = context.clock(), request.query_params.get("after")

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
            "days": [one for one in map(_days, series) if one.rule_id == request.query_params.get("rule")],
            "unmeasured": [rule for rule in policy.rules if rule.id not in measured],
            "escalations": escalation_distances(tenant_violations(connection, tenant_id, policy), now_ms),
        }

    try:
        values = await context.read(read)
    except InvalidCursor:
        raise HTTPException(400, "the cursor is not valid") from None
    policy: Policy = values["policy"]
    overrides = [one for one in policy.overrides if one.tenant == tenant_id and one.expires_ms > now_ms]
    exemptions = [one for one in policy.every_exemption() if one.tenant == tenant_id and one.expires_ms > now_ms]
    return render(
        request,
        "tenant.html.j2",
        tenant_id=tenant_id,
        overrides=overrides,
        exemptions=exemptions,
        first=after is None,
        view=measure_view,
        **values,
    )


async def _measures(request: Request, context: ConsoleContext, tenant_id: str) -> Response:
    now_ms = context.clock()

    def read(connection: Connection) -> tuple[Policy, list[RuleDistance]]:
        policy = context.policies.now(connection, now_ms)
        series = measured_series(connection, tenant_id, now_ms - _DAYS * _DAY_MS, policy)
        return policy, rule_distances(series, rules_of(policy, tenant_id, now_ms))

    policy, distances = await context.read(read)
    seen = formats_of(request)
    charts = [_chart(one, points, policy, seen) for one in distances if (points := _drawn(one))]
    return JSONResponse({"series": charts})


def _drawn(distance: RuleDistance) -> list[MeasuredPoint]:
    """The points of a chart: those of the newest metric with a large enough denominator. With less, most values are
    chance."""
    metric = distance.series.metric
    points = distance.series.points
    return [point for point in points if point.measure.metric == metric and point.is_judged(distance.rule)]


def _days(series: RuleSeries) -> RuleSeries:
    """The last point of each day, the newest first: the table beside the chart."""
    last = {point.at_ms // _DAY_MS: point for point in series.points}
    return RuleSeries(series.rule_id, [last[day] for day in sorted(last, reverse=True)])


def _chart(distance: RuleDistance, points: list[MeasuredPoint], policy: Policy, seen: Formats) -> dict[str, Any]:
    """The columns of one chart, times in seconds. ``threshold_name`` says what being beyond the threshold means."""
    series, metric = distance.series, METRICS.get(distance.series.metric)
    return {
        "rule": series.rule_id,
        "name": seen.label(METRIC_NAMES, series.metric),
        "unit": metric.unit if metric else "count",
        "threshold_name": _threshold_name(distance.rule, policy, seen),
        "t": [point.at_ms // 1000 for point in points],
        "value": [point.measure.value for point in points],
        "bound": [point.measure.bound for point in points],
        "threshold": [point.measure.threshold for point in points],
    }


def _threshold_name(rule: Rule | None, policy: Policy, seen: Formats) -> str:
    """The threshold with the tier of a violation, and the mode of a rule that does not decide by itself."""
    name = text(seen.language, "tenant.threshold")
    if rule is None:
        return name
    parts = [seen.label(TIERS, policy.behaviours[rule.behaviour].tier)]
    if rule.mode != "enforce":
        parts.append(seen.label(MODES, rule.mode))
    return f"{name} ({' · '.join(parts)})"
