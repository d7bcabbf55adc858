"""The API over HTTP: its answers, authorisation, ids, and the answers while the state is unknown."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import httpx
import pytest
from billing_server import TOKEN, TOPIC, serving
from sqlalchemy import Connection, delete, update

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from oracle.billing import event
from streams.consumers.billing.api import AnswerSources, make
from streams.consumers.billing.lookup import Lookup
from streams.consumers.billing.tables import HANDLED, HOLD, POSITION
from streams.consumers.billing.tokens import Tokens
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerProgress
from streams.consumers.watermarks import LaggingPartition
from streams.kafka.api import TP, PermanentError, TransientError

BAN: dict[str, Any] = {
    "clause": 1, "status": "pending_review", "decided_ms": 1_772_000_000_000, "review_by_ms": 1_772_600_000_000,
    "reason": {"zh": "核实的欺诈投诉", "en": "a verified complaint"},
}  # fmt: skip


ALLOWED = {"refundable": True, "cancellable": True, "holds": [], "since_ms": None}


async def test_a_tenant_is_refundable_and_may_cancel_until_an_event_freezes_and_again_after_its_reversal(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as billing:
        assert await billing.refunds("acme") == ALLOWED
        await billing.put(event("ban", "acme", "frozen", **BAN))
        assert await billing.refunds("acme") == {
            "refundable": False,
            "cancellable": False,
            "since_ms": 1_772_000_000_000,
            "holds": [{"id": "ban", "since_ms": 1_772_000_000_000, **BAN}],
        }
        assert await billing.refunds("Acme") == ALLOWED
        await billing.put(event("reversal", "acme", "released", reverses="ban"))
        assert await billing.refunds("acme") == ALLOWED


async def test_no_order_can_be_cancelled_while_one_hold_is_left_pending_or_final(tmp_path: Path) -> None:
    after = {
        "a warning": (event("warning", "acme", "unaffected"), True),
        "a pending ban": (event("pending", "acme", "frozen", **BAN), False),
        "a termination": (event("termination", "acme", "frozen", clause=2, status="final"), False),
        "the ban upheld": (event("upheld", "acme", "frozen", clause=1, status="final", supersedes="pending"), False),
        "the ban overturned": (event("r1", "acme", "released", reverses="upheld"), False),
        "the termination reversed": (event("r2", "acme", "released", reverses="termination"), True),
        "the termination again": (event("termination", "acme", "frozen", clause=2, status="final"), True),
    }
    async with serving(tmp_path) as billing:
        for name, (value, allowed) in after.items():
            await billing.put(value)
            found = await billing.refunds("acme")
            assert (found["cancellable"], found["refundable"], not found["holds"]) == (allowed,) * 3, name
            assert await billing.refunds("unknown") == ALLOWED, name


IDS = [
    "acme", "a/b", "/", "//", "a/", "/a", ".", "..", "../../etc", "a/../b", "%", "%2e%2e", "%2F", "100%", "?", "#",
    "a b", "+", "a+b", "租户", "💥", "e\u0301", "é", "\0", "\\", "\\0", "\r\n", "'; --", '"', "&tenant_id=b", "=",
    "x" * 128, "\U0001f4a5" * 128, "\ufffd", "v1/refunds/a",
]  # fmt: skip


async def test_any_id_of_a_tenant_is_found_in_the_path_and_in_the_query(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        for number, tenant in enumerate(IDS):
            billing.topics.put(TOPIC, 0, event(f"e{number}", tenant, "frozen"))
        await billing.caught_up()
        for number, tenant in enumerate(IDS):
            coded = quote(tenant, safe="")
            for target in (f"/v1/refunds/{coded}", f"/v1/refunds?tenant_id={coded}"):
                status, _, body = await billing.ask(target)
                assert (status, [hold["id"] for hold in body["holds"]]) == (200, [f"e{number}"]), target
        plain = {"/v1/refunds/a/b": 1, "/v1/refunds//": 2, "/v1/refunds/a/../b": 9, "/v1/refunds/a+b": 18}
        for target, number in plain.items():
            assert (await billing.ask(target))[2]["holds"][0]["id"] == f"e{number}", target
        assert (await billing.ask("/v1/refunds?tenant_id=a+b"))[2]["holds"][0]["id"] == "e16"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/v1/refunds/", "at least 1 character"),
        ("/v1/refunds?tenant_id=", "at least 1 character"),
        (f"/v1/refunds/{'x' * 129}", "128"),
        (f"/v1/refunds/{quote(chr(0x1F4A5) * 129)}", "128"),
        ("/v1/refunds/%ff", "not UTF-8"),
        ("/v1/refunds/%ed%a0%80", "not UTF-8"),
        ("/v1/refunds/100%", "two hexadecimal digits"),
        ("/v1/refunds?tenant_id=%zz", "two hexadecimal digits"),
        ("/v1/refunds?tenant_id=%ff", "not UTF-8"),
        ("/v1/refunds", "required"),
        ("/v1/refunds?tenant_id=a&tenant_id=b", "once"),
        ("/v1/refunds?tenant_id=a&tenant=b", "nothing else"),
    ],
)
async def test_an_invalid_id_is_reported_in_both_languages(tmp_path: Path, target: str, why: str) -> None:
    async with serving(tmp_path) as billing:
        status, headers, body = await billing.ask(target)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert body["type"] == "urn:callwarden:problem:no-tenant-id"
    assert why in body["detail"]
    assert "; expected 1 to 128 code points" in body["detail"]
    assert "应为" in body["detail_zh"]


async def test_without_a_valid_token_nothing_is_answered(tmp_path: Path) -> None:
    tokens = Tokens([TOKEN, "another-token-of-the-tests"])
    async with serving(tmp_path, tokens=lambda: tokens) as billing:
        for token in (None, "", "a", TOKEN[:-1], TOKEN + "x", "é" * 16, "x" * 10_000):
            for target in ("/v1/refunds/acme", "/v1/refunds", "/v1/refunds/%ff"):
                status, headers, body = await billing.ask(target, token)
                assert (status, headers["www-authenticate"]) == (401, "Bearer"), token
                assert body["type"] == "urn:callwarden:problem:unauthorized"
                assert "as_of_ms" not in body
        for token in (TOKEN, "another-token-of-the-tests"):
            assert (await billing.ask("/v1/refunds/acme", token))[0] == 200
        for target in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
            assert (await billing.ask(target, None))[0] == 200
    async with serving(tmp_path, tokens=lambda: None) as billing:
        assert (await billing.ask("/v1/refunds/acme", None))[0] == 200


def test_tokens_of_a_file_are_changed_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("the-old-token-is-long\n")
    tokens = Tokens([], file)
    file.write_text("the-old-token-is-long\n\nthe-new-token-is-long\n")
    assert tokens.is_accepted("the-old-token-is-long")
    assert tokens.is_accepted("the-new-token-is-long")
    file.write_text("the-new-token-is-long\n")
    assert not tokens.is_accepted("the-old-token-is-long")
    for fault in ("", "short\n", "the-new-token is-long\n", "é" * 20):
        file.write_text(fault, "utf-8")
        assert tokens.is_accepted("the-new-token-is-long"), "those of before stay right"
        assert not tokens.is_accepted("")
    file.unlink()
    assert tokens.is_accepted("the-new-token-is-long")


def test_an_invalid_token_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("the-right-token-is-long\nhunter2\n")
    with pytest.raises(PermanentError, match=r"tokens:2:1: not a token; expected 16 to 512 letters") as refused:
        Tokens([], file)
    assert "hunter2" not in str(refused.value)
    file.write_text("\n")
    with pytest.raises(PermanentError, match="it contains no token; expected one per line"):
        Tokens([], file)
    with pytest.raises(PermanentError, match="CALLWARDEN_BILLING_TOKEN: not a token") as refused:
        Tokens(["hunter2"])
    assert "hunter2" not in str(refused.value)
    with pytest.raises(PermanentError, match=r"no token is set; expected CALLWARDEN_BILLING_TOKEN_FILE.*loopback"):
        Tokens([])


async def test_until_the_topic_is_read_to_its_end_the_answer_is_the_last_known_holds(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as billing:
        await billing.put(event("ban", "acme", "frozen", **BAN))
        billing.topics.away = True
    topics = billing.topics
    topics.now_ms = 1_000
    async with serving(tmp_path, topics=topics, caught_up=False) as billing:
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await billing.ask("/v1/refunds/acme"))[2].get("holds") is None:
                await asyncio.sleep(0.01)
        status, headers, body = answer
        assert (status, headers["retry-after"], headers["cache-control"]) == (503, "2", "no-store")
        assert headers["content-type"] == "application/problem+json"
        assert [hold["id"] for hold in body["holds"]] == ["ban"]
        assert body["as_of_ms"] is None
        assert not {"refundable", "cancellable"} & body.keys()
        assert "do not refund or cancel" in body["detail"]
        assert "请勿退款或退订" in body["detail_zh"]
        assert (await billing.ask("/v1/refunds/other"))[2]["holds"] == []
        assert "尚未读到" in body["detail_zh"]


async def test_a_database_that_lost_commits_gives_no_answer_until_they_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example after a fail-over to a replica that lagged behind."""
    monkeypatch.setattr("streams.consumers.follower._CHECK_S", 3600.0)  # only a request notices it
    async with serving(tmp_path) as billing:
        await billing.put(event("ban", "acme", "frozen", **BAN))

        def lose(connection: Connection) -> None:
            for table in (HANDLED, HOLD):
                connection.execute(delete(table))
            connection.execute(update(POSITION).values(next=0))

        await billing.database.run(lose)
        for tenant in ("acme", "other"):
            status, _, body = await billing.ask(f"/v1/refunds/{tenant}")
            assert (status, body["holds"], body["as_of_ms"]) == (503, None, None)
            assert "restored" in body["detail"]
            assert not {"refundable", "cancellable"} & body.keys()
        await billing.caught_up()
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await billing.ask("/v1/refunds/acme"))[0] != 200:
                await asyncio.sleep(0.01)
        assert answer[2]["refundable"] is False
        assert answer[2]["cancellable"] is False


class Known:
    """The database behind the API, under the test's control."""

    def __init__(self, age_s: float | None, error: Exception | None = None) -> None:
        self.as_of_s, self.error = None if age_s is None else 1_000 - age_s, error
        self.waiting: list[LaggingPartition] = []

    async def holds(self, tenant_id: str) -> list[Any]:
        if self.error is not None:
            raise self.error
        return []

    def progress(self) -> FollowerProgress:
        return FollowerProgress(None, {}, self.as_of_s, self.waiting)

    async def ask(self) -> tuple[int, dict[str, Any]]:
        sources = AnswerSources(self.holds, self.progress, 10_000, lambda: 1_000.0)
        app = make(sources, None, [])
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://billing") as client:
            answer = await client.get("/v1/refunds/acme")
        return answer.status_code, json.loads(answer.content)


@pytest.mark.parametrize(("age_s", "status"), [(None, 503), (10.001, 503), (10, 200), (0, 200)])
async def test_an_answer_is_no_older_than_the_setting_allows(age_s: float | None, status: int) -> None:
    answered, body = await Known(age_s).ask()
    assert answered == status
    for field in ("refundable", "cancellable"):
        assert body.get(field) is (True if status == 200 else None)
        assert (field in body) is (status == 200)
    if status == 503:
        assert body["holds"] == []
        assert body["as_of_ms"] is None if age_s is None else body["as_of_ms"] < time.time() * 1000


@pytest.mark.parametrize("in_transaction", [True, False])
@pytest.mark.parametrize(("for_s", "status"), [(5.001, 503), (5, 200)])
async def test_an_answer_includes_everything_written_five_seconds_ago(
    for_s: float, status: int, in_transaction: bool
) -> None:
    known = Known(0)
    known.waiting = [LaggingPartition(TP(TOPIC, 1), 17, 1_000 - for_s, in_transaction)]
    answered, body = await known.ask()
    assert answered == status
    if status == 503:
        assert body["type"] == "urn:callwarden:problem:not-now"
        assert not {"refundable", "cancellable"} & body.keys()
        transaction = "A transaction of callwarden.enforcement-1 has been open at offset 17 for 5 s"
        assert (transaction in body["detail"], "事务" in body["detail_zh"]) == (in_transaction,) * 2
        assert "offset 17" in body["detail"]


@pytest.mark.parametrize("error", [TransientError("gone"), TimeoutError()])
async def test_an_unavailable_database_is_reported(error: Exception) -> None:
    status, body = await Known(1, error).ask()
    assert (status, body["holds"]) == (503, None)
    assert body["as_of_ms"] < time.time() * 1000
    assert "database" in body["detail"]


async def test_an_internal_error_is_a_problem_without_details() -> None:
    status, body = await Known(1, RuntimeError("13800138000")).ask()
    assert (status, body["type"]) == (500, "urn:callwarden:problem:fault")
    assert "138" not in str(body)


async def test_a_query_behind_the_id_is_no_other_tenants_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        status, _, body = await billing.ask("/v1/refunds/a?b")
        assert (status, body["type"]) == (422, "urn:callwarden:problem:no-tenant-id")
        assert (await billing.ask("/v1/refunds/a?"))[0] == 200


async def test_other_pages_and_methods_are_problems_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        status, headers, body = await billing.ask("/v1/refund/acme")
        assert (status, headers["content-type"], body["status"]) == (404, "application/problem+json", 404)
        assert (await billing.ask("/v1%2Frefunds/acme"))[0] in (404, 422)
        assert (await billing.ask("/v1/%72efunds/acme"))[0] == 404
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            status, headers, body = await billing.ask("/v1/refunds/acme", method=method)
            assert (status, headers["allow"], body["status"]) == (405, "GET", 405)


async def test_two_processes_with_one_database_are_both_right_at_once(tmp_path: Path) -> None:
    topics = FakeTopics(**{TOPIC: 2})
    async with serving(tmp_path, topics=topics) as one, serving(tmp_path, topics=topics) as two:
        for number in range(20):
            topics.put(TOPIC, number % 2, event(f"e{number}", "acme", "frozen"))
            await one.caught_up()
            await two.caught_up()
            answers = [await one.refunds("acme"), await two.refunds("acme")]
            assert [len(answer["holds"]) for answer in answers] == [number + 1] * 2


async def test_an_error_of_the_metrics_task_ends_billing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a fault while looking")

    monkeypatch.setattr("streams.consumers.billing.telemetry._look", fail)

    async def until_it_ends() -> None:
        async with serving(tmp_path, caught_up=False) as billing:
            await asyncio.wait([billing.running], timeout=PATIENCE_S)

    with pytest.raises(RuntimeError, match="a fault while looking"):
        await until_it_ends()


async def test_disconnected_clients_are_not_kept() -> None:
    held = threading.Event()
    database = Mock(Database)
    database.reading.side_effect = lambda: held.wait(PATIENCE_S)
    lookup = Lookup(database, Mock(Follower))
    asked = [asyncio.create_task(lookup.holds(f"t{number}")) for number in range(3)]
    await asyncio.sleep(0.01)
    late = [asyncio.create_task(lookup.holds(f"late{number}")) for number in range(100)]
    await asyncio.sleep(0)
    assert len(lookup._waiting) == 100
    for task in late:
        task.cancel()
    await asyncio.wait(late)
    assert not lookup._waiting
    held.set()
    await asyncio.wait(asked)
    lookup.close()


async def test_metrics_show_no_holds_before_the_first_refresh(tmp_path: Path) -> None:
    away = "postgresql://nobody@127.0.0.1:1/away"
    async with serving(tmp_path, url=away, caught_up=False) as billing:
        _, _, metrics = await billing.ask("/metrics")
    for name in ("holds", "frozen_tenants", "rejected_records", "accepted_gaps"):
        assert f"# TYPE callwarden_billing_{name} gauge" in metrics
        assert f"\ncallwarden_billing_{name} " not in metrics


async def test_prometheus_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.consumers.billing.telemetry._LOOK_S", 0.01)
    async with serving(tmp_path) as billing:
        await billing.put(event("ban", "acme", "frozen"), event("ban", "acme", "frozen"))
        await billing.put(b"?", key=b"other")
        await billing.refunds("acme")
        await billing.ask("/v1/refunds/acme", None)
        # The gauges follow the database periodically, and an update may have come between two of these records.
        held = {"holds": 1, "frozen_tenants": 1, "rejected_records": 1, "accepted_gaps": 0}
        wanted = {f"callwarden_billing_{name} {value}.0" for name, value in held.items()}
        async with asyncio.timeout(PATIENCE_S):
            while not wanted <= set((metrics := (await billing.ask("/metrics"))[2]).splitlines()):
                await asyncio.sleep(0.01)
    assert 'callwarden_billing_events_total{result="frozen"} 1.0' in metrics
    assert 'callwarden_billing_events_total{result="duplicate"} 1.0' in metrics
    assert 'callwarden_billing_events_total{result="rejected"} 1.0' in metrics
    assert 'callwarden_billing_request_duration_seconds_count{status="200"} 1.0' in metrics
    assert 'callwarden_billing_request_duration_seconds_count{status="401"} 1.0' in metrics
