"""Settings come from the environment, the command line takes precedence, and all errors are reported at once."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from settings_faults import faults

from helpers.certificates import certificate
from helpers.warm_commands import callwarden
from streams.cli.inputs import display_setting
from streams.cli.settings_table import markdown, rows
from streams.settings.load import NOT_SETTINGS, Settings, load, read, variable
from streams.settings.sources import none_given


def test_without_any_setting_a_broker_on_this_machine_is_used() -> None:
    settings = load()
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert (settings.application_id, settings.input_prefix, settings.output_prefix) == (
        "callwarden",
        "callwarden.",
        "callwarden.",
    )
    assert (settings.session_timeout_ms, settings.heartbeat_ms) == (10_000, 500)
    assert (settings.idle_after_ms, settings.max_ahead_ms, settings.outage_grace_ms) == (30_000, 300_000, 14_400_000)
    assert settings.partitioner == "murmur2"
    assert settings.secret() == b""
    assert settings.ssl_context() is None


def test_the_heartbeat_alone_may_be_given_in_milliseconds(given: dict[str, str]) -> None:
    given["HEARTBEAT"] = "250ms"
    assert load().heartbeat_ms == 250
    given["HEARTBEAT"], given["IDLE_AFTER"] = "99ms", "30000ms"
    assert faults({}) == [
        "CALLWARDEN_HEARTBEAT: `99ms` is not allowed; expected 100ms to 10m",
        "CALLWARDEN_IDLE_AFTER: expected a duration such as `90s`, `5m`, `24h` or `30d`, got `30000ms`",
    ]


@pytest.mark.parametrize(
    ("prefix", "application_id"),
    [
        ("callwarden.", "callwarden"),
        ("callwarden-canary.", "callwarden-canary"),
        ("site1", "site1"),
        ("", "callwarden"),
    ],
)
def test_another_output_prefix_is_another_application(given: dict[str, str], prefix: str, application_id: str) -> None:
    assert load({"output_prefix": prefix}).application_id == application_id
    given["OUTPUT_PREFIX"] = prefix
    given["APPLICATION_ID"] = "own"
    assert load().application_id == "own"


def test_a_time_is_read_with_its_zone_and_shown_as_it_is_meant(given: dict[str, str]) -> None:
    given["ENFORCE_FROM"] = "2026-12-01T08:00:00+08:00"
    settings, read_from = read()
    assert settings.enforce_from_ms == 1_796_083_200_000
    (row,) = [row for row in rows(settings, read_from) if row.name == "CALLWARDEN_ENFORCE_FROM"]
    assert (row.value, row.source) == ("2026-12-01T00:00:00.000Z", "environment")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("2026-12-01T08:00:00", "expected a time zone, such as 2026-12-01T08:00:00Z"),
        ("tomorrow", "expected RFC 3339"),
        ("1796083200", "expected a time in the years 1990 to 2099"),
    ],
)
def test_another_time_is_no_time(given: dict[str, str], text: str, wrong: str) -> None:
    given["ENFORCE_FROM"] = text
    (fault,) = faults()
    assert fault.startswith(f"CALLWARDEN_ENFORCE_FROM: `{text}` is")
    assert wrong in fault


def test_the_environment_is_read_and_the_command_line_stands_above_it(given: dict[str, str]) -> None:
    given["BOOTSTRAP_SERVERS"] = "kafka-1:9092, [::1]:9093"
    given["IDLE_AFTER"] = "90s"
    given["OUTAGE_GRACE"] = "2h"
    given["SECURITY"] = "plaintext"
    given["PARTITIONS"] = ""
    settings = load({"idle_after_ms": "5m", "outage_grace_ms": None})
    assert settings.bootstrap_servers == "kafka-1:9092,[::1]:9093"
    assert settings.idle_after_ms == 300_000
    assert settings.outage_grace_ms == 7_200_000
    assert settings.security == "PLAINTEXT"
    assert settings.partitions == 8


def test_other_peoples_variables_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("PARTITIONS", "none")
    monkeypatch.setenv("POLICY", "none")
    assert load().partitions == 8


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("CALLWARDEN_BOOTSTRAP", "CALLWARDEN_BOOTSTRAP_SERVERS"),
        ("CALLWARDEN_SECURITY_PROTOCOL", "CALLWARDEN_SECURITY"),
        ("CALLWARDENPOLICY", "CALLWARDEN_POLICY"),
        ("CALLWARDEN_IDLE_AFTER_MS", "CALLWARDEN_IDLE_AFTER"),
        ("callwarden_sasl_username", "CALLWARDEN_SASL_USER"),
        ("CALLWARDEN_PORT", "CALLWARDEN_WEB_PORT"),
        ("CALLWARDEN_BROKERS", "one that docs/reference/settings.md lists"),
        ("CALLWARDEN_LATENESS", "one that docs/reference/settings.md lists"),
        ("CALLWARDEN_GROUP_ID", "one that docs/reference/settings.md lists"),
    ],
)
def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, right: str) -> None:
    monkeypatch.setenv(name, "kafka:9092")
    assert faults() == [f"{name}: unknown; expected {right}"]


def test_variables_that_are_no_settings_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    read_elsewhere = {"CALLWARDEN_PSEUDONYM_KEY", "CALLWARDEN_REQUIRE_SERVICES"}
    assert read_elsewhere < NOT_SETTINGS
    for name in NOT_SETTINGS:
        monkeypatch.setenv(name, "1")
    # Of services called `callwarden` and `callwarden-web`, as Kubernetes sets them.
    monkeypatch.setenv("CALLWARDEN_SERVICE_HOST", "10.0.0.7")
    monkeypatch.setenv("CALLWARDEN_SERVICE_PORT_METRICS", "6066")
    monkeypatch.setenv("CALLWARDEN_PORT", "tcp://10.0.0.7:6066")
    monkeypatch.setenv("CALLWARDEN_WEB_PORT_6066_TCP_ADDR", "10.0.0.7")
    load()


def test_all_faults_come_at_once_each_with_what_would_be_right(given: dict[str, str]) -> None:
    given["BOOTSTRAP_SERVERS"] = "kafka"
    given["SECURITY"] = "sasl_ssl"
    given["SASL_PASWORD"] = "secret"
    given["SESSION_TIMEOUT"] = "6s"
    given["HEARTBEAT"] = "3s"
    given["POLICY"] = "/no/policy.yaml"
    given["IDLE_AFTER"] = "30"
    given["PARTITIONS"] = "0"
    assert faults({"outage_grace_ms": "4", "bootstrap_servers": None, "web_port": "http"}) == [
        "CALLWARDEN_SASL_PASWORD: unknown; expected CALLWARDEN_SASL_PASSWORD",
        "CALLWARDEN_BOOTSTRAP_SERVERS: `kafka` is not a server; expected HOST:PORT, several separated by commas",
        "CALLWARDEN_SASL_USER: absent; SASL_SSL needs CALLWARDEN_SASL_USER and CALLWARDEN_SASL_PASSWORD",
        "CALLWARDEN_SASL_PASSWORD: absent; SASL_SSL needs CALLWARDEN_SASL_USER and CALLWARDEN_SASL_PASSWORD",
        "CALLWARDEN_HEARTBEAT: `3s` is more than a third of the session timeout (6s): one lost heartbeat would end "
        "the session; expected at most 2s",
        "CALLWARDEN_POLICY: `/no/policy.yaml` is not an existing file; expected the path of a file",
        "CALLWARDEN_IDLE_AFTER: expected a duration such as `90s`, `5m`, `24h` or `30d`, got `30`; did you mean `30s`?",
        "--outage-grace: expected a duration such as `90s`, `5m`, `24h` or `30d`, got `4`; did you mean `4s`?",
        "--port: `http` is not allowed; expected a whole number from 1 to 65535",
        "CALLWARDEN_PARTITIONS: `0` is not allowed; expected a whole number from 1 to 10000",
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BOOTSTRAP_SERVERS", "kafka:0", "`kafka:0` is not a server"),
        ("BOOTSTRAP_SERVERS", "kafka:9092,,", "`` is not a server"),
        ("BOOTSTRAP_SERVERS", "SSL://kafka:9092", "expected HOST:PORT"),
        ("BOOTSTRAP_SERVERS", "kafka..example.com:9092", "`kafka..example.com:9092` is not a server"),
        ("BOOTSTRAP_SERVERS", f"{'k' * 64}:9092", "expected HOST:PORT"),
        ("BOOTSTRAP_SERVERS", "\u5361" * 64 + ":9092", "expected HOST:PORT"),
        ("BOOTSTRAP_SERVERS", "kafka:\u0661", "expected HOST:PORT"),
        ("LEDGER_DATABASE", "postgresql://ledger:x@db..example.com/calls", "not the address of a database"),
        ("FOLLOW_DATABASE", "mysql://kamailio:x@db..example.com/kamailio", "not the address of a database"),
        ("WEB_HOST", "0.0.0..0", "`0.0.0..0` is not a host; expected the name or the address"),
        ("WEB_HOST", "http://localhost", "is not a host"),
        ("SECURITY", "TLS", "expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("SASL_MECHANISM", "GSSAPI", "expected one of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"),
        ("PARTITIONER", "random", "expected one of murmur2, crc32"),
        ("APPLICATION_ID", "call warden", "`call warden` is not a Kafka name"),
        ("APPLICATION_ID", "", None),
        ("OUTPUT_PREFIX", "calls/", "`calls/` cannot begin a topic's name"),
        ("OUTPUT_PREFIX", "x" * 240, "cannot begin a topic's name; expected at most 238"),
        ("SESSION_TIMEOUT", "5s", "`5s` is not allowed; expected 6s to 30m"),
        ("SSL_CA_FILE", "/no/ca.pem", "not an existing file"),
        ("INPUT_RETENTION", "10m", "`10m` is not allowed; expected 1h to 36500d"),
        ("REPLICATION_FACTOR", "-1", "expected a whole number from 1 to 100"),
    ],
)
def test_each_mistake_is_named(given: dict[str, str], name: str, value: str, says: str | None) -> None:
    given[name] = value
    if says is None:
        load()  # an empty value counts as not set
        return
    (fault,) = faults()
    assert fault.startswith(f"CALLWARDEN_{name}: ")
    assert says in fault


@pytest.mark.parametrize("name", ["BILLING_TOKEN_FILE", "REVIEWS_SIGNING_KEY_FILE", "SSL_CA_FILE"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "a text of several lines"),
        ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0/" + "x" * 300 + "/c2VjcmV0\n", "a text of several lines"),
        ("c2VjcmV0" * 8, "`c2Vj…` of 64 characters"),
        ("c2VjcmV0" * 800, "`c2Vj…` of 6,400 characters"),
    ],
    ids=["a key", "a longer key", "a token", "a name too long for a file"],
)
def test_the_content_of_a_file_in_place_of_its_path_is_not_shown(
    given: dict[str, str], name: str, value: str, shown: str
) -> None:
    given[name] = value
    (fault,) = faults()
    assert fault == f"CALLWARDEN_{name}: {shown} is not an existing file; expected the path of a file"


def test_a_name_too_long_for_a_new_file_is_a_fault(given: dict[str, str]) -> None:
    given["LEDGER_HEADS"] = "x" * 256
    assert faults() == [
        "CALLWARDEN_LEDGER_HEADS: `xxxx…` of 256 characters cannot be a file; expected a path in an existing folder"
    ]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "kafka-0.kafka_1.svc.", "\u5361\u592b\u5361.example", "[::1]"]
)
def test_names_and_addresses_are_hosts(given: dict[str, str], host: str) -> None:
    given["BOOTSTRAP_SERVERS"] = f"{host}:9092"
    given["WEB_HOST"] = host.strip("[]")
    settings = load()
    assert (settings.bootstrap_servers, settings.web_host) == (f"{host}:9092", host.strip("[]"))


@pytest.mark.parametrize(
    "place",
    ["/calls", "db/calls", "u:p%40[@db:5432/calls", "u:p/q@db,db-2:5433/calls", "[::1]/calls", "u@/calls?host=/run"],
)
def test_places_of_databases(given: dict[str, str], place: str) -> None:
    given["LEDGER_DATABASE"] = f"postgresql://{place}"
    assert load().ledger_database.get_secret_value() == f"postgresql://{place}"


def test_certificates_need_tls_and_a_key_its_certificate(given: dict[str, str], tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.write_text("no certificate")
    given["SSL_CA_FILE"] = str(there)
    assert faults() == [
        "CALLWARDEN_SSL_CA_FILE: PLAINTEXT uses no certificates; expected CALLWARDEN_SECURITY=SSL or SASL_SSL"
    ]
    given["SECURITY"] = "SSL"
    (fault,) = faults()
    assert "not all can be read" in fault
    assert "files in PEM" in fault
    given["SSL_KEY_FILE"] = str(there)
    assert faults() == ["CALLWARDEN_SSL_KEY_FILE: a key needs its certificate; expected CALLWARDEN_SSL_CERT_FILE, too"]


def test_a_key_that_is_not_the_certificates_is_a_fault(given: dict[str, str], tmp_path: Path) -> None:
    pem, key = map(str, certificate(tmp_path, "one"))
    given["SECURITY"] = "SSL"
    given["SSL_CERT_FILE"] = pem
    given["SSL_KEY_FILE"] = str(certificate(tmp_path, "two")[1])
    (fault,) = faults()
    assert "the key with its own certificate" in fault
    given["SSL_KEY_FILE"] = key
    assert load().ssl_context() is not None


def test_the_ingest_services_certificate_is_checked_at_the_start(given: dict[str, str], tmp_path: Path) -> None:
    pem, key = map(str, certificate(tmp_path, "one"))
    given["INGEST_TLS_KEY_FILE"] = key
    assert faults() == [
        "CALLWARDEN_INGEST_TLS_KEY_FILE: a key needs its certificate; expected CALLWARDEN_INGEST_TLS_CERT_FILE, too"
    ], "it would serve without TLS"
    given["INGEST_TLS_CERT_FILE"] = pem
    assert load().ingest_tls() is not None
    with_password = certificate(tmp_path, "three", "-passout", "pass:secret")[1]
    for wrong in (pem, certificate(tmp_path, "two")[1], with_password):
        given["INGEST_TLS_KEY_FILE"] = str(wrong)
        (fault,) = faults()
        assert fault.startswith(
            "CALLWARDEN_INGEST_TLS_CERT_FILE, CALLWARDEN_INGEST_TLS_KEY_FILE: not all can be read ("
        )
        assert fault.endswith("the key with its own certificate, and without a password")


def test_secrets_are_not_shown(given: dict[str, str]) -> None:
    given["SECURITY"] = "SASL_SSL"
    given["SASL_USER"] = "warden"
    given["SASL_PASSWORD"] = "hunter2"
    assert "hunter2" not in repr(load())
    assert "hunter2" not in str(load())
    given["SASL_USER"] = ""
    assert "hunter2" not in "".join(faults())


def test_the_secret_salt_is_what_the_key_file_holds(given: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b" salt \n")
    given["KEY_FILE"] = str(tmp_path / "key")
    assert load().secret() == b"salt"


def test_settings_are_frozen_and_every_one_has_a_variable() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.partitions = 9
    names = [variable(field) for field in Settings.model_fields]
    assert len(set(names)) == len(names)
    assert all(name.startswith("CALLWARDEN_") and not name.endswith("_MS") for name in names)


def test_what_the_tests_read_of_the_environment_does_not_keep_a_worker_from_starting() -> None:
    """The workers that tests start see these variables, too."""
    files = (Path(__file__).parents[2]).rglob("*.py")
    read = {name for path in files for name in re.findall(r"CALLWARDEN_TEST_[A-Z_]+", path.read_text("utf-8"))}
    assert len(read) > 2
    assert read <= NOT_SETTINGS


def test_a_password_does_not_go_in_clear_unless_that_is_asked_for(given: dict[str, str]) -> None:
    given["SASL_MECHANISM"], given["SASL_USER"], given["SASL_PASSWORD"] = "plain", "warden", "hunter2"
    given["SECURITY"] = "SASL_PLAINTEXT"
    (fault,) = faults()
    assert fault.startswith("CALLWARDEN_SASL_MECHANISM: PLAIN without TLS sends the password")
    assert "expected CALLWARDEN_SECURITY=SASL_SSL, or" in fault
    given["SASL_PLAIN_IN_CLEAR"] = "yes"
    assert load().sasl_mechanism == "PLAIN"
    given["SASL_PLAIN_IN_CLEAR"], given["SECURITY"] = "no", "SASL_SSL"
    assert load().sasl_mechanism == "PLAIN"


# Output --------------------------------------------------------------------------------------------------------------


def test_no_secret_is_shown_wherever_it_comes_from(given: dict[str, str], written: Callable[[str], str]) -> None:
    secret = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert len(secret) > 12
    given["SECURITY"], given["SASL_USER"] = "SASL_SSL", "warden"
    given["CONSOLE_URL"], given["CONSOLE_OIDC_ISSUER"] = "https://console.example", "https://id.example"
    given["CONSOLE_OIDC_CLIENT_ID"], given["CONSOLE_OIDC_ROLES"] = "console", "cw=viewer"
    lines = []
    for number, name in enumerate(secret):
        if name.endswith("_database"):
            value = f"postgresql://warden:hunter2@pass@db:5432/calls{number}?sslpassword=hunter2&user=hunter2"
        else:
            value = "http://u:hunter2@there/hunter2?key=hunter2" if "_url" in name else f"hunter2:{number}"
        if number % 2:
            given[variable(name).removeprefix("CALLWARDEN_")] = value
        else:
            lines.append(f"{variable(name).removeprefix('CALLWARDEN_').lower()}: {value}")
    written("\n".join(lines))
    found = {row.name: row for row in rows(*read())}
    assert "hunter2" not in repr(found)
    assert "pass@" not in repr(found)
    assert found["CALLWARDEN_SASL_PASSWORD"].value == "(hidden)"
    assert found["CALLWARDEN_LEDGER_DATABASE"].value is not None
    assert found["CALLWARDEN_LEDGER_DATABASE"].value.startswith("postgresql://db:5432/calls")


def test_each_setting_says_what_it_means_and_the_documents_list_them_as_they_are() -> None:
    found = list(rows(*read()))
    assert len(found) == len(Settings.model_fields)
    assert all(row.meaning and row.source == "default" for row in found)
    assert not any("](" in row.meaning for row in found), "a terminal shows no links"
    assert any("(docs/guides/canary.md)" in row.meaning for row in found)
    # This default follows another setting.
    assert {row.name for row in found if row.value != row.default} == {"CALLWARDEN_APPLICATION_ID"}
    document = (Path(__file__).parents[3] / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert document.endswith(f"\n\n{markdown()}\n"), "`callwarden settings --table` has what is to stand there"


def test_the_command_shows_them_and_ends_with_2_where_one_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("web_port: 7000\n")
    command = ("--settings", path, "settings")
    shown = callwarden(*command, "--json")
    assert shown.returncode == 0, shown.stderr
    port = next(row for row in json.loads(shown.stdout) if row["name"] == "CALLWARDEN_WEB_PORT")
    assert (port["value"], port["source"], port["default"]) == ("7000", f"{path}:1:11", "6066")
    assert (
        f"CALLWARDEN_WEB_PORT=7000    ({path}:1:11)\n    The worker's port.\n" in callwarden(*command).stdout.decode()
    )
    path.write_text("web_prt: 7000\n")
    wrong = callwarden(*command)
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert wrong.stderr.decode() == f"{path}:1:1: web_prt: unknown; expected web_port\n"


def test_records_are_shown_as_by_default_if_no_setting_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert none_given()
    assert display_setting() == load({}).display
    monkeypatch.setenv("CALLWARDEN_MASK_IDS", "all_digits")
    assert display_setting().mask_ids == "all_digits"
    monkeypatch.delenv("CALLWARDEN_MASK_IDS")
    (tmp_path / "callwarden.yaml").write_text("mask_ids: all_digits\n")
    assert display_setting().mask_ids == "all_digits"
