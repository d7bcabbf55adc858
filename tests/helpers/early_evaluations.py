"""Early evaluations without bounds: every tenant that called is compared with every rule at every end."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.core.alerts.early_firing import EarlyFiring
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.alerts.suspects import Suspected, Suspects
from monitor.policy.model import Rule


class EveryTenant(Suspects):
    """All tenants with a change, for each rule at each end; all tenants at the first evaluation of a rule at an end."""

    def of(self, called: NDArray[np.intp], changed: set[int], early: set[int], tenants: int) -> Suspected:
        """As `Suspects.of`."""
        self._update_evaluations()
        self._windows.enter_all()
        touched = changed.union(called.tolist())
        found: Suspected = {}
        for one in () if self._bounds is None else self._bounds.evaluations:
            some = set(range(tenants)) if one in self._fresh else touched
            found.setdefault(one.early_window, {})[one.place] = set(some)
        return found

    def settle(self, found: Suspected) -> Suspected:
        """All of them: nothing is known of any tenant."""
        return found


def _due(self: EarlyFiring, called: Iterable[int], calls: NDArray[Any], complained: set[int]) -> dict[str, set[int]]:
    touched = complained.union(called)
    return {rule_id: touched & some for rule_id, some in self._by_rule.items()}


def _candidates(self: EarlyWindow, rule: Rule, who: NDArray[np.intp], tenants: int) -> NDArray[np.intp]:
    return who


def compare_everyone(patch: pytest.MonkeyPatch) -> None:
    """Use no bound in early evaluations that are created from now on."""
    patch.setattr("monitor.core.alerts.early_alerts.Suspects", EveryTenant)
    patch.setattr(EarlyFiring, "due", _due)
    patch.setattr(EarlyWindow, "candidates", _candidates)
