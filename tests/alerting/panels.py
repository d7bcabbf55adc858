"""The queries of the dashboards, as a browser sends them."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alerting.programs import Prometheus

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


class Asked(NamedTuple):
    """One query of one panel, with its variables unresolved."""

    panel: str
    expr: str


def asked() -> Iterator[Asked]:
    """All queries of both dashboards."""
    for path in sorted(FOLDER.glob("*.json")):
        view = json.loads(path.read_text("utf-8"))
        for panel in view["panels"]:
            for target in panel.get("targets", ()):
                yield Asked(f"{view['uid']}: {panel['title']}", target["expr"])


def metrics_of(expr: str) -> set[str]:
    """Our metrics that a query names, as in the catalogue."""
    return {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"callwarden_\w+", expr)}


def unanswered(server: Prometheus, queries: list[Asked], tenant: str) -> list[str]:
    """The panels that have no data now, each with its query. Raises AssertionError for a refused query."""
    filled = {"$__rate_interval": "5m", "$__range": "1h", "$rule": ".*", "$tenant": tenant}
    left = []
    for panel, expr in queries:
        for variable, value in filled.items():
            expr = expr.replace(variable, value)
        if not any(not math.isnan(float(found["value"][1])) for found in server.query(expr)):
            left.append(f"{panel}: {expr}")
    return left
