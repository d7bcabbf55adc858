"""The names of the counts of one set of keys, as `monitor.policy.metrics.DISTINCT_COUNTS` has them."""

from collections.abc import Iterable
from typing import Final

from monitor.policy.metrics import DISTINCT_COUNTS, METRICS, KeySet
from monitor.policy.model import Params, Rule

Name = str | int
"""A count: one of those below, or a `callee_limit` for the keys with more attempts."""

DISTINCT: Final = "distinct"
NUMBERS: Final = "numbers"
SEQUENTIAL: Final = "sequential"
PEAK: Final = "peak"
TOP: Final = "top"
IN_BLOCKS: Final = "in_blocks"
UNFINISHED: Final = "unfinished"
WIDEST: Final = "widest"
_OVER: Final = "over"


def count_of(field: str, params: Params) -> tuple[KeySet, Name]:
    """The set of keys and the name of the count that a numerator or denominator is, under these parameters."""
    keys, name = DISTINCT_COUNTS[field]
    return keys, params.callee_limit if name == _OVER else name


def counts_of(rules: Iterable[Rule]) -> dict[KeySet, tuple[Name, ...]]:
    """The counts of each set of keys that these rules need: limits first, then names."""
    found: dict[KeySet, set[Name]] = {}
    for rule in rules:
        for metric in (METRICS[name] for name in rule.metrics):
            for field in (metric.numerator, metric.denominator):
                if field in DISTINCT_COUNTS:
                    keys, name = count_of(field, rule.params)
                    found.setdefault(keys, set()).add(name)
    return {
        keys: (
            *sorted(name for name in names if isinstance(name, int)),
            *sorted(name for name in names if isinstance(name, str)),
        )
        for keys, names in found.items()
    }
