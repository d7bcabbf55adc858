"""The built-in policy. It is stored as it was resolved, too: to read that takes a millisecond, to resolve it 0.2 s."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from monitor.policy.model import Policy

if TYPE_CHECKING:
    from monitor.policy.file.resolve import Document

RULES: Final = "access-rules.yaml"
CATALOGUE: Final = "prohibited-businesses.yaml"
RESOLVED: Final = "built-in.json"


class ResolvedPolicy(msgspec.Struct, frozen=True):
    """A resolved policy, and the SHA-256 of each file that it was resolved from."""

    sources: dict[str, str]
    policy: Policy


@cache
def built_in() -> Policy:
    """The built-in policy; resolved again if its YAML was changed since."""
    stored = files("monitor.policy").joinpath(RESOLVED)
    if stored.is_file():
        found = msgspec.json.decode(stored.read_bytes(), type=ResolvedPolicy)
        if found.sources == _sources():
            return found.policy
    return _resolve()


def resolved() -> bytes:
    """The content of `RESOLVED`, as ``make schemas`` writes it."""
    return msgspec.json.format(msgspec.json.encode(ResolvedPolicy(_sources(), _resolve())), indent=1) + b"\n"


def _sources() -> dict[str, str]:
    folder = files("monitor.policy")
    return {name: hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() for name in (RULES, CATALOGUE)}


def _resolve() -> Policy:
    from monitor.policy.file.resolve import resolve

    document = built_in_document()
    return resolve(document, document, [])


@cache
def built_in_document() -> "Document":
    """The access rules with the catalogue, which has a file of its own, as other policies extend them."""
    from monitor.policy.file.errors import PolicyError, PolicyFault
    from monitor.policy.file.resolve import read_document
    from monitor.policy.file.rules import Cell
    from monitor.policy.file.yaml_source import YamlPath, parse

    folder = files("monitor.policy")
    faults: list[PolicyFault] = []
    document = read_document(parse((folder / RULES).read_text("utf-8"), RULES), faults)
    catalogue = parse((folder / CATALOGUE).read_text("utf-8"), CATALOGUE)
    if faults:
        raise PolicyError(faults)
    document.sections["prohibited_businesses"] = Cell(catalogue.data, YamlPath(catalogue))
    return document


def main() -> None:
    """Write `RESOLVED`."""
    Path(__file__).with_name(RESOLVED).write_bytes(resolved())


if __name__ == "__main__":
    main()
