"""A reviewer's terminal, with topics in memory instead of a cluster."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import ACTIONS, DECISIONS, REVIEWS, address, filled, put
from helpers.review_signing import key_of
from monitor.partition.journal import PolicyChange
from monitor.policy.load import loads
from monitor.policy.serialize import to_plain
from oracle.ledger import DAY, T0, event, pending
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Evidence, Reason
from streams.cli.app import build
from streams.consumers.ledger.progress import note_progress
from streams.kafka.api import TP, OutputRecord
from streams.topics.transaction_records import encode_journal_entry

CANARY = "13812345678"
NOW = T0 + DAY
LETTERS = "out.dead-letter"


class FakeCluster(FakeTopics):
    """Topics that can be written to; ``judge`` is called with each review."""

    def __init__(self) -> None:
        super().__init__(
            **{DECISIONS: 1, REVIEWS: 1, ACTIONS: 1, LETTERS: 1, "out.control": 1, "out.clock": 1, "out.state": 1}
        )
        self.now_ms = 4_000_000_000_000
        self.judge = lambda review: None
        self.letters: list[SimpleNamespace] = []

    def writer(self, transactional_id: str) -> "FakeCluster":
        assert transactional_id.startswith("out-reviews"), "as the prefix names the workers"
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def commit(self, records: list[OutputRecord], offsets: object) -> int:
        for out in records:
            self.put(out.topic, out.partition, out.value, headers=out.headers)
            self.judge(codec.read(out.value or b""))
        return 0

    async def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[list[SimpleNamespace]]:
        yield self.letters[start:stop]

    async def offsets_from(self, tps: list[TP], at_ms: int) -> dict[TP, int]:
        assert NOW - DAY < at_ms <= NOW - 3_600_000, "clocks may differ"
        return dict.fromkeys(tps, 0) if self.letters else {}

    def reject(self, review: Review) -> None:
        """Reject a review, as a worker does."""
        headers = [("topic", REVIEWS.encode()), ("reason", b"nothing_to_change: too late")]
        self.letters.append(SimpleNamespace(value=codec.encode(review), headers=headers))
        self.put(LETTERS, 0, codec.encode(review))

    def uphold(self, review: Review) -> None:
        """Uphold a review, as a worker does."""
        by = Evidence(review_ids=(review.review_id,))
        reason = Reason("维持", "The ban is upheld")
        put(self, 0, event("cwe-final", kind="ban", supersedes=review.enforcement_id, evidence=by, reason=reason))

    @property
    def reviews(self) -> list[Review]:
        found = [codec.read(value or b"") for value in self.logs[TP(REVIEWS, 0)]]
        return [review for review in found if isinstance(review, Review)]


MASS = ("overturn", "--rule", "short-calls-day", "--from", str(T0), "--to", str(T0 + 100))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr("streams.kafka.cluster.KafkaCluster", lambda *_: fake)
    monkeypatch.setattr(
        "streams.runtime.logging.set_up_logs", lambda *_: None
    )  # otherwise its stream would be closed for later tests
    monkeypatch.setattr(time, "time_ns", lambda: NOW * 1_000_000)
    monkeypatch.setenv("CALLWARDEN_INPUT_PREFIX", "in.")
    monkeypatch.setenv("CALLWARDEN_OUTPUT_PREFIX", "out.")
    monkeypatch.setenv("CALLWARDEN_LEDGER_DATABASE", f"sqlite:///{tmp_path / 'ledger.db'}")
    evidence = Evidence(finding_ids=("f1", "f2"))
    put(
        fake, 0,
        pending("cwe-late", review_by_ms=NOW + 3 * DAY, rule_id="business"),
        pending("cwe-soon", "bravo", review_by_ms=NOW + 90 * 60_000, evidence=evidence),
        event("cwe-warn", decided_ms=T0 + 5),
        event("cwe-warn-2", decided_ms=T0 + 6),
        event("cwe-gone", decided_ms=T0 + 7),
        event("cwe-back", kind="reversal", reverses="cwe-gone", decided_ms=T0 + 8),
        pending("cwe-old", decided_ms=T0 + 9, review_by_ms=NOW - 1),
        event("cwe-strikes", kind="termination", rule_id="three-strikes", decided_ms=T0 + 9, actions=(),
              evidence=Evidence(enforcement_ids=("cwe-warn",))),
    )  # fmt: skip
    asyncio.run(follow(fake, tmp_path))
    return fake


async def follow(cluster: FakeCluster, folder: Path) -> None:
    """Follow the topics, as the ledger service does."""
    database = await filled(address(folder), cluster)
    await database.run(lambda connection: note_progress(connection, NOW, service_ms=NOW))
    database.close()


def run(*command: str, given: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(build("reviews"), ["reviews", *command], input=given)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


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


def test_a_rejection_by_the_judge_is_reported(cluster: FakeCluster) -> None:
    cluster.judge = cluster.reject
    status, text = run("uphold", "cwe-late", "--reason", "checked", "--wait", "10")
    assert status == 1
    assert "cwe-late: the judge has rejected it: nothing_to_change: too late" in text
    assert "not given" not in text, "its own line has said so"


def test_a_rejection_that_came_after_the_command_had_ended_is_reported_by_the_next(cluster: FakeCluster) -> None:
    words = ("cwe-late", "--reason", "checked", "--wait", "0", "--by")
    assert run("uphold", *words, f"wang {CANARY}")[0] == 0
    assert run("overturn", *words, "li")[0] == 1
    cluster.reject(cluster.reviews[0])
    status, text = run("overturn", *words, "li")
    assert status == 0, text
    assert (
        "cwe-late: the judge has rejected the verdict of wang •••••••••78 to uphold it: nothing_to_change: too late; "
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
