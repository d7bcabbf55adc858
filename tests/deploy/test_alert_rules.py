"""The alerts on Callwarden's own health fire when they should and not otherwise, by promtool, and are explained."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from alert_cases import CASES, Cases, Fires, Quiet
from ruamel.yaml import YAML

from streams.cli.app import COMMANDS, build
from streams.metrics.catalogue import CATALOGUE
from streams.settings.load import Settings

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "callwarden.rules.yml"
RUNBOOK = (ROOT / "docs" / "guides" / "runbook.md").read_text("utf-8")
ALERTS: list[dict[str, Any]] = [rule for group in YAML(typ="safe").load(RULES)["groups"] for rule in group["rules"]]


RUNBOOK_AT = "https://docs.example/callwarden/runbook.html"


def anchor(name: str) -> str:
    """The fragment of a link to an alert's section in the runbook."""
    return f"#{name.lower()}"


def as_promtool(alert: dict[str, Any], cases: Cases) -> list[dict[str, Any]]:
    """The cases in promtool's format."""
    name, runbook = alert["alert"], RUNBOOK_AT + anchor(alert["alert"])
    about = alert["annotations"]["description"]
    tests = []
    for case in (*cases.fires, *cases.quiet):
        expected = [
            {
                "exp_labels": {**alert["labels"], **labels},
                "exp_annotations": {"summary": summary, "description": about, "runbook_url": runbook},
            }
            for labels, summary in (case.alerts if isinstance(case, Fires) else [])
        ]
        tests.append(
            {
                "interval": case.interval if isinstance(case, Quiet) else "1m",
                "external_labels": {"runbook": RUNBOOK_AT},
                "input_series": [{"series": name_, "values": values} for name_, values in case.series.items()],
                "alert_rule_test": [{"eval_time": case.at, "alertname": name, "exp_alerts": expected}],
            }
        )
    return tests


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, which comes with Prometheus. Skips the test if it is absent."""
    program = shutil.which("promtool")
    if program is None:
        # pip cannot install it, and most changes touch no alert. Where services are required, `tests/conftest.py` makes
        # this skip a failure, so that no alert is merged unevaluated.
        pytest.skip("no promtool: on Debian and Ubuntu `apt-get install prometheus`")
    return subprocess.run([program, *words], capture_output=True, text=True)


def test_every_alert_has_cases_in_which_it_fires_and_in_which_it_does_not() -> None:
    assert CASES.keys() == {alert["alert"] for alert in ALERTS}
    for name, cases in CASES.items():
        assert cases.fires, name
        assert cases.quiet or name == "CallwardenWatchdog", name


@pytest.mark.services
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_fires_when_it_should_and_not_otherwise(alert: dict[str, Any], tmp_path: Path) -> None:
    file = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": as_promtool(alert, CASES[alert["alert"]]),
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(file, ensure_ascii=False), "utf-8")
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


# Texts ---------------------------------------------------------------------------------------------------------------


def test_every_alert_has_its_section_in_the_runbook_and_no_section_is_left_over() -> None:
    sections = re.findall(r"^### (Callwarden\w+)$", RUNBOOK, re.MULTILINE)
    assert sections == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        # A full address, or none: a reader in a chat has no folder `docs`.
        wanted = "{{ with $externalLabels.runbook }}{{ . }}" + anchor(alert["alert"]) + "{{ end }}"
        assert alert["annotations"]["runbook_url"] == wanted


def test_every_alert_is_of_our_health_and_speaks_both_languages() -> None:
    for alert in ALERTS:
        assert alert["labels"]["source"] == "health"
        known = ("none",) if alert["alert"] == "CallwardenWatchdog" else ("info", "warning", "critical")
        assert alert["labels"]["severity"] in known
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        for name in ("summary", "description"):
            chinese, _, english = alert["annotations"][name].partition(" / ")
            assert re.search("[一-鿿]", chinese), alert["alert"]
            assert english, alert["alert"]
            assert not re.search("[一-鿿]", english), alert["alert"]


def test_no_alert_queries_a_metric_that_no_program_exposes() -> None:
    known = {entry.name for entry in CATALOGUE}
    known |= {f"{entry.name}_{part}" for entry in CATALOGUE if entry.buckets for part in ("bucket", "count", "sum")}
    asked = {name for alert in ALERTS for name in re.findall(r"callwarden_\w+", alert["expr"])}
    assert asked - known == set()


def test_no_alert_pages_for_a_tenant() -> None:
    assert [alert["alert"] for alert in ALERTS if re.search(r"\btenant\b", alert["expr"])] == []


@pytest.mark.services
def test_promtool_finds_nothing_wrong_with_the_configuration() -> None:
    for checked in (("config", RULES.with_name("prometheus.yml")), ("rules", "--lint-fatal", RULES)):
        done = promtool("check", *checked)
        assert done.returncode == 0, done.stdout + done.stderr


def advised() -> list[list[str]]:
    """The words of each command that the runbook names."""
    spans = [" ".join(span.split()) for span in re.findall(r"`callwarden\s([^`]+)`", RUNBOOK)]
    return [shlex.split(span) for span in spans if not span.startswith("...")]


@pytest.mark.parametrize("words", advised(), ids=" ".join)
def test_each_command_that_is_advised_is_there_and_has_these_options(words: list[str]) -> None:
    name, *rest = words
    assert name in COMMANDS, name
    command = typer.main.get_command(build(name)).commands[name]  # type: ignore[attr-defined]  # it is a group
    under = getattr(command, "commands", None)
    names = rest.pop(0).split("|") if under and rest else []
    for each in [under[one] for one in names] if under and names else [command]:
        options = {option for parameter in each.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in rest if word.startswith("-")} <= options, each.name
        if rest:  # a whole line to type, not only a named command
            needed = {p.opts[0] for p in each.params if p.required and p.param_type_name == "option"}
            assert needed <= set(rest), each.name


def test_each_section_has_its_symptoms_its_commands_and_its_test() -> None:
    for section in re.split(r"^### (?=Callwarden)", RUNBOOK, flags=re.MULTILINE)[1:]:
        name, _, text = section.partition("\n")
        text = re.split(r"^##", text, flags=re.MULTILINE)[0]
        seen, _, typed = text.partition("**Type**")
        typed, after, _ = typed.partition("**After**:")
        assert after, name
        assert "**See**:" in seen, name
        assert "callwarden " in typed or "docker compose" in typed, name
        assert re.search(r"Tried (\*live\*|by \*rules\*)", seen), name


def test_the_runbooks_symptoms_are_output_of_the_programs() -> None:
    """Log lines by their event, metrics by their names."""
    files = list((ROOT / "streams").rglob("*.py"))
    code = "\n".join(path.read_text("utf-8") for path in files)
    quoted = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", RUNBOOK.partition("## A rule is wrong")[0])]
    said = [span for span in quoted if re.fullmatch(r"[a-z][a-z,;' ]{20,}", span)]
    assert len(said) > 6
    assert [
        span
        for span in said
        if span not in re.sub(r'"\s*"', "", code) and not span.startswith(("callwarden", "docker"))
    ] == []
    named = set(re.findall(r"`(callwarden_\w+)`", RUNBOOK))
    assert named <= {entry.name for entry in CATALOGUE}


def test_the_panels_that_the_runbook_names_are_on_the_dashboard() -> None:
    view = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "callwarden-ops.json").read_text("utf-8"))
    titles = {panel["title"].partition(" · ")[2].lower() for panel in view["panels"]}
    named = re.findall(r'(?:dashboard,|histogram) "([^"]+)"', RUNBOOK)
    assert len(named) > 2
    assert set(named) - titles == set()


def test_no_message_advises_to_start_workers_with_another_policy_which_changes_nothing() -> None:
    """The state's policy applies (`tests/monitor/partition/test_journal.py`); `policy apply` changes it."""
    way_out = RUNBOOK[RUNBOOK.index("## A rule is wrong") : RUNBOOK.index("## Consumers of decisions")]
    assert re.search(r"continues with the policy of\s+the state", way_out)
    assert "`callwarden policy apply FILE --reason WHY`" in way_out
    for alert in ("CallwardenDecisionFlood", "CallwardenRuleTooBroad"):
        section = RUNBOOK.partition(f"### {alert}\n")[2].partition("\n#")[0]
        assert "](#a-rule-is-wrong)" in section, alert
    assert "`mode: shadow`" not in RUNBOOK.replace(way_out, "")


def test_prometheus_looks_where_the_programs_are() -> None:
    fields = Settings.model_fields
    wanted = {"worker": fields["web_port"].default}
    wanted |= {
        name: fields[f"{name}_port"].default
        for name in ("billing", "ledger", "notify", "console", "ingest", "assemble", "follow", "bridge")
    }
    looked: dict[str, int] = {}
    for job in YAML(typ="safe").load(RULES.with_name("prometheus.yml"))["scrape_configs"]:
        for found in job.get("dns_sd_configs", ()):
            assert found["names"] == [job["job_name"]]
            looked[job["job_name"]] = found["port"]
        for found in job.get("static_configs", ()):
            (target,) = found["targets"]
            host, _, port = target.partition(":")
            assert host == job["job_name"]
            looked[host] = int(port)
    assert looked == wanted
