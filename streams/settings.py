"""The settings of a worker and of the commands on a cluster: read once, validated whole, then frozen.

SettingsError (ValueError)
    carries all faults, each a line `CALLWARDEN_X: what is wrong, what would be right`
"""

import difflib
import os
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from monitor.policy.durations import DAY, HOUR, MINUTE, SECOND, format_duration, parse_duration
from monitor.shard.nearness import Looking
from monitor.shard.packing import READS, WRITES

PREFIX: Final = "CALLWARDEN_"
NOT_SETTINGS: Final = frozenset(
    PREFIX + name for name in ("PSEUDONYM_KEY", "REQUIRE_SERVICES", "TEST_BROKER", "TEST_NOW_MS", "TEST_SEED")
)
"""Variables that begin like settings and are read elsewhere: by mappings, and by the tests."""
# What Kubernetes puts into every container of a namespace that has a service by our name.
_OF_A_SERVICE = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_[0-9]+_(TCP|UDP)(_PROTO|_PORT|_ADDR)?$")
_LONGEST_TOPIC = 249  # of Kafka's
_OURS = len("dead-letter")


class SettingsError(ValueError):
    """Settings that cannot be used. ``faults`` are all of their faults, a line each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def variable(field: str) -> str:
    """The environment variable of a field: durations are written with their unit, so its name has none."""
    return PREFIX + field.removesuffix("_ms").upper()


def _duration(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        ms = value if isinstance(value, int) else parse_duration(str(value).strip())
        if not least <= ms <= most:
            limits = f"{format_duration(least)} to {format_duration(most)}"
            raise ValueError(f"`{format_duration(ms)}` is not allowed; {limits} would be right")
        return ms

    return BeforeValidator(read)


def _whole(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        text = str(value).strip()
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"`{text}` is not allowed; a whole number from {least} to {most} would be right")
        return int(text)

    return BeforeValidator(read)


def _state_format(value: object) -> int:
    text = str(value).strip()
    if text not in map(str, READS):
        raise ValueError(
            f"`{text}` is not a format that this release writes; {WRITES}, which the release before it reads, too, "
            f"or {READS[-1]} would be right"
        )
    return int(text)


def _decimal(least: float, most: float) -> BeforeValidator:
    def read(value: object) -> float:
        text = str(value).strip()
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise ValueError(f"`{text}` is not allowed; a number from {least:g} to {most:g} would be right")
        return float(text)

    return BeforeValidator(read)


def _one_of(*choices: str, change: Callable[[str], str] = str.upper) -> BeforeValidator:
    def read(value: object) -> str:
        chosen = change(str(value).strip())
        if chosen not in choices:
            raise ValueError(f"`{value}` is unknown; one of {', '.join(choices)} would be right")
        return chosen

    return BeforeValidator(read)


def _name(value: object) -> str:
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text):
        raise ValueError(f"`{text}` is no name for Kafka; 1 to 200 of letters, digits, `.`, `_` and `-` would be right")
    return text


def _topic_prefix(value: object) -> str:
    text, most = str(value), _LONGEST_TOPIC - _OURS
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{0,{most}}}", text):
        raise ValueError(
            f"`{text}` cannot begin a topic's name; at most {most} of letters, digits, `.`, `_` and `-` would be right"
        )
    return text


def _servers(value: object) -> str:
    servers = [server.strip() for server in str(value).split(",")]
    for server in servers:
        _, _, port = server.rpartition(":")
        if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}", server) or not 0 < int(port) < 65536:
            raise ValueError(f"`{server}` is no server; HOST:PORT would be right, several parted by commas")
    return ",".join(servers)


def _file(value: object) -> Path | None:
    if value is None or value == "":
        return None
    path = Path(str(value))
    if not path.is_file():
        raise ValueError(f"`{path}` is no file that can be seen here; the path of a file would be right")
    return path


def _appended(value: object) -> Path | None:
    if value is None or value == "":
        return None
    path = Path(str(value))
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"`{path}` cannot be a file; the path of one in a folder that is there would be right")
    return path


def _database(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not re.fullmatch(r"sqlite:///(?!:memory:)[^?]+|postgresql://\S+", text):
        # Not shown: it may hold a password.
        raise ValueError(
            "no address of a database; sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME would be right"
        )
    return SecretStr(text)


def _web(value: object) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "").strip()
    if text and not re.fullmatch(r"https?://[^\s/?#]+([/?]\S*)?", text):
        raise ValueError("no address of the web; https://HOST/PATH would be right")  # not shown: it holds a key
    return SecretStr(text) if text else None


def _webs(value: object) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
    addresses = [each.strip() for each in text.split(",") if each.strip()]
    for address in addresses:
        _web(address)
    return SecretStr(",".join(addresses)) if addresses else None


def _link(value: object) -> str | None:
    text = str(value or "").strip()
    if text and not (re.fullmatch(r"https?://\S+", text) and "{tenant}" in text):
        raise ValueError(f"`{text}` leads to no tenant; https://HOST/.../{{tenant}} would be right")
    return text or None


Partitioner = Literal["murmur2", "crc32"]
File = Annotated[Path | None, BeforeValidator(_file)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database)]
AppendedFile = Annotated[Path | None, BeforeValidator(_appended)]
WebAddress = Annotated[SecretStr | None, BeforeValidator(_web)]
TopicPrefix = Annotated[str, BeforeValidator(_topic_prefix)]


class Settings(BaseSettings):
    """All settings of the shell. Durations are ms here, and written `90s`, `5m`, `24h`, `30d`.

    Each is the environment variable `variable(name)`; `load` reads them, and says what is wrong in the user's words.
    """

    # Aliases alone: by their bare names, SSL_CERT_FILE and the like would be taken from the environment, too.
    model_config = SettingsConfigDict(
        alias_generator=lambda field: variable(field).lower(),
        env_ignore_empty=True,
        frozen=True,
        validate_default=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    # The cluster.
    bootstrap_servers: Annotated[str, BeforeValidator(_servers)] = "127.0.0.1:9092"
    security: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ] = "PLAINTEXT"
    ssl_ca_file: File = None
    ssl_cert_file: File = None
    ssl_key_file: File = None
    ssl_key_password: SecretStr | None = None
    sasl_mechanism: Annotated[
        Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], _one_of("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
    ] = "SCRAM-SHA-512"
    sasl_user: str | None = None
    sasl_password: SecretStr | None = None

    # Who we are there.
    application_id: Annotated[str, BeforeValidator(_name)] = "callwarden"
    input_prefix: TopicPrefix = "callwarden."
    output_prefix: TopicPrefix = "callwarden."
    # A worker that died is missed after the session timeout: so long its partitions stand still.
    session_timeout_ms: Annotated[int, _duration(6 * SECOND, 30 * MINUTE)] = 10 * SECOND
    heartbeat_ms: Annotated[int, _duration(1 * SECOND, 10 * MINUTE)] = 3 * SECOND

    # What decides; it is kept with the state.
    policy: File = None
    key_file: File = None
    partitioner: Annotated[Partitioner, _one_of("murmur2", "crc32", change=str.lower)] = "murmur2"
    idle_after_ms: Annotated[int, _duration(1 * SECOND, 1 * DAY)] = 30 * SECOND
    max_ahead_ms: Annotated[int, _duration(1 * SECOND, 1 * DAY)] = 5 * MINUTE
    outage_grace_ms: Annotated[int, _duration(1 * SECOND, 30 * DAY)] = 4 * HOUR
    # In which format state is written; the default is one that the release before this one can go on with.
    state_format: Annotated[int, BeforeValidator(_state_format)] = WRITES

    # Where the worker serves /metrics and /readyz.
    web_host: str = "127.0.0.1"
    web_port: Annotated[int, _whole(1, 65535)] = 6066

    # Of which single tenants it tells there: how near a threshold, how many of the busiest, pairs with rules at most.
    metrics_near: Annotated[float, _decimal(0.1, 10.0)] = 0.8
    metrics_busiest: Annotated[int, _whole(0, 1_000)] = 20
    metrics_pairs: Annotated[int, _whole(0, 100_000)] = 1_000

    # Of those who live on the outputs: where they keep what they know, each its own or all in one; and their pages.
    billing_database: DatabaseUrl = SecretStr("sqlite:///callwarden-billing.db")
    ledger_database: DatabaseUrl = SecretStr("sqlite:///callwarden-ledger.db")
    notify_database: DatabaseUrl = SecretStr("sqlite:///callwarden-notify.db")

    billing_port: Annotated[int, _whole(1, 65535)] = 6067
    ledger_port: Annotated[int, _whole(1, 65535)] = 6068
    notify_port: Annotated[int, _whole(1, 65535)] = 6069

    # Who may ask whether refunds are frozen, and how old an answer may be.
    billing_auth: Annotated[Literal["token", "none"], _one_of("token", "none", change=str.lower)] = "token"
    billing_token: SecretStr | None = None
    billing_token_file: File = None
    billing_stale_after_ms: Annotated[int, _duration(1 * SECOND, 1 * DAY)] = 10 * SECOND

    # Where the ledger publishes the heads of its chains, once a day; without it in its log alone.
    ledger_heads: AppendedFile = None
    # Whom the notifier tells, what, and how much of it.
    notify_alertmanager_urls: Annotated[SecretStr | None, BeforeValidator(_webs)] = None
    notify_dingtalk_url: WebAddress = None
    notify_dingtalk_secret: SecretStr | None = None
    notify_feishu_url: WebAddress = None
    notify_feishu_secret: SecretStr | None = None
    notify_wecom_url: WebAddress = None
    notify_webhook_url: WebAddress = None
    notify_webhook_secret: SecretStr | None = None
    notify_link: Annotated[str | None, BeforeValidator(_link)] = None
    notify_severity: Annotated[
        Literal["info", "warning", "critical"], _one_of("info", "warning", "critical", change=str.lower)
    ] = "warning"
    notify_delay_ms: Annotated[int, _duration(0, 1 * DAY)] = 5 * MINUTE
    notify_quiet_ms: Annotated[int, _duration(1 * MINUTE, 90 * DAY)] = 7 * DAY
    notify_before_lapse_ms: Annotated[int, _duration(1 * MINUTE, 30 * DAY)] = 1 * DAY
    notify_summary_hour: Annotated[int, _whole(0, 23)] = 9
    notify_per_minute: Annotated[int, _whole(2, 20)] = 10

    # What `topics create` makes.
    partitions: Annotated[int, _whole(1, 10_000)] = 8
    replication_factor: Annotated[int, _whole(1, 100)] = 3
    input_retention_ms: Annotated[int, _duration(1 * HOUR, 36_500 * DAY)] = 30 * DAY

    @field_validator("heartbeat_ms")
    @classmethod
    def _several_a_session(cls, heartbeat_ms: int, info: ValidationInfo) -> int:
        session_ms = info.data.get("session_timeout_ms")
        if session_ms is not None and heartbeat_ms * 3 > session_ms:
            most = session_ms // 3 // SECOND * SECOND
            raise ValueError(
                f"`{format_duration(heartbeat_ms)}` is more than a third of the session timeout "
                f"({format_duration(session_ms)}): one lost heartbeat would end the session; "
                f"at most {format_duration(most)} would be right"
            )
        return heartbeat_ms

    @field_validator("ssl_ca_file", "ssl_cert_file")
    @classmethod
    def _with_ssl_only(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        security = info.data.get("security")
        if path is not None and security in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(f"{security} uses no certificates; SSL or SASL_SSL as CALLWARDEN_SECURITY would be right")
        return path

    @field_validator("ssl_key_file")
    @classmethod
    def _with_certificate_only(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("ssl_cert_file", path) is None:
            raise ValueError("a key needs its certificate; CALLWARDEN_SSL_CERT_FILE as well would be right")
        return path

    @field_validator("sasl_user", "sasl_password")
    @classmethod
    def _where_there_is_a_login(cls, value: Any, info: ValidationInfo) -> Any:
        login = info.data.get("security") in ("SASL_PLAINTEXT", "SASL_SSL")
        if login and not value:
            raise ValueError(f"absent; {info.data['security']} needs CALLWARDEN_SASL_USER and CALLWARDEN_SASL_PASSWORD")
        return value or None

    @field_validator("notify_dingtalk_secret", "notify_feishu_secret", "notify_webhook_secret")
    @classmethod
    def _with_its_address(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = str(info.field_name).replace("_secret", "_url")
        if not secret and info.data.get(url) and info.field_name == "notify_webhook_secret":
            raise ValueError(f"absent; without it nobody could tell who calls {variable(url)}")
        if secret and url in info.data and info.data[url] is None:
            raise ValueError(f"a secret without its address; {variable(url)} as well would be right")
        return secret or None

    def alertmanagers(self) -> list[SecretStr]:
        """The addresses of all Alertmanagers."""
        urls = self.notify_alertmanager_urls
        return [SecretStr(url) for url in urls.get_secret_value().split(",")] if urls else []

    @property
    def group(self) -> str:
        """The consumer group of all workers of this application."""
        return self.application_id

    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS needs, None without TLS. Raises OSError for files that are no certificates or keys."""
        if self.security not in ("SSL", "SASL_SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ssl_ca_file)
        if self.ssl_cert_file is not None:
            password = self.ssl_key_password.get_secret_value() if self.ssl_key_password else ""
            context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password)
        return context

    @property
    def looking(self) -> Looking:
        """Of which single tenants metrics tell."""
        return Looking(self.metrics_near, self.metrics_busiest, self.metrics_pairs)

    def secret(self) -> bytes:
        """What salts the keys of numbers: the key file's content, as `replay --key-file` takes it."""
        return self.key_file.read_bytes().strip() if self.key_file else b""


def load(options: Mapping[str, object] | None = None) -> Settings:
    """The settings of the environment, those of the command line above them. Raises SettingsError with all faults.

    ``options`` are by the names of fields; None is an option that was not given.
    """
    given = {field: value for field, value in (options or {}).items() if value is not None}

    def named(field: str) -> str:
        # As the commands have it: `--port` of `callwarden ledger run` is CALLWARDEN_LEDGER_PORT.
        option = "bootstrap" if field == "bootstrap_servers" else re.sub("^(billing|ledger|notify)_|_ms$", "", field)
        return f"--{option.replace('_', '-')}" if field in given else variable(field)

    faults = list(_unknown(os.environ))
    try:
        settings = Settings(**{variable(field).lower(): value for field, value in given.items()})  # type: ignore[arg-type]
    except ValidationError as error:
        fields = {variable(field).lower(): field for field in Settings.model_fields}
        for fault in error.errors(include_url=False, include_input=False):
            at = str(fault["loc"][0])
            faults.append(f"{named(fields.get(at, at))}: {fault.get('ctx', {}).get('error', fault['msg'])}")
        raise SettingsError(faults) from None
    try:
        settings.ssl_context()
    except ssl.SSLError as error:
        faults.append(
            f"{variable('ssl_ca_file')}, {variable('ssl_cert_file')}, {variable('ssl_key_file')}: {_pem(error)}"
        )
    if faults:
        raise SettingsError(faults)
    return settings


def _pem(error: ssl.SSLError) -> str:
    return (
        f"not all can be read ({error.reason or error}); files in PEM, the key with its own certificate, would be right"
    )


def _unknown(environment: Mapping[str, str]) -> Iterable[str]:
    """A setting under a name that nobody reads would be passed over without a word."""
    known = {variable(field) for field in Settings.model_fields}
    bare = sorted(name.removeprefix(PREFIX) for name in known)
    for name, value in sorted(environment.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX.rstrip("_")) or upper in known or upper in NOT_SETTINGS:
            continue
        if _OF_A_SERVICE.search(upper) or value.startswith(("tcp://", "udp://")):
            continue
        given = upper.removeprefix(PREFIX.rstrip("_")).lstrip("_")
        near = difflib.get_close_matches(given, bare, 1)
        yield f"{name}: unknown; {PREFIX + near[0] if near else 'one that docs/live.md lists'} would be right"
