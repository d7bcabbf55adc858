"""Running sums over a window, against sums over all panes in it, at every step."""

from collections import defaultdict

import numpy as np
from hypothesis import strategies as st

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import examples
from monitor.core.windows.running_sums import RunningSums

WIDTH = 6
PaneRows = dict[int, list[int]]  # tenant: sums


@st.composite
def some_panes(draw: st.DrawFn) -> list[PaneRows]:
    sums = st.lists(st.integers(0, 2**40), min_size=WIDTH, max_size=WIDTH)
    pane = st.dictionaries(st.integers(0, 150), sums, max_size=5)
    return draw(st.lists(pane, min_size=1, max_size=14))


@examples(some_panes(), st.integers(1, 6), st.sets(st.integers(1, WIDTH - 1)), st.integers(1, 4), fast=30, most=120)
def test_running_sums_are_those_of_the_panes_inside(
    panes: list[PaneRows], length: int, fields: set[int], every: int
) -> None:
    """Panes without calls never enter; panes that left are subtracted only when a rule is evaluated,
    every few panes.
    """
    level = RunningSums(length * MINUTE, sorted(fields))
    inside: dict[int, PaneRows] = {}
    for number, rows in enumerate(panes):
        start = T0 + number * MINUTE
        tenants = sorted(rows)
        if rows:
            sums = np.array([rows[t] for t in tenants], np.int64)
            level.enter(start, np.array(tenants, np.int32), sums, 151)
            inside[start] = rows
        if number % every:
            continue
        before_ms = start + MINUTE - length * MINUTE
        level.leave(before_ms)
        expected: dict[int, list[int]] = defaultdict(lambda: [0] * WIDTH)
        for at_ms, there in inside.items():
            for tenant, values in there.items() if at_ms >= before_ms else ():
                expected[tenant] = [a + b for a, b in zip(expected[tenant], values, strict=True)]
        for field in {0, *fields}:
            assert level.field(field, 151).tolist() == [expected[t][field] for t in range(151)]
        assert level.records == sum(values[0] for values in expected.values())


def one_pane(level: RunningSums, start: int, tenant: int, tenants: int) -> None:
    level.enter(start, np.array([tenant], np.int32), np.full((1, WIDTH), 3, np.int64), tenants)


def test_a_tenant_that_came_later_than_the_last_pane_has_nothing() -> None:
    level = RunningSums(MINUTE, [1])
    assert level.field(1, 3).tolist() == [0, 0, 0]
    one_pane(level, T0, 1, 2)
    assert level.field(1, 100).tolist() == [0, 3, *[0] * 98]
    assert level.field(1, 1).tolist() == [0]


def test_the_version_changes_exactly_with_the_windows_content() -> None:
    """The evaluator skips a window whose version it has evaluated."""
    level = RunningSums(2 * MINUTE, [1])
    level.enter(T0, np.empty(0, np.int32), np.empty((0, WIDTH), np.int64), 0)
    level.leave(T0)
    assert level.version == 0
    one_pane(level, T0, 0, 1)
    entered = level.version
    level.leave(T0)
    assert level.version == entered > 0
    level.leave(T0 + 1)
    assert level.version > entered
    assert level.records == 0
