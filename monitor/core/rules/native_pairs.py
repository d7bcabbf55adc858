"""The extension that compares counts with the conditions of rules. Without it, numpy finds the same pairs."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.rules.conditions import Floats, Rows
from monitor.extensions import WANTED, load

if TYPE_CHECKING:
    from monitor.core.rules import _pairs
else:
    _pairs = load("monitor.core.rules._pairs", interface=2)

enabled: bool = _pairs is not None and WANTED
"""Whether the extension is used; tests switch it."""

TENANT_BITS = 32
Pairs = NDArray[np.int64]
"""Pairs of a rule and a tenant, as ``rule << TENANT_BITS | tenant``."""


def built() -> bool:
    """Whether the extension is built for this Python."""
    return _pairs is not None


class RuleConditions(NamedTuple):
    """The conditions of all rules, as `monitor.core.rules.batch_evaluator` has them, in the order of the extension.

    The first six are ``[rule, line]``, the others ``[rule]``.
    """

    numerator: NDArray[Any]
    denominator: NDArray[Any]
    divisor: NDArray[Any]
    scale: NDArray[Any]
    sign: NDArray[Any]
    limit: NDArray[Any]
    gate: NDArray[Any]
    gate_sign: NDArray[Any]
    gate_limit: NDArray[Any]
    least: NDArray[Any]
    present: NDArray[Any]
    quantile: NDArray[Any]
    is_sure: NDArray[Any]

    def packed(self) -> "RuleConditions":
        """The same at the widths that the extension reads: indices of counts are narrow."""
        of_counts = {"numerator", "denominator", "divisor", "gate", "present"}
        columns = {
            name: np.ascontiguousarray(column, np.int32 if name in of_counts else np.float64)
            for name, column in self._asdict().items()
        }
        return self._replace(**columns | {"is_sure": np.ascontiguousarray(self.is_sure, np.uint8)})


class CountBlocks:
    """Counts of all tenants at one window end, where they are. ``width`` is the number of counts of all rules."""

    def __init__(self, width: int, tenants: int) -> None:
        self.width, self.tenants = width, tenants
        self.blocks: list[tuple[int, NDArray[np.int64]]] = []

    def give(self, first: int, counts: NDArray[Any]) -> None:
        """Give the counts from an index on: ``[tenant]``, or several as ``[count, tenant]``, with any strides."""
        self.blocks.append((first, np.asarray(counts, np.int64)))


class NativeCounts(CountBlocks):
    """These counts, and the conditions of all rules on them."""

    def __init__(self, rules: RuleConditions, width: int, tenants: int) -> None:
        super().__init__(width, tenants)
        self._arguments = rules, width, self.blocks, tenants

    def enough(self, due: Rows, who: Rows) -> tuple[Pairs, list[int]]:
        """The pairs of these rules and tenants that pass the gate of the rule, ascending, and the rules with any."""
        pairs = np.empty(len(due) * len(who), np.int64)
        count, rules = _pairs.enough(*self._arguments, due, who, pairs)
        return pairs[:count], rules

    def beyond(self, pairs: Pairs, limit: Floats) -> NDArray[np.bool_]:
        """Which of these pairs have a value beyond the limit of their rule, a sufficient denominator, and a record."""
        return self._check(pairs, limit, False)

    def meeting_all(self, pairs: Pairs, limit: Floats) -> NDArray[np.bool_]:
        """Which of those meet all conditions of their rule."""
        return self._check(pairs, limit, True)

    def _check(self, pairs: Pairs, limit: Floats, all_conditions: bool) -> NDArray[np.bool_]:
        met = np.empty(len(pairs), np.bool_)
        if len(pairs):
            _pairs.check(*self._arguments, pairs, limit, all_conditions, met)
        return met
