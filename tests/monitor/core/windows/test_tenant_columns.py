"""Sums by tenant equal the running sums ahead of time: leaving panes are subtracted, coming panes are added."""

import numpy as np
from hypothesis import strategies as st

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import examples
from monitor.core.windows.running_sums import RunningSums
from monitor.core.windows.tenant_columns import TenantColumns, TenantSums

WIDTH, TENANTS = 5, 6
some_pane = st.dictionaries(st.integers(0, TENANTS - 1), st.integers(0, 9), max_size=4)


def rows(pane: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    tenant = np.array(sorted(pane), np.int32)
    return tenant, np.array([[pane[t] + field for field in range(WIDTH)] for t in sorted(pane)], np.int64).reshape(
        -1, WIDTH
    )


@examples(st.lists(some_pane, max_size=6), st.lists(some_pane, max_size=3), st.integers(0, 7), fast=30, most=120)
def test_sums_ahead_of_time_hold_the_remaining_and_the_coming_panes(
    inside: list[dict[int, int]], to_come: list[dict[int, int]], leaving: int
) -> None:
    fields = [0, 2, 4]
    level = RunningSums(30 * MINUTE, fields)
    for number, pane in enumerate(inside):
        level.enter(T0 + number * MINUTE, *rows(pane), TENANTS)
    before = [level.field(field, TENANTS).tolist() for field in fields]
    table = TenantColumns()
    other = table.reserve(2)
    sums = TenantSums(table, table.reserve(len(fields)), fields)
    table.reach(TENANTS)
    sums.set(level.ahead(T0 + leaving * MINUTE, TENANTS))
    for pane in to_come:
        sums.add(*rows(pane))
    for field in fields:
        expected = [0] * TENANTS
        for pane in [*inside[leaving:], *to_come]:
            for tenant, count in pane.items():
                expected[tenant] += count + field
        assert sums.field(field, TENANTS).tolist() == expected
        assert table.of(np.arange(TENANTS))[:, sums.column(field)].tolist() == expected
    assert not table.values[:, other : other + 2].any()
    assert [level.field(field, TENANTS).tolist() for field in fields] == before


def test_released_columns_are_used_again_and_begin_at_zero() -> None:
    table = TenantColumns()
    first, second = table.reserve(3), table.reserve(40)
    table.reach(5)
    table.values[:] = 7
    table.release(first, 3)
    assert table.reserve(40) not in (first, second)
    assert table.reserve(3) == first
    assert not table.values[:, first : first + 3].any()
    assert (table.values[:5, second : second + 40] == 7).all()
    table.reach(1_000)
    assert (table.values[:5, second : second + 40] == 7).all()
    assert not table.values[64:].any()
