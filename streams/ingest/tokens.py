"""The tokens file: who may write which records. It is read again whenever it changes."""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from monitor.policy.file.errors import PolicyError, PolicyFault, did_you_mean
from monitor.policy.file.yaml_source import YamlPath, parse
from schemas.inputs import Record
from streams.kafka.api import PermanentError

log = structlog.get_logger("callwarden")

TYPES: Final = tuple(str(one.__struct_config__.tag) for one in Record.__args__)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = ("name", "sha256", "types", "tenants")
_ALL: Final = "all"
_MAX_TOKEN: Final = 512


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token may write. ``types`` and ``tenants``: None is all. ``name`` stands in logs and metrics."""

    name: str
    digests: tuple[bytes, ...] = ()
    types: frozenset[str] | None = None
    tenants: frozenset[str] | None = None


ANYBODY: Final = Grant("anybody")
"""The grant of every request where authentication is off."""


class GrantedTokens:
    """The grants of a tokens file."""

    def __init__(self, file: Path) -> None:
        """Raises PermanentError with every fault of the file."""
        self._file, self._seen = file, _state(file)
        self._grants = _read(file)

    @property
    def names(self) -> list[str]:
        """The names of all tokens."""
        return [grant.name for grant in self._grants]

    def grant(self, token: str) -> Grant | None:
        """The grant of a token. Compares with every hash, in constant time."""
        self._look()
        digest, found = hashlib.sha256(token.encode("utf-8", "replace")).digest(), None
        for grant in self._grants:
            for each in grant.digests:
                if hmac.compare_digest(digest, each):
                    found = grant
        return found

    def _look(self) -> None:
        if (state := _state(self._file)) == self._seen:
            return
        self._seen = state
        try:
            self._grants = _read(self._file)
        except PermanentError as error:
            log.error("the tokens file cannot be read, the old tokens stay valid", why=str(error))
        else:
            log.info("tokens reloaded", tokens=len(self._grants))


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


def _state(file: Path) -> object:
    try:
        found = os.stat(file)
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(file: Path) -> tuple[Grant, ...]:
    try:
        text = file.read_text("utf-8")
        if not text.strip():
            raise PermanentError(f"{file}: it is empty; expected `tokens:` with a list of tokens")
        source = parse(text, str(file))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PermanentError(
            f"{file} cannot be read: {why}; expected a tokens file, see docs/guides/ingest.md"
        ) from None
    except PolicyError as error:
        raise PermanentError(str(error)) from None
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
        for each in (name, *digests):
            if isinstance(each, str) and each in seen:
                faults.append(here.fault("its name or its hash stands there twice; expected each once"))
            seen.add(each)
        if len(faults) == before:
            yield Grant(str(name), tuple(bytes.fromhex(each) for each in digests), types, tenants)


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
