"""Judged windows: the measure of every rule and tenant at every window end, as an output of its own."""

from collections.abc import Sequence

import numpy as np

from monitor.core.results import Output
from monitor.core.rules.conditions import OverrideViews, measure, rule_view
from monitor.core.rules.rule_state import RuleState
from schemas.outputs import JudgedWindow


class JudgedWindows:
    """Writes judged windows to the output buffer. ``names`` is the list of tenant ids, which grows."""

    def __init__(self, names: Sequence[str], output: Output) -> None:
        self._names = names
        self._output = output

    def write(self, rule_state: RuleState, end_ms: int, tenants: int, views: OverrideViews) -> None:
        """Write the windows of a rule that end at ``end_ms``. ``views`` are those of its overrides."""
        rule, view = rule_state.rule, rule_view(rule_state.window, rule_state.rule, tenants)
        for row in np.flatnonzero(view.present):
            tenant = int(view.tenants[row])
            seen, ruling = view, rule
            if tenant in rule_state.overrides and end_ms < rule_state.overrides[tenant][1]:
                if end_ms < rule_state.override_from_ms.get(tenant, 0):
                    continue
                ruling = rule_state.overrides[tenant][0]
                seen = views.of(ruling)
            if ruling.first_ms is not None and not rule_state.judges(ruling, view.tenants[row : row + 1], end_ms)[0]:
                continue
            measured = measure(rule, seen, row, np.nan)
            self._output.windows.append(
                JudgedWindow(
                    self._names[tenant],
                    rule.id,
                    rule.metric,
                    rule.window_ms,
                    end_ms,
                    measured.numerator,
                    measured.denominator,
                    measured.value,
                )
            )
