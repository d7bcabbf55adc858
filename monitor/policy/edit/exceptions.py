"""Adds, changes and removes overrides, exemptions and profiles in the text of a policy, and proves that nothing else
changed."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Literal

from monitor.policy.edit.nodes import NotEditable
from monitor.policy.edit.text import PolicyText, Value
from monitor.policy.file.yaml_source import parse
from monitor.policy.load import of_source
from monitor.policy.model import Policy

ExceptionKind = Literal["override", "exemption", "profile"]
SECTIONS: Final[Mapping[ExceptionKind, str]] = {
    "override": "overrides",
    "exemption": "exemptions",
    "profile": "profiles",
}


@dataclass(frozen=True, slots=True)
class ExceptionChange:
    """What to do with the exception at ``at``: its number in its list, or the name of a profile. None: add one.

    ``fields``: the fields that it has or gets; of a change only those that differ are written, and None takes one
    away. None as a whole: remove the exception. ``name`` is that of a new profile.
    """

    kind: ExceptionKind
    at: int | str | None
    fields: Mapping[str, Value] | None
    name: str = ""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class EditedPolicy:
    """The text before and after, and the policies that they are."""

    before: Policy
    after: Policy
    text: str


def entries(data: Any, kind: ExceptionKind) -> list[tuple[int | str, dict[str, Any]]]:
    """The exceptions of a kind in the data of a policy's text, each with its number or name."""
    section = data.get(SECTIONS[kind]) if isinstance(data, dict) else None
    if isinstance(section, dict):
        return [(key, value) for key, value in section.items() if isinstance(value, dict)]
    return [(n, value) for n, value in enumerate(section or []) if isinstance(value, dict)]


def edit_exception(text: str, name: str, change: ExceptionChange) -> EditedPolicy:
    """Carry out a change in a policy's text, named ``name`` in faults.

    Raises PolicyError with the faults of the result, and NotEditable if the text must be edited by hand.
    """
    source = parse(text, name)
    before = of_source(source)
    edited, section = PolicyText(text), SECTIONS[change.kind]
    if change.at is None:
        fields = {key: value for key, value in (change.fields or {}).items() if value is not None}
        if change.kind == "profile":
            if change.name in {profile.name for profile in before.profiles}:
                raise NotEditable("there is a profile of that name")
            edited.put(section, change.name, fields)
        else:
            edited.append(section, fields)
    elif change.fields is None:
        edited.take(section, change.at)
    else:
        written = dict(entries(source.data, change.kind)).get(change.at)
        if written is None:
            raise NotEditable("there is no such exception")
        for key, value in change.fields.items():
            if value is None:
                edited.remove((section, change.at), key)
            elif written.get(key) != value:
                edited.set((section, change.at), key, value)
    if change.version is not None and change.version != before.version:
        edited.set((), "version", change.version)
    result = parse(edited.text, name)
    after = of_source(result)
    if result.data != _expected(deepcopy(source.data), change):
        raise NotEditable("the edit would change something else")
    return EditedPolicy(before, after, edited.text)


def _expected(data: dict[str, Any], change: ExceptionChange) -> dict[str, Any]:
    """The data of a text after the change: the same edit on plain data."""
    section, fields = SECTIONS[change.kind], change.fields
    if change.version is not None:
        data["version"] = change.version
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in (fields or {}).items()}
    kept = {key: value for key, value in given.items() if value is not None}
    if change.at is None:
        if change.kind == "profile":
            data.setdefault(section, {})[change.name] = kept
        else:
            data.setdefault(section, []).append(kept)
    elif fields is None:
        del data[section][change.at]
    else:
        entry = data[section][change.at]
        entry.update(kept)
        for key in given.keys() - kept.keys():
            entry.pop(key, None)
    return data
