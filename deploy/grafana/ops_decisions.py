"""A row of the operations dashboard: decisions, and what becomes of them."""

from typing import Any

import panels
from panels import Query, Words

_DECIDED = 'callwarden_decisions_total{mode!="shadow", kind!="admission_review", transition=~"decided|referred"}'


def decisions() -> list[Any]:
    """Decisions by rule, outcome and mode, alerts, and what waits for a review."""
    return [
        panels.lines(
            Words("各规则的决定", "Decisions by rule"),
            Words(
                "最终决定与送复核的决定，不含影子。",
                "Final decisions and those referred for review, without shadow decisions.",
            ),
            [Query(f"sum by (rule) (increase({_DECIDED}[$__rate_interval]))", "{{rule}}")],
        ),
        panels.lines(
            Words("按等级与处置", "Decisions by tier and kind"),
            Words("违规、较重违规、严重违规。", "Minor, major, severe."),
            [Query(f"sum by (tier, kind) (increase({_DECIDED}[$__rate_interval]))", "{{tier}} {{kind}}")],
        ),
        panels.rows(
            Words("决定的后续", "Decisions by outcome"),
            Words(
                "所选时段内各规则：作出、送复核、维持、撤销、撤回、失效。",
                "By rule, in the selected time range: decided, referred, upheld, overturned, withdrawn, lapsed.",
            ),
            [Query('sum by (rule, transition) (increase(callwarden_decisions_total{mode!="shadow"}[$__range]))')],
            (12, 10),
            transformations=[
                ("groupingToMatrix", {"columnField": "transition", "rowField": "rule", "valueField": "Value"}),
            ],
        ),
        panels.lines(
            Words("维持、撤销、失效", "Upheld, overturned, lapsed"),
            Words("撤销与失效多的规则需要调整。", "Adjust a rule whose decisions are often overturned or lapse."),
            [
                Query(
                    "sum by (transition) (increase("
                    'callwarden_decisions_total{transition=~"upheld|overturned|withdrawn|lapsed"}[$__rate_interval]))',
                    "{{transition}}",
                )
            ],
            (12, 10),
        ),
        panels.lines(
            Words("按模式", "Decisions by mode"),
            Words("执行、复核、影子，及由记录直接作出的。", "Enforce, review, shadow, and decisions by records."),
            [Query("sum by (mode) (increase(callwarden_decisions_total[$__rate_interval]))", "{{mode}}")],
            (8, 8),
        ),
        panels.lines(
            Words("预警", "Alerts sent"),
            Words("触发与解除。", "Firing and resolved alerts."),
            [
                Query(
                    "sum by (severity, state) (increase(callwarden_alerts_total[$__rate_interval]))",
                    "{{severity}} {{state}}",
                )
            ],
            (8, 8),
        ),
        panels.rows(
            Words("待复核的决定", "Pending reviews by rule"),
            Words("各规则的数量，与最早失效的剩余时间。", "Number by rule, and the time until the first one lapses."),
            [
                Query("sum by (rule) (callwarden_pending_decisions)"),
                Query("min by (rule) (callwarden_pending_review_by_timestamp_seconds) - time()"),
            ],
            (8, 8),
            transformations=[
                panels.by_name(("rule", "rule"), ("Value #A", "pending"), ("Value #B", "time left")),
            ],
            units=[("time left", "s")],
        ),
    ]
