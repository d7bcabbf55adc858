"""The settings of a mapping: texts that `--set` gives, and that stand in the mapping as `$NAME`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from monitor.adapters.mapping.checks import Checker
from monitor.adapters.mapping.spec import ROW
from monitor.adapters.mapping_wording import mapping_text
from monitor.policy.file.errors import PolicyFault
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import Bilingual

# A setting is a list of texts, separated by commas, where a list is expected.
_LISTS: Final = ("in", "not_in", "empty", "first", "join", "hmac", "rows", "time")


class MappingSettings:
    """The settings of one mapping. ``values`` has each with its text."""

    def __init__(self, checker: Checker, data: dict[str, Any], top: YamlPath, given: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        declared, place = data.get("settings", {}), top.child("settings")
        if not isinstance(declared, dict):
            checker.wrong(place, "settings_kind", value=repr(declared))
            return
        for name, default in declared.items():
            at, choices = place.child(name), default if isinstance(default, list) else [default]
            if not choices or not all(isinstance(one, str) or (one is None is default) for one in choices):
                checker.wrong(at, "setting_default", name=name, value=repr(default))
            elif not str(name).isidentifier() or f"${name}" == ROW:
                checker.wrong_key(at, "setting_name", name=name)
            else:
                value = given.get(name, choices[0])
                self.values[name] = value or ""
                if value is None:
                    _not_given(checker, top, mapping_text("setting_without_default", name=name))
                elif isinstance(default, list) and value not in choices:
                    listed = ", ".join(choices)
                    _not_given(checker, top, mapping_text("setting_choice", name=name, choices=listed, value=value))

    def applied(self, data: dict[str, Any]) -> dict[str, Any]:
        """``data`` with each `$NAME` replaced."""
        if not self.values:
            return data
        return {key: value if key == "settings" else self._replaced(key, value) for key, value in data.items()}

    def _replaced(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {each: self._replaced(each, inner) for each, inner in value.items()}
        if isinstance(value, list):
            return [self._replaced("", inner) for inner in value]
        if isinstance(value, str) and value.startswith("$") and value[1:] in self.values:
            text = self.values[value[1:]]
            return _items(text) if key in _LISTS else text
        return value


def _not_given(checker: Checker, top: YamlPath, message: Bilingual) -> None:
    """Report a fault of what ``--set`` gives, or does not give."""
    checker.faults.append(PolicyFault.worded(f"{top.source.name} --set", 1, 1, message))


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def setting_names(data: Any) -> Iterable[str]:
    """The names of the settings that a mapping's data declares."""
    declared = data.get("settings") if isinstance(data, dict) else None
    return tuple(declared) if isinstance(declared, dict) else ()
