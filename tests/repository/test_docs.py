"""The documents promise nothing that does not exist, and describe everything that does."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from helpers.warm_commands import callwarden
from monitor.adapters.shipped import NAMES
from monitor.decoding.input_topics import INPUTS
from monitor.policy.load import load, loads
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule
from monitor.text.durations import format_duration
from schemas.outputs import Enforcement, EnforcementData
from streams.cli.app import COMMANDS, build
from streams.kafka.topic_names import BROADCAST, CONSOLE, INGEST, OUTPUTS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS_DOC = (REFERENCE / "commands.md").read_text("utf-8")
EVENT_DOC = (REFERENCE / "enforcement-event.md").read_text("utf-8")
PERSONAL_DATA_DOC = (REFERENCE / "personal-data.md").read_text("utf-8")
POLICY_DOC = (REFERENCE / "policy.md").read_text("utf-8")
ZH_POLICY_DOC = (ROOT / "docs" / "zh" / "policy.md").read_text("utf-8")
RECORDS_DOC = (REFERENCE / "records.md").read_text("utf-8")
METRIC_GROUPS = [
    {metric.name for metric in METRICS.values() if metric.unit == "count"},
    {metric.name for metric in METRICS.values() if metric.proportion},
    {metric.name for metric in METRICS.values() if metric.unit == "ratio" and not metric.proportion},
    {metric.name for metric in METRICS.values() if metric.unit == "quotient"},
    {metric.name for metric in METRICS.values() if metric.unit == "seconds"},
]
EXAMPLE = "A rule and the event that it produces"
SOURCES = {".py", ".c", ".j2", ".yaml", ".yml"}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"no section `{title}`"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its header; ``\\|`` is a bar inside a cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


def started(command: str, folder: Path) -> subprocess.CompletedProcess[Any]:
    """How a command ended. One of the shell's is run by it."""
    if re.search(r"[|&;<>$*`(]", command):
        return shell(command, folder)
    program, *arguments = shlex.split(command)
    assert program == "callwarden"
    return callwarden(*arguments, folder=folder, environment=os.environ | {"NO_COLOR": "1"})


# Links and paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_leads_nowhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8"))
    local = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if target and not (document.parent / target).exists()] == []


def test_every_module_that_the_documents_name_exists() -> None:
    for document in DOCUMENTS:
        named = re.findall(r"`((?:monitor|streams|schemas|tests|docs|deploy)/[\w./-]*)`", document.read_text("utf-8"))
        assert [path for path in named if not (ROOT / path).exists()] == [], document.name


def test_no_package_is_missing_from_the_tables_of_packages() -> None:
    table = section((ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8"), "Packages")
    named = set(re.findall(r"^\| `((?:monitor|streams)/\w+/|schemas/)`", table, re.MULTILINE))
    folders = [path.parent.relative_to(ROOT) for path in ROOT.glob("*/*/__init__.py")]
    there = {f"{folder}/" for folder in folders if folder.parts[0] in ("monitor", "streams")} | {"schemas/"}
    assert named == there


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_make_target_is_promised_that_is_not_in_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text("utf-8"), re.MULTILINE))
    assert named - targets == set()


# docs/reference/commands.md ------------------------------------------------------------------------------------------


def subcommands(command: str) -> list[str]:
    """The names under a command that has several."""
    found = typer.main.get_command(build(command)).commands[command]  # type: ignore[attr-defined]  # it is a group
    return list(getattr(found, "commands", ()))


def test_no_command_is_missing_from_the_page_of_commands() -> None:
    examples = section(COMMANDS_DOC, "Without Kafka") + section(COMMANDS_DOC, "With Kafka")
    wanted = []
    for command in COMMANDS:
        under = subcommands(command)
        # For `schema`, a developer's tool, one example suffices.
        wanted += [f"{command} {name}" for name in under] if under and command != "schema" else [command]
    assert len(wanted) > len(COMMANDS), "no subcommand was found"
    assert [name for name in wanted if f"callwarden {name} " not in examples.replace("`", " ")] == []


# The other pages of docs/reference ------------------------------------------------------------------------------------


def test_no_field_of_an_enforcement_event_is_left_unexplained() -> None:
    text = section(EVENT_DOC, "How to read an enforcement event")
    explained = {name for cell, *_ in rows(text) for name in re.findall(r"`(\w+)`", cell)}
    assert explained == set(EnforcementData.__struct_fields__)
    envelope = text.partition("In `data`")[0]
    assert [name for name in Enforcement.__struct_fields__ if name != "data" and f"`{name}`" not in envelope] == []


def test_no_topic_is_missing_from_the_table_of_personal_data() -> None:
    places = [cell for cell, *_ in rows(section(PERSONAL_DATA_DOC, "Where it is stored"))]
    said = {name for cell in places for name in re.findall(r"`([\w-]+)`", cell)}
    assert {*INPUTS, *OUTPUTS, *BROADCAST, *INGEST, *CONSOLE} <= said


def test_no_shipped_format_is_missing_from_the_page_of_records() -> None:
    assert [cell for cell, _ in rows(section(RECORDS_DOC, "Formats"))] == [f"`{name}`" for name in sorted(NAMES)]


def test_no_name_of_the_glossary_is_missing_from_the_code() -> None:
    modules = [path for folder in ("schemas", "monitor", "streams") for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in modules)
    defined = set(re.findall(r"^(?:class|def) (\w+)", text, re.MULTILINE))
    cells = [row[3] for row in rows((REFERENCE / "glossary.md").read_text("utf-8"))]
    names = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(names) > 40
    assert names - defined == set()


# docs/README.md ------------------------------------------------------------------------------------------------------


def test_no_page_is_missing_from_the_index() -> None:
    listed = re.findall(r"^\| \[.*?\]\((.*?)\)", (ROOT / "docs" / "README.md").read_text("utf-8"), re.MULTILINE)
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("*/*.md")]
    assert sorted(listed) == sorted(pages)


# README --------------------------------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def same(shown: Any, real: Any) -> bool:
    """Whether the event as shown is the real one; ``…`` stands for omitted text."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and shown.keys() == real.keys() and all(same(shown[k], real[k]) for k in shown)
    if isinstance(shown, list):
        if shown and shown[-1] == "…":
            return isinstance(real, list) and len(real) >= len(shown) and shown[:-1] == real[: len(shown) - 1]
        return bool(shown == real)
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(real, str) and real.startswith(shown[:-1]) and real != shown[:-1]
    return bool(shown == real and type(shown) is type(real))


def make_example(folder: Path) -> None:
    """Follow the README's example."""
    text = section(README, EXAMPLE)
    (folder / "demo-out").mkdir(exist_ok=True)
    (folder / "demo-out" / "house.yaml").write_text(blocks(text, "yaml")[0], "utf-8")
    done = shell(blocks(text, "sh")[0], folder)
    assert done.returncode == 0, done.stderr


def test_the_event_in_the_readme_is_the_one_of_its_rule(tmp_path: Path) -> None:
    make_example(tmp_path)
    lines = (tmp_path / "demo-out" / "acme" / "enforcement.jsonl").read_text("utf-8").splitlines()
    shown = json.loads(blocks(section(README, EXAMPLE), "json")[0])
    assert len(lines) == 1
    real = json.loads(lines[0])
    assert same(shown, real), json.dumps(real, ensure_ascii=False, indent=1)
    assert not same(shown | {"subject": "other"}, real), "the comparison sees nothing"


def test_every_command_without_kafka_runs_as_it_stands(tmp_path: Path) -> None:
    *commands, demo = [example.strip("`") for _, example in rows(section(COMMANDS_DOC, "Without Kafka"))]
    assert len(commands) >= 10
    assert demo.startswith("callwarden demo ")
    for number, command in enumerate((demo, *commands)):
        done = started(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout!r}{done.stderr!r}"
        assert done.stdout, command
        if number == 0:  # the others read what a demonstration wrote
            shutil.copytree(tmp_path / "demo-out" / "small", tmp_path / "demo-out", dirs_exist_ok=True)
            make_example(tmp_path)


# README.zh.md --------------------------------------------------------------------------------------------------------


def outline(text: str) -> dict[str, Any]:
    """The parts of the README that are alike in both languages: headings, code blocks without comments,
    tables, links.
    """
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {
        "headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "code": [re.sub(r" +#.*", "", block) for kind in ("sh", "yaml", "json") for block in blocks(text, kind)],
        "tables": [[[re.findall(r"\]\((.*?)\)|`(.*?)`", cell) for cell in row] for row in rows(t)] for t in tables],
        "links": sorted(re.findall(r"\]\((?!README)(.*?)\)", prose)),
    }


def test_the_chinese_readme_has_the_same_headings_commands_and_tables() -> None:
    english, chinese = outline(README), outline((ROOT / "README.zh.md").read_text("utf-8"))
    assert len(english["headings"]) >= 5
    assert len(english["code"]) == 5
    assert english["tables"]
    for part in english:
        assert chinese[part] == english[part], part


# docs/zh -------------------------------------------------------------------------------------------------------------

MIRRORED = {
    "console.md": ("guides/console.md", ""),
    "notify.md": ("guides/notify.md", ""),
    "policy.md": ("reference/policy.md", ""),
    "report.md": ("guides/report.md", ""),
    "reviews.md": ("guides/ledger.md", "Reviews"),
}
"""The Chinese pages, each with its English page and the section of it that it translates."""


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs" / "zh").glob("*.md")))
def test_a_chinese_page_has_the_same_headings_commands_and_tables(name: str) -> None:
    page, title = MIRRORED[name]
    chinese, english = ((ROOT / "docs" / path).read_text("utf-8") for path in (f"zh/{name}", page))
    to_chinese, to_english = f"[中文](../zh/{name})\n", f"[English](../{page})\n"
    assert to_chinese in english
    assert to_english in chinese
    mirrored = f"# {title}\n{section(english, title)}" if title else english
    found, expected = outline(chinese.replace(to_english, "")), outline(mirrored.replace(to_chinese, ""))
    for part in expected:
        assert found[part] == expected[part], part


# docs/tutorials ------------------------------------------------------------------------------------------------------


def test_the_first_tutorial_runs_as_it_stands_and_prints_what_it_shows(tmp_path: Path) -> None:
    steps = (ROOT / "docs" / "tutorials" / "first-replay.md").read_text("utf-8").partition("## 2. ")[2]
    done = shell("".join(blocks(steps, "sh")), tmp_path)
    assert done.returncode == 0, done.stderr
    shown = [line for block in blocks(steps, "text") for line in block.splitlines()]
    assert len(shown) >= 10
    patterns = [".*".join(map(re.escape, line.split("…"))) for line in shown]
    assert [p for p in patterns if not re.search(f"^{p}$", done.stdout, re.MULTILINE)] == [], done.stdout


# CONTRIBUTING.md ----------------------------------------------------------------------------------------------------


def test_names_under_where_to_add_are_in_the_files_of_their_rows() -> None:
    seen = 0
    for table in re.split("^### ", section((ROOT / "CONTRIBUTING.md").read_text("utf-8"), "Where to add"), flags=re.M):
        for cell, what in rows(table):
            paths = [ROOT / name for name in re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.\w+)`", cell)]
            files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
            text = "\n".join(file.read_text("utf-8") for file in files)
            names = re.findall(r"`(\w+)`", what) if paths else []
            assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], cell
            seen += len(names)
    assert seen > 20


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/architecture.md"])
def test_no_name_of_a_page_for_contributors_is_gone_from_the_code(page: str) -> None:
    folders = ("schemas", "monitor", "streams", "deploy", "tests")
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", REFERENCE / "settings.md"]
    files += [file for folder in folders for file in (ROOT / folder).rglob("*.*") if file.suffix in SOURCES]
    code = {word for file in files for word in re.findall(r"\w+", file.read_text("utf-8", "replace"))}
    text = (ROOT / page).read_text("utf-8")
    assert sorted({*re.findall(r"`(\w+)`", text)} - code) == []
    present = {file.name for file in files}
    assert sorted({*re.findall(r"`(?:[\w-]+/)*([\w-]+\.(?:py|c|j2|yaml))`", text)} - present) == []


# docs/reference/policy.md --------------------------------------------------------------------------------


def rule_row(rule: Rule) -> list[str]:
    also = "; ".join(f"`{c.metric}` {c.op} {c.value:g}" for c in rule.also) or "-"
    return [
        f"`{rule.id}`",
        f"`{rule.behaviour}`",
        f"`{rule.metric}` {rule.direction} {rule.threshold:g}",
        also,
        f"{format_duration(rule.window_ms)} / {format_duration(rule.step_ms)}"
        + ("" if rule.first_ms is None else f", first {format_duration(rule.first_ms)}"),
        str(rule.min_denominator),
        "-" if rule.confidence is None else f"{rule.confidence:g}",
        rule.mode,
    ]


def test_no_built_in_rule_differs_from_its_row_in_the_policy_document() -> None:
    assert rows(section(POLICY_DOC, "The built-in rules")) == [rule_row(rule) for rule in load(None).rules]


def test_no_behaviour_differs_from_its_row_in_the_policy_document() -> None:
    policy = load(None)
    output = [
        (int(clause), re.findall(r"`(\w+)`", name)[0], tier, kind)
        for clause, name, tier, kind, _ in rows(section(POLICY_DOC, "The seven behaviours"))
    ]
    behaviours = policy.behaviours.values()
    assert output == [(b.clause, b.id, b.tier, policy.tiers[b.tier].kind) for b in behaviours]


def test_no_escalation_of_the_built_in_policy_is_missing_from_the_policy_document() -> None:
    text = section(POLICY_DOC, "Escalations")
    for escalation in load(None).escalations:
        said = f"`{escalation.id}`, {escalation.at_least} violations in {escalation.window_ms // 86_400_000} days, "
        said += f"tier {escalation.tier}, mode {escalation.mode}, {'freeze' if escalation.freeze else 'no freeze'}"
        assert said in text


def test_no_rule_is_named_in_the_documents_that_is_not_built_in_or_their_own_example() -> None:
    ids = {rule.id for rule in load(None).rules} | {escalation.id for escalation in load(None).escalations}
    own = {
        rule.id for text in (README, POLICY_DOC) for block in blocks(text, "yaml") for rule in loads(block, "").rules
    }
    prose = re.sub(r"^```.*?^```$", "", POLICY_DOC, flags=re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", prose)) - ids - own == {"access-rules"}


def test_no_metric_is_missing_from_the_policy_document_nor_in_the_wrong_group() -> None:
    listed = section(POLICY_DOC, "A rule").partition("**Metrics.**")[2].partition("[monitor/policy/metrics.py]")[0]
    groups = re.split(r"Proportions|Other ratios|Quotients|Seconds", listed)
    assert [set(re.findall(r"`(\w+)`", group)) - {"confidence"} for group in groups] == METRIC_GROUPS


def test_no_metric_is_missing_from_the_chinese_policy_document_nor_in_the_wrong_group() -> None:
    listed = ZH_POLICY_DOC.partition("**指标。**")[2].partition("[monitor/policy/metrics.py]")[0]
    groups = re.split(r"^比例|^其他比率|^商值|^秒数", listed, flags=re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", group)) - {"confidence"} for group in groups] == METRIC_GROUPS


def test_every_policy_that_a_document_shows_is_good() -> None:
    shown = [block for text in (README, POLICY_DOC) for block in blocks(text, "yaml")]
    assert len(shown) == 4
    for block in shown:
        assert loads(block, "document").rules
