"""Search, applications, quality and health: what they find, that nothing runs, that no number is shown."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert

from helpers.console_harness import NAMES, ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, HOSTILE, HOSTILE_ID, NUMBER, alerted, application, decided, pages_of, reviewed
from helpers.console_pages import tenant as tenant_record
from oracle.ledger import T0
from schemas.outputs import Enforcement, Evidence, Reason
from streams.console.cases import second_looks
from streams.console.cases.claims import CaseRefused
from streams.console.cluster_reports import ClusterReport
from streams.console.identity.users import Role, User
from streams.console.tables import OUTBOX, VERDICTS
from streams.kafka.api import TP, TransientError
from streams.ops.dead_letters import DeadLetter
from streams.topics.reported_waits import ReportedWaits

WAITING = {
    "kind": "admission_review", "status": "pending_review", "behaviour": "application_review", "tier": None,
    "rule_id": "application_review", "measure": None, "window": None, "clause": None, "refunds": "unaffected",
}  # fmt: skip


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        made.now_ms = T0 + 10 * DAY_MS
        yield made


async def page(client: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await client.get(path, headers={"accept-language": "en"})
    assert answer.status_code == status
    return answer.text


def waiting(number: int, tenant_id: str, application_id: str, at_ms: int = T0) -> Enforcement:
    changes = WAITING | {"review_by_ms": None, "evidence": Evidence(application_ids=(application_id,))}
    return decided(number, tenant_id, at_ms, **changes)


async def test_a_search_finds_by_each_name(console: ConsoleHarness) -> None:
    event = decided(1, "acme", T0, rule_id="short-calls-day", evidence=Evidence(call_ids=("call-77",)))
    other = decided(2, "zeta", T0, rule_id="other-rule", evidence=Evidence(complaint_ids=("complaint-5",)))
    await console.put(tenant_record("acme", T0, "Nanhai Trading", "owner-1"), event, other)
    await console.put(reviewed(event, T0 + 5))
    async with pages_of(console) as client:
        for words in ("acme", "acm", "nanhai", "owner-1"):
            text = await page(client, f"/search?q={words}")
            assert 'href="/tenants/acme"' in text, words
            assert f'href="/cases/{event.id}"' in text, words  # the decisions of the tenants that were found
            assert other.id not in text, words
        for words in (event.id, "call-77", f"review-{T0 + 5}", "short-calls-day"):
            text = await page(client, f"/search?q={words}")
            assert f'href="/cases/{event.id}"' in text, words
            assert other.id not in text, words
        assert f'href="/cases/{other.id}"' in await page(client, "/search?q=complaint-5")
        assert 'href="/tenants/zeta"' in await page(client, "/search?q=zeta")  # without a tenant record
        text = await page(client, "/search?q=nothing-of-this-name")
    assert "No tenant matches." in text
    assert "No decision matches." in text


async def test_decisions_are_listed_by_day_in_the_readers_zone_and_by_cursor(console: ConsoleHarness) -> None:
    await console.put(*[decided(n, "acme", T0 + n % 3) for n in range(120)], decided(500, "acme", T0 - 1))
    async with pages_of(console) as client:
        found, path = list[str](), "/search?from=2026-03-02&to=2026-03-02"
        while path:
            text = await page(client, path)
            found += [part.split('"')[0] for part in text.split('href="/cases/')[1:]]
            following = text.split('rel="next" href="')[1:]
            path = following[0].split('"')[0].replace("&amp;", "&") if following else ""
        assert len(found) == len(set(found)) == 120
        text = (await client.get("/search?to=2026-03-01", headers={"cookie": "zone=Asia/Shanghai"})).text
        assert "/cases/" not in text  # at T0 it is 08:00 in Shanghai, and T0 - 1 is of the same day
        assert "/cases/" in await page(client, "/search?to=2026-03-01")
        await page(client, "/search?after=nonsense", 400)
        await page(client, "/search?from=9999-12-31&to=x")


async def test_an_application_stands_beside_the_rows_of_the_catalogue(console: ConsoleHarness) -> None:
    await console.put(application("acme", "app-1", T0, "催收", "call debtors"))
    await console.put(waiting(1, "acme", "app-1"), waiting(2, "zeta", "app-2", T0 + 1))
    async with pages_of(console) as client:
        text = await page(client, "/admissions")
    assert text.index("催收") < text.index("zeta")
    assert "certain" in text
    assert "call debtors" in text
    assert "no record of this application" in text


async def test_quality_counts_what_was_taken_back(console: ConsoleHarness) -> None:
    events = [decided(n, "acme", T0 + n) for n in range(4)]
    await console.put(*events, reviewed(events[0], T0 + DAY_MS, "uphold", "x"))
    reversal = decided(9, "acme", T0 + 2 * DAY_MS, kind="reversal", reverses=events[0].id, refunds="released")
    await console.put(
        reversal, decided(8, "acme", T0 + 9 * DAY_MS, status="pending_review", review_by_ms=console.now_ms)
    )
    async with pages_of(console) as client:
        text = await page(client, "/quality")
        assert "25.0 %" in text
        assert "local:li" in text
        assert 'data-label="Share overturned">0.0 %' in text
        assert "1 d" in text
        assert 'value="30" selected' in await page(client, "/quality?days=12345")


async def test_the_second_look_is_at_what_others_upheld(console: ConsoleHarness) -> None:
    events = [decided(n, "acme", T0 + n) for n in range(2)]
    await console.put(*events, reviewed(events[0], T0 + DAY_MS, "uphold"))
    theirs = reviewed(events[1], T0 + DAY_MS + 1, "uphold")
    theirs.reviewer = "local:wang"
    await console.put(theirs)
    async with pages_of(console) as client:
        text = await page(client, "/quality")
    assert f"/cases/{events[1].id}" in text
    assert f"/cases/{events[0].id}" not in text


async def upheld(console: ConsoleHarness, count: int, reviewer: str = "local:wang") -> list[Enforcement]:
    """Decisions that somebody upheld a day later."""
    events = [decided(n, "acme", T0 + n) for n in range(count)]
    reviews = [reviewed(event, T0 + DAY_MS + n, "uphold") for n, event in enumerate(events)]
    for review in reviews:
        review.reviewer = reviewer
    await console.put(*events, *reviews)
    return events


async def test_a_second_look_is_recorded_once_and_counted(console: ConsoleHarness) -> None:
    events = await upheld(console, 2)
    given = {"case_id": events[0].id, "answer": "would_overturn", "note": f"heard it: {HOSTILE}"}
    async with pages_of(console, subject="local:chen") as other, pages_of(console) as client:
        assert 'action="/quality/second-looks"' in await page(client, "/quality")
        answer = await client.post("/quality/second-looks", data=given | {"note": " "})
        assert answer.headers["location"] == "/quality?refused=look_without_note#second-look"
        assert "Say why" in await page(client, "/quality?refused=look_without_note")
        answer = await client.post("/quality/second-looks", data=given)
        assert (answer.status_code, answer.headers["location"]) == (303, "/quality?done=answered#second-look")
        for again in (client, other):
            answer = await again.post("/quality/second-looks", data=given | {"answer": "agrees"})
            assert "refused=looked_at" in answer.headers["location"]
        answer = await other.post("/quality/second-looks", data={"case_id": events[1].id, "answer": "agrees"})
        assert "done=answered" in answer.headers["location"]
        text = await page(other, "/quality")
    assert text.count('data-label="Second looks">2<') == 2
    assert text.count('data-label="Not agreed">1<') == 2
    assert "Would have overturned" in text
    assert "<img" not in text
    assert "12345678" not in text
    first, second = (json.loads(row["value"]) for row in console.rows(OUTBOX))
    assert first["action"] == second["action"] == "second_look_answered"
    assert first["actor"] == "local:li"
    assert first["details"] == {"answer": "would_overturn", "reviewer": "local:wang"}
    assert (first["enforcement_id"], first["tenant_id"]) == (events[0].id, "acme")
    assert "12345678" not in first["reason"]


async def test_who_decided_or_approved_never_looks_again(console: ConsoleHarness) -> None:
    [event] = await upheld(console, 1)
    row = {
        "case_id": event.id, "enforcement_id": event.id, "tenant_id": "acme", "review_id": "r", "verdict": "uphold",
        "reason": "x", "subject": "local:wang", "name": "Wang", "given_ms": 1, "send_ms": 1, "state": "effective",
        "approved_by": "local:chen",
    }  # fmt: skip
    await console.database.run(lambda connection: connection.execute(insert(VERDICTS).values(row)))
    for subject in ("local:wang", "local:chen"):
        async with pages_of(console, subject=subject) as client:
            assert f"/cases/{event.id}" not in (await page(client, "/quality")).partition('id="second-look"')[2]
            answer = await client.post("/quality/second-looks", data={"case_id": event.id, "answer": "agrees"})
            assert "refused=not_in_sample" in answer.headers["location"]
    async with pages_of(console) as client:
        assert f"/cases/{event.id}" in (await page(client, "/quality")).partition('id="second-look"')[2]


async def test_answers_draw_no_further_case_in_the_same_week(console: ConsoleHarness) -> None:
    events = await upheld(console, 30)
    me = User("local:li", "Li", frozenset({Role.REVIEWER}))

    def drawn() -> list[str]:
        with console.database.reading() as connection:
            return [one.case_id for one in second_looks.sample(connection, console.now_ms, me.subject)]

    first = drawn()
    assert len(first) == second_looks.SAMPLE
    agreed = second_looks.GivenAnswer(True, "")
    for case_id in first[:3]:
        await console.database.run(
            partial(second_looks.answer, case_id=case_id, given=agreed, by=me, now_ms=console.now_ms)
        )
    assert drawn() == first
    left_out = next(event.id for event in events if event.id not in first)
    work = partial(second_looks.answer, case_id=left_out, given=agreed, by=me, now_ms=console.now_ms)
    with pytest.raises(CaseRefused, match="not_in_sample"):
        await console.database.run(work)
    console.now_ms += 7 * DAY_MS
    assert not set(first[:3]) & set(drawn())


async def test_health_shows_what_could_not_be_read(console: ConsoleHarness) -> None:
    console.held.put(NAMES.output("enforcement"), 0, b'{"broken"', key=b"x")
    await console.put(alerted("acme", T0))
    async with pages_of(console) as client:
        text = await page(client, "/health")
    assert "callwarden.enforcement-0 @ 0" in text


class Reports:
    """Stands for Kafka: one complete dead letter, one that was retried, and one that the ingest service rejected."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    async def report(self) -> ClusterReport:
        if self.away:
            raise TransientError("the broker is away")
        places = [("0-5", f"invalid_record {HOSTILE}"), ("0-4", "not_json")]
        letters = [
            DeadLetter(0, int(letter[2:]), T0, b"k", b"v", reason, TP("callwarden.calls", 0), 9)
            for letter, reason in places
        ]
        letters.append(DeadLetter(0, 3, T0, b"k", b"v", "not_json", TP("", -1), -1))
        return ClusterReport(ReportedWaits(T0, {3: ["no calls of source a since 10:00"]}), letters, {"0-4"})

    async def retry(self, letter_id: str) -> bool:
        self.asked.append(letter_id)
        return letter_id == "0-5"


async def test_health_shows_waits_and_dead_letters_and_retries_one(console: ConsoleHarness) -> None:
    reports = Reports()
    console.context = replace(console.context, reports=reports)  # type: ignore[arg-type]  # what the page uses of it
    async with pages_of(console, Role.ADMIN) as client:
        assert 'hx-get="/health/cluster"' in await page(client, "/health")
        text = await page(client, "/health/cluster")
        assert "no calls of source a" in text
        assert text.count("/health/dead-letters/") == 1
        assert text.count("no topic (rejected when it was received)") == 1
        assert text.count("its sender must send it again") == 1
        assert "12345678" not in text
        assert "<img" not in text
        answer = await client.post("/health/dead-letters/0-5/retry")
        assert (answer.status_code, answer.headers["location"]) == (303, "/health?done=retried")
        assert "written back" in await page(client, "/health?done=retried")
        assert (await client.post("/health/dead-letters/0-4/retry")).headers["location"].endswith("not_retried")
        reports.away = True
        assert "Kafka cannot be read now." in await page(client, "/health/cluster")
    assert reports.asked == ["0-5", "0-4"]
    assert [b"dead_letter_retried" in row["value"] for row in console.rows(OUTBOX)] == [True]


@pytest.mark.parametrize("path", ["/search?q=hostile", "/search", "/admissions", "/quality", "/health"])
async def test_nothing_that_a_tenant_wrote_acts_or_shows_a_number(console: ConsoleHarness, path: str) -> None:
    event = decided(1, HOSTILE_ID, T0 + 9 * DAY_MS, reason=Reason(HOSTILE, HOSTILE))
    await console.put(tenant_record(HOSTILE_ID, T0, f"hostile {HOSTILE}", NUMBER, (HOSTILE,)), event)
    await console.put(application(HOSTILE_ID, HOSTILE_ID, T0, f"催收 {HOSTILE}", HOSTILE))
    await console.put(waiting(2, HOSTILE_ID, HOSTILE_ID), reviewed(event, T0 + 9 * DAY_MS, "uphold", HOSTILE))
    async with pages_of(console, Role.AUDITOR) as client:
        for language in ("zh", "en"):
            text = (await client.get(path, headers={"cookie": f"lang={language}"})).text
            assert "<img" not in text
            assert "\u202e" not in text
            assert "12345678" not in text
