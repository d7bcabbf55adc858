"""Queries of the ledger: a tenant's time line in two languages, and lines for an auditor."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.ledger_samples import address, filled, put, topics
from oracle.ledger import DAY, T0, event, oracle, pending, review
from schemas.outputs import Evidence, Reason
from streams.cli.app import build
from streams.kafka.api import TP

CANARY = "13812345678"


def said(*command: str) -> str:
    done = CliRunner().invoke(build("ledger"), ["ledger", *command])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
async def ledger(tmp_path: Path) -> str:
    """A pending ban that was upheld, a warning that was reversed, a ban that lapsed, one that is pending; another
    tenant.
    """
    held = topics(2)
    by = Evidence(review_ids=("r1",))
    put(
        held, 0,
        pending("cwe-p1"),
        event("cwe-w1", decided_ms=T0 + 1),
        review("r1", "cwe-p1", reason=f"she said call +86 {CANARY}", reviewer=f"wang {CANARY}"),
        event("cwe-f1", kind="ban", tier="severe", actions=("ban_account",), supersedes="cwe-p1", evidence=by,
              decided_ms=T0 + DAY, refunds="frozen", reason=Reason("维持封号", "The ban is upheld")),
        review("r0", "cwe-w1", "overturn"),
        event("cwe-r1", kind="reversal", actions=(), reverses="cwe-w1", decided_ms=T0 + 2 * DAY),
        pending("cwe-p2", decided_ms=T0 + 2),
        event("cwe-l2", kind="lapse", actions=(), reverses="cwe-p2", decided_ms=T0 + 7 * DAY),
        pending("cwe-p3", decided_ms=T0 + 3, review_by_ms=T0 + 9 * DAY),
    )  # fmt: skip
    put(held, 1, event("cwe-o1", "other"))
    (await filled(address(tmp_path), held)).close()
    return address(tmp_path)


def test_a_tenant_is_shown_with_its_current_state(ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: (T0 + 7 * DAY + 3_600_000) * 1_000_000)
    text = said("show", "acme", "--database", ledger)
    lines = text.splitlines()[1:]
    assert lines[0] == "acme  已封号 / Banned"
    assert lines[1] == "在案违规 0 次，退款已冻结 / violations on record: 0, refunds frozen"

    def line(event_id: str) -> str:
        return next(line for line in lines if event_id in line and not line.startswith(" "))

    assert line("cwe-f1").endswith("生效中 / in force")
    assert line("cwe-w1").endswith("已撤销 / reversed")
    assert line("cwe-p2").endswith("已逾期失效 / lapsed")
    assert line("cwe-p3").endswith("待复核，剩余 1 天 23 小时 / pending review, 1 d 23 h left")
    assert "维持封号" in text
    assert "The ban is upheld" in text
    assert "复核：维持 / Review: upheld  r1\n" in text
    assert "复核：撤销 / Review: overturned  r0  未产生决定 / no decision yet" in text
    assert "cwe-o1" not in text
    assert CANARY not in text
    assert "wang •••••••••78: she said call +•• •••••••••78" in text
    times = [line[:19] for line in lines[2:] if line[:2] == "20"]
    assert times == sorted(times)
    assert len(times) == 9
    found = json.loads(said("show", "acme", "--json", "--database", ledger))
    assert (found["tenant_id"], found["standing"], found["refunds_frozen"]) == ("acme", "banned", True)
    assert {each["enforcement_id"]: each["status"] for each in found["decisions"]} == {
        "cwe-f1": "final", "cwe-w1": "reversed", "cwe-p2": "lapsed", "cwe-p3": "pending",
    }  # fmt: skip
    assert len(found["events"]) + len(found["reviews"]) == 9
    assert found["reviews"][0]["reviewer"] == "wang •••••••••78"
    assert CANARY not in json.dumps(found)


def test_an_unknown_tenant_is_reported(ledger: str) -> None:
    done = CliRunner().invoke(build("ledger"), ["ledger", "show", "nobody", "--database", ledger])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "the ledger has no record of the tenant nobody")


async def test_a_tenant_whose_id_cannot_be_typed_is_shown(tmp_path: Path) -> None:
    held = topics(1)
    put(held, 0, event("cwe-1", "a\x00b"))
    (await filled(address(tmp_path), held)).close()
    shown = await asyncio.to_thread(said, "show", "a␀b", "--database", address(tmp_path))
    assert shown.splitlines()[1] == "a␀b  有违规记录 / Warned"


@pytest.mark.parametrize("typed", ["a␀b", "a\x00b"])
async def test_a_tenant_whose_id_cannot_be_typed_is_exported(tmp_path: Path, typed: str) -> None:
    held = topics(1)
    put(held, 0, event("cwe-1", "a\x00b"), event("cwe-2", "ab"))
    (await filled(address(tmp_path), held)).close()
    text = said("export", "--database", address(tmp_path), "--tenant", typed)
    assert [json.loads(line)["record"]["id"] for line in text.splitlines()] == ["cwe-1"]


def test_an_export_is_readable_and_contains_no_number(ledger: str) -> None:
    text = said("export", "--database", ledger)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(x["topic"], x["partition"], x["number"]) for x in lines] == [
        *(("in.reviews", 0, n) for n in (1, 2)),
        *(("out.enforcement", 0, n) for n in range(1, 8)),
        ("out.enforcement", 1, 1),
    ]
    assert lines[0]["record"]["reason"] == "she said call +•• •••••••••78"
    assert lines[2]["record"]["id"] == "cwe-p1"
    assert CANARY not in text
    assert base64.b64encode(CANARY.encode()).decode()[:8] not in text
    only = said("export", "--database", ledger, "--tenant", "other")
    assert [json.loads(line)["record"]["id"] for line in only.splitlines()] == ["cwe-o1"]


def test_with_the_bytes_the_chains_can_be_recomputed(ledger: str, tmp_path: Path) -> None:
    assert said("export", "--database", ledger, "--bytes", "--out", str(tmp_path / "all.jsonl")) == ""
    logs: dict[TP, list[tuple[int, int, bytes | None, bytes | None]]] = {}
    hashes = []
    for line in (tmp_path / "all.jsonl").read_text().splitlines():
        x = json.loads(line)
        key, value = (None if x[name] is None else base64.b64decode(x[name]) for name in ("key", "value"))
        logs.setdefault(TP(x["topic"], x["partition"]), []).append((x["offset"], x["timestamp_ms"], key, value))
        hashes.append(x["hash"])
    assert [entry[-1] for entry in oracle(logs)] == hashes
