"""The tokens file: who may write which records. It is read again whenever it changes."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitor.policy.file.errors import PolicyError, PolicyFault, did_you_mean
from monitor.policy.file.yaml_source import YamlPath
from schemas.inputs import Record
from streams.ingest.http.reloaded import ReloadedFile, yaml_file
from streams.kafka.api import PermanentError

TYPES: Final = tuple(str(one.__struct_config__.tag) for one in Record.__args__)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = ("name", "sha256", "types", "tenants", "sources")
_ALL: Final = "all"
_MAX_TOKEN: Final = 512


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token may write. ``types`` and ``tenants``: None is all. ``name`` stands in logs and metrics.

    ``sources``: where it is valid, as names of sources, also in a path; None is everywhere, and never in a path.
    """

    name: str
    digests: tuple[bytes, ...] = ()
    types: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    sources: frozenset[str] | None = None

    def valid_at(self, source: str | None, *, in_path: bool = False) -> bool:
        """Whether the token may be used for a source; None is that of plain records."""
        return not in_path if self.sources is None else source in self.sources


ANYBODY: Final = Grant("anybody")
"""The grant of every request where authentication is off."""


class GrantedTokens:
    """The grants of a tokens file."""

    def __init__(self, file: Path) -> None:
        """Raises PermanentError with every fault of the file."""
        self._grants = ReloadedFile("tokens", lambda: (_read(file), [file]))

    @property
    def names(self) -> list[str]:
        """The names of all tokens."""
        return [grant.name for grant in self._grants.value()]

    def grant(self, token: str) -> Grant | None:
        """The grant of a token. Compares with every hash, in constant time."""
        digest, found = hashlib.sha256(token.encode("utf-8", "replace")).digest(), None
        for grant in self._grants.value():
            for each in grant.digests:
                if hmac.compare_digest(digest, each):
                    found = grant
        return found


def token_of(authorization: str | None) -> str | None:
    """The token in an `Authorization` header: Bearer, or the password of Basic. None if there is none."""
    scheme, _, given = (authorization or "").partition(" ")
    given = given.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return None
    elif scheme.lower() != "bearer":
        return None
    return given if 0 < len(given) <= _MAX_TOKEN else None


def _read(file: Path) -> tuple[Grant, ...]:
    source = yaml_file(file, "tokens")
    faults: list[PolicyFault] = []
    grants = tuple(_grants(YamlPath(source), source.data, faults))
    if faults:
        raise PermanentError(str(PolicyError(faults)))
    return grants


def _grants(at: YamlPath, data: Any, faults: list[PolicyFault]) -> Iterator[Grant]:
    if not isinstance(data, dict) or list(data) != ["tokens"] or not isinstance(data["tokens"], list):
        faults.append(at.fault("expected `tokens:` with a list of tokens, and nothing else"))
        return
    seen: set[object] = set()
    if not data["tokens"]:
        faults.append(at.fault("no token; expected at least one"))
    for number, entry in enumerate(data["tokens"]):
        here = at.child("tokens", number)
        if not isinstance(entry, dict):
            faults.append(here.fault(f"not a token; expected {', '.join(_FIELDS)}"))
            continue
        faults += [
            here.child(key).key_fault(f"unknown{did_you_mean(key, _FIELDS)}") for key in entry if key not in _FIELDS
        ]
        before = len(faults)
        name = entry.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.append(here.child("name").fault("name: expected 1 to 64 letters, digits, `.`, `_` and `-`"))
        digests = _listed(entry.get("sha256"))
        if not digests or not all(isinstance(each, str) and _SHA256.fullmatch(each) for each in digests):
            faults.append(
                here.child("sha256").fault(
                    "sha256: expected the hash of a token, or a list of them: 64 digits and letters a to f, as "
                    "`printf %s TOKEN | sha256sum` prints"
                )
            )
        types = _scope(here.child("types"), entry, TYPES, faults)
        tenants = _scope(here.child("tenants"), entry, None, faults)
        sources = _scope(here.child("sources"), entry, None, faults) if "sources" in entry else None
        for each in (name, *digests):
            if isinstance(each, str) and each in seen:
                faults.append(here.fault("its name or its hash stands there twice; expected each once"))
            seen.add(each)
        if len(faults) == before:
            yield Grant(str(name), tuple(bytes.fromhex(each) for each in digests), types, tenants, sources)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _scope(
    at: YamlPath, entry: dict[str, Any], known: tuple[str, ...] | None, faults: list[PolicyFault]
) -> frozenset[str] | None:
    """The types or tenants of a token; None is all."""
    name = str(at.path[-1])
    value = entry.get(name)
    if value == _ALL:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        faults.append(at.fault(f"{name}: expected `{_ALL}` or a list"))
        return None
    for each in value:
        if known is not None and each not in known:
            faults.append(at.fault(f"{name}: `{each}` is unknown{did_you_mean(each, known)}"))
    return frozenset(value)
