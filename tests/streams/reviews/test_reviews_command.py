"""`callwarden reviews`: the verdicts that it sends, and what it prints about their outcome."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from review_broker import NOW
from review_terminal import CANARY, FakeCluster, follow, run

from helpers.ledger_samples import put
from monitor.partition.journal import PolicyChange
from monitor.policy.load import loads
from monitor.policy.serialize import to_plain
from oracle.ledger import T0, event, pending
from schemas.outputs import Evidence
from streams.topics.transaction_records import encode_journal_entry

MASS = ("overturn", "--rule", "short-calls-day", "--from", str(T0), "--to", str(T0 + 100))


def test_a_verdict_is_sent_and_what_comes_of_it_is_shown(cluster: FakeCluster) -> None:
    cluster.judge = cluster.uphold
    words = ("--reason", f"checked with {CANARY}", "--by", f"wang {CANARY}", "--wait", "10")
    status, text = run("uphold", "cwe-late", *words)
    assert status == 0, text
    assert "sent: 1 by wang •••••••••78" in text
    assert "cwe-final" in text
    assert "The ban is upheld" in text
    assert [(one.enforcement_id, one.reason) for one in cluster.reviews] == [("cwe-late", "checked with •••••••••78")]
    status, shown = run("show", "cwe-final")
    assert status == 0, shown
    assert shown.splitlines()[1] == "acme  cwe-final  生效中 / in force"
    assert "wang •••••••••78: checked with •••••••••78" in shown
    assert "cwe-late" in shown
    assert CANARY not in text + shown


def test_an_application_is_listed_last_and_approved(cluster: FakeCluster, tmp_path: Path) -> None:
    mine = {"kind": "admission_review", "behaviour": "application_review", "rule_id": "application_review"}
    mine |= {"tier": None, "clause": None, "refunds": "unaffected", "proposed_actions": ("approve_numbers",)}
    put(cluster, 0, pending("cwe-numbers", review_by_ms=None, **mine))
    asyncio.run(follow(cluster, tmp_path))
    _, text = run("list")
    lines = text.splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith("cwe-numbers"))
    assert lines[number].endswith("待复核，不会逾期失效 / pending review, does not lapse")
    assert "    通过后 when approved: 开通号码 / Give the numbers" in lines[number:]
    assert not any(line.startswith("cwe-") for line in lines[number + 1 :])
    for verdict in ("uphold", "overturn"):
        status, said = run(verdict, "cwe-numbers", "--reason", "because", "--by", "wang")
        assert (status, "is an application that waits; expected `reviews approve` or `reject`" in said) == (1, True)
    status, said = run("approve", "cwe-soon", "--reason", "because", "--by", "wang")
    assert (status, "is not an application that waits" in said) == (1, True)
    assert run("approve", "cwe-numbers", "--reason", "licence seen", "--by", "wang")[0] == 0
    (review,) = cluster.reviews
    assert (review.verdict, review.enforcement_id, review.kind) == ("approve", "cwe-numbers", None)
    assert "已由复核员决定通过 / to be approved, as decided by wang" in run("show", "cwe-numbers")[1]


def test_a_ban_is_not_followed_by_an_approval(cluster: FakeCluster, tmp_path: Path) -> None:
    mine = {"kind": "admission_review", "behaviour": "application_review", "rule_id": "application_review"}
    put(cluster, 0, pending("cwe-numbers", "zulu", review_by_ms=None, **mine), event("cwe-ban", "zulu", kind="ban"))
    asyncio.run(follow(cluster, tmp_path))
    status, said = run("approve", "cwe-numbers", "--reason", "because", "--by", "wang")
    assert (status, "the tenant is banned" in said) == (1, True)
    assert run("reject", "cwe-numbers", "--reason", "because", "--by", "wang")[0] == 0


def test_an_uphold_chooses_the_kind_and_changes_that_of_a_final_decision(cluster: FakeCluster, tmp_path: Path) -> None:
    fraud = {"behaviour": "verified_fraud_complaint", "rule_id": "verified_fraud_complaint", "tier": "severe"}
    put(cluster, 0, event("cwe-first", kind="ban", **fraud))
    asyncio.run(follow(cluster, tmp_path))
    given = ("--reason", "first time", "--by", "wang")
    for kind in ((), ("--kind", "ban")):
        said = run("uphold", "cwe-first", *kind, *given)[1]
        assert "is final already; it can be overturned, or its kind changed by `reviews uphold --kind`" in said
    assert "expected --kind only with an uphold" in run("uphold", "cwe-warn", "--kind", "ban", *given)[1]
    status, text = run("uphold", "cwe-first", "--kind", "termination", *given)
    assert status == 0, text
    (review,) = cluster.reviews
    assert (review.verdict, review.kind) == ("uphold", "termination")
    assert "to be upheld as a termination" in run("show", "cwe-first")[1]
    by = Evidence(review_ids=(review.review_id,))
    put(cluster, 0, event("cwe-second", kind="termination", supersedes="cwe-first", evidence=by, **fraud))
    by = Evidence(review_ids=("a-later-one", review.review_id))
    put(cluster, 0, event("cwe-third", kind="ban", supersedes="cwe-second", evidence=by, **fraud))
    asyncio.run(follow(cluster, tmp_path))
    shown = json.loads(run("show", "cwe-first", "--json")[1])["decision"]
    assert shown["enforcement_id"] == "cwe-third"
    assert shown["event_ids"] == ["cwe-first", "cwe-second", "cwe-third"]
    listed = json.loads(run("list", "--status", "final", "--json")[1])["decisions"]
    assert [one["enforcement_id"] for one in listed if one["data"]["behaviour"] == fraud["behaviour"]] == ["cwe-third"]
    assert run("uphold", "cwe-warn", "--kind", "warning", *given)[0] == 2


def test_a_rejection_by_the_judge_is_reported(cluster: FakeCluster) -> None:
    cluster.judge = cluster.reject
    status, text = run("uphold", "cwe-late", "--reason", "checked", "--wait", "10")
    assert status == 1
    assert "cwe-late: the worker has rejected it: nothing_to_change: too late" in text
    assert "not given" not in text, "its own line has said so"


def test_a_rejection_that_came_after_the_command_had_ended_is_reported_by_the_next(cluster: FakeCluster) -> None:
    words = ("cwe-late", "--reason", "checked", "--wait", "0", "--by")
    assert run("uphold", *words, f"wang {CANARY}")[0] == 0
    assert run("overturn", *words, "li")[0] == 1
    cluster.reject(cluster.reviews[0])
    status, text = run("overturn", *words, "li")
    assert status == 0, text
    assert (
        "cwe-late: the worker has rejected the verdict of wang •••••••••78 to uphold it: nothing_to_change: too late; "
        "give another verdict" in text
    )
    assert [one.verdict for one in cluster.reviews] == ["uphold", "overturn"]


def test_a_verdict_of_which_nothing_came_is_replaced_after_it_was_shown_and_not_while_it_is_fresh(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--reason", "checked", "--wait", "0", "--by")
    assert run("uphold", "cwe-late", *words, f"wang {CANARY}")[0] == 0
    assert run("overturn", "cwe-warn", *words, "li", "--replace")[0] == 0, "no one has decided it: no question to ask"
    status, text = run("overturn", "cwe-late", *words, "li", "--replace", "--yes")
    assert (status, "--replace can replace it from 2026-03-03 04:15 UTC on" in text) == (1, True), text
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 5 * 3_600_000) * 1_000_000)
    assert run("overturn", "cwe-late", *words, "li", "--replace", given="n\n")[0] == 1
    assert len(cluster.reviews) == 2
    status, text = run("overturn", "cwe-late", *words, "li", "--replace", given="y\n")
    assert status == 0, text
    assert "as decided by wang •••••••••78, 2026-03-03 00:00:00: checked" in text
    assert "Replace this verdict?" in text
    assert [(one.enforcement_id, one.verdict) for one in cluster.reviews] == [
        ("cwe-late", "uphold"), ("cwe-warn", "overturn"), ("cwe-late", "overturn")
    ]  # fmt: skip
    assert CANARY not in text


def test_how_long_a_verdict_may_take_follows_from_the_policy_that_the_workers_have_noted(
    cluster: FakeCluster,
) -> None:
    policy = loads("id: house\nversion: '1'\ndefaults: {lateness: 70m}\n", "house.yaml")
    cluster.put("out.clock", 0, encode_journal_entry(None, PolicyChange(0, policy.sha256, to_plain(policy))))
    words = ("--reason", "checked", "--wait", "0", "--by")
    assert run("uphold", "cwe-late", *words, "wang")[0] == 0
    status, text = run("overturn", "cwe-late", *words, "li", "--replace", "--yes")
    assert (status, "--replace can replace it from 2026-03-03 05:15 UTC on" in text) == (1, True), text


def test_undoing_a_mass_mistake_again_leaves_fresh_verdicts_alone(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--reason", "bad threshold", "--wait", "0")
    mass = (*MASS, *words, "--replace", "--yes")
    assert run("overturn", "cwe-warn", *words)[0] == 0
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 5 * 3_600_000) * 1_000_000)
    assert run("overturn", "cwe-warn-2", *words)[0] == 0
    status, text = run(*mass)
    assert status == 0, text
    assert [one.enforcement_id for one in cluster.reviews] == ["cwe-warn", "cwe-warn-2", "cwe-warn"]


def test_a_mass_mistake_is_shown_asked_about_and_undone_once(cluster: FakeCluster) -> None:
    mass = (*MASS, "--reason", "bad threshold")
    status, text = run(*mass, "--dry-run")
    assert status == 0
    assert "2 would be overturned; nothing was changed" in text
    assert "cwe-strikes：最终升级决定依据其中的违规" in text
    status, text = run(*mass, given="n\n")
    assert status == 1
    assert cluster.reviews == []
    status, text = run(*mass, "--wait", "0", given="y\n")
    assert status == 0, text
    assert sorted(one.enforcement_id for one in cluster.reviews) == ["cwe-warn", "cwe-warn-2"]
    assert {one.verdict for one in cluster.reviews} == {"overturn"}
    status, text = run(*mass, "--yes", "--wait", "0")
    assert (status, "nothing to overturn" in text) == (0, True)
    assert len(cluster.reviews) == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["overturn", "--reason", "x"], "expected an ID; or --rule, --from and --to"),
        (["overturn", "--reason", "x", "--rule", "r", "--from", "1"], "expected an ID; or --rule, --from and --to"),
        (["overturn", "cwe-warn", "--reason", "x", "--dry-run"], "ID names one decision"),
        (["list", "--status", "open"], "--status open: expected one of pending, final"),
        (["list", "--from", "yesterday"], "--from yesterday: expected RFC 3339"),
    ],
)
def test_wrong_usage_is_reported(cluster: FakeCluster, command: list[str], said: str) -> None:
    status, text = run(*command)
    assert status == 2
    assert said in text


@pytest.mark.parametrize("command", [["show"], ["uphold", "--reason", "r"], ["overturn", "--reason", "r"]])
def test_of_an_unknown_decision_nothing_is_shown_and_one_line_is_reported(
    cluster: FakeCluster, command: list[str]
) -> None:
    status, text = run(*command, "cwe-x")
    assert status == 1
    line = text.splitlines()[-1]
    assert line.startswith("cwe-x: no such decision in the ledger")
    assert len(text.splitlines()) == 1 + (command == ["show"])


def test_a_broker_that_is_away_is_reported(cluster: FakeCluster) -> None:
    cluster.away = True
    status, text = run("uphold", "cwe-late", "--reason", "checked")
    assert (status, text) == (3, "callwarden reviews uphold: the broker is away\n")


def test_a_verdict_brings_the_ledger_up_to_the_topics_and_a_list_does_not(cluster: FakeCluster) -> None:
    put(cluster, 0, pending("cwe-new"))
    assert "cwe-new" not in run("list")[1]
    assert run("show", "cwe-new")[0] == 1
    assert run("uphold", "cwe-new", "--reason", "checked")[0] == 0
    assert "cwe-new" in run("list")[1]


def test_who_decides_is_the_login_name_unless_it_is_given_or_there_is_none(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "zhao")
    assert run("overturn", "cwe-warn", "--reason", "no", "--wait", "0")[0] == 0
    assert [one.reviewer for one in cluster.reviews] == ["zhao"]

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nobody)
    status, text = run("overturn", "cwe-warn-2", "--reason", "no", "--wait", "0")
    assert (status, text) == (2, "--by: expected a name; there is no login name\n")
    assert len(cluster.reviews) == 1
