"""A window end that is evaluated in parts, each with an output that fits in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import numpy as np

from monitor.core.rules.batch_evaluator import ConditionsMet
from monitor.core.rules.conditions import Rows

SLICE = 1_000  # tenants evaluated at once where the output is limited: it may exceed the limit by theirs
_SORTED_AT_ONCE = 10_000  # sorting holds the interpreter, and with it the event loop

WindowPart = tuple[int, str]
"""How far a window end is evaluated: the index of a rule, with all rules before it, and of that rule the tenants with
ids up to the second."""


@dataclass(slots=True)
class OutputRoom:
    """How much more output fits in the transaction, as `monitor.core.results.Output.weight` counts it."""

    left: int


@dataclass(frozen=True, slots=True)
class WindowEnd:
    """A window end under evaluation: the indices of the rules that are due, and the tenants that meet conditions."""

    due: Sequence[int]
    met: ConditionsMet


def by_id(tenants: Rows, names: Sequence[str], after: str, size: int) -> Iterator[tuple[Rows, str]]:
    """These tenants in slices of ``size``, in the order of their ids, each with its last id; only ids beyond ``after``.

    The tenants of a slice are ascending.
    """
    numbers = tenants.tolist()
    runs = [
        sorted((names[tenant], tenant) for tenant in numbers[start : start + _SORTED_AT_ONCE] if names[tenant] > after)
        for start in range(0, len(numbers), _SORTED_AT_ONCE)
    ]
    ordered = merge(*runs)
    while some := list(islice(ordered, size)):
        yield np.sort(np.array([tenant for _, tenant in some], np.intp)), some[-1][0]
