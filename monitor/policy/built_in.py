"""The built-in policy. It is stored as read and resolved, too: to load that takes milliseconds, to parse it 0.2 s."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from monitor.policy.model import Policy

if TYPE_CHECKING:
    from monitor.policy.file.resolve import Document
    from monitor.policy.file.yaml_source import Mark, YamlSource
    from monitor.policy.file.yaml_source import Path as DataPath

RULES: Final = "access-rules.yaml"
CATALOGUE: Final = "prohibited-businesses.yaml"
RESOLVED: Final = "built-in.json"


class StoredSource(msgspec.Struct, frozen=True):
    """The SHA-256 of a file, and its data as JSON."""

    sha256: str
    data: msgspec.Raw


class StoredPolicy(msgspec.Struct, frozen=True):
    """A resolved policy, and the files that it was resolved from, by name."""

    policy: Policy
    sources: dict[str, StoredSource]


@cache
def built_in() -> Policy:
    """The built-in policy; resolved again if its YAML was changed since."""
    stored = _stored()
    return _resolve(built_in_document()) if stored is None else stored.policy


@cache
def built_in_document() -> "Document":
    """The access rules with the catalogue, which has a file of its own, as other policies extend them."""
    stored = _stored()
    if stored is None:
        return _document(_parsed(RULES), _parsed(CATALOGUE))
    return _document(*(_loaded(name, stored.sources[name]) for name in (RULES, CATALOGUE)))


def resolved() -> bytes:
    """The content of `RESOLVED`, as ``make schemas`` writes it."""
    sources = {name: _parsed(name) for name in (RULES, CATALOGUE)}
    policy = _resolve(_document(*sources.values()))
    stored = StoredPolicy(policy, {name: _stored_source(name, one) for name, one in sources.items()})
    return msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n"


def _stored_source(name: str, source: "YamlSource") -> StoredSource:
    return StoredSource(_sha256(name), msgspec.Raw(msgspec.json.encode(source.data)))


def _stored() -> StoredPolicy | None:
    """What is stored; None if the YAML was changed since."""
    file = _file(RESOLVED)
    if not file.is_file():
        return None
    stored = msgspec.json.decode(file.read_bytes(), type=StoredPolicy)
    return stored if all(stored.sources[name].sha256 == _sha256(name) for name in (RULES, CATALOGUE)) else None


def _file(name: str) -> Traversable:
    return files("monitor.policy").joinpath(name)


def _sha256(name: str) -> str:
    return hashlib.sha256(_file(name).read_bytes()).hexdigest()


def _resolve(document: "Document") -> Policy:
    from monitor.policy.file.resolve import resolve

    return resolve(document, document, [])


def _document(rules: "YamlSource", catalogue: "YamlSource") -> "Document":
    from monitor.policy.file.errors import PolicyError, PolicyFault
    from monitor.policy.file.resolve import read_document
    from monitor.policy.file.rules import Cell
    from monitor.policy.file.yaml_source import YamlPath

    faults: list[PolicyFault] = []
    document = read_document(rules, faults)
    if faults:
        raise PolicyError(faults)
    document.sections["prohibited_businesses"] = Cell(catalogue.data, YamlPath(catalogue))
    return document


def _parsed(name: str) -> "YamlSource":
    from monitor.policy.file.yaml_source import parse

    return parse(_file(name).read_text("utf-8"), name)


def _loaded(name: str, stored: StoredSource) -> "YamlSource":
    from monitor.policy.file.yaml_source import YamlSource

    data = msgspec.json.decode(stored.data)
    return YamlSource(name, data, _MarksWhenNeeded(name, "keys"), _MarksWhenNeeded(name, "values"))


class _MarksWhenNeeded(Mapping["DataPath", "Mark"]):
    """Positions in a file, which is parsed when one is asked for: only faults have positions, and few are in it."""

    def __init__(self, name: str, of: Literal["keys", "values"]) -> None:
        self._name, self._of = name, of

    @cached_property
    def _marks(self) -> "Mapping[DataPath, Mark]":
        parsed = _parsed(self._name)
        return parsed.keys if self._of == "keys" else parsed.values

    def __getitem__(self, path: "DataPath") -> "Mark":
        return self._marks[path]

    def __iter__(self) -> "Iterator[DataPath]":
        return iter(self._marks)

    def __len__(self) -> int:
        return len(self._marks)


def main() -> None:
    """Write `RESOLVED`."""
    Path(__file__).with_name(RESOLVED).write_bytes(resolved())


if __name__ == "__main__":
    main()
