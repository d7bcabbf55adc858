"""The sources file: which names `/v1/in/NAME` has, how each is mapped, and how it is signed. It is read again whenever
it, one of its mappings or one of its secrets changes.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import NAMES, open_adapter
from monitor.adapters.versioned import VersionedAdapter
from monitor.policy.file.errors import PolicyError, PolicyFault, did_you_mean
from monitor.policy.file.yaml_source import YamlPath
from streams.ingest.foreign_rows import DocumentAdapter, EventAdapter, ForeignAdapter
from streams.ingest.http.reloaded import ReloadedFile, yaml_file
from streams.ingest.http.signatures.schemes import SCHEMES, SignatureOptions
from streams.ingest.http.signatures.signed import TOLERANCE_S, InvalidSignature, SignatureScheme
from streams.ingest.http.sources.source import ForeignSource, PushProtocol
from streams.kafka.api import PermanentError

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIELDS: Final = ("name", "format", "set", "protocol", "signature")
_SIGNATURE_FIELDS: Final = ("scheme", "secret_file", "secret_env", "origin", "tolerance_s")
_PROTOCOLS: Final[dict[str, PushProtocol]] = {"tccc": "tccc"}
_LONGEST_TOLERANCE_S: Final = 3_600


class CallWait(NamedTuple):
    """How long calls are held for further events, or for their corrections, at most: by which field of the mapping."""

    field: str
    ms: int


class ForeignSources:
    """The sources of a file; without one there is none."""

    def __init__(self, file: Path | None, *, signed: bool = True) -> None:
        """``signed``: also read the secrets of signatures. Raises PermanentError with every fault of the file."""
        self._sources = None if file is None else ReloadedFile("sources", lambda: _SourcesReader(file, signed).read())

    def find(self, name: str) -> ForeignSource | None:
        """The source of this name."""
        return self._sources.value().get(name) if self._sources is not None else None

    def waits(self) -> dict[str, CallWait]:
        """How long each source holds its calls; without those that hold none."""
        sources = self._sources.value() if self._sources is not None else {}
        found = {}
        for name, source in sources.items():
            adapter = source.adapter
            if isinstance(adapter, VersionedAdapter):
                found[name] = CallWait("settle", adapter.versions.settle_ms)
            elif isinstance(adapter, AssembledAdapter):
                events = adapter.program.events
                waits = CallWait("ring_timeout", events.ring_timeout_ms), CallWait("settle", events.settle_ms)
                found[name] = max(waits, key=lambda wait: wait.ms)
        return found


class _SourcesReader:
    """Reads the file once; collects its faults, and the files that it names."""

    def __init__(self, file: Path, signed: bool) -> None:
        self._file, self._signed, self._files = file, signed, [file]
        self._faults: list[PolicyFault] = []
        self._broken: list[str] = []

    def read(self) -> tuple[dict[str, ForeignSource], Sequence[Path]]:
        """The sources by name. Raises PermanentError."""
        source = yaml_file(self._file, "sources")
        at, data, found = YamlPath(source), source.data, {}
        if not isinstance(data, dict) or list(data) != ["sources"] or not isinstance(data["sources"], list):
            self._faults.append(at.fault("expected `sources:` with a list of sources, and nothing else"))
        else:
            for number, entry in enumerate(data["sources"]):
                here = at.child("sources", number)
                one = self._source(here, entry)
                if one is not None and one.name in found:
                    self._faults.append(here.child("name").fault(f"expected each name once, got {one.name} again"))
                if one is not None:
                    found[one.name] = one
        if self._faults or self._broken:
            raise PermanentError("\n".join([*map(str, PolicyError(self._faults).faults), *self._broken]))
        return found, self._files

    def _source(self, here: YamlPath, entry: Any) -> ForeignSource | None:
        if not isinstance(entry, dict):
            self._faults.append(here.fault(f"not a source; expected {', '.join(_FIELDS)}"))
            return None
        self._must_be_known(here, entry, _FIELDS)
        name, protocol = entry.get("name"), entry.get("protocol", "")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._faults.append(here.child("name").fault("name: expected 1 to 64 letters, digits, `.`, `_` and `-`"))
        if protocol != "" and (not isinstance(protocol, str) or protocol not in _PROTOCOLS):
            self._faults.append(here.child("protocol").fault(f"protocol: unknown{did_you_mean(protocol, _PROTOCOLS)}"))
            protocol = ""
        adapter = self._adapter(here, entry)
        is_signed = self._signed and "signature" in entry
        signature = self._signature(here.child("signature"), entry["signature"]) if is_signed else None
        return (
            ForeignSource(str(name), adapter, _PROTOCOLS.get(protocol, ""), signature) if adapter is not None else None
        )

    def _adapter(self, here: YamlPath, entry: dict[str, Any]) -> ForeignAdapter | None:
        form, constants = entry.get("format", entry.get("name")), entry.get("set", {})
        at = here.child("format")
        if not isinstance(form, str):
            self._faults.append(at.fault("format: expected a format's name, or a mapping file"))
            return None
        if not isinstance(constants, dict) or not all(isinstance(each, str) for each in constants.values()):
            self._faults.append(here.child("set").fault("set: expected fields, each with a text in quotes"))
            return None
        if form not in NAMES:
            path = self._beside(form)
            if not path.exists():
                self._faults.append(at.fault(f"format: no format and no file is {form}{did_you_mean(form, NAMES)}"))
                return None
            self._files.append(path)
            form = str(path)
        try:
            adapter = open_adapter(form, constants)
        except MappingError as error:
            self._broken += [str(each) for each in error.faults]
            return None
        if not isinstance(adapter, DocumentAdapter | EventAdapter):
            self._faults.append(at.fault(f"format: {form} reads files only; expected a mapping"))
            return None
        return adapter

    def _signature(self, here: YamlPath, entry: Any) -> SignatureScheme | None:
        if not isinstance(entry, dict) or entry.get("scheme") not in SCHEMES:
            scheme = entry.get("scheme") if isinstance(entry, dict) else entry
            self._faults.append(here.fault(f"signature: expected a scheme{did_you_mean(scheme, SCHEMES)}"))
            return None
        self._must_be_known(here, entry, _SIGNATURE_FIELDS)
        before = len(self._faults)
        secrets = self._secrets(here, entry)
        origin, tolerance_s = entry.get("origin"), entry.get("tolerance_s", TOLERANCE_S)
        if entry["scheme"] == "twilio" and not _is_origin(origin):
            self._faults.append(
                here.child("origin").fault("origin: expected the beginning of the URL, as https://door.example.com")
            )
        elif entry["scheme"] != "twilio" and origin is not None:
            self._faults.append(here.child("origin").key_fault("origin: only twilio signs the URL; expected none"))
        if type(tolerance_s) not in (int, float) or not 1 <= tolerance_s <= _LONGEST_TOLERANCE_S:
            message = f"tolerance_s: expected 1 to {_LONGEST_TOLERANCE_S:,} seconds"
            self._faults.append(here.child("tolerance_s").fault(message))
        if len(self._faults) > before:
            return None
        try:
            return SCHEMES[entry["scheme"]](SignatureOptions(secrets, float(tolerance_s), str(origin or "")))
        except InvalidSignature as error:
            self._faults.append(here.fault(f"signature: {error}"))
        return None

    def _secrets(self, here: YamlPath, entry: dict[str, Any]) -> list[bytes]:
        """The secrets, each a word of the file or the variable. No message has anything of them."""
        file, variable, text = entry.get("secret_file"), entry.get("secret_env"), ""
        if (file is None) == (variable is None) or not isinstance(file if variable is None else variable, str):
            self._faults.append(here.fault("expected secret_file or secret_env"))
            return []
        if variable is not None:
            text = os.environ.get(variable, "")
            where = here.child("secret_env")
        else:
            where, path = here.child("secret_file"), self._beside(str(file))
            self._files.append(path)
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                self._faults.append(where.fault(f"the secret's file cannot be read: {why}"))
                return []
        secrets = [word.encode() for word in text.split()]
        if not secrets:
            self._faults.append(where.fault("expected a secret, or several while you change it; there is none"))
        return secrets

    def _must_be_known(self, here: YamlPath, entry: dict[str, Any], known: Sequence[str]) -> None:
        self._faults += [
            here.child(key).key_fault(f"unknown{did_you_mean(key, known)}") for key in entry if key not in known
        ]

    def _beside(self, name: str) -> Path:
        """A path of the file, relative to its folder."""
        return self._file.parent / name


def _is_origin(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        rest = (parts.path, parts.query, parts.fragment, parts.username)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(rest) and (parts.port or 1) > 0
    except ValueError:
        return False
