"""The extension finds the pairs of rules and tenants that numpy finds, and refuses arguments that do not fit."""

from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.rules import native_pairs
from monitor.core.rules.batch_evaluator import BatchEvaluator
from monitor.core.rules.native_pairs import NativeCounts, RuleConditions

pytestmark = pytest.mark.skipif(not native_pairs.built(), reason="the extension is not built")

WIDTH = 9
COUNTS = (0, 0, 1, 2, 3, 5, 9, 10, 100, 61_440, 10**9, 2**53 + 1, -1)
LIMITS = (-1.0, 0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0, 10.0, float("inf"))


def random_conditions(rng: np.random.Generator, rules: int, lines: int) -> RuleConditions:
    def index(*shape: int) -> Any:
        return rng.integers(0, WIDTH, shape)

    def limit(*shape: int) -> Any:
        return rng.choice(LIMITS, shape)

    return RuleConditions(
        *(index(rules, lines), index(rules, lines), index(rules, lines)),
        *(rng.choice([1, 1000], (rules, lines)), rng.choice([1.0, -1.0], (rules, lines)), limit(rules, lines)),
        *(index(rules), rng.choice([1.0, -1.0], rules), limit(rules), rng.choice([1, 3, 20], rules), index(rules)),
        *(rng.choice([0.0, 1.2815515655446004, 3.09], rules), rng.random(rules) < 0.5),
    )


def evaluator_of(conditions: RuleConditions) -> BatchEvaluator:
    """One that compares by these conditions."""
    found = BatchEvaluator([])
    for name, column in conditions._asdict().items():
        setattr(found, f"_{'sure' if name == 'is_sure' else name}", column)
    return found


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_pairs_are_those_that_numpy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rules, lines, tenants = int(rng.integers(1, 9)), int(rng.integers(1, 4)), int(rng.choice([1, 5, 40, 1_200]))
    conditions = random_conditions(rng, rules, lines)
    values = np.array(rng.choice(COUNTS, (WIDTH, tenants)), np.int64)
    values[0] = 1
    who = np.flatnonzero(rng.random(tenants) < 0.7)
    due = np.flatnonzero(rng.random(rules) < 0.7)
    counts = NativeCounts(conditions.packed(), WIDTH, tenants)
    where = np.asfortranarray(values) if seed % 2 else values  # columns of a table, or rows
    counts.give(1, where[1:5])
    for place in range(5, WIDTH):
        counts.give(place, where[place])
    numpy, block = evaluator_of(conditions), values[:, who].astype(np.float64)
    pairs, some = counts.enough(due, who)
    with np.errstate(all="ignore"):
        rule, row = numpy._enough(block, due)
        assert pairs.tolist() == ((rule << native_pairs.TENANT_BITS) + who[row]).tolist()
        assert some == np.unique(rule).tolist()
        limit = conditions.limit[:, 0]
        beyond = numpy._holds(block, rule, row, limit[rule])
        assert counts.beyond(pairs, np.ascontiguousarray(limit)).tolist() == beyond.tolist()
        meeting = beyond & numpy._conditions(block, rule, row)
        assert counts.meeting_all(pairs, np.ascontiguousarray(limit)).tolist() == meeting.tolist()


def enough() -> dict[str, Any]:
    """The arguments of a search, by name."""
    rng = np.random.default_rng(1)
    return {
        "rules": random_conditions(rng, 3, 2).packed(),
        "width": WIDTH,
        "blocks": [(1, np.ones((4, 6), np.int64)), (5, np.ones((4, 6), np.int64))],
        "tenants": 6,
        "due": np.array([0, 2]),
        "who": np.array([1, 5]),
        "pairs": np.empty(4, np.int64),
    }


def check() -> dict[str, Any]:
    given = enough()
    del given["due"], given["who"]
    pairs, limit = np.array([1, 2 << 32]), np.zeros(3)
    return {**given, "pairs": pairs, "limit": limit, "all": True, "met": np.empty(2, np.bool_)}


WRONG: dict[str, tuple[str, Any]] = {
    "fewer columns of rules": ("rules", lambda rules: rules[:-1]),
    "an index of a count beyond": ("rules", lambda rules: rules._replace(divisor=rules.divisor + WIDTH)),
    "a negative index of a count": ("rules", lambda rules: rules._replace(numerator=rules.numerator - WIDTH)),
    "fewer lines": ("rules", lambda rules: rules._replace(scale=rules.scale[:, :1].copy())),
    "a narrow limit": ("rules", lambda rules: rules._replace(limit=rules.limit.astype(np.float32))),
    "a smaller width": ("width", lambda width: 8),
    "a negative width": ("width", lambda width: -1),
    "counts of fewer tenants": ("blocks", lambda blocks: [(1, np.ones((8, 5), np.int64))]),
    "counts beyond": ("blocks", lambda blocks: [(2, np.ones((8, 6), np.int64))]),
    "counts before": ("blocks", lambda blocks: [(-1, np.ones((8, 6), np.int64))]),
    "counts of three dimensions": ("blocks", lambda blocks: [(1, np.ones((8, 6, 1), np.int64))]),
    "counts at odd bytes": ("blocks", lambda blocks: [(1, np.ones((8, 6), [("", np.int64), ("", np.int8)])["f0"])]),
    "narrow counts": ("blocks", lambda blocks: [(1, np.ones((8, 6), np.int32))]),
    "no pair": ("blocks", lambda blocks: [np.ones((8, 6), np.int64)]),
    "no counts": ("blocks", lambda blocks: []),
}
WRONG_IN_A_SEARCH: dict[str, tuple[str, Any]] = {
    "a rule beyond": ("due", lambda due: due + 1),
    "a negative rule": ("due", lambda due: due - 1),
    "a tenant beyond": ("who", lambda who: who + 1),
    "a negative tenant": ("who", lambda who: who - 2),
    "less room": ("pairs", lambda pairs: pairs[:3]),
}
WRONG_IN_A_CHECK: dict[str, tuple[str, Any]] = {
    "a rule beyond": ("pairs", lambda pairs: pairs + (1 << 32)),
    "a negative pair": ("pairs", lambda pairs: pairs - 2),
    "a tenant beyond": ("pairs", lambda pairs: pairs + 5),
    "fewer limits": ("limit", lambda limit: limit[:2]),
    "less room": ("met", lambda met: met[:1]),
}


@pytest.mark.parametrize("which", [*WRONG, *WRONG_IN_A_SEARCH])
def test_a_search_whose_arguments_do_not_fit_is_refused(which: str) -> None:
    given, (name, change) = enough(), (WRONG | WRONG_IN_A_SEARCH)[which]
    native_pairs._pairs.enough(*given.values())
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=r"fit|such|given|expected|fewer"):
        native_pairs._pairs.enough(*given.values())


@pytest.mark.parametrize("which", [*WRONG, *WRONG_IN_A_CHECK])
def test_a_check_whose_arguments_do_not_fit_is_refused(which: str) -> None:
    given, (name, change) = check(), (WRONG | WRONG_IN_A_CHECK)[which]
    native_pairs._pairs.check(*given.values())
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=r"fit|such|given|expected|fewer"):
        native_pairs._pairs.check(*given.values())
