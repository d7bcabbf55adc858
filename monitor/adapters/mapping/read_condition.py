"""Reads the conditions of a mapping: tests of columns, fields and settings, and groups of them."""

from collections.abc import Iterator
from typing import Any

from monitor.adapters.mapping.checks import Checker
from monitor.adapters.mapping.spec import ColumnTest, Condition, GroupTest
from monitor.policy.file.errors import did_you_mean
from monitor.policy.file.yaml_source import YamlPath

_TESTED = ("column", "field", "setting")
_GROUPS = ("any", "none")
_RIGHT = ("equals", "in", "not_in", "empty", "matches", "same_as")
CONDITION_KEYS = (*_TESTED, "of", *_RIGHT, *_GROUPS)


class ConditionReader(Checker):
    """Reads conditions. ``set_`` are the mapping's settings."""

    def __init__(self) -> None:
        super().__init__()
        self.set_: dict[str, str] = {}

    def conditions(
        self, value: dict[str, Any], place: YamlPath, made: tuple[str, ...], key: str = "when"
    ) -> tuple[Condition, ...]:
        given = value.get(key)
        many = isinstance(given, list)
        found = []
        for n, one in enumerate(given if isinstance(given, list) else [given] if given is not None else []):
            at = place.child(key, n) if many else place.child(key)
            if not isinstance(one, dict):
                self.wrong(at, "a condition is {column: NAME, equals: TEXT}, or with in, not_in, empty, matches")
                continue
            condition = self.condition(one, at, made)
            if condition is not None:
                found.append(condition)
        return tuple(found)

    def condition(self, one: dict[str, Any], at: YamlPath, made: tuple[str, ...]) -> Condition | None:
        self.known(one, at, CONDITION_KEYS)
        groups = [key for key in _GROUPS if key in one]
        if groups:
            if len(one) > 1:
                self.wrong(at, f"expected `{groups[0]}` alone: conditions in a list must all hold")
            tests = self.conditions(one, at, made, groups[0])
            if not tests:
                self.wrong(at.child(groups[0]), f"expected a list of conditions in `{groups[0]}`")
            return GroupTest(tests, groups[0] == "none")
        column, field, fixed = None, None, ""
        if sum(key in one for key in _TESTED) != 1:
            self.wrong(
                at, "a condition has a `column` of the file, a `field` of the record, or a `setting`: one of them"
            )
            return None
        if "column" in one:
            column = self.column(one["column"], at.child("column"), self.of_kinds(one, at))
        elif "field" in one:
            field = self.text(one, at, "field", "")
            if field not in made:
                self.wrong(at.child("field"), f"no field `{field}` is made here{did_you_mean(field, made)}")
        else:
            name = self.text(one, at, "setting", "")
            if name not in self.set_:
                self.wrong(at.child("setting"), f"expected a name of `settings`, got `{name}`")
            fixed = self.set_.get(name, "")
        if not any(key in one for key in _RIGHT):
            self.wrong(at, "a condition needs equals, in, not_in, empty, matches or same_as")
        if sum(key in one for key in ("equals", "in", "not_in")) > 1:
            self.wrong(at, "a condition has one of equals, in, not_in")
        values: frozenset[str] | None = None
        if "equals" in one:
            values = frozenset((self.text(one, at, "equals", ""),))
        elif "in" in one or "not_in" in one:
            values = frozenset(self.texts(one, at, "in" if "in" in one else "not_in"))
        empty = self.flag(one, at, "empty", False) if "empty" in one else None
        same_as = None
        if "same_as" in one:
            same_as = self.column(one["same_as"], at.child("same_as"), self.of_kinds(one, at))
            if column is None:
                self.wrong(at.child("same_as"), "expected `same_as` beside a `column`: two columns are compared")
        pattern = self.pattern(one, at, "matches")
        return ColumnTest(column, field, fixed, values, "not_in" in one, empty, pattern, same_as)


def fields_of(conditions: tuple[Condition, ...]) -> Iterator[str]:
    """The fields of the record that the conditions test."""
    for condition in conditions:
        if isinstance(condition, GroupTest):
            yield from fields_of(condition.tests)
        elif condition.made is not None:
            yield condition.made
