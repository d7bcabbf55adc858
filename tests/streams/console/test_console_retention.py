"""What the console deletes and when; and the index by which a search finds the ids that decisions name."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Table, insert

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, alerted
from oracle.ledger import T0, event, pending
from schemas.outputs import Evidence
from streams.console import retention
from streams.console.evidence.tables import EVIDENCE
from streams.console.identity.tables import SESSIONS
from streams.console.queries.search import find_cases
from streams.console.retention import AT_ONCE, KEPT, RowCleanup, forget
from streams.console.tables import ACTIONS, ALERTS, CASES, EVENTS, NAMED_IDS, NOTES

ODD = "call \\0 \0 杭州"


async def forgotten(console: ConsoleHarness) -> None:
    await RowCleanup(console.database, console.clock).forget_due()


def found(console: ConsoleHarness, words: str) -> list[str]:
    with console.database.reading() as connection:
        return [line.case_id for line in find_cases(connection, words)]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BETWEEN_S", 0.0)


async def test_each_kind_of_row_goes_at_its_time_and_cases_stay(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        named = Evidence(call_ids=("call-1",))
        await console.put(pending("cwe-p", evidence=named), alerted("acme", T0), alerted("b", T0, "resolved"))
        await console.put(event("cwe-s"), shadow=True)
        at_ms = console.rows(EVENTS)[0]["timestamp_ms"]  # of the topic: its clock is ahead
        rows: list[tuple[Table, dict[str, object]]] = [
            (EVIDENCE, {"enforcement_id": "cwe-p", "number": 0, "tenant_id": "acme", "topic": "t", "partition": 0,
                        "offset": 0, "state": "kept", "added_ms": at_ms, "value": b"{}"}),
            (ACTIONS, {"id": "a", "action": "case_claimed", "at_ms": at_ms + DAY_MS, "value": b"{}"}),
            (SESSIONS, {"hash": "h", "subject": "local:li", "stage": "full", "method": "password",
                        "created_ms": 0, "seen_ms": 0, "expires_ms": at_ms, "address": "", "browser": ""}),
            (NOTES, {"case_id": "cwe-p", "at_ms": 0, "subject": "s", "name": "n", "kind": "note", "text": "t"}),
        ]  # fmt: skip
        for table, row in rows:
            row = {name: value for name, value in row.items() if name in table.c}
            await console.database.run(lambda c, table=table, row=row: c.execute(insert(table).values(row)))
        for table, days in ((SESSIONS, 1), (EVENTS, 90), (EVIDENCE, 400), (ACTIONS, 401)):
            before = len(console.rows(table))
            console.now_ms = at_ms + days * DAY_MS
            await forgotten(console)
            assert len(console.rows(table)) == before, table.name
            console.now_ms += 1
            await forgotten(console)
            assert len(console.rows(table)) == before - 1, table.name
        assert [row["id"] for row in console.rows(EVENTS)] == ["cwe-p"], "the shadow decision is gone alone"
        assert [row["state"] for row in console.rows(ALERTS)] == ["firing"]
        assert (len(console.rows(CASES)), len(console.rows(NOTES)), console.rows(NAMED_IDS)) == (1, 1, [])
        assert {kept.table.name for kept in KEPT} >= {"console_alert", "console_api_token"}


async def test_one_transaction_deletes_a_slice(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        rows = [{"id": str(n), "action": "x", "at_ms": 0, "value": b""} for n in range(AT_ONCE + 5)]
        await console.database.run(lambda connection: connection.execute(insert(ACTIONS), rows))
        [kept] = [each for each in KEPT if each.table is ACTIONS]
        work = partial(forget, kept=kept, now_ms=500 * DAY_MS)
        assert [await console.database.run(work) for _ in range(3)] == [AT_ONCE, 5, 0]


async def test_a_search_finds_any_id_in_the_evidence_and_no_other(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        evidence = Evidence(
            call_ids=("call-1", ODD), complaint_ids=("cmp-1",), finding_ids=("f-1",), application_ids=("n-1",)
        )
        await console.put(
            pending("cwe-p", evidence=evidence), pending("cwe-q", evidence=Evidence(call_ids=("call-1",)))
        )
        closing = event("cwe-r", kind="reversal", reverses="cwe-q", evidence=Evidence(complaint_ids=("cmp-2",)))
        await console.put(closing)
        assert sorted(found(console, "call-1")) == ["cwe-p", "cwe-q"]
        for words in (ODD, "cmp-1", "f-1", "n-1"):
            assert found(console, words) == ["cwe-p"], words
        assert found(console, "cmp-2") == ["cwe-q"], "what closed it names it, too"
        assert found(console, "call") == []
