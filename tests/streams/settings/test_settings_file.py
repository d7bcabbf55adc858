"""Settings of a file: which file is read, what stands above it, and where its faults are reported."""

from collections.abc import Callable
from pathlib import Path

import pytest
from settings_faults import faults

from streams.settings.load import Settings, load, read


def test_the_file_stands_below_the_environment_and_that_below_the_command_line(
    written: Callable[[str], str], given: dict[str, str]
) -> None:
    path = written("# ours\nidle_after: 90s\nmax_ahead: 6m\noutage_grace: 2h\nmetrics_near: 0.5\nsasl_user:\n")
    given["MAX_AHEAD"], given["OUTAGE_GRACE"] = "7m", "3h"
    settings, found = read({"outage_grace_ms": "1h", "idle_after_ms": None})
    assert (settings.idle_after_ms, settings.max_ahead_ms, settings.outage_grace_ms) == (90_000, 420_000, 3_600_000)
    assert (settings.metrics_near, settings.sasl_user) == (0.5, None)
    wanted = {"idle_after_ms": f"{path}:2:13", "max_ahead_ms": "environment", "outage_grace_ms": "--outage-grace"}
    assert {name: found.source(name) for name in wanted} == wanted
    assert found.source("sasl_user") == found.source("partitions") == "default"


def test_a_file_of_that_name_in_the_working_directory_is_read_if_no_other_is_named(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().idle_after_ms == 30_000
    (tmp_path / "callwarden.yaml").write_text("idle_after: 40s\n")
    settings, sources = read()
    assert (settings.idle_after_ms, sources.source("idle_after_ms")) == (40_000, "callwarden.yaml:1:13")
    (tmp_path / "other.yaml").write_text("idle_after: 50s\n")
    given["SETTINGS"] = "other.yaml"
    assert load().idle_after_ms == 50_000
    given["SETTINGS"] = "/dev/null"
    assert load().idle_after_ms == 30_000
    given["SETTINGS"] = ""
    (tmp_path / "callwarden.yaml").write_text("idle_after: soon\nidle_aftr: 1s\n")
    assert [fault.partition(": ")[0] for fault in faults()] == ["callwarden.yaml:2:1", "callwarden.yaml:1:13"]
    (tmp_path / "callwarden.yaml").unlink()
    (tmp_path / "callwarden.yaml").mkdir()
    [fault] = faults()
    assert fault.startswith("callwarden.yaml: cannot be read (Is a directory)")


def test_an_empty_file_gives_nothing(written: Callable[[str], str]) -> None:
    written("# nothing yet\n\n")
    assert load() == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("idle_aftr: 90s", "1:1: idle_aftr: unknown; expected idle_after"),
        ("CALLWARDEN_IDLE_AFTER: 90s", "1:1: CALLWARDEN_IDLE_AFTER: unknown; expected idle_after"),
        ("lateness: 90s", "1:1: lateness: unknown; expected one that docs/reference/settings.md lists"),
        ("web_port: 1\nidle_after: 30", "2:13: idle_after: expected a duration such as"),
        ("partitions: [8]", "1:13: partitions: a list or a mapping; expected one value"),
        ("partitions: true", "1:13: partitions: `true` is not allowed; expected a whole number from 1 to 10000"),
        ("- partitions", "1:1: no settings; expected lines `name: value`"),
        ("policy: a\npolicy: b", "2:1: "),
        ("policy: [", "not YAML"),
        ("a: 1\n---\nb: 2", "a second document"),
    ],
)
def test_a_fault_of_the_file_is_reported_with_line_and_column(
    written: Callable[[str], str], text: str, says: str
) -> None:
    path = written(text)
    (fault,) = faults()
    assert fault.startswith(f"{path}:")
    assert says in fault


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (
            "web_port: 1\nsecurity: SASL_SSL\nsasl_password: x",
            ["2:11: sasl_user: absent; SASL_SSL needs CALLWARDEN_SASL_USER and CALLWARDEN_SASL_PASSWORD"],
        ),
        (
            "notify_webhook_url: http://a/b",
            ["1:21: notify_webhook_secret: absent; expected one: without it the receiver cannot"],
        ),
        ("security: SSL\nssl_ca_file: {pem}", ["2:14: ssl_ca_file: not all can be read"]),
    ],
)
def test_what_the_file_does_not_say_is_reported_by_the_line_that_asks_for_it(
    written: Callable[[str], str], text: str, output: list[str], tmp_path: Path
) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    path = written(text.format(pem=tmp_path / "none.pem"))
    for fault, wanted in zip(faults(), output, strict=True):
        assert fault.startswith(f"{path}:{wanted}")


@pytest.mark.parametrize(
    ("name", "why"),
    [("none.yaml", "No such file or directory"), (".", "Is a directory"), ("bytes.yaml", "not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_reported_by_its_name(
    given: dict[str, str], tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    given["SETTINGS"] = str(tmp_path / name)
    (fault,) = faults()
    assert fault.startswith(f"{tmp_path / name}: cannot be read ({why}); ")
    assert fault.endswith("`name: value`, as CALLWARDEN_SETTINGS or by --settings")
