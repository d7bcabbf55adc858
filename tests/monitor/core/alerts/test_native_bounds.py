"""The extension finds the calls that numpy finds, and refuses arguments that do not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.early_runs import hovering_run
from helpers.thorough import thorough
from monitor.core.alerts import native_bounds
from monitor.core.alerts.breach_bounds import BreachBounds
from monitor.core.alerts.breach_lines import Evaluation
from monitor.core.alerts.native_bounds import BoundsPlan, CallsNeeded, NativeBounds
from monitor.core.rules.conditions import Rows
from monitor.core.windows.distinct.key_uses import SETS, KeyUses
from monitor.core.windows.tenant_columns import TenantColumns
from monitor.policy.metrics import METRICS

pytestmark = pytest.mark.skipif(not native_bounds.built(), reason="the extension is not built")

COUNTS = (0, 0, 0, 1, 2, 3, 5, 9, 10, 20, 25, 26, 100, 61_440, 10**9, 2**40, 2**53 + 1, -1)
EXTRA = (0, 0, 0, 0, 1, 3, 7, 127, -1)  # 0: keys are not sampled, -1: not known
USED = (0, 0, 1, 5, 30, 10**6)
Of = Callable[[BreachBounds, Rows], CallsNeeded]


def both(of: Of, bounds: BreachBounds, who: Rows) -> tuple[CallsNeeded, CallsNeeded]:
    """What the extension and numpy find."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(native_bounds, "enabled", True)
        found = of(bounds, who)
        patch.setattr(native_bounds, "enabled", False)
        return found, of(bounds, who)


def assert_same(found: CallsNeeded, expected: CallsNeeded) -> None:
    for name, one, other in zip(CallsNeeded._fields, found, expected, strict=True):
        assert one.dtype == other.dtype == np.int64, name
        assert one.tolist() == other.tolist(), name


def fill(bounds: BreachBounds, rng: np.random.Generator, tenants: int) -> None:
    """Replace all counts that these bounds are of: by any numbers, or by those of tenants near their thresholds."""
    plan, table, uses = bounds._plan(), TenantColumns(), KeyUses()
    uses.before, uses.largest = (rng.choice(USED, (len(SETS), tenants + 2)) for _ in range(2))
    width, near, sampled = bounds._table.values.shape[1], rng.random() < 0.7, rng.random() < 0.5
    table.values = rng.integers(0, 40, (tenants, width)) if near else rng.choice(COUNTS, (tenants, width))
    if near:
        table.values[:, plan.attempts] = rng.integers(0, 400, (tenants, 1))
        table.values[:, plan.before] = table.values[:, plan.attempts] - rng.integers(0, 40, (tenants, len(plan.before)))
        table.values[:, plan.left] = rng.choice((0, 0, 1, 5), (tenants, len(plan.left)))
        unfinished = plan.unfinished[plan.whole > 0]
        table.values[:, unfinished] = rng.integers(0, 10, (tenants, len(unfinished)))
        used = uses.count(np.arange(tenants))[plan.which].T
        table.values[:, plan.used] = used - rng.choice((0, 1, 5, 30, 2**40), (tenants, len(plan.used)))
    table.values[:, plan.extra] = rng.choice(EXTRA if sampled else (0,), (tenants, len(plan.extra)))
    complaints = [rng.choice((0, 0, 1, 2, 30), tenants + 1) for _ in bounds._terms.complaints]
    bounds._table, bounds._uses = table, uses
    bounds._complaints = lambda tenants: [counts[:tenants] for counts in complaints]  # type: ignore[method-assign]


def farther(one: Evaluation, rng: np.random.Generator) -> Evaluation:
    """The same, perhaps with a threshold that only samples of keys reach."""
    if METRICS[one.rule.metric].family == "talk":
        return one  # only thresholds of the policy have a column
    return one._replace(rule=replace(one.rule, threshold=one.rule.threshold * int(rng.choice((1, 1, 10)))))


@pytest.mark.parametrize("seed", thorough(range(22), [2, 6, 7, 9, 20], soak=range(22, 100)))
def test_needs_are_those_that_numpy_finds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random rules, first on traffic near their thresholds, then on random counts."""
    print(f"seed {seed}")
    of, used = BreachBounds.of, {}
    if seed % 2:  # so that tenants have sampled keys
        for module in ("distinct_counts", "key_counts"):
            monkeypatch.setattr(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", 60)

    def compared(bounds: BreachBounds, who: Rows) -> CallsNeeded:
        found, expected = both(of, bounds, who)
        assert_same(found, expected)
        used[id(bounds)] = bounds
        return found

    monkeypatch.setattr(BreachBounds, "of", compared)
    hovering_run(seed).alerts()
    assert used
    rng = np.random.default_rng(seed)
    for bounds in list(used.values())[-3:]:
        # Each rule alone, too: what all need together hides what most of them need.
        alone = [BreachBounds([farther(one, rng)], bounds._table, bounds._uses) for one in bounds.evaluations[-60:]]
        for some in (*[bounds] * 10, *alone * 3):
            tenants = int(rng.choice((1, 40, 150)))
            fill(some, rng, tenants)
            who = np.flatnonzero(rng.random(tenants) < 0.8) if tenants > 1 else np.array([0])
            assert_same(*both(of, some, who))


def test_the_compared_needs_are_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[BoundsPlan, CallsNeeded]] = []
    of = BreachBounds.of

    def kept(bounds: BreachBounds, who: Rows) -> CallsNeeded:
        needed = of(bounds, who)
        found.append((bounds._plan(), needed))
        return needed

    monkeypatch.setattr(BreachBounds, "of", kept)
    for seed in (2, 6):
        hovering_run(seed).alerts()
    for part in ("sum_column", "counts", "sure", "waiting", "rarer"):
        assert any(len(getattr(plan, part)) for plan, _ in found), part
    assert any(len(needed.now) for _, needed in found)
    assert any((needed.uses_at < 10**6).any() for _, needed in found)


# Refused arguments --------------------------------------------------------------------------------------------------


def plan() -> BoundsPlan:
    """Two sums, a distinct count of one key, three lines, two rules: one is sure, the other waits for uses."""

    def ints(*values: int) -> NDArray[Any]:
        return np.array(values)

    return BoundsPlan(
        *(
            ints(0, 1),
            ints(2),
            ints(0),
            ints(3),
            ints(4),
            ints(5),
            ints(6),
            ints(1),
            ints(1),
            ints(0),
            ints(25),
            ints(1),
            ints(6),
            ints(10),
        ),
        *(ints(0, 1, 3), ints(2, 0, 4), np.ones(3), np.ones(3), np.ones(3), np.zeros(3), np.ones(3), np.zeros(3)),
        *(np.full(3, 1e-9), ints(0, 1, 2), ints(0, 2)),
        *(ints(0), ints(1), ints(2), np.ones(1), np.ones(1), np.full(1, 0.5), ints(0)),
        *(ints(1), ints(0), np.full(1, 5.0)),
    ).packed()


def given() -> dict[str, Any]:
    """The arguments, by name: seven columns, six tenants, a count of complaints."""
    return {
        "plan": plan(),
        "values": np.ones((6, 7), np.int64),
        "width": 7,
        "who": np.array([1, 5]),
        "before": np.zeros((len(SETS), 6), np.int64),
        "largest": np.zeros((len(SETS), 6), np.int64),
        "complaints": [np.zeros(6, np.int64)],
        "room": NativeBounds(plan(), 1)._room,
        "calls": np.empty(2, np.int64),
        "uses_at": np.empty((len(SETS), 2), np.int64),
        "now": np.empty(4, np.int64),
    }


def changed(column: str, values: list[Any]) -> tuple[str, Any]:
    return "plan", lambda plan: plan._replace(**{column: np.array(values, getattr(plan, column).dtype)})


COLUMNS = ("counts", "attempts", "before", "left", "extra", "used", "unfinished")
WRONG: dict[str, tuple[str, Any]] = {
    "fewer columns of the plan": ("plan", lambda plan: plan[:-1]),
    "a list": ("plan", list),
    "a sum beyond": changed("sum_column", [0, 7]),
    "a negative sum": changed("sum_column", [0, -1]),
    **{f"{name} beyond": changed(name, [7]) for name in COLUMNS},
    **{f"negative {name}": changed(name, [-1]) for name in COLUMNS},
    "a key of no attempt": changed("each", [0]),
    "a set beyond": changed("which", [3]),
    "a negative set": changed("which", [-1]),
    "a term beyond": changed("low", [0, 1, 5]),
    "a negative term": changed("high", [0, -1, 4]),
    "fewer factors": changed("low_factor", [1.0, 1.0]),
    "a line beyond": changed("condition", [0, 1, 3]),
    "a negative line": changed("condition", [-1, 1, 2]),
    "a rule without a line": changed("start", [0, 0]),
    "a last rule without a line": changed("start", [0, 3]),
    "a line of no rule": changed("start", [1, 2]),
    "a rule beyond": changed("sure", [2]),
    "a numerator beyond": changed("numerator", [5]),
    "a negative denominator": changed("denominator", [-1]),
    "a waiting rule beyond": changed("waiting", [2]),
    "a negative waiting rule": changed("waiting", [-1]),
    "a count beyond": changed("waiting_for", [1]),
    "a narrow factor": ("plan", lambda plan: plan._replace(rate=plan.rate.astype(np.float32))),
    "a narrower table": ("width", lambda width: 6),
    "a wider table": ("width", lambda width: 8),
    "a table of no width": ("width", lambda width: 0),
    "a negative width": ("width", lambda width: -7),
    "a narrow table": ("values", lambda values: values.astype(np.int32)),
    "fewer tenants": ("values", lambda values: values[:5].copy()),
    "a tenant beyond": ("who", lambda who: who + 1),
    "a negative tenant": ("who", lambda who: who - 2),
    "narrow tenants": ("who", lambda who: who.astype(np.int32)),
    "uses of fewer tenants": ("before", lambda before: before[:, :5].copy()),
    "largest uses of fewer tenants": ("largest", lambda largest: largest[:, :5].copy()),
    "uses of other sets": ("before", lambda before: before[:2].copy()),
    "complaints of fewer tenants": ("complaints", lambda complaints: [complaints[0][:5]]),
    "narrow complaints": ("complaints", lambda complaints: [complaints[0].astype(np.int32)]),
    "no complaints": ("complaints", lambda complaints: []),
    "less room": ("room", lambda room: room[:-1]),
    "calls of fewer tenants": ("calls", lambda calls: calls[:1]),
    "uses to wait for of fewer sets": ("uses_at", lambda uses_at: uses_at[:2].copy()),
    "less room for pairs": ("now", lambda now: now[:3]),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    arguments, (name, change) = given(), WRONG[which]
    assert native_bounds._bounds.needed(*arguments.values()) >= 0
    arguments[name] = change(arguments[name])
    with pytest.raises(ValueError, match=r"fit|such|expected|room"):
        native_bounds._bounds.needed(*arguments.values())
