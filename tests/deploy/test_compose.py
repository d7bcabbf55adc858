"""The files for Docker, as far as they can be checked without it."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from monitor.policy.load import load as load_policy
from monitor.policy.load import loads
from streams.cli.app import COMMANDS, build
from streams.cli.develop.live import POLICY
from streams.dev import kafka_jars as kafkajars
from streams.settings import load as settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
# With the defaults of its variables.
TEXT = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text("utf-8"))
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT)
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "callwarden"}


def test_the_compose_file_follows_the_schema_of_compose() -> None:
    check = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, ROOT / "docker-compose.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_its_kafka_is_the_one_that_the_tests_run_on() -> None:
    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{kafkajars.VERSION}"


def test_all_parts_start_once_the_topics_are_there() -> None:
    assert set(OURS) == {
        "topics",
        "worker",
        "ingest",
        "assemble",
        "follow",
        "bridge",
        "billing",
        "ledger",
        "notify",
        "console",
        "traffic",
        "tail",
    }
    assert set(COMPOSE["services"]) - set(OURS) == {"kafka", "prometheus", "alertmanager", "grafana"}
    assert OURS["worker"]["deploy"]["replicas"] == 2
    for name, service in OURS.items():
        wanted = {"kafka": "service_healthy"} if name == "topics" else {"topics": "service_completed_successfully"}
        assert {other: how["condition"] for other, how in service["depends_on"].items()} == wanted


def test_the_image_is_built_once_and_never_looked_for_elsewhere() -> None:
    assert {name: service["pull_policy"] for name, service in OURS.items() if "build" in service} == {"topics": "build"}
    assert {service["pull_policy"] for service in OURS.values() if "build" not in service} == {"never"}


def test_every_service_but_the_topics_restarts_after_a_failure_or_a_reboot() -> None:
    restarted = {name: service["restart"] for name, service in COMPOSE["services"].items()}
    assert restarted.pop("topics") == "no"
    assert set(restarted.values()) == {"unless-stopped"}


@pytest.mark.parametrize(("name", "least"), [("prometheus", (3, 16)), ("alertmanager", (0, 35)), ("grafana", (13, 2))])
def test_the_images_of_others_are_pinned_and_not_years_old(name: str, least: tuple[int, int]) -> None:
    pinned = re.fullmatch(r"[a-z]+/[a-z]+:v?(\d+)\.(\d+)\.\d+", COMPOSE["services"][name]["image"])
    assert pinned
    assert (int(pinned[1]), int(pinned[2])) >= least


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_is_root_or_can_take_all_of_the_machine(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["user"] not in ("0", "root", "")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "it would be seen from other machines"


def test_our_commands_run_as_the_user_that_the_image_makes() -> None:
    uid = re.search(r"useradd --system --uid (\d+)", DOCKERFILE)
    assert uid
    assert {service["user"] for service in OURS.values()} == {uid[1]}
    assert {service["read_only"] for service in OURS.values()} == {True}


def test_stored_data_is_in_folders_that_the_user_may_write() -> None:
    made = set(re.findall(r"/var/lib/callwarden\S*", re.findall(r"install -d .*", DOCKERFILE)[0]))
    mounts = [mount.split(":") for service in OURS.values() for mount in service.get("volumes", ())]
    kept = {mount[1] for mount in mounts if not mount[0].startswith("./")}
    assert kept == made
    assert {mount[0] for mount in mounts if not mount[0].startswith("./")} <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_file_that_is_mounted_is_there_and_read_only(name: str) -> None:
    for mount in COMPOSE["services"][name].get("volumes", ()):
        source, _, how = mount.split(":") if mount.count(":") == 2 else (*mount.split(":"), "")
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert how == "ro"


SERVING = {
    "worker": "web_port",
    "ingest": "ingest_port",
    "assemble": "assemble_port",
    "follow": "follow_port",
    "bridge": "bridge_port",
    "billing": "billing_port",
    "ledger": "ledger_port",
    "notify": "notify_port",
    "console": "console_port",
}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_that_keeps_running_has_a_health_check(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]
    if name == "topics":
        assert check == {"disable": True}, "it ends"
        return
    assert check["test"]
    if "--alive" in COMPOSE["services"][name].get("command", ()):
        file = COMPOSE["services"][name]["command"][-1]
        assert f"os.stat('{file}')" in check["test"][-1]
        assert Path(file).parent.as_posix() in COMPOSE["services"][name]["tmpfs"]
    if name in SERVING:
        port = settings.Settings.model_fields[SERVING[name]].default
        assert f"http://127.0.0.1:{port}/healthz" in check["test"][-1]
        assert re.search(rf"^EXPOSE .*\b{port}\b", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "topics"])
def test_health_is_checked_often_only_at_the_start(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]
    assert (check["start_interval"], check["interval"]) == ("2s", "30s")


def test_a_worker_is_seen_from_outside_its_container_and_has_time_to_leave() -> None:
    assert re.search(r"^ENV CALLWARDEN_WEB_HOST=0\.0\.0\.0$", DOCKERFILE, re.MULTILINE)
    assert OURS["worker"]["stop_grace_period"] == "30s"


@pytest.mark.parametrize("name", OURS)
def test_no_command_or_option_is_asked_for_that_callwarden_does_not_have(name: str) -> None:
    import typer

    group = typer.main.get_command(build(name))
    assert name in COMMANDS
    first, *rest = OURS[name]["command"]
    assert first == name
    command = group.commands[name]  # type: ignore[attr-defined]  # of a group, which typer does not say
    if hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in rest if word.startswith("--") and word not in known] == []


@pytest.mark.parametrize("name", OURS)
def test_no_setting_is_made_that_does_not_exist_or_has_a_value_that_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = dict(mount.split(":")[1::-1] for mount in OURS[name].get("volumes", ()))
    known = {settings.variable(field) for field in settings.Settings.model_fields}
    for variable, value in OURS[name]["environment"].items():
        assert variable in known
        value = str(ROOT / mounts[value]) if value in mounts else value
        monkeypatch.setenv(variable, re.sub(r"/var/lib/callwarden[^/]*", str(tmp_path), value))
    assert settings.load().bootstrap_servers == "kafka:19092"


def test_the_policy_of_the_live_runs_is_the_built_in_one_with_less_lateness() -> None:
    text = (ROOT / "deploy" / "policy.yaml").read_text("utf-8")
    assert text.endswith(POLICY), "`callwarden live` judges otherwise"
    policy = loads(text, "policy.yaml")
    assert (policy.lateness_ms, policy.rules) == (10_000, load_policy(None).rules)


# The image ----------------------------------------------------------------------------------------------------------


def copied() -> set[str]:
    """The paths that the Dockerfile copies from this folder."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {source for line in lines for source in shlex.split(line)[:-1]}


def test_the_image_holds_every_package_and_no_path_that_is_not_there() -> None:
    assert [path for path in copied() if not (ROOT / path).exists()] == []
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in packages} <= copied()


def test_only_files_that_the_image_needs_are_passed_to_its_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied()
