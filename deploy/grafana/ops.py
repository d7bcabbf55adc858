"""The operations dashboard: tenants near a threshold, decisions and their outcomes, the health of Callwarden."""

from collections.abc import Iterator
from typing import Any

import panels
from ops_decisions import decisions
from ops_health import consumers, workers
from ops_tenants import near_a_threshold, near_an_escalation
from panels import Words

UID = "callwarden-ops"
TITLE = Words("运营", "Callwarden, operations")
ABOUT = Words(
    "谁接近阈值，作出了哪些决定，监控本身是否正常。",
    "Tenants near a threshold, decisions and their outcomes, the health of Callwarden.",
)


def variables() -> list[Any]:
    """The variables of the dashboard."""
    rule = panels.label_variable("rule", Words("规则", "Rule"), "callwarden_threshold_ratio_count", several=True)
    return [panels.source_variable(), rule]


def sections() -> Iterator[tuple[Words, list[Any]]]:
    """The rows, each with its panels."""
    yield Words("接近阈值的租户", "Tenants near a threshold"), near_a_threshold()
    yield Words("接近升级的租户", "Tenants near an escalation"), near_an_escalation()
    yield Words("决定", "Decisions"), decisions()
    yield Words("运行状况", "Worker health"), workers()
    yield Words("依赖它的系统", "Consumers"), consumers()
