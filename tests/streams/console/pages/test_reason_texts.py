"""Reason templates: administrators edit them, reviewers insert them, a verdict keeps what was typed. And assigning."""

from pathlib import Path

from sqlalchemy import insert

from helpers.console_harness import console_at
from helpers.console_pages import HOSTILE, NUMBER, pages_of
from oracle.ledger import pending
from streams.console.identity.tables import USERS
from streams.console.identity.users import Role
from streams.console.tables import CASES, OUTBOX, REASON_TEXTS, VERDICTS


async def test_an_administrator_edits_the_texts_and_a_reviewer_gets_them(tmp_path: Path) -> None:
    async with (
        console_at(tmp_path) as console,
        pages_of(console, Role.ADMIN) as admin,
        pages_of(console, Role.REVIEWER) as reviewer,
    ):
        await console.put(pending("cwe-p"))
        case = (await reviewer.get("/cases/cwe-p")).text
        assert 'data-text="Test calls of the tenant: no customer was called." data-key="3"' in case
        assert case.count("data-inserts=") == 7
        added = await admin.post(
            "/admin/reasons", data={"verdict": "any", "zh": "模板", "en": f"call {NUMBER} {HOSTILE}"}
        )
        assert added.status_code == 303
        [stored] = [row for row in console.rows(REASON_TEXTS) if row["zh"] == "模板"]
        assert NUMBER not in stored["en"]
        chinese = (await reviewer.get("/cases/cwe-p", headers={"cookie": "lang=zh"})).text
        assert 'data-text="模板"' in chinese
        assert "<img src=x" not in (await reviewer.get("/cases/cwe-p")).text
        where = f"/admin/reasons/{stored['number']}"
        await admin.post(where, data={"verdict": "approve", "zh": "换", "en": "renamed"})
        assert "renamed" not in (await reviewer.get("/cases/cwe-p")).text, "it is for applications"
        await admin.post(where, data={"change": "remove"})
        assert len(console.rows(REASON_TEXTS)) == 7
        said = [row["value"] for row in console.rows(OUTBOX)]
        assert [b'"change":"added"' in said[0], b"renamed" in said[1], b"removed" in said[2]] == [True] * 3


async def test_a_text_is_given_in_both_languages_and_bounded(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.ADMIN) as admin:
        for zh, en, verdict in (("", "en", "any"), ("中", " ", "any"), ("中", "x" * 501, "any"), ("中", "en", "ban")):
            refused = await admin.post("/admin/reasons", data={"verdict": verdict, "zh": zh, "en": en})
            assert refused.status_code == 422
        for number in range(44):
            await admin.post("/admin/reasons", data={"verdict": "any", "zh": "中", "en": f"text {number}"})
        full = await admin.post("/admin/reasons", data={"verdict": "any", "zh": "中", "en": "one more"})
        assert (full.status_code, len(console.rows(REASON_TEXTS))) == (422, 50)
        assert "Remove one first" in full.text


async def test_a_verdict_keeps_the_reason_as_it_was_typed(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.REVIEWER) as reviewer:
        await console.put(pending("cwe-p"))
        typed = "Recordings heard: the finding is correct. All twelve."
        await reviewer.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": typed})
        assert [row["reason"] for row in console.rows(VERDICTS)] == [typed]


async def test_cases_are_assigned_to_those_who_decide_cases(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.REVIEWER) as reviewer:
        people = (
            ("local:wang", "Wang", "viewer,reviewer", None),
            ("local:gone", "Gone", "reviewer", 1),
            ("local:admin", "Admin", "admin", None),
        )
        fields = ("subject", "name", "roles", "disabled_ms")
        rows = [dict(zip(fields, each, strict=True), created_ms=0) for each in people]
        await console.database.run(lambda connection: connection.execute(insert(USERS), rows))
        await console.put(pending("cwe-p"), pending("cwe-q"))
        for page in ((await reviewer.get("/queue")).text, (await reviewer.get("/cases/cwe-p")).text):
            assert '<option value="local:wang">Wang</option>' in page
            assert "Gone" not in page
            assert "local:admin" not in page
        for to in ("local:gone", "local:admin", "local:nobody"):
            assert (await reviewer.post("/cases/cwe-p/assign", data={"to": to})).status_code == 409
            await reviewer.post("/queue/assign", data={"ids": ["cwe-q"], "to": to})
        assert [row["assignee"] for row in console.rows(CASES)] == [None, None]
        await reviewer.post("/cases/cwe-p/assign", data={"to": "local:wang"})
        await reviewer.post("/queue/assign", data={"ids": ["cwe-q"], "to": "me"})
        assert [row["assignee"] for row in console.rows(CASES)] == ["local:wang", "local:li"]
        page = (await reviewer.get("/cases/cwe-p")).text
        assert "Assigned to Wang" in page
        assert '<option value="local:wang" selected>' in page
        await reviewer.post("/cases/cwe-p/assign", data={"to": "nobody"})
        assert console.rows(CASES)[0]["assignee"] is None
        await reviewer.post("/queue/postpone", data={"ids": ["cwe-q"], "until": "3d"})
        assert console.rows(CASES)[1]["postponed_until_ms"] == console.now_ms + 3 * 86_400_000
        postponed = (await reviewer.get("/queue?view=postponed")).text
        assert '<button formaction="/queue/postpone" name="until" value="now">' in postponed
        await reviewer.post("/queue/postpone", data={"ids": ["cwe-q"], "until": "now"})
        assert console.rows(CASES)[1]["postponed_until_ms"] == 0


async def test_an_empty_choice_is_refused_and_not_taken_for_a_usual_one(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.REVIEWER) as reviewer:
        await console.put(pending("cwe-p"))
        paths = {
            "/cases/cwe-p/assign": "to",
            "/cases/cwe-p/postpone": "until",
            "/queue/assign": "to",
            "/queue/postpone": "until",
            "/queue/preview": "verdict",
        }
        for path, field in paths.items():
            for given in ({}, {field: ""}):
                answer = await reviewer.post(path, data={"ids": ["cwe-p"], **given})
                assert (path, given, answer.status_code) == (path, given, 422)
        [case] = console.rows(CASES)
        assert (case["assignee"], case["postponed_until_ms"]) == (None, 0)
