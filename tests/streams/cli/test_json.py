"""`--json` prints exactly one document on standard output."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_tree import ALL
from typer.testing import CliRunner

from streams.cli import cluster_session
from streams.cli.app import build
from streams.cli.outputs import print_json
from streams.kafka.topic_admin import ExistingTopic
from streams.savepoint.archive import ArchiveHeader, write
from streams.topics.partition_state import PartitionState
from streams.topics.policy_log import LoggedPolicies
from streams.topics.reported_waits import ReportedWaits

HOUSE = """\
id: house
version: "1"
overrides:
- {tenant: acme, rule: short-calls, above: 0.5, owner: o, reason: r, expires: 2099-01-01}
"""
NOT_FOR_PROGRAMS = {
    # Services, and commands whose answer is their exit status.
    "worker", "ledger run", "console user add", "console user role", "console user disable", "console user enable",
    "console user reset", "console run", "ingest", "assemble", "follow", "live", "dev-kafka", "traffic",
    "policy apply", "policy withdraw", "skip", "accept lost-state", "accept lost-input", "end-outage",
    "dead-letter retry", "reviews uphold", "reviews approve", "reviews overturn", "reviews reject",
    "ledger accept-loss", "state import", "state move", "bridge",
    # They already write a file or JSON.
    "demo", "report", "state export", "ledger export", "map show", "map convert",
    "schema export", "schema billing-pack", "schema metrics", "schema check",
    # It prints lines while it runs.
    "tail",
}  # fmt: skip


def document(*words: str, status: int = 0) -> Any:
    done = CliRunner().invoke(build(words[0]), [*words, "--json"])
    assert done.exit_code == status, done.output
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_every_command_with_output_for_programs_has_it() -> None:
    with_json = {
        " ".join(words) for words, command in ALL.items() if any("--json" in each.opts for each in command.params)
    }
    assert with_json == {" ".join(words) for words in ALL} - NOT_FOR_PROGRAMS


@pytest.fixture
def house(tmp_path: Path) -> str:
    file = tmp_path / "house.yaml"
    file.write_text(HOUSE, "utf-8")
    return str(file)


def test_a_check_lists_each_file_with_its_faults(house: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("id: house\nversion: 1\nrules: 7\n", "utf-8")
    found = document("policy", "check", house, str(wrong), status=2)
    good, bad = found["files"]
    assert (found["ok"], good["ok"], bad["ok"]) == (False, True, False)
    assert (good["policy"]["id"], bad["policy"], good["faults"]) == ("house", None, [])
    assert [(fault["line"], fault["column"]) for fault in bad["faults"]] == [(2, 10), (3, 8)]


def test_a_strict_check_fails_on_notes(house: str, tmp_path: Path) -> None:
    noted = tmp_path / "noted.yaml"
    noted.write_text("id: house\nversion: '1'\nextends: none\n", "utf-8")
    assert document("policy", "check", str(noted))["ok"]
    found = document("policy", "check", "--strict", str(noted), status=2)
    assert (found["ok"], found["files"][0]["ok"]) == (False, True)
    assert found["files"][0]["notes"][0].startswith("no measured rules")


def test_a_difference_names_what_is_added_removed_and_changed(house: str) -> None:
    found = document("policy", "diff", "access-rules", house)
    assert (found["same"], found["a"]["id"], found["b"]["id"]) == (False, "access-rules", "house")
    assert {"change": "changed", "what": "id: access-rules -> house", "fields": []} in found["changes"]
    assert [each["what"].partition(":")[0] for each in found["changes"] if each["change"] == "added"] == [
        "override acme short-calls"
    ]
    assert document("policy", "diff", house, house) == {"same": True, "a": found["b"], "b": found["b"], "changes": []}


def test_an_explanation_has_the_overrides_of_the_tenant(house: str) -> None:
    found = document("policy", "explain", "acme", "--policy", house, "--at", "2026-03-02T00:00:00Z")
    rule = next(each for each in found["rules"] if each["rule_id"] == "short-calls")
    assert (found["at_ms"], found["policy"]["id"]) == (1_772_409_600_000, "house")
    assert [(each["field"], each["to"]) for each in rule["override"]["changes"]] == [("above", 0.5), ("recover", 0.5)]
    assert (rule["override"]["owner"], rule["override"]["expired"], rule["exempt"]) == ("o", False, False)


def test_a_match_says_which_row_and_by_which_term() -> None:
    found = document("policy", "match", "cash loan", status=1)
    assert (found["prohibited"], found["by"]) == (True, {"row": "loans", "term": "cash loan", "certain": True})
    assert document("policy", "match", "flowers") == {"prohibited": False, "by": None, "matches": []}


def test_the_status_of_policies_is_by_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = ReportedWaits(None, {0: ["a source"]})
    monkeypatch.setattr(cluster_session, "operate", lambda *_: ({0: LoggedPolicies(0)}, reported))
    found = document("policy", "status")
    assert (found["behind"], found["newest_tick_ms"]) == (0, None)
    assert found["partitions"] == [{"partition": 0, "policies": [], "withdrawn": [], "waits_for": ["a source"]}]


@pytest.mark.parametrize("command", ["check", "create"])
def test_topics_lists_each_fault_with_its_fix(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, ExistingTopic] = {}
    monkeypatch.setattr(cluster_session, "operate", lambda *_: found)
    printed = document("topics", command, status=1)
    assert (printed["ok"], printed["partitions"]) == (False, None)
    assert {"topic", "fault", "fix"} == set(printed["faults"][0])
    assert [each["topic"] for each in printed["faults"] if each["topic"].endswith(".cdr")] == ["callwarden.cdr"]
    assert ("created" in printed) is (command == "create")


def test_an_export_shows_its_partitions(tmp_path: Path) -> None:
    file = tmp_path / "state.zst"
    write(
        file,
        ArchiveHeader(1_772_409_600_000, "in.", "out.", 2),
        [PartitionState(0, {}), PartitionState(1, {"k": b"v"})],
    )
    found = document("state", "show", str(file))
    assert (found["made_ms"], found["input_prefix"], found["partition_count"]) == (1_772_409_600_000, "in.", 2)
    assert found["partitions"] == [
        {"partition": 0, "judged_ms": None, "entries": 0, "bytes": 0},
        {"partition": 1, "judged_ms": None, "entries": 1, "bytes": 1},
    ]


def test_the_shipped_formats_are_listed() -> None:
    assert {each["name"] for each in document("map", "list")} >= {"bank-calls", "ftc-dnc", "tccc", "twilio"}


def test_an_option_that_only_a_list_understands_is_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("notify",), ("billing",)):
        done = CliRunner().invoke(build(words[0]), [*words, "--json"])
        assert done.exit_code == 2, done.output
        assert "--json: expected only with --" in done.stderr


def test_a_terminal_sees_the_same_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from streams.cli.outputs import print_json

    print_json({"text": "贷款"})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_json({"text": "贷款"})
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == '{"text":"贷款"}'


def test_an_attack_lists_each_tenant_of_each_kind(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text('id: empty\nversion: "1"\nextends: none\n', "utf-8")
    found = document("policy", "attack", "--policy", str(file), "--seeds", "1", "--days", "2", status=1)
    assert (found["policy"]["id"], found["seeds"], found["wronged"]) == ("empty", [1], 0)
    assert (
        found["undecided"] == found["unseen"] == sum(each["role"] not in ("odd", "honest") for each in found["kinds"])
    )
    assert {each["role"] for each in found["kinds"]} == {"strategy", "offender", "odd", "honest"}
    assert found["kinds"][0]["tenants"] == [
        {"seed": 1, "caught": None, "after_ms": None, "rules": [], "shadow_rules": []}
    ]


def test_a_number_of_more_than_64_bits_in_another_program_s_record_is_printed(capfdbinary: Any) -> None:
    print_json({"a": 10**30, "b": "中", "c": ("x",)})
    assert json.loads(capfdbinary.readouterr().out) == {"a": 10**30, "b": "中", "c": ["x"]}
