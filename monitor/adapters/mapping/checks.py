"""Small checks of a mapping file's data that record faults and continue, so that one fault hides no other."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from monitor.adapters.mapping.paths import PathError, parse_path
from monitor.adapters.mapping.spec import ENDED, FIRST_MS, KIND, LAST_MS, ROW, SWAPPED, Mark, Pick
from monitor.adapters.mapping_wording import listed, mapping_text
from monitor.adapters.values.patterns import LinearPattern, PatternError
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import Bilingual

T = TypeVar("T")


class Checker:
    """Collects ``faults``, and in ``marks`` the first position of each column.

    ``derived`` are the columns that the mapping makes itself. ``paths``: the columns are paths into JSON. In a mapping
    with events of the kinds ``kinds``, ``picks`` collects the columns of a call; it is None while those of an event
    are read.
    """

    def __init__(self) -> None:
        self.faults: list[PolicyFault] = []
        self.marks: dict[str, Mark] = {}
        self.derived: set[str] = set()
        self.paths = False
        self.kinds: tuple[str, ...] = ()
        self.picks: dict[str, Pick] | None = None

    def wrong(self, place: YamlPath, code: str, **values: object) -> None:
        """Record the fault ``code`` of the table at a value."""
        self.faults.append(place.fault(mapping_text(code, **values)))

    def wrong_key(self, place: YamlPath, code: str, **values: object) -> None:
        """Record the fault ``code`` of the table at a key."""
        self.faults.append(place.key_fault(mapping_text(code, **values)))

    def known(self, data: dict[str, Any], place: YamlPath, keys: Iterable[str]) -> None:
        keys = tuple(keys)
        for key in data:
            if key not in keys:
                self.wrong_key(place.child(key), "unknown_key", key=key, hint=near_miss(key, keys))

    def word(
        self, data: dict[str, Any], place: YamlPath, key: str, words: tuple[str, ...], default: str | None
    ) -> str | None:
        value = data.get(key, default)
        if value is None:
            self.wrong(place.child(key), "missing", key=key, words=listed(words))
        elif value not in words:
            self.wrong(place.child(key), "problem", problem=not_a_word(str(value), words))
            return default
        return value

    def text(self, data: dict[str, Any], place: YamlPath, key: str, default: str) -> str:
        return self.typed(data, place, key, default, lambda value: isinstance(value, str), "a_text")

    def flag(
        self, data: dict[str, Any], place: YamlPath, key: str, default: bool, right: str = "true_or_false"
    ) -> bool:
        return self.typed(data, place, key, default, lambda value: isinstance(value, bool), right)

    def typed(
        self, data: dict[str, Any], place: YamlPath, key: str, default: T, good: Callable[[object], bool], right: str
    ) -> T:
        value = data.get(key, default)
        if good(value):
            return cast(T, value)
        self.wrong(place.child(key), "wrong_kind", key=key, right=mapping_text(right))
        return default

    def texts(self, data: dict[str, Any], place: YamlPath, key: str) -> list[str]:
        value = data.get(key, [])
        found = []
        for n, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, str):
                found.append(item)
            else:
                self.wrong(place.child(key, n), "no_texts", key=key)
        return found

    def items(self, data: dict[str, Any], top: YamlPath, key: str, right: str) -> list[tuple[YamlPath, dict[str, Any]]]:
        value = data.get(key, [])
        if not isinstance(value, list):
            self.wrong(top.child(key), "no_list", key=key, right=mapping_text(right))
            return []
        found = []
        for n, item in enumerate(value):
            if isinstance(item, dict):
                found.append((top.child(key, n), item))
            else:
                self.wrong(top.child(key, n), "no_list", key=key, right=mapping_text(right))
        return found

    def pattern(self, data: dict[str, Any], place: YamlPath, key: str) -> LinearPattern | None:
        if key not in data:
            return None
        try:
            return LinearPattern(self.text(data, place, key, ""))
        except PatternError as error:
            self.wrong(place.child(key), "problem", problem=error.message)
            return None

    def column(self, name: Any, place: YamlPath, kinds: tuple[str, ...] = ()) -> str:
        """The name of a column; of a call it is that of its events of ``kinds``, or of all of its events."""
        if not isinstance(name, str) or not name:
            self.wrong(place, "no_column_name")
            return ""
        if name in self.derived:
            return name
        if self.picks is None:
            return self.column_of_file(name, place)
        if name in (FIRST_MS, LAST_MS, ENDED):
            kinds = ()
        elif name in (KIND, SWAPPED):
            if not kinds:
                self.wrong(place, "of_one_event", name=name)
        elif name == ROW:
            self.wrong(place, "row_of_call", name=ROW)
            return ""
        elif not self.column_of_file(name, place):
            return ""
        chosen = f"{name} of {' or '.join(kinds)}" if kinds else name
        self.picks[chosen] = Pick(name, kinds)
        return chosen

    def of_kinds(self, data: dict[str, Any], place: YamlPath) -> tuple[str, ...]:
        """The kinds of events that `of` names."""
        if "of" not in data:
            return ()
        if self.picks is None:
            self.wrong_key(place.child("of"), "of_without_events")
            return ()
        kinds = tuple(self.texts(data, place, "of"))
        for kind in kinds:
            if kind not in self.kinds:
                self.wrong(place.child("of"), "no_kind", kind=kind, hint=near_miss(kind, self.kinds))
        return kinds

    def column_of_file(self, name: str, place: YamlPath) -> str:
        if name.startswith("$") and name != ROW:
            known = listed(f"`{each}`" for each in (ROW, *sorted(self.derived)))
            self.wrong(place, "unknown_dollar", name=name, known=known)
            return ""
        if self.paths and name != ROW and not self.path(name, place):
            return ""
        source, path = place.source, place.path
        while path not in source.values:
            path = path[:-1]
        self.marks.setdefault(name, source.values[path])
        return name

    def path(self, text: str, place: YamlPath) -> bool:
        try:
            parse_path(text)
        except PathError as error:
            self.wrong(place, "path", path=text, problem=error.message)
            return False
        return True

    def columns(self, value: dict[str, Any], place: YamlPath, key: str) -> tuple[str, ...]:
        given = value[key]
        if not isinstance(given, list) or not given:
            self.wrong(place.child(key), "no_columns", key=key)
            return ()
        kinds = self.of_kinds(value, place)
        return tuple(self.column(name, place.child(key, n), kinds) for n, name in enumerate(given))


def not_a_word(value: str, words: Iterable[str]) -> Bilingual:
    """The fault message for a value that is not one of ``words``."""
    return mapping_text("not_allowed", value=value, hint=near_miss(value, words))
