"""Loads a policy from a file or a text, or the built-in one. The only entry point of this package."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.policy.built_in import built_in, built_in_document
from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.file.fault_wording import fault_text
from monitor.policy.model import Policy
from monitor.policy.serialize import canonical, to_plain

if TYPE_CHECKING:
    from monitor.policy.file.yaml_source import YamlSource

__all__ = ["PolicyError", "from_plain", "load", "load_bytes", "load_text", "loads", "of_source", "to_plain"]

# The built-in policy needs neither pydantic nor a parser of YAML. They are imported where another one is read.


def load(path: str | None) -> Policy:
    """The policy in the file ``path``; the built-in one for None.

    Raises `PolicyError` with every fault, including a file that cannot be read.
    """
    return built_in() if path is None else load_bytes(_content(path), path)


def load_text(path: str) -> tuple[Policy, str]:
    """The policy in the file ``path`` and the text that it was read from. Raises `PolicyError` with every fault."""
    text = _decode(_content(path), path)
    return loads(text, path), text


def _content(path: str) -> bytes:
    from monitor.policy.file.yaml_source import MAX_BYTES

    if not path:  # as from an unset variable; it would be taken for the current folder
        raise PolicyError([PolicyFault.worded('""', 1, 1, fault_text("cannot_be_read", problem="the path is empty"))])
    try:
        with Path(path).open("rb") as stream:
            return stream.read(4 * MAX_BYTES + 1)
    except OSError as error:
        message = fault_text("cannot_be_read", problem=error.strerror or error)
        raise PolicyError([PolicyFault.worded(path, 1, 1, message)]) from None


def load_bytes(raw: bytes, name: str) -> Policy:
    """The policy in the content of a file, named ``name`` in faults. Raises `PolicyError` with every fault."""
    return loads(_decode(raw, name), name)


def loads(text: str, name: str) -> Policy:
    """The policy in ``text``, named ``name`` in faults. Raises `PolicyError` with every fault."""
    from monitor.policy.file.yaml_source import parse

    return of_source(parse(text, name))


def of_source(source: "YamlSource") -> Policy:
    """The policy in a text that was parsed. Raises `PolicyError` with every fault."""
    from monitor.policy.file.resolve import read_document, resolve

    faults: list[PolicyFault] = []
    own = read_document(source, faults)
    return resolve(own, built_in_document(), faults)


def from_plain(plain: dict[str, Any], sha256: str) -> Policy:
    """The policy that `to_plain` returned. Raises `PolicyError`, also if its hash is not ``sha256``."""
    return _from_text(canonical(plain), sha256)


@lru_cache(maxsize=16)  # all partitions of a worker have the same
def _from_text(text: str, sha256: str) -> Policy:
    from monitor.policy.file.resolve import read_document, resolve
    from monitor.policy.file.yaml_source import YamlSource

    # Not parsed as a file: with every value written out it may exceed a file's size limit, and YAML parsing is slow.
    name = f"policy {sha256[:12]}"
    faults: list[PolicyFault] = []
    own = read_document(YamlSource(name, json.loads(text), {}, {(): (1, 1)}), faults)
    policy = resolve(own, built_in_document(), faults)
    if policy.sha256 != sha256:
        message = fault_text("other_hash", expected=sha256[:12], actual=policy.sha256[:12])
        raise PolicyError([PolicyFault.worded(name, 1, 1, message)])
    return policy


def _decode(raw: bytes, path: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = fault_text("not_utf_8", byte=raw[error.start])
        raise PolicyError([PolicyFault.worded(path, line, column, message)]) from None
