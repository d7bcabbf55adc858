"""The tenant dashboard: the distance of one tenant to each threshold, now and over time."""

from collections.abc import Iterator
from typing import Any, Final

import panels
from panels import NEARNESS, NONE_IS_WELL, Query, Words

from monitor.policy.metrics import METRICS

UID = "callwarden-tenant"
TITLE = Words("租户", "Callwarden, one tenant")
ABOUT = Words(
    "仅接近阈值或升级的租户与呼叫量最大的租户可选。",
    "Only tenants near a threshold or an escalation and the busiest tenants can be selected.",
)

_MINE = '{tenant="$tenant"}'
_SHARES = f"max by (rule) (callwarden_tenant_threshold_ratio{_MINE})"
_WHERE = """\
**决定、复核与理由** / **decisions, reviews and reasons**: `callwarden ledger show '$tenant'`\u2003
**退款冻结** / **refund holds**: `GET /v1/refunds/$tenant`\u2003
**待复核** / **pending reviews**: `callwarden reviews list`
"""


_UNITS: Final = {"ratio": "percentunit", "seconds": "s", "count": "short", "quotient": "short"}


def _by_unit() -> dict[str, list[str]]:
    """The metrics of rules by their unit in Grafana."""
    by_unit: dict[str, list[str]] = {}
    for metric in METRICS.values():
        by_unit.setdefault(_UNITS[metric.unit], []).append(metric.name)
    return by_unit


def variables() -> list[Any]:
    """The variables of the dashboard."""
    near = '{__name__=~"callwarden_tenant_threshold_ratio|callwarden_tenant_violations"}'
    tenant = panels.label_variable("tenant", Words("租户", "Tenant"), near, several=False)
    return [panels.source_variable(), tenant]


def sections() -> Iterator[tuple[Words, list[Any]]]:
    """The rows, each with its panels."""
    yield Words("现在", "Now"), _now()
    yield Words("经过", "History"), _went()


def _now() -> list[Any]:
    return [
        panels.number(
            Words("最接近的规则", "Nearest rule"),
            Words("通往阈值的进度，1 即到达。", "Share of the way to the threshold; 1 is the threshold."),
            Query(f"max(callwarden_tenant_threshold_ratio{_MINE})"),
            (6, 4),
            "percentunit",
            NEARNESS,
        ),
        panels.number(
            Words("超过阈值的规则", "Rules over their threshold"),
            Words("全部条件都满足的规则数。", "Rules for which all conditions hold."),
            Query(f"count({_SHARES} > 1) or vector(0)"),
            (6, 4),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("呼叫量", "Calls"),
            Words("一天内最长窗口中的话单。", "Call records in the longest window of at most a day."),
            Query(f"max(callwarden_tenant_calls{_MINE})"),
            (6, 4),
        ),
        panels.number(
            Words("计入升级的违规", "Violations that count"),
            Words(
                "最多的一项升级；无，或已被终止服务、封号，或未展示，则为 0。",
                "For the escalation with the most; 0 if there are none, after a termination or ban, or if not shown.",
            ),
            Query(f"max(callwarden_tenant_violations{_MINE}) or vector(0)"),
            (6, 4),
        ),
        panels.bars(
            Words("离各规则的阈值", "Distance to thresholds by rule"),
            Words("取规则全部条件中最小的进度。", "The lowest share of all conditions of the rule."),
            Query(f"sort_desc({_SHARES})", "{{rule}}"),
            (12, 12),
            "percentunit",
            NEARNESS,
        ),
        panels.rows(
            Words("数值与阈值", "Values and thresholds"),
            Words(
                "数值超过阈值而进度低于 1：另一条件未满足，或样本不足以确信。",
                "A value over its threshold with a share below 1: another condition fails, or the sample is too small.",
            ),
            [
                Query(f"max by (rule, metric) (callwarden_tenant_value{_MINE})"),
                Query(f"max by (rule, metric) (callwarden_tenant_threshold{_MINE})"),
            ],
            (12, 12),
            transformations=[
                panels.by_name(
                    ("rule", "rule"), ("metric", "metric"), ("Value #A", "value"), ("Value #B", "threshold")
                ),
            ],
        ),
        panels.words(Words("更多", "More"), _WHERE, (24, 3)),
    ]


def _went() -> list[Any]:
    return [
        panels.nearness_lines(
            Words("通往阈值的进度", "Distance to thresholds over time"),
            Words("断开处：该租户当时不接近任何阈值。", "A gap means that the tenant was not near any threshold."),
            [Query(_SHARES, "{{rule}}")],
            (24, 10),
        ),
        panels.lines(
            Words("各规则的指标", "Metric by rule"),
            Words("在最近判定的窗口中。", "In the last evaluated window."),
            [Query(f"max by (rule, metric) (callwarden_tenant_value{_MINE})", "{{rule}}: {{metric}}")],
            units=[(f"/: ({'|'.join(names)})$/", unit) for unit, names in _by_unit().items()],
        ),
        panels.lines(
            Words("呼叫量", "Calls"),
            Words("一天内最长窗口中的话单。", "Call records in the longest window of at most a day."),
            [Query(f"max(callwarden_tenant_calls{_MINE})", "calls")],
        ),
    ]
