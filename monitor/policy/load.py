"""Loads a policy from a file or a text, or the built-in one. The only entry point of this package."""

import json
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.file.resolve import Document, read_document, resolve
from monitor.policy.file.rules import Cell
from monitor.policy.file.yaml_source import MAX_BYTES, YamlPath, YamlSource, parse
from monitor.policy.model import Policy
from monitor.policy.serialize import canonical, to_plain

__all__ = ["PolicyError", "from_plain", "load", "load_bytes", "load_text", "loads", "to_plain"]

BUILT_IN = "access-rules.yaml"
CATALOGUE = "prohibited-businesses.yaml"


def load(path: str | None) -> Policy:
    """The policy in the file ``path``; the built-in one for None.

    Raises `PolicyError` with every fault, including a file that cannot be read.
    """
    return _built_in() if path is None else load_bytes(_content(path), path)


def load_text(path: str) -> tuple[Policy, str]:
    """The policy in the file ``path`` and the text that it was read from. Raises `PolicyError` with every fault."""
    text = _decode(_content(path), path)
    return loads(text, path), text


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(4 * MAX_BYTES + 1)
    except OSError as error:
        said = f"cannot be read: {error.strerror or error}"
        raise PolicyError([PolicyFault(path, 1, 1, said)]) from None


def load_bytes(raw: bytes, name: str) -> Policy:
    """The policy in the content of a file, named ``name`` in faults. Raises `PolicyError` with every fault."""
    return loads(_decode(raw, name), name)


def loads(text: str, name: str) -> Policy:
    """The policy in ``text``, named ``name`` in faults. Raises `PolicyError` with every fault."""
    source = parse(text, name)
    faults: list[PolicyFault] = []
    own = read_document(source, faults)
    return resolve(own, _built_in_document(), faults)


def from_plain(plain: dict[str, Any], sha256: str) -> Policy:
    """The policy that `to_plain` returned. Raises `PolicyError`, also if its hash is not ``sha256``."""
    return _from_text(canonical(plain), sha256)


@lru_cache(maxsize=16)  # all partitions of a worker have the same
def _from_text(text: str, sha256: str) -> Policy:
    # Not parsed as a file: with every value written out it may exceed a file's size limit, and YAML parsing is slow.
    name = f"policy {sha256[:12]}"
    faults: list[PolicyFault] = []
    own = read_document(YamlSource(name, json.loads(text), {}, {(): (1, 1)}), faults)
    policy = resolve(own, _built_in_document(), faults)
    if policy.sha256 != sha256:
        said = f"expected a policy whose hash is {sha256[:12]}, got {policy.sha256[:12]}: the stored text was changed"
        raise PolicyError([PolicyFault(name, 1, 1, said)])
    return policy


def _decode(raw: bytes, path: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        byte = raw[error.start]
        said = f"byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"
        raise PolicyError([PolicyFault(path, line, column, said)]) from None


@cache
def _built_in() -> Policy:
    document = _built_in_document()
    return resolve(document, document, [])


@cache
def _built_in_document() -> Document:
    """The access rules with the catalogue, which has a file of its own."""
    folder = files("monitor.policy")
    faults: list[PolicyFault] = []
    document = read_document(parse((folder / BUILT_IN).read_text("utf-8"), BUILT_IN), faults)
    catalogue = parse((folder / CATALOGUE).read_text("utf-8"), CATALOGUE)
    if faults:
        raise PolicyError(faults)
    document.sections["prohibited_businesses"] = Cell(catalogue.data, YamlPath(catalogue))
    return document
