"""The demonstration as a whole: it runs without a terminal, reports the tenants correctly, and names its files."""

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from helpers.patience import PATIENCE_S
from monitor.replay.outcome import Outcome
from monitor.simulate.demo import attempts_of, rows_of
from monitor.simulate.labels import TruthLabel
from schemas.outputs import Enforcement, EnforcementData, Evidence, PolicyRef, Reason
from streams.cli.app import build


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "out"
    done = CliRunner().invoke(
        build("demo"), ["demo", "--out", str(out), "--tenants", "16", "--days", "1", "--seed", "3"]
    )
    assert done.exit_code == 0, done.output
    return out, done.output


def test_it_ends_by_naming_the_files_that_it_wrote(printed: tuple[Path, str]) -> None:
    out, text = printed
    named = [Path(line) for line in text.splitlines() if line.startswith(str(out))]
    assert {path.name for path in named} >= {
        "records.jsonl", "labels.jsonl", "enforcement.jsonl", "windows.jsonl", "report.html", "ledger.db", "billing.db",
        "metrics.prom",
    }  # fmt: skip
    assert all(path.is_file() for path in named)
    assert {path for path in out.rglob("*") if path.is_file()} == set(named)


def test_every_decision_is_printed_with_its_reason_in_both_languages(printed: tuple[Path, str]) -> None:
    out, text = printed
    events = [
        msgspec.json.decode(line, type=Enforcement) for line in (out / "enforcement.jsonl").read_bytes().splitlines()
    ]
    assert events
    for event in events:
        assert event.data.reason.zh in text
        assert event.data.reason.en in text


def test_it_shows_the_ledger_verified_and_its_head(printed: tuple[Path, str]) -> None:
    out, text = printed
    count = len((out / "enforcement.jsonl").read_bytes().splitlines())
    with closing(sqlite3.connect(out / "ledger.db")) as ledger:
        head = ledger.execute("SELECT hash FROM ledger_entry ORDER BY number DESC LIMIT 1").fetchone()[0]
    assert f"verified: {count} 条 entries, 链头 head {head}" in text


def test_its_ledger_says_why_a_decision_was_made_and_misses_no_broker(printed: tuple[Path, str]) -> None:
    """As the README shows: the database holds all that there is, so nothing warns of what may be missing."""
    out, _ = printed
    event = json.loads((out / "enforcement.jsonl").read_bytes().splitlines()[0])
    shown = ["reviews", "show", event["id"], "--database", f"sqlite:///{out / 'ledger.db'}"]
    done = CliRunner().invoke(build("reviews"), shown)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("as of the files that were judged\n")
    assert event["data"]["reason"]["en"] in done.stdout


def test_it_shows_billings_answer_for_a_banned_tenant(printed: tuple[Path, str]) -> None:
    out, text = printed
    asked, _, rest = text.partition("GET /v1/refunds/")[2].partition("\n")
    answer = json.loads(rest[: rest.index("\n}") + 2])
    assert answer["refundable"] is False
    assert answer["cancellable"] is False
    events = [json.loads(line) for line in (out / "enforcement.jsonl").read_bytes().splitlines()]
    bans = {event["id"] for event in events if event["subject"] == asked and event["data"]["kind"] == "ban"}
    assert {hold["id"] for hold in answer["holds"]} & bans


def test_it_shows_the_page_of_metrics_that_prometheus_would_read(printed: tuple[Path, str]) -> None:
    out, text = printed
    page = (out / "metrics.prom").read_text()
    read = len((out / "input" / "records.jsonl").read_bytes().splitlines())
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["callwarden_records"].samples[0].value == read
    shown = [line for line in text.splitlines() if line.startswith("callwarden_tenant_threshold_ratio{")]
    assert shown
    assert set(shown) <= set(page.splitlines())


def test_plain_output_carries_no_terminal_codes(printed: tuple[Path, str]) -> None:
    assert "\x1b" not in printed[1]
    assert "\r" not in printed[1]


def test_the_table_has_every_tenant_once(printed: tuple[Path, str]) -> None:
    out, text = printed
    labels = [
        msgspec.json.decode(line, type=TruthLabel)
        for line in (out / "input" / "labels.jsonl").read_bytes().splitlines()
    ]
    table = text.split("租户 Tenants", 1)[1].split("违规租户", 1)[0]
    alone = sum(int(line.split("×")[0]) for line in table.splitlines() if "×" in line)
    listed = [label.tenant_id for label in labels if label.tenant_id in table]
    assert len(listed) + alone == len(labels) == 16
    assert [label for label in labels if not label.honest and label.tenant_id not in listed] == []


@pytest.mark.thorough
def test_it_serves_the_console_until_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.cli", "demo", "--console", "--tenants", "1", "--days", "1"]
    with subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        link = next(line.split()[1] for line in running.stdout if line.startswith("  demo:"))
        client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with client.open(link, timeout=PATIENCE_S) as page:
            assert page.url.endswith("/queue")
        running.send_signal(signal.SIGINT)
        running.stdout.read()
    assert running.returncode == 0


def decision(n: int, tenant: str, kind: str = "warning", **changes: object) -> Enforcement:
    fields = {
        "tenant_id": tenant, "kind": kind, "status": "final", "behaviour": "blind_calling", "clause": 6,
        "tier": "minor",
        "actions": ("warn", "record_violation"), "proposed_actions": (), "refunds": "unaffected", "rule_id": "r",
        "policy": PolicyRef("p", "1", ""), "decided_ms": n, "review_by_ms": None, "window": None, "measure": None,
        "evidence": Evidence(), "violations_on_record": 1, "reverses": None, "supersedes": None,
        "reason": Reason("", ""),
    }  # fmt: skip
    data = msgspec.convert(msgspec.to_builtins(fields | changes), EnforcementData)
    return Enforcement(id=f"e{n}", subject=tenant, time="", data=data)


def test_a_tenant_is_classified_by_its_label_and_its_decisions() -> None:
    labels = {
        name: TruthLabel(name, "kind", honest, None if name == "later" else 5, None, None)
        for name, honest in (
            ("found", False), ("shadowed", False), ("missed", False), ("later", False),
            ("touched", True), ("corrected", True), ("alone", True),
        )
    }  # fmt: skip
    outcome = Outcome(
        enforcement=[
            decision(1, "found", "ban", tier="severe", refunds="frozen"),
            decision(2, "touched"),
            decision(3, "corrected"),
            decision(4, "corrected", "reversal", actions=(), reverses="e3"),
        ],
        shadow=[decision(5, "shadowed"), decision(6, "alone")],
    )
    rows = {row.tenant: row for row in rows_of(outcome, labels, Counter({"found": 7}))}
    assert {name: row.verdict for name, row in rows.items()} == {
        "found": "found", "shadowed": "shadow", "missed": "missed", "later": "not yet",
        "touched": "touched", "corrected": "taken back", "alone": "left alone",
    }  # fmt: skip
    assert (rows["found"].tier, rows["found"].violations, rows["found"].frozen, rows["found"].attempts) == (
        "severe", 1, True, 7,
    )  # fmt: skip
    assert (rows["corrected"].tier, rows["corrected"].violations) == (None, 0)


def test_a_call_sent_twice_is_one_attempt(tmp_path: Path) -> None:
    call = b'{"type":"cdr","tenant_id":"t","call_id":"%s","direction":"%s","outcome":"%s"}\n'
    (tmp_path / "r").write_bytes(
        call % (b"a", b"outbound", b"busy") * 2
        + call % (b"b", b"outbound", b"answered")
        + call % (b"c", b"outbound", b"policy_blocked")
        + call % (b"d", b"inbound", b"answered")
        + b'{"type":"complaint","tenant_id":"t","call_id":null,"complaint_id":"q"}\n'
    )
    assert attempts_of([tmp_path / "r"]) == {"t": 2}
