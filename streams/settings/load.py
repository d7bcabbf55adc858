"""Reads and validates all settings: of the command line, the environment and a file, in this order of precedence.

SettingsError (ValueError)
    has all faults, each a line `CALLWARDEN_X: the fault; what is expected` or `FILE:LINE:COLUMN: x: ...`
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitor.policy.file.errors import PolicyError
from streams.settings.model import ASKED_FOR_BY, Settings, variable
from streams.settings.sources import DEFAULT_FILE, FILE, PREFIX

if TYPE_CHECKING:
    import ssl

__all__ = ["NOT_SETTINGS", "GivenSettings", "Settings", "SettingsError", "load", "read", "variable"]

_OPTIONS: Final = {"bootstrap_servers": "bootstrap", "follow_database": "sql", "reviews_signing_key_file": "key"}
NOT_SETTINGS: Final = frozenset(
    PREFIX + name
    for name in (
        *("NO_EXTENSIONS", "PSEUDONYM_KEY", "REQUIRE_SERVICES", "TEST_ATTACK_S", "TEST_BROKER", "TEST_NOW_MS"),
        "TEST_SEED",
    )
)
"""Variables with the prefix of settings that are read elsewhere: at import, by mappings and by the tests."""
# Variables that Kubernetes sets in every container of a namespace with a service of our name.
_OF_A_SERVICE = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_[0-9]+_(TCP|UDP)(_PROTO|_PORT|_ADDR)?$")


class SettingsError(ValueError):
    """The settings are invalid. ``faults`` has all faults, a line each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(slots=True)
class GivenSettings:
    """The given settings by field name: their ``values`` as written, and their ``sources``."""

    values: dict[str, object] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: object, source: str) -> None:
        """Set a value; it overrides an earlier one."""
        self.values[name], self.sources[name] = value, source

    def source(self, name: str) -> str:
        """`default`, `environment`, an option, or FILE:LINE:COLUMN."""
        return self.sources.get(name, "default")

    def at(self, name: str) -> str:
        """The place that a fault of the field names; if it was not given, that of the field that requires it."""
        source = self.source(name if name in self.sources else ASKED_FOR_BY.get(name, name))
        if source in ("default", "environment"):
            return variable(name)
        return source if source.startswith("--") else f"{source}: {_in_file(name)}"


def load(options: Mapping[str, object] | None = None) -> Settings:
    """The settings of the file that the environment names, or of the default file if it exists, overridden by the
    environment, then by the command line.

    ``options`` are by field name; None is an option that was not given. Raises SettingsError with all faults.
    """
    return read(options)[0]


def read(options: Mapping[str, object] | None = None) -> tuple[Settings, GivenSettings]:
    """As `load`, and the given values with their sources."""
    given = GivenSettings()
    faults = [*_unknown(os.environ), *_of_file(given)]
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    for name in Settings.model_fields:
        if variable(name) in environment:
            given.add(name, environment[variable(name)], "environment")
        if (value := (options or {}).get(name)) is not None:
            given.add(name, value, _option(name))
    try:
        settings = Settings.model_validate(given.values)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = str(fault["loc"][0])
            fault_text = fault.get("ctx", {}).get("error", fault["msg"])
            faults.append(f"{given.at(name)}: {fault_text}")
        raise SettingsError(faults) from None
    faults += _faults_of_tls(settings, given)
    try:
        settings.review_keys()
    except PolicyError as error:
        faults += [f"{given.at('review_keys_file')}: {fault}" for fault in error.faults]
    if faults:
        raise SettingsError(faults)
    return settings, given


def _option(name: str) -> str:
    # As in the commands: `--port` of `callwarden ledger run` is CALLWARDEN_LEDGER_PORT.
    option = _OPTIONS.get(name) or re.sub(
        "^(web|billing|ledger|notify|ingest|bridge|assemble|follow|console)_|_ms$", "", name
    )
    return f"--{option.replace('_', '-')}"


def _faults_of_tls(settings: Settings, given: GivenSettings) -> Iterator[str]:
    """The faults of files that TLS needs; without one, the library is not loaded, which takes longer than the rest."""
    files_of_tls = (settings.schema_registry_ca_file, settings.ingest_tls_cert_file)
    if settings.security in ("PLAINTEXT", "SASL_PLAINTEXT") and not any(files_of_tls):
        return
    import ssl

    try:
        settings.ssl_context()
    except ssl.SSLError as error:
        files = [name for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file") if name in given.sources]
        yield f"{', '.join(map(given.at, files))}: {_pem(error)}"
    try:
        settings.ingest_tls()
    except ssl.SSLError as error:
        own = [name for name in ("ingest_tls_cert_file", "ingest_tls_key_file") if name in given.sources]
        yield f"{', '.join(map(given.at, own))}: {_pem(error)}, and without a password"
    try:
        settings.schema_registry_tls()
    except ssl.SSLError as error:
        yield f"{given.at('schema_registry_ca_file')}: {_pem(error)}"


def _pem(error: "ssl.SSLError") -> str:
    return f"not all can be read ({error.reason or error}); expected files in PEM, the key with its own certificate"


def _of_file(given: GivenSettings) -> Iterator[str]:
    """Add the settings of the file; yields its faults."""
    path = os.environ.get(FILE) or (DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None)
    if not path:
        return
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        yield (
            f"{path}: cannot be read ({why}); expected the path of a file with lines `name: value`, as {FILE} or by "
            "--settings"
        )
        return
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return
    from monitor.policy.file.yaml_source import parse

    try:
        source = parse(text, path)
    except PolicyError as error:
        yield from map(str, error.faults)
        return
    if not isinstance(source.data, dict):
        yield f"{path}:1:1: no settings; expected lines `name: value`"
        return
    fields = {_in_file(name): name for name in Settings.model_fields}
    for key, value in source.data.items():
        at = "{}:{}:{}".format(path, *source.keys[(key,)])
        place = "{}:{}:{}".format(path, *source.values[(key,)])
        if key not in fields:
            yield f"{at}: {key}: unknown; expected {_nearest(str(key), list(fields))}"
        elif isinstance(value, dict | list):
            yield f"{place}: {key}: a list or a mapping; expected one value, as in the environment"
        elif value is not None and value != "":
            given.add(fields[key], _as_written(value), place)


def _in_file(name: str) -> str:
    return variable(name).removeprefix(PREFIX).lower()


def _as_written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a fault for each variable that has our prefix but is unknown: it would be ignored silently."""
    known = {FILE, *map(variable, Settings.model_fields)}
    bare = sorted(name.removeprefix(PREFIX) for name in known)
    for name, value in sorted(environment.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX.rstrip("_")) or upper in known or upper in NOT_SETTINGS:
            continue
        if _OF_A_SERVICE.search(upper) or value.startswith(("tcp://", "udp://")):
            continue
        yield f"{name}: unknown; expected {_nearest(upper, bare, PREFIX)}"


def _nearest(word: str, known: list[str], prefix: str = "") -> str:
    bare = word.upper().removeprefix(PREFIX.rstrip("_")).lstrip("_")
    near = difflib.get_close_matches(bare if prefix else bare.lower(), known, 1)
    return prefix + near[0] if near else "one that docs/reference/settings.md lists"
