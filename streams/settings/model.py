"""The settings of all commands on a cluster: type, limits, default and meaning of each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator

from monitor.text.display import Display
from monitor.text.durations import DAY, HOUR, MINUTE, SECOND, format_duration
from monitor.text.masking import MaskIds
from streams.settings.sources import PREFIX
from streams.settings.types import (
    AppendedFile,
    DatabaseUrl,
    File,
    Host,
    Issuer,
    KafkaName,
    Link,
    Moment,
    Partitioner,
    ProgramPages,
    RecordingLink,
    RoleMapping,
    Servers,
    SiteAddress,
    TableDatabaseUrl,
    TopicPrefix,
    WebAddress,
    WebAddresses,
    decimal,
    duration,
    one_of,
    short_duration,
    whole,
)

if TYPE_CHECKING:
    import ssl

    from monitor.core.threshold_distance import DistanceOptions
    from monitor.partition.checkpoint_fields import DecidingSettings

ASKED_FOR_BY: Final = {
    "sasl_user": "security",
    "sasl_password": "security",
    "notify_webhook_secret": "notify_webhook_url",
    "console_oidc_client_id": "console_oidc_issuer",
    "console_oidc_client_secret": "console_oidc_issuer",
    "console_oidc_roles": "console_oidc_issuer",
}
"""The setting that a default conflicts with."""


def variable(field: str) -> str:
    """The environment variable of a field: durations are written with their unit, so its name has none."""
    return PREFIX + field.removesuffix("_ms").upper()


class Settings(BaseModel):
    """All settings of the shell. Durations are ms here, and written `90s`, `5m`, `24h`, `30d`.

    Each is the environment variable `variable(name)`, or a line of a file; the string below it is its meaning, for
    people. `streams.settings.load.load` reads them, and says what is wrong in the user's words.
    """

    # `streams.cli.settings_table` reads the docstrings of fields where it shows them: finding them parses this file.
    model_config = ConfigDict(frozen=True, validate_default=True, extra="forbid", hide_input_in_errors=True)

    # The cluster.
    bootstrap_servers: Servers = "127.0.0.1:9092"
    """The Kafka brokers: `HOST:PORT`, separated by commas."""
    security: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ] = "PLAINTEXT"
    """`SSL` uses TLS, `SASL_PLAINTEXT` a login without TLS, `SASL_SSL` both."""
    ssl_ca_file: File = None
    """PEM file of the CA that signed the brokers' certificates. Default: the CAs that the system trusts."""
    ssl_cert_file: File = None
    """PEM file of the client certificate, if the brokers require one."""
    ssl_key_file: File = None
    """PEM file of the client certificate's key, if it is not in the same file."""
    ssl_key_password: SecretStr | None = None
    """The password of the key."""
    sasl_plain_in_clear: Annotated[Literal["no", "yes"], one_of("no", "yes", change=str.lower)] = "no"
    """`yes` allows PLAIN without TLS. The password can then be read on the network."""
    sasl_mechanism: Annotated[
        Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], one_of("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
    ] = "SCRAM-SHA-512"
    """`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`."""
    sasl_user: str | None = None
    """The user name of the login."""
    sasl_password: SecretStr | None = None
    """The password of the login."""

    # Names and membership in the cluster.
    input_prefix: TopicPrefix = "callwarden."
    """The prefix of the input topics' names."""
    output_prefix: TopicPrefix = "callwarden."
    """The prefix of the output topics' names. Another prefix makes a canary ([canary.md](../guides/canary.md))."""
    application_id: KafkaName = ""
    """Consumer group and prefix of transactional ids. Default: the output prefix without its last dot."""
    session_timeout_ms: Annotated[int, duration(6 * SECOND, 30 * MINUTE)] = 10 * SECOND
    """The time after which a failed worker is detected. Until then its partitions are not processed."""
    heartbeat_ms: Annotated[int, short_duration(100, 10 * MINUTE)] = 500
    """The interval of heartbeats; the answer announces a rebalance. At most a third of `SESSION_TIMEOUT`."""

    # Settings that affect decisions.
    policy: File = None
    """The policy file. Default: the built-in policy."""
    key_file: File = None
    """A file with the salt for keys of numbers and ids, the same for all workers and audits. Default: a public salt
    ([personal-data.md](personal-data.md))."""
    partitioner: Annotated[Partitioner, one_of("murmur2", "crc32", change=str.lower)] = "murmur2"
    """The producers' partitioner. Use `crc32` if your producers cannot change theirs."""
    idle_after_ms: Annotated[int, duration(1 * SECOND, 1 * DAY)] = 30 * SECOND
    """The time after which the clock of a silent source follows the broker's time."""
    max_ahead_ms: Annotated[int, duration(1 * SECOND, 1 * DAY)] = 5 * MINUTE
    """How far a record's event time may be ahead of its Kafka timestamp."""
    outage_grace_ms: Annotated[int, duration(1 * SECOND, 30 * DAY)] = 4 * HOUR
    """How long all calls may be absent and still not be late when they arrive."""
    review_keys_file: File = None
    """The YAML file with the public keys of reviews, by name. Workers with it accept only reviews that one of them
    signed; the console and commands verify signatures by it ([signed-reviews.md](../guides/signed-reviews.md))."""
    measures: Annotated[Literal["on", "off"], one_of("on", "off", change=str.lower)] = "on"
    """`on`: write the measures of each tenant and hour to `callwarden.measures` ([measures.md](measures.md))."""
    enforce_from_ms: Moment = None
    """The event time from which a new state decides; earlier records only count ([canary.md](../guides/canary.md))."""

    # The process: HTTP endpoints, shutdown, logs and metrics.
    web_host: Host = "127.0.0.1"
    """The address of the HTTP endpoints `/healthz`, `/readyz` and `/metrics`."""
    web_port: Annotated[int, whole(1, 65535)] = 6066
    """The worker's port."""
    ready_lag: Annotated[int, whole(0, 999_999_999)] = 100_000
    """A worker with more unread records than this in a topic partition is not ready (`/readyz`)."""
    stop_within_ms: Annotated[int, duration(1 * SECOND, 10 * MINUTE)] = 20 * SECOND
    """The time within which a program ends after TERM, even if something hangs."""
    log_format: Annotated[Literal["auto", "json", "text"], one_of("auto", "json", "text", change=str.lower)] = "auto"
    """`json`, `text` or `auto`: text on a terminal, JSON otherwise."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], one_of("debug", "info", "warning", "error", change=str.lower)
    ] = "info"
    """The lowest level that is logged: `debug`, `info`, `warning`, `error`."""
    mask_ids: Annotated[MaskIds, one_of("telephone_numbers", "none", "all_digits", change=str.lower)] = (
        "telephone_numbers"
    )
    """The ids that pages, notifications, logs, metrics and terminals mask: `telephone_numbers` (ids that are one),
    `none`, or `all_digits` (in any id, seven or more digits in a row). See [personal-data.md](personal-data.md)."""
    metrics_near: Annotated[float, decimal(0.1, 10.0)] = 0.8
    """The share of the way to a threshold from which a tenant has its own series ([metrics.md](metrics.md))."""
    metrics_busiest: Annotated[int, whole(0, 1_000)] = 20
    """The number of busiest tenants that have their own series."""
    metrics_pairs: Annotated[int, whole(0, 100_000)] = 1_000
    """The maximum number of pairs of tenant and rule in `/metrics`, and of pairs of tenant and escalation."""

    # Consumers of the outputs. They may share a database.
    billing_database: DatabaseUrl = SecretStr("sqlite:///callwarden-billing.db")
    """Billing's database: SQLite, or `postgresql://USER:PASSWORD@HOST/NAME`."""
    billing_port: Annotated[int, whole(1, 65535)] = 6067
    """The port of billing's API, health and metrics endpoints."""
    billing_auth: Annotated[Literal["token", "none"], one_of("token", "none", change=str.lower)] = "token"
    """`token`, or `none`: no authentication, allowed on a loopback address only."""
    billing_token: SecretStr | None = None
    """The tokens that may query whether refunds are frozen, separated by commas."""
    billing_token_file: File = None
    """A file with these tokens, one a line."""
    billing_stale_after_ms: Annotated[int, duration(1 * SECOND, 1 * DAY)] = 10 * SECOND
    """If billing's data is older than this, it does not answer queries."""
    ledger_database: DatabaseUrl = SecretStr("sqlite:///callwarden-ledger.db")
    """The ledger's database: SQLite or PostgreSQL ([ledger.md](../guides/ledger.md))."""
    ledger_port: Annotated[int, whole(1, 65535)] = 6068
    """The port of the ledger's health and metrics endpoints."""
    ledger_heads: AppendedFile = None
    """File to which the heads of the ledger's chains are appended daily. Default: they are only logged."""
    reviews_signing_key_file: File = None
    """PEM file with the private key that signs the verdicts of `callwarden reviews`. Its name is the key's."""
    notify_database: DatabaseUrl = SecretStr("sqlite:///callwarden-notify.db")
    """The notifier's database: SQLite or PostgreSQL ([notify.md](../guides/notify.md))."""
    notify_port: Annotated[int, whole(1, 65535)] = 6069
    """The port of the notifier's health and metrics endpoints."""
    notify_alertmanager_urls: WebAddresses = None
    """The Alertmanagers, separated by commas. Each receives every message."""
    notify_dingtalk_url: WebAddress = None
    """The address of the DingTalk bot."""
    notify_dingtalk_secret: SecretStr | None = None
    """The signing secret of the DingTalk bot."""
    notify_feishu_url: WebAddress = None
    """The address of the Feishu bot."""
    notify_feishu_secret: SecretStr | None = None
    """The signing secret of the Feishu bot."""
    notify_wecom_url: WebAddress = None
    """The address of the WeCom bot, with its key."""
    notify_webhook_url: WebAddress = None
    """The address of your webhook."""
    notify_webhook_secret: SecretStr | None = None
    """The secret that signs the webhook's messages."""
    notify_link: Link = None
    """The address of your own page about a tenant, `https://HOST/.../{tenant}`. Default: the console's."""
    notify_severity: Annotated[
        Literal["info", "warning", "critical"], one_of("info", "warning", "critical", change=str.lower)
    ] = "warning"
    """The lowest severity of an alert that is sent: `info`, `warning`, `critical`."""
    notify_delay_ms: Annotated[int, duration(0, 1 * DAY)] = 5 * MINUTE
    """How long an alert is held back in case its decision follows."""
    notify_quiet_ms: Annotated[int, duration(1 * MINUTE, 90 * DAY)] = 7 * DAY
    """For how long a repetition is not sent again."""
    notify_before_lapse_ms: Annotated[int, duration(1 * MINUTE, 30 * DAY)] = 1 * DAY
    """How long before a decision lapses its lapse is announced."""
    notify_summary_hour: Annotated[int, whole(0, 23)] = 9
    """The hour of the daily summary, in the policy's time zone."""
    notify_per_minute: Annotated[int, whole(2, 20)] = 10
    """The maximum number of messages a minute for each bot."""
    ingest_port: Annotated[int, whole(1, 65535)] = 6070
    """The port of the ingest service, with its health and metrics endpoints ([ingest.md](../guides/ingest.md))."""
    ingest_auth: Annotated[Literal["tokens", "none"], one_of("tokens", "none", change=str.lower)] = "tokens"
    """`none`: everybody who can reach the ingest service may write every record; only allowed on a loopback address."""
    ingest_tokens_file: File = None
    """The YAML file with the hashes of the tokens and what each may write."""
    ingest_sources_file: File = None
    """The YAML file with the sources of foreign records, `POST /v1/in/NAME`."""
    ingest_max_keys: Annotated[int, whole(1, 100_000_000)] = 1_000_000
    """The most idempotency keys that are remembered, each for a day; about 200 bytes of memory a key."""
    ingest_tls_cert_file: File = None
    """PEM file of the ingest service's certificate, with its chain. Default: HTTP without TLS."""
    ingest_tls_key_file: File = None
    """PEM file of the certificate's key, if it is not in the same file; it has no password."""
    schema_registry_url: WebAddress = None
    """The address of the schema registry, without `/schemas`, for foreign topics in Avro and Protobuf
    ([schema-registry.md](../guides/schema-registry.md))."""
    schema_registry_auth: SecretStr | None = None
    """USER:PASSWORD for the schema registry."""
    schema_registry_ca_file: File = None
    """PEM file of the certificate authorities that vouch for the schema registry. Default: those of the system."""
    follow_port: Annotated[int, whole(1, 65535)] = 6073
    """The port of the health and metrics endpoints of `callwarden follow` ([follow.md](../guides/follow.md))."""
    follow_database: TableDatabaseUrl = None
    """The database of the table that `callwarden follow --table` follows: PostgreSQL, MySQL, MariaDB or SQLite."""

    assemble_port: Annotated[int, whole(1, 65535)] = 6072
    """The port of `callwarden assemble` ([assemble.md](../guides/assemble.md))."""
    assemble_max_open_calls: Annotated[int, whole(100, 10_000_000)] = 50_000
    """The most open calls of a source in a partition of `callwarden.raw`; beyond, the oldest ends without a record."""
    assemble_max_open_calls_per_tenant: Annotated[int, whole(10, 10_000_000)] = 10_000
    """The most of these that are of one tenant."""
    assemble_tick_ms: Annotated[int, short_duration(100, 1 * MINUTE)] = 5 * SECOND
    """After how long without events the clock of open calls is moved."""

    # callwarden bridge
    bridge_port: Annotated[int, whole(1, 65535)] = 6074
    """The port of the bridge's health and metrics endpoints ([bridge.md](../guides/bridge.md))."""

    # callwarden console
    console_database: DatabaseUrl = SecretStr("sqlite:///callwarden-console.db")
    """The console's database: SQLite or PostgreSQL ([console.md](../guides/console.md))."""
    console_port: Annotated[int, whole(1, 65535)] = 6071
    """The port of the console's pages, with its health and metrics endpoints."""
    console_undo_for_ms: Annotated[int, duration(0, 10 * MINUTE)] = 30 * SECOND
    """How long a verdict waits before it is sent; until then it can be cancelled."""
    console_claim_for_ms: Annotated[int, duration(1 * MINUTE, 1 * DAY)] = 15 * MINUTE
    """How long a claim of a case lasts without an action on the case."""
    console_signing_key_file: File = None
    """PEM file with the private key that signs the verdicts of the console. Its name is the key's."""
    console_recording_link: RecordingLink = None
    """The address of a call's recording, by its id, `https://HOST/.../{recording}`, or by the call's,
    `https://HOST/.../{call}`. Default: ids without links."""
    console_programs: ProgramPages = None
    """Whose state the console's health page shows: `worker=http://HOST:6066, notify=http://HOST:6069`."""
    console_previews: Annotated[int, whole(1, 16)] = 1
    """How many previews of policies one console runs at a time, each in a process of its own."""
    console_preview_memory: Annotated[int, whole(256, 65_536)] = 1_024
    """The address space of a preview's process, in MiB. One that needs more fails."""
    console_preview_time_ms: Annotated[int, duration(1 * SECOND, 1 * DAY)] = 15 * MINUTE
    """How long a preview may take, by the clock and in CPU time. One that needs longer fails."""
    console_preview_upload: Annotated[int, whole(1, 4_096)] = 64
    """The largest file of records that can be uploaded for a preview, in MiB."""

    # Who may use the console
    console_url: SiteAddress = None
    """The console's address, `https://HOST`; notifications link it. Default: only this machine, by loopback names."""
    console_idle_ms: Annotated[int, duration(1 * MINUTE, 7 * DAY)] = 30 * MINUTE
    """How long a session of the console lasts without a request."""
    console_session_ms: Annotated[int, duration(5 * MINUTE, 30 * DAY)] = 12 * HOUR
    """How long a session of the console lasts at most."""
    console_local_accounts: Annotated[Literal["yes", "no"], one_of("yes", "no", change=str.lower)] = "yes"
    """`no`: only users of the OpenID Connect provider sign in."""
    console_second_factor: Annotated[
        Literal["optional", "required"], one_of("optional", "required", change=str.lower)
    ] = "optional"
    """`required`: each local account signs in with a code of an authenticator, too."""
    console_four_eyes: Annotated[Literal["yes", "no"], one_of("yes", "no", change=str.lower)] = "yes"
    """`yes`: a ban and a change of the policy need a second person."""
    console_oidc_issuer: Issuer = None
    """The OpenID Connect provider that signs users in ([console.md](../guides/console.md)). Default: none."""
    console_oidc_client_id: str | None = None
    """The console's client id at the provider."""
    console_oidc_client_secret: SecretStr | None = None
    """The console's client secret at the provider."""
    console_oidc_roles: RoleMapping = None
    """Which values of the claim give which role: `cw-reviewers=reviewer, cw-admins=admin`."""
    console_oidc_roles_claim: str = "groups"
    """The claim with a user's groups; a path with dots for one inside another, such as `realm_access.roles`."""
    console_oidc_name_claim: str = "name"
    """The claim with a user's name."""
    console_oidc_ca_file: File = None
    """PEM file of the certificate authorities that vouch for the provider. Default: those of the system."""

    # Topics that `topics create` creates.
    partitions: Annotated[int, whole(1, 10_000)] = 8
    """The number of partitions of new topics."""
    replication_factor: Annotated[int, whole(1, 100)] = 3
    """The replication factor of new topics."""
    input_retention_ms: Annotated[int, duration(1 * HOUR, 36_500 * DAY)] = 30 * DAY
    """The retention of new input topics; `topics check` requires at least this."""

    @field_validator("application_id", mode="before")
    @classmethod
    def _of_the_output_prefix(cls, given: object, info: ValidationInfo) -> object:
        # Workers with other outputs need another id, or they would fence these writers.
        return given or str(info.data.get("output_prefix", "")).removesuffix(".") or "callwarden"

    @field_validator("heartbeat_ms")
    @classmethod
    def _several_a_session(cls, heartbeat_ms: int, info: ValidationInfo) -> int:
        session_ms = info.data.get("session_timeout_ms")
        if session_ms is not None and heartbeat_ms * 3 > session_ms:
            most = session_ms // 3 // SECOND * SECOND
            raise ValueError(
                f"`{format_duration(heartbeat_ms)}` is more than a third of the session timeout "
                f"({format_duration(session_ms)}): one lost heartbeat would end the session; "
                f"expected at most {format_duration(most)}"
            )
        return heartbeat_ms

    @field_validator("ssl_ca_file", "ssl_cert_file")
    @classmethod
    def _with_ssl_only(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        security = info.data.get("security")
        if path is not None and security in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(f"{security} uses no certificates; expected CALLWARDEN_SECURITY=SSL or SASL_SSL")
        return path

    @field_validator("ssl_key_file", "ingest_tls_key_file")
    @classmethod
    def _with_certificate_only(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        certificate = str(info.field_name).replace("_key_", "_cert_")
        if path is not None and info.data.get(certificate, path) is None:
            raise ValueError(f"a key needs its certificate; expected {variable(certificate)}, too")
        return path

    @field_validator("sasl_mechanism")
    @classmethod
    def _readable_if_asked_for(cls, mechanism: str, info: ValidationInfo) -> str:
        open_to_all = mechanism == "PLAIN" and info.data.get("security") == "SASL_PLAINTEXT"
        if open_to_all and info.data.get("sasl_plain_in_clear") == "no":
            raise ValueError(
                "PLAIN without TLS sends the password in clear; expected CALLWARDEN_SECURITY=SASL_SSL, or "
                "SCRAM-SHA-512, or CALLWARDEN_SASL_PLAIN_IN_CLEAR=yes to allow it"
            )
        return mechanism

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
            raise ValueError(f"absent; expected one: without it the receiver cannot verify who calls {variable(url)}")
        if secret and url in info.data and info.data[url] is None:
            raise ValueError(f"a secret without its address; expected {variable(url)}, too")
        return secret or None

    @field_validator("console_oidc_client_id", "console_oidc_client_secret", "console_oidc_roles")
    @classmethod
    def _with_its_provider(cls, value: Any, info: ValidationInfo) -> Any:
        issuer, given = info.data.get("console_oidc_issuer"), bool(value)
        if issuer is not None and not given:
            raise ValueError(f"absent; {variable('console_oidc_issuer')} needs it, too")
        if given and "console_oidc_issuer" in info.data and issuer is None:
            raise ValueError(f"without its provider; expected {variable('console_oidc_issuer')}, too")
        return value or None

    @field_validator("console_oidc_issuer")
    @classmethod
    def _with_a_way_back(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        if issuer is not None and info.data.get("console_url", issuer) is None:
            raise ValueError(f"the provider sends users back to the console; expected {variable('console_url')}, too")
        return issuer

    @field_validator("schema_registry_auth")
    @classmethod
    def _user_and_password(cls, login: SecretStr | None) -> SecretStr | None:
        if login is not None and login.get_secret_value() and ":" not in login.get_secret_value():
            raise ValueError("not a login; expected USER:PASSWORD")  # not shown: it may be the password
        return login if login is not None and login.get_secret_value() else None

    def alertmanagers(self) -> list[SecretStr]:
        """The addresses of all Alertmanagers."""
        urls = self.notify_alertmanager_urls
        return [SecretStr(url) for url in urls.get_secret_value().split(",")] if urls else []

    @property
    def group(self) -> str:
        """The consumer group of all workers of this application."""
        return self.application_id

    def ssl_context(self) -> "ssl.SSLContext | None":
        """What TLS needs, None without TLS. Raises OSError for files that are no certificates or keys."""
        if self.security not in ("SSL", "SASL_SSL"):
            return None
        import ssl

        context = ssl.create_default_context(cafile=self.ssl_ca_file)
        if self.ssl_cert_file is not None:
            password = self.ssl_key_password.get_secret_value() if self.ssl_key_password else ""
            context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password)
        return context

    @property
    def display(self) -> Display:
        """How records are shown."""
        return Display(self.mask_ids)

    @property
    def distance_options(self) -> "DistanceOptions":
        """The tenants that have metrics of their own."""
        from monitor.core.threshold_distance import DistanceOptions

        return DistanceOptions(self.metrics_near, self.metrics_busiest, self.metrics_pairs)

    @property
    def deciding(self) -> "DecidingSettings":
        """The settings that affect decisions, which are stored with the state."""
        from monitor.partition.checkpoint_fields import DecidingSettings

        return DecidingSettings(self.idle_after_ms, self.max_ahead_ms, self.outage_grace_ms, self.review_keys())

    def review_keys(self) -> dict[str, str] | None:
        """The public keys of reviews in base64, by name; None without a file. Raises PolicyError for its faults."""
        if self.review_keys_file is None:
            return None
        from streams.settings.review_keys_file import read_review_keys

        return read_review_keys(self.review_keys_file)

    def secret(self) -> bytes:
        """What salts the keys of numbers: the key file's content, as `replay --key-file` takes it."""
        return self.key_file.read_bytes().strip() if self.key_file else b""

    def ingest_tls(self) -> "ssl.SSLContext | None":
        """What TLS of the ingest service needs, None without TLS. Raises OSError for a file that is none in PEM."""
        if self.ingest_tls_cert_file is None:
            return None
        import ssl

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # With a password of None a key that has one asks for it at the terminal.
        context.load_cert_chain(self.ingest_tls_cert_file, self.ingest_tls_key_file, "")
        return context

    def schema_registry_tls(self) -> "ssl.SSLContext | None":
        """What TLS to the schema registry needs, None: the system's. Raises OSError for a file without certificates."""
        if self.schema_registry_ca_file is None:
            return None
        import ssl

        return ssl.create_default_context(cafile=self.schema_registry_ca_file)
