"""Compiles conditions into tests of a row's cells, and of the fields that were computed before."""

from collections.abc import Callable

from monitor.adapters.mapping.cells import Cells, Data, Index
from monitor.adapters.mapping.spec import ColumnTest, Condition, GroupTest, depends_on_fields


def _holds(condition: ColumnTest, text: str) -> bool:
    if condition.parts is not None:
        found = condition.parts.search(text) or {"": ""}
        return any(_holds_for(condition, part) for part in found.values())
    return _holds_for(condition, text)


def _holds_for(condition: ColumnTest, text: str) -> bool:
    if condition.values is not None and (text in condition.values) == condition.negated:
        return False
    if condition.empty is not None and condition.empty != (not text):
        return False
    return condition.pattern is None or condition.pattern.fullmatch(text)


def all_hold(conditions: tuple[Condition, ...], index: Index) -> Callable[[Cells], bool]:
    """A test of a row's cells: every condition on a column or a setting holds. Conditions on fields are not tested."""
    of_cells = [each for each in conditions if not depends_on_fields((each,))]
    if len(of_cells) == 1 and isinstance(of_cells[0], ColumnTest) and of_cells[0].column is not None:
        # By far the most frequent case, and run for every row.
        only, at = of_cells[0], index[of_cells[0].column]
        if only.same_as is None:
            return lambda cells: _holds(only, cells[at].strip())
    tests = [_cell_test(each, index) for each in of_cells]
    return lambda cells: all(test(cells) for test in tests)


def _cell_test(condition: Condition, index: Index) -> Callable[[Cells], bool]:
    if isinstance(condition, GroupTest):
        tests, negated = [_cell_test(each, index) for each in condition.tests], condition.negated
        return lambda cells: any(test(cells) for test in tests) is not negated
    if condition.column is None:
        fixed = _holds(condition, condition.fixed)
        return lambda cells: fixed
    at = index[condition.column]
    if condition.same_as is not None:
        other = index[condition.same_as]
        return lambda cells: cells[at].strip() == cells[other].strip() and _holds(condition, cells[at].strip())
    return lambda cells: _holds(condition, cells[at].strip())


def all_hold_with_fields(conditions: tuple[Condition, ...], index: Index) -> Callable[[Cells, Data], bool]:
    """A test of a row's cells and of the fields computed so far: every condition holds."""
    of_cells = all_hold(conditions, index)
    of_fields = [_field_test(each, index) for each in conditions if depends_on_fields((each,))]
    return lambda cells, data: of_cells(cells) and all(test(cells, data) for test in of_fields)


def _field_test(condition: Condition, index: Index) -> Callable[[Cells, Data], bool]:
    if isinstance(condition, GroupTest):
        tests, negated = [_field_test(each, index) for each in condition.tests], condition.negated
        return lambda cells, data: any(test(cells, data) for test in tests) is not negated
    if condition.made is None:
        plain = _cell_test(condition, index)
        return lambda cells, data: plain(cells)
    name = condition.made
    return lambda cells, data: _holds(condition, str(data.get(name, "")))
