"""Rows of the operations dashboard: tenants near a threshold, and near an escalation."""

from typing import Any

import panels
from panels import NONE_IS_WELL, Query, Words

_RULE = 'rule=~"$rule"'
TENANT_LINK = "/d/callwarden-tenant?var-datasource=${datasource}&var-tenant=${__data.fields.tenant}&${__url_time_range}"


def _beyond(share: str, by: str = "") -> str:
    """The pairs above a bucket's upper end, from the histogram: the tenants' own series omit some."""
    everybody = f"sum{by} (callwarden_threshold_ratio_count{{{_RULE}}})"
    return f'{everybody} - sum{by} (callwarden_threshold_ratio_bucket{{{_RULE}, le="{share}"}})'


def near_a_threshold() -> list[Any]:
    """Tenants near the threshold of a rule, or over it."""
    return [
        panels.number(
            Words("超过阈值", "Pairs over a threshold"),
            Words(
                "租户与规则对，规则的全部条件都满足；含未逐一展示者。",
                "Pairs of tenant and rule for which all conditions hold, including pairs not shown by name.",
            ),
            Query(_beyond("1.0")),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("接近阈值", "Pairs near a threshold"),
            Words(
                "租户与规则对，超过阈值的 80 %；含未逐一展示者。",
                "Pairs of tenant and rule above 80 % of the threshold, including pairs not shown by name.",
            ),
            Query(_beyond("0.8")),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.number(
            Words("已见租户", "Tenants"),
            Words("各分区见过的租户总数。", "Tenants seen in all partitions."),
            Query("sum(callwarden_tenants)"),
        ),
        panels.number(
            Words("未展示", "Pairs not shown"),
            Words(
                "接近阈值但因数量上限未逐一展示的租户与规则对。",
                "Pairs near a threshold that exceed the limit of the metrics page; the histogram contains them.",
            ),
            Query("sum(callwarden_tenant_pairs_left_out)"),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("进行中的预警", "Firing alerts"),
            Words("租户与规则对，含影子规则。", "Pairs of tenant and rule, including shadow rules."),
            Query(f"sum(callwarden_alerts_firing{{{_RULE}}})"),
        ),
        panels.number(
            Words("待复核", "Pending reviews"),
            Words("未在期限内复核即失效。", "A decision that is not reviewed in time lapses."),
            Query("sum(callwarden_pending_decisions) or vector(0)"),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.rows(
            Words("最接近阈值的租户", "Tenants nearest to a threshold"),
            Words(
                "比例为通往阈值的进度，取规则全部条件中最小者；点击租户查看详情。",
                "Share of the way to the threshold: the lowest of all conditions. Click a tenant for details.",
            ),
            [Query(f"topk(25, max by (tenant, rule) (callwarden_tenant_threshold_ratio{{{_RULE}}}))")],
            (12, 12),
            "percentunit",
            [
                panels.by_name(("tenant", "tenant"), ("rule", "rule"), ("Value", "share")),
                panels.largest_first("share"),
            ],
            [(Words("租户详情", "Tenant details"), TENANT_LINK)],
        ),
        panels.spread(
            Words("全体租户离阈值多远", "Distance to thresholds, all tenants"),
            Words(
                "所选规则下全部租户的分布；集中在 1 附近说明阈值位置不当。",
                "All tenants, for the selected rules. A peak at 1 suggests a wrong threshold.",
            ),
            Query(f"sum by (le) (callwarden_threshold_ratio_bucket{{{_RULE}}})", "{{le}}"),
            (12, 12),
        ),
        panels.lines(
            Words("各规则接近阈值的租户", "Tenants near a threshold by rule"),
            Words("超过阈值 80 % 的租户数。", "Tenants above 80 % of the threshold."),
            [Query(_beyond("0.8", " by (rule)"), "{{rule}}")],
        ),
        panels.lines(
            Words("各规则进行中的预警", "Firing alerts by rule"),
            Words("预警尚未解除的租户数。", "Tenants whose alert is not resolved."),
            [Query(f"sum by (rule) (callwarden_alerts_firing{{{_RULE}}})", "{{rule}}")],
        ),
    ]


def near_an_escalation() -> list[Any]:
    """Tenants that few violations separate from a termination or a ban."""
    nearest = "bottomk(25, min by (tenant, escalation) (callwarden_tenant_violations_missing))"
    counted = f"(max by (tenant, escalation) (callwarden_tenant_violations) and {nearest})"
    on_record = "max by (tenant) (callwarden_tenant_violations_on_record)"
    return [
        panels.number(
            Words("差一次违规即终止服务或封号", "One violation from termination or ban"),
            Words(
                "再记一次违规即触发升级的租户数，含未逐一展示者；已被终止服务或封号的不计。",
                "Tenants for which one more violation escalates, including tenants not shown by name; "
                "those terminated or banned are not counted.",
            ),
            Query('sum(callwarden_escalation_tenants{missing="1"})'),
            (8, 4),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.lines(
            Words("各升级规则的租户", "Tenants by escalation and missing violations"),
            Words(
                "有计入的违规的租户，按还差几次违规。",
                "Tenants with violations that count, by how many more the escalation takes.",
            ),
            [
                Query(
                    "sum by (escalation, missing) (callwarden_escalation_tenants)",
                    "{{escalation}}: {{missing}}",
                )
            ],
            (16, 8),
        ),
        panels.rows(
            Words("最接近升级的租户", "Tenants nearest to an escalation"),
            Words(
                "还差的、已计入的、升级所需的与记录在案的违规数；点击租户查看详情。",
                "Violations that are missing, that count, that the escalation takes, and that are on record. "
                "Click a tenant for details.",
            ),
            [
                Query(nearest),
                Query(counted),
                Query(
                    f"{counted} * 0 + on (escalation) group_left () "
                    "max by (escalation) (callwarden_escalation_violations)"
                ),
                Query(f"{counted} * 0 + on (tenant) group_left () {on_record}"),
            ],
            (24, 10),
            transformations=[
                panels.by_name(
                    ("tenant", "tenant"),
                    ("escalation", "escalation"),
                    ("Value #A", "missing"),
                    ("Value #B", "counted"),
                    ("Value #C", "takes"),
                    ("Value #D", "on record"),
                ),
                panels.smallest_first("missing"),
            ],
            links=[(Words("租户详情", "Tenant details"), TENANT_LINK)],
        ),
    ]
