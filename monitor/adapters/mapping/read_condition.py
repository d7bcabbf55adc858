"""Reads the conditions of a mapping: tests of columns, fields and settings, and groups of them."""

from typing import Any

from monitor.adapters.mapping.checks import Checker
from monitor.adapters.mapping.spec import ColumnTest, Condition, GroupTest
from monitor.policy.file.errors import near_miss
from monitor.policy.file.yaml_source import YamlPath

_TESTED = ("column", "field", "setting")
_GROUPS = ("any", "none")
_RIGHT = ("equals", "in", "not_in", "empty", "matches", "same_as")
CONDITION_KEYS = (*_TESTED, "of", "parts", *_RIGHT, *_GROUPS)


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
                self.wrong(at, "condition_kind")
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
                self.wrong(at, "group_alone", group=groups[0])
            tests = self.conditions(one, at, made, groups[0])
            if not tests:
                self.wrong(at.child(groups[0]), "group_empty", group=groups[0])
            return GroupTest(tests, groups[0] == "none")
        column, field, fixed = None, None, ""
        if sum(key in one for key in _TESTED) != 1:
            self.wrong(at, "one_tested")
            return None
        if "column" in one:
            column = self.column(one["column"], at.child("column"), self.of_kinds(one, at))
        elif "field" in one:
            field = self.text(one, at, "field", "")
            if field not in made:
                self.wrong(at.child("field"), "field_not_made", field=field, hint=near_miss(field, made))
        else:
            name = self.text(one, at, "setting", "")
            if name not in self.set_:
                self.wrong(at.child("setting"), "no_setting", name=name)
            fixed = self.set_.get(name, "")
        if not any(key in one for key in _RIGHT):
            self.wrong(at, "no_comparison")
        if sum(key in one for key in ("equals", "in", "not_in")) > 1:
            self.wrong(at, "one_comparison")
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
                self.wrong(at.child("same_as"), "same_as_of_columns")
        pattern = self.pattern(one, at, "matches")
        parts = self.pattern(one, at, "parts")
        if parts is not None and not parts.groups:
            self.wrong(at.child("parts"), "parts_without_groups")
        return ColumnTest(column, field, fixed, values, "not_in" in one, empty, pattern, same_as, parts)
