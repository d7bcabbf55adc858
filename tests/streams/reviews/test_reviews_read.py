"""What a reviewer's terminal lists and shows, how current it is, and that reading changes nothing."""

import asyncio
import json
import shlex
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from review_broker import NOW
from review_terminal import CANARY, FakeCluster, follow, run
from typer.testing import CliRunner

from helpers.ledger_samples import put
from helpers.review_signing import key_of
from oracle.ledger import T0, event, pending
from schemas.outputs import Measure
from streams.cli.app import build


def test_what_waits_is_listed_with_the_time_left_the_soonest_first(cluster: FakeCluster) -> None:
    status, text = run("list")
    assert status == 0, text
    as_of, *lines = [line for line in text.splitlines() if not line.startswith(" ")]
    assert as_of == "as of 2026-03-03T00:00:00Z, 0 behind"
    assert [line.split()[0] for line in lines] == ["cwe-old", "cwe-soon", "cwe-late"]
    assert lines[0].endswith("待复核，复核期限已过，即将失效 / pending review, review period over, lapses")
    assert lines[1].endswith("待复核，剩余 1 小时 30 分钟 / pending review, 1 h 30 min left")
    assert lines[2].endswith("待复核，剩余 3 天 0 小时 / pending review, 3 d 0 h left")
    assert "    证据 evidence: 质检结果 Findings 2" in text


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--status", "final"], ["cwe-strikes", "cwe-warn", "cwe-warn-2"]),
        (["--status", "final", "--rule", "short-calls-day"], ["cwe-warn", "cwe-warn-2"]),
        (["--status", "reversed"], ["cwe-gone"]),
        (["--status", "lapsed"], []),
        (["--tenant", "bravo"], ["cwe-soon"]),
        (["--rule", "business"], ["cwe-late"]),
        (["--status", "all", "--from", str(T0 + 5), "--to", str(T0 + 7)], ["cwe-warn", "cwe-warn-2"]),
    ],
)
def test_others_are_listed_by_filters(cluster: FakeCluster, filters: list[str], ids: list[str]) -> None:
    status, text = run("list", "--json", *filters)
    assert status == 0, text
    assert [each["enforcement_id"] for each in json.loads(text)["decisions"]] == ids


def test_a_case_shows_who_has_decided_while_nothing_has_come_of_it(cluster: FakeCluster) -> None:
    words = ("--reason", f"asked {CANARY}", "--by", f"wang {CANARY}", "--wait", "0")
    status, text = run("uphold", "cwe-late", *words)
    assert status == 0, text
    assert "1 个尚未生效" in text
    _, shown = run("show", "cwe-late")
    assert (
        "已由复核员决定维持 / to be upheld, as decided by wang •••••••••78, 2026-03-03 00:00:00: asked •••••••••78"
        in shown
    )
    status, text = run("overturn", "cwe-late", "--reason", "no", "--by", "li", "--wait", "0")
    assert status == 1
    assert "cwe-late: wang •••••••••78 decided to uphold it, 2026-03-03 00:00 UTC (asked •••••••••78)" in text
    _, line = run("list", "--json", "--tenant", "acme", "--rule", "business")
    [decision] = json.loads(line)["decisions"]
    assert decision["claim"]["reviewer"] == "wang •••••••••78"
    _, case = run("show", "--json", "cwe-late")
    found = json.loads(case)["decision"]
    assert (found["status"], found["claim"]) == ("pending", decision["claim"])
    assert [event["id"] for event in found["events"]] == found["event_ids"] == ["cwe-late"]
    assert [(one["verdict"], one["reviewer"]) for one in found["reviews"]] == [("uphold", "wang •••••••••78")]
    assert CANARY not in shown + text + line + case


def test_a_case_names_the_key_of_each_review_and_verifies_it(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(f"wang-{CANARY}")
    file = tmp_path / f"{key.name}.pem"
    file.write_bytes(key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    status, text = run("uphold", "cwe-late", "--reason", "heard", "--key", str(file), "--by", "wang", "--wait", "0")
    assert status == 0, text
    asyncio.run(follow(cluster, tmp_path))
    _, unchecked = run("show", "cwe-late")
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"keys:\n  {key.name}: {key.public_text}\n", "utf-8")
    monkeypatch.setenv("CALLWARDEN_REVIEW_KEYS_FILE", str(keys))
    _, shown = run("show", "cwe-late")
    _, line = run("show", "cwe-late", "--json")
    assert "wang-•••••••••78: 签名未验证：未设置 CALLWARDEN_REVIEW_KEYS_FILE / signature not verified" in unchecked
    assert "wang-•••••••••78: 签名密钥已验证 / signature verified" in shown
    [review] = json.loads(line)["decision"]["reviews"]
    assert review["signatures"] == [{"key": "wang-•••••••••78", "state": "verified"}]
    assert CANARY not in unchecked + shown + line


def test_a_case_ends_with_the_command_that_explains_its_rule(cluster: FakeCluster, tmp_path: Path) -> None:
    measure = Measure("short_call_ratio", 36, 42, 36 / 42, 0.25, 0.62)
    numbered = f"+86{CANARY}"
    put(
        cluster, 0,
        event("cwe-ratio", "a tenant", rule_id="short-calls", measure=measure),
        event("cwe-number", numbered, rule_id="short-calls", measure=measure),
    )  # fmt: skip
    asyncio.run(follow(cluster, tmp_path))
    last = {each: run("show", each)[1].splitlines()[-1] for each in ("cwe-ratio", "cwe-number", "cwe-late")}
    head = "规则 short-calls 的含义 / what the rule short-calls says: "
    assert last["cwe-ratio"] == f"{head}callwarden policy explain 'a tenant' --at 2026-03-02T00:00:00.000Z"
    assert last["cwe-number"] == f"{head}callwarden policy explain TENANT --at 2026-03-02T00:00:00.000Z"
    assert "policy explain" not in last["cwe-late"], "a record decided"
    command = shlex.split(last["cwe-ratio"].split(": callwarden ")[1])
    explained = CliRunner().invoke(build("policy"), command)
    assert explained.exit_code == 0, explained.output
    _, rule, *_ = explained.output.split("rule short-calls [")
    assert "4 小时" in rule.split("rule ")[0]
    assert "in any 4h" in rule.split("rule ")[0]


def test_what_is_read_says_how_current_it_is(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cluster, 0, pending("cwe-new"), pending("cwe-new-2"))
    assert printed("list") == ("as of 2026-03-03T00:00:00Z, 2 behind", [])
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 31_000) * 1_000_000)
    silent = "warning: no ledger runs: `callwarden ledger run` last wrote at 2026-03-03T00:00:00Z"
    assert printed("show", "cwe-late") == ("as of 2026-03-03T00:00:00Z, 2 behind", [silent])
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 61_000) * 1_000_000)
    cluster.away = True
    assert printed("list") == (
        "as of 2026-03-03T00:00:00Z, an unknown number behind",
        [
            silent,
            "warning: how many records are missing is not known: the broker is away",
            "warning: the ledger is 1 min old: decisions and reviews since 2026-03-03T00:00:00Z may be missing",
        ],
    )
    listed = json.loads(run("list", "--json", "--tenant", "bravo")[1].splitlines()[-1])
    assert (listed["as_of_ms"], listed["behind"]) == (NOW, None)
    cluster.away = False
    listed = json.loads(run("list", "--json", "--tenant", "bravo")[1].splitlines()[-1])
    assert (listed["as_of_ms"], listed["behind"]) == (NOW, 2)


def printed(*command: str) -> tuple[str, list[str]]:
    """The first line of the output, and standard error."""
    done = CliRunner().invoke(build("reviews"), ["reviews", *command])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[0], done.stderr.splitlines()


@pytest.mark.parametrize(
    "command",
    [
        ("reviews", "list", "--status", "all"),
        ("reviews", "list", "--json"),
        ("reviews", "show", "cwe-late"),
        ("ledger", "show", "acme"),
        ("ledger", "verify"),
        ("ledger", "verify", "--with-topics"),
        ("policy", "status"),
    ],
)
def test_a_command_that_reads_changes_nothing_and_sends_nothing(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("streams.consumers.ledger.verify.topics._QUIET_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr("streams.reviews.reservation_sender.mark_sent", killed)
        done = CliRunner().invoke(build("reviews"), ["reviews", "uphold", "cwe-late", "--reason", "x"])
    assert isinstance(done.exception, RuntimeError)
    cluster.reject(cluster.reviews[0])  # a rejected verdict, and a decision that the ledger does not have yet
    put(cluster, 0, pending("cwe-new"))
    file = tmp_path / "ledger.db"
    before, logs = file.read_bytes(), {tp: list(log) for tp, log in cluster.logs.items()}
    monkeypatch.setattr(cluster, "writer", None)
    monkeypatch.setattr(cluster, "stamp", None, raising=False)
    file.chmod(0o444)
    done = CliRunner().invoke(build(command[0]), list(command))
    assert done.exit_code == ("--with-topics" in command), done.output
    assert "as of 2026-03-03T00:00:00Z, " in done.output or f'"as_of_ms":{NOW}' in done.output
    assert (file.read_bytes(), cluster.logs) == (before, logs)


def killed(*_: object, **__: object) -> None:
    raise RuntimeError("killed")
