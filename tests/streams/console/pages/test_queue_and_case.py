"""The queue and the case as a reviewer uses them: pages, forms, and what stands on them."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import insert
from starlette.types import Receive, Scope, Send
from typer.testing import CliRunner

from helpers.console_harness import NAMES, ConsoleHarness, console_at
from helpers.console_pages import pages_of
from helpers.ledger_samples import address, filled
from helpers.review_signing import key_of
from oracle.ledger import DAY, T0, event, pending, review
from schemas import codec
from schemas.inputs import Tenant
from schemas.outputs import Evidence, Measure, Reason
from streams.cli.app import build
from streams.console.app import make
from streams.console.cases.sending import release_due
from streams.console.evidence.masked_record import masked
from streams.console.evidence.tables import EVIDENCE
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, NOTES, VERDICTS
from streams.consumers.ledger.verify.exported_case import read_case
from streams.reviews.signatures import SIGNATURE_HEADER, sign

LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
WANG = User("local:wang", "Wang", frozenset({Role.REVIEWER}))
READER = User("local:reader", "Reader", frozenset({Role.VIEWER}))
EVIL = "<script>alert(1)</script>\"'>{{7*7}}"


@asynccontextmanager
async def browser(console: ConsoleHarness, user: User) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in browser, whose requests carry the token."""
    app = make(console.context)

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "callwarden.user": user, "callwarden.csrf": "token"}, receive, send)

    transport = httpx.ASGITransport(app=signed_in)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        yield client


async def test_a_wrong_ban_is_found_read_and_overturned(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        measure = Measure("short_call_ratio", 36, 42, 36 / 42, 0.5, 0.62)
        found = Evidence(complaint_ids=("cmp-1",))
        await console.put(pending("cwe-p", measure=measure, evidence=found), pending("cwe-q", "other"))
        page = (await client.get("/queue")).text
        assert page.index("/cases/cwe-p") < page.index("/cases/cwe-q")
        case = (await client.get("/cases/cwe-p")).text
        for text in (
            "Undeclared prohibited business",
            "85.71 %",
            "36 / 42",
            "cmp-1",
            "An overturn is final",
            "Short calls",
            "until then, only refunds are frozen",
        ):
            assert text in case, text
        assert case.index('<p lang="en">') < case.index('<p lang="zh-CN">')
        answer = await client.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": "wrong tenant"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/cases/cwe-q?done=cwe-p")
        [verdict] = console.rows(VERDICTS)
        assert (verdict["verdict"], verdict["reason"], verdict["state"]) == ("overturn", "wrong tenant", "waiting")
        cancel = f'action="/cases/cwe-p/verdicts/{verdict["number"]}/cancel"'
        for next_page in (answer.headers["location"], "/queue?done=cwe-p"):
            noted = (await client.get(next_page)).text
            assert ("Your verdict, overturn, is recorded" in noted, cancel in noted) == (True, True)
            assert ("The next case is below" in noted) == (next_page == answer.headers["location"])
        assert "is recorded" not in (await client.get("/queue?done=cwe-q")).text
        case = (await client.get("/cases/cwe-p")).text
        assert "can be cancelled" in case
        assert "only refunds are frozen" not in case, "it is decided"
        left_ms = verdict["send_ms"] - console.now_ms
        assert f'hx-trigger="load delay:{left_ms + 1_000}ms"' in case, "it is shown as sent when it is"
        answer = await client.post(f"/cases/cwe-p/verdicts/{verdict['number']}/cancel")
        assert answer.status_code == 303
        assert console.rows(VERDICTS)[0]["state"] == "cancelled"


async def test_the_records_that_a_decision_names_are_in_its_case(tmp_path: Path) -> None:
    number, link = "+8613912345678", "https://recordings.example/play/{recording}?from=callwarden"
    call = {
        "type": "cdr", "call_id": "c-1", "tenant_id": "acme", "direction": "outbound", "caller": "075512345678",
        "callee": number, "start_ms": T0, "ring_ms": T0, "answer_ms": T0 + 1_000, "end_ms": T0 + 3_500,
        "outcome": "answered", "hangup_by": "callee", "recording_id": "a/../b?c", "consent_id": "k-1",
    }  # fmt: skip
    complaint = {
        "type": "complaint", "complaint_id": "cmp-1", "tenant_id": "acme", "category": "fraud", "status": "verified",
        "reported_ms": T0, "updated_ms": T0, "channel": EVIL, "caller": number, "complainant": "person-1",
    }  # fmt: skip
    finding = {
        "type": "finding", "finding_id": "f-1", "tenant_id": "acme", "behaviour": "in_call_abuse",
        "status": "confirmed", "updated_ms": T0, "inspector": "li",
    }  # fmt: skip
    kept = [masked(codec.convert(each)) for each in (call, complaint, finding)]
    named = [("kept", msgspec.json.encode(each)) for each in kept] + [("wanted", None), ("expired", None)]
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        found = Evidence(call_ids=("c-1", "c-2", "c-3"), complaint_ids=("cmp-1",), finding_ids=("f-1",))
        await console.put(pending("cwe-p", evidence=found))
        rows = [
            {"enforcement_id": "cwe-p", "number": n, "tenant_id": "acme", "topic": "callwarden.cdr", "partition": 0,
             "offset": n, "state": state, "added_ms": T0, "value": value}
            for n, (state, value) in enumerate(named)
        ]  # fmt: skip
        await console.context.write(lambda connection: connection.execute(insert(EVIDENCE), rows))
        plain = (await client.get("/cases/cwe-p")).text
        assert "2.5 s" in plain
        assert "ended by the callee" in plain
        assert "Records being fetched: 1." in plain
        assert "Records that expired before they were read: 1." in plain
        table = plain.split('aria-labelledby="complaints"')[1].split("</table>")[0]
        for text in ("fraud · verified", "person-1", "cmp-1"):
            assert text in table, text
        assert "abuse in the call · confirmed" in plain
        assert plain.count("c-1<") == 1  # in the table, and not once more among the ids
        assert "c-2<" in plain
        assert "a/../b?c<" in plain
        assert "<script>" not in plain.replace("<script src", "")
        assert not re.search("13912345678|075512345678", plain)
        settings = console.settings.model_copy(update={"console_recording_link": link})
        console.context = replace(console.context, settings=settings)
        async with browser(console, LI) as other:
            linked = (await other.get("/cases/cwe-p")).text
        assert 'href="https://recordings.example/play/a%2F%2E%2E%2Fb%3Fc?from=callwarden"' in linked
        chinese = (await client.get("/cases/cwe-p", headers={"Cookie": "lang=zh"})).text
        assert "被叫挂断" in chinese
        exported = msgspec.json.decode((await client.post("/cases/cwe-p/export")).content)
        assert [each["state"] for each in exported["evidence"]] == ["kept", "kept", "kept", "wanted", "expired"]


async def test_what_was_found_before_is_folded_but_for_the_newest(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        before = [event(f"cwe-{n}", decided_ms=T0 - DAY - n, rule_id=f"rule-{n}") for n in range(9)]
        reversal = event("cwe-r", kind="reversal", reverses="cwe-0", decided_ms=T0 - DAY + 1, rule_id="rule-0")
        await console.put(*before, reversal, pending("cwe-p"))
        page = (await client.get("/cases/cwe-p")).text.split('aria-labelledby="around"')[1]
        near, far = page.split("<details>")
        far = far.split("</details>")[0]
        assert "4 more" in far
        assert [n for n in range(9) if f'href="/cases/cwe-{n}"' in near] == [0, 1, 2, 3, 4]
        assert [n for n in range(9) if f'href="/cases/cwe-{n}"' in far] == [5, 6, 7, 8]
        # The decision is marked as reversed, its reversal is not.
        [line] = [line for line in near.split("<li")[1:] if ">Reversal<" in line]
        assert "reversed</span>" not in line
        assert "reversed</span>" in near


async def test_who_approves_a_ban_is_not_told_that_another_works_on_it(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as li, browser(console, WANG) as wang:
        await console.put(pending("cwe-p", kind="ban", tier="severe"))
        await li.post("/cases/cwe-p/claim")
        assert "you cannot decide it now" in (await wang.get("/cases/cwe-p")).text
        await li.post("/cases/cwe-p/verdict", data={"verdict": "uphold", "reason": "heard"})
        page = (await wang.get("/cases/cwe-p")).text
        assert "Approve the ban" in page
        assert "you cannot decide it now" not in page


async def test_a_verdict_without_a_reason_is_refused_on_the_page(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(pending("cwe-p"))
        answer = await client.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": " "})
        assert answer.status_code == 409
        assert "expected neither to be empty" in answer.text


async def test_two_browsers_on_one_case(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as one, browser(console, WANG) as other:
        await console.put(pending("cwe-p"))
        assert (await one.post("/cases/cwe-p/claim")).status_code == 303
        refused = await other.post("/cases/cwe-p/claim")
        assert (refused.status_code, "Another reviewer has claimed" in refused.text) == (409, True)
        assert "Li works on this case" in (await other.get("/cases/cwe-p")).text
        refused = await other.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": "mine"})
        assert refused.status_code == 409
        assert (await one.post("/cases/cwe-p/release")).status_code == 303
        assert (await other.post("/cases/cwe-p/claim")).status_code == 303


def seen_on(page: str) -> list[str]:
    """The decisions that the page's form says it showed."""
    return re.findall(r'name="seen" value="([^"]+)"', page)


async def test_a_page_opened_before_another_decision_does_not_decide_about_that(tmp_path: Path) -> None:
    """An overturn is final: it must not hit a decision that the reviewer has never seen."""
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        waits = pending("cwe-p", actions=(), kind="termination")
        await console.put(waits)
        opened = (await client.get("/cases/cwe-p")).text
        preview = (await client.post("/queue/preview", data={"ids": ["cwe-p"], "verdict": "overturn"})).text
        assert seen_on(opened) == seen_on(preview) == ["cwe-p"]
        actions = waits.data.proposed_actions
        await console.put(event("cwe-q", kind="termination", supersedes="cwe-p", tier="severe", actions=actions))
        form = {"verdict": "overturn", "reason": "wrong number"}
        stale = await client.post("/cases/cwe-p/verdict", data={**form, "seen": seen_on(opened)})
        assert stale.status_code == 409
        assert "This case has been decided since you opened it" in stale.text
        bulk = await client.post("/queue/verdict", data={**form, "ids": ["cwe-p"], "seen": seen_on(preview)})
        assert "This case has been decided since you opened it" in bulk.text
        assert console.rows(VERDICTS) == []
        assert seen_on(stale.text) == ["cwe-q"]
        again = await client.post("/cases/cwe-p/verdict", data={**form, "seen": seen_on(stale.text)})
        assert again.status_code == 303


async def test_what_an_uphold_does_depends_on_the_chosen_kind(tmp_path: Path) -> None:
    stops = ("terminate_service", "record_violation")
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(
            pending("cwe-p", kind="termination", proposed_actions=stops),
            event(
                "cwe-f", "other", kind="termination", behaviour="in_call_abuse", clause=5, tier="major", actions=stops
            ),
        )
        both, ban = [(await client.get(f"/cases/{case}")).text for case in ("cwe-p", "cwe-f")]
        assert "<li>Termination: Terminate service</li><li>Ban: Ban the account</li><li>Record a violation</li>" in both
        assert "<li>Ban the account</li><li>Record a violation</li>" in ban
        assert "Terminate service" not in ban[ban.index('id="does-uphold"') : ban.index('id="does-overturn"')]
        assert ("The decision becomes final" in both, "The decision becomes final" in ban) == (True, False)


async def test_a_case_that_another_has_claimed_is_not_postponed(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as li, browser(console, WANG) as wang:
        await console.put(pending("cwe-p"))
        await li.post("/cases/cwe-p/claim")
        assert (await wang.post("/cases/cwe-p/postpone", data={"until": "1d"})).status_code == 409
        await wang.post("/queue/postpone", data={"ids": ["cwe-p"], "until": "1d"})
        assert console.rows(CASES)[0]["postponed_until_ms"] == 0
        assert (await li.post("/cases/cwe-p/postpone", data={"until": "1d"})).status_code == 303


async def test_a_forged_review_is_shown_as_one_without_effect(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(pending("cwe-p"))
        await client.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": "wrong tenant"})
        [verdict] = console.rows(VERDICTS)
        # Its id is known to everybody: a forger sends a review of the same id first. Workers with keys refuse it.
        forged = review(verdict["review_id"], "cwe-p", verdict="overturn", reviewer="mallory", reason="let them be")
        await console.put(forged)
        assert (page := (await client.get("/cases/cwe-p")).text).count("no effect seen") == 1
        assert "let them be" in page
        behind = Evidence(review_ids=(verdict["review_id"],))
        await console.put(event("cwe-r", "t-1", kind="reversal", reverses="cwe-p", evidence=behind))
        assert "no effect seen" in (await client.get("/cases/cwe-p")).text


async def test_the_page_names_the_key_that_signed_a_review(tmp_path: Path) -> None:
    key, keys = key_of("li"), tmp_path / "keys.yaml"
    keys.write_text(f"keys: {{li: {key.public_text}, mo: {key_of('mo').public_text}}}\n", "utf-8")
    async with (
        console_at(tmp_path, CALLWARDEN_REVIEW_KEYS_FILE=str(keys)) as console,
        browser(console, LI) as client,
        pages_of(console) as api,
    ):
        await console.put(pending("cwe-p"))
        await client.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": "wrong tenant"})
        console.now_ms += DAY
        work = partial(release_due, now_ms=console.now_ms, sign=lambda value: ((SIGNATURE_HEADER, sign(value, key)),))
        await console.database.run(work)
        await console.send()
        forged = codec.encode(review("r-2", "cwe-p", reviewer="mallory", reason="let them be"))
        foreign = sign(forged, key_of("mo", seed=1)), sign(forged, key_of("eve")), b"no signature"
        for signature in foreign:
            console.held.put("callwarden.reviews", 0, forged, key=b"t-1", headers=((SIGNATURE_HEADER, signature),))
        await console.follow()
        page = re.sub(r"<[^>]+>", "", (await client.get("/cases/cwe-p")).text)
        file = tmp_path / "case.json"
        file.write_bytes((await client.post("/cases/cwe-p/export")).content)
        answer = (await api.get("/v1/cases/cwe-p")).json()
        (await filled(address(tmp_path), console.held, NAMES)).close()
    assert "Signed with the key li: verified" in page
    for said in ("key mo: wrong signature", "key eve: the file of review keys has no", "no signature"):
        assert said in page[page.index("mallory") :]
    verify = ["ledger", "verify", "--database", address(tmp_path), "--case", str(file)]
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), verify)
    assert (done.exit_code, "contains all 5 records" in " ".join(done.output.split())) == (0, True), done.output
    exported = msgspec.json.decode(file.read_bytes())
    records = [one for one in exported["records"] if one["topic"] == "callwarden.reviews"]
    assert [base64.b64decode(one["signature"]) for one in records[1:]] == list(foreign)
    assert base64.b64decode(records[0]["signature"]).startswith(b"li:")
    assert {one["review_id"]: one["signatures"] for one in answer["reviews"]} == {
        answer["verdicts"][0]["review_id"]: [{"key": "li", "state": "verified"}],
        "r-2": [
            {"key": "mo", "state": "wrong"}, {"key": "eve", "state": "unknown_key"}, {"key": None, "state": "unsigned"},
        ],
    }  # fmt: skip


async def test_a_review_by_the_command_line_is_in_effect_once_a_decision_rests_on_it(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(pending("cwe-p"), review("r-1", "cwe-p", verdict="overturn"))
        assert "no effect seen" in (await client.get("/cases/cwe-p")).text
        behind = Evidence(review_ids=("r-1",))
        await console.put(event("cwe-r", "t-1", kind="reversal", reverses="cwe-p", evidence=behind))
        page = (await client.get("/cases/cwe-p")).text
        assert ("no effect seen" in page, "in effect" in page) == (False, True)


async def test_a_ban_is_approved_by_another_person(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as one, browser(console, WANG) as other:
        await console.put(pending("cwe-p"))
        await one.post("/cases/cwe-p/verdict", data={"verdict": "uphold", "reason": "heard"})
        [verdict] = console.rows(VERDICTS)
        assert verdict["state"] == "approval"
        mine = await one.get("/cases/cwe-p")
        assert "You cannot approve your own" in mine.text
        path = f"/cases/cwe-p/verdicts/{verdict['number']}/approve"
        assert (await one.post(path, data={"reason": "me again"})).status_code == 409
        assert "/cases/cwe-p" in (await other.get("/queue?view=approval")).text
        assert (await other.post(path, data={"reason": "heard, too"})).status_code == 303
        assert console.rows(VERDICTS)[0]["state"] == "waiting"


async def test_a_sent_verdict_says_when_it_takes_effect(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(pending("cwe-p"))
        console.now_ms = T0 + DAY
        await client.post("/cases/cwe-p/verdict", data={"verdict": "overturn", "reason": "wrong"})
        console.now_ms += 60_000
        await console.context.write(partial(release_due, now_ms=console.now_ms, sign=lambda value: ()))
        [verdict] = console.rows(VERDICTS)
        assert verdict["state"] == "sent"
        delay = "SELECT timestamp_ms - decided_ms FROM console_event"
        delay_ms = await console.context.read(lambda connection: connection.exec_driver_sql(delay).scalar_one())
        at = datetime.fromtimestamp((verdict["send_ms"] + delay_ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        for path in ("/cases/cwe-p", "/queue?view=verdicts"):
            page = (await client.get(path)).text
            assert re.search(rf"It takes effect about <time [^>]*>{at}</time>", page), path
        assert "cwe-p" not in (await client.get("/queue")).text


async def test_several_cases_of_one_cause_are_decided_together_after_a_preview(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(*(pending(f"cwe-{n}", review_by_ms=T0 + DAY + n) for n in range(4)))
        page = (await client.get("/queue?grouped=1")).text
        assert len(re.findall("data-row", page)) == 1
        assert "3 more of this tenant and cause" in page
        ids = [f"cwe-{n}" for n in range(4)]
        preview = (await client.post("/queue/preview", data={"ids": ids, "verdict": "overturn"})).text
        assert len(re.findall("data-row", preview)) == 4
        answer = await client.post(
            "/queue/verdict", data={"ids": ids, "verdict": "overturn", "reason": "wrong threshold"}
        )
        assert "4 verdicts given" in answer.text
        assert {row["state"] for row in console.rows(VERDICTS)} == {"waiting"}


async def test_more_cases_at_once_than_one_action_takes_are_refused_whole(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(*(pending(f"cwe-{n:03}", f"t{n}") for n in range(201)))
        ids = [f"cwe-{n:03}" for n in range(201)]
        fields = {"verdict": "overturn", "reason": "wrong", "until": "1d", "to": "me"}
        for action in ("claim", "assign", "postpone", "preview", "verdict"):
            assert (await client.post(f"/queue/{action}", data={**fields, "ids": ids})).status_code == 422, action
        assert console.rows(VERDICTS) == []
        await client.post("/queue/verdict", data={**fields, "ids": ids[1:], "seen": ids[1:]})
        assert len(console.rows(VERDICTS)) == 200


async def test_filters_postponing_and_mine(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(pending("cwe-a"), pending("cwe-b", "other", tier="minor", kind="warning", rule_id="r"))
        assert "cwe-b" not in (await client.get("/queue?tier=severe")).text
        assert "/cases/cwe-a" not in (await client.get("/queue?tenant=other")).text
        assert "/cases/cwe-a" not in (await client.get("/queue?rule=r")).text
        assert (await client.get("/queue?age=7d")).text.count("data-row") == 0
        await client.post("/queue/claim", data={"ids": ["cwe-a"]})
        assert "/cases/cwe-a" in (await client.get("/queue?view=mine")).text
        answer = await client.post("/cases/cwe-a/postpone", data={"until": "1d"})
        assert answer.headers["location"] == "/cases/cwe-b?done=cwe-a"
        assert "/cases/cwe-a" not in (await client.get("/queue")).text
        assert "/cases/cwe-a" in (await client.get("/queue?view=postponed")).text
        console.now_ms += DAY
        assert "/cases/cwe-a" in (await client.get("/queue")).text
        refused = await client.post("/cases/cwe-a/postpone", data={"until": "7d"})
        assert "beyond the time at which they lapse" in refused.text or refused.status_code == 409


async def test_what_tenants_write_is_shown_as_text(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        tenant = codec.convert(
            {
                "type": "tenant", "tenant_id": EVIL, "declared_businesses": [EVIL, "13912345678"], "numbers": [],
                "updated_ms": T0, "name": EVIL,
            }
        )  # fmt: skip
        assert isinstance(tenant, Tenant)
        await console.put(
            tenant,
            pending("cwe-p", EVIL, rule_id=EVIL, behaviour=EVIL, reason=Reason(EVIL, EVIL)),
            event("cwe-w", EVIL, reason=Reason(EVIL, "call 13912345678")),
            review("r-1", "cwe-p", tenant=EVIL, reviewer=EVIL, reason=EVIL + " 13912345678"),
        )
        await client.post("/cases/cwe-p/notes", data={"text": EVIL + " 13912345678", "kind": "appeal"})
        for path in ("/queue", "/cases/cwe-p", f"/queue?tenant={EVIL}&rule={EVIL}", "/queue?view=mine&tier=<script>"):
            text = (await client.get(path)).text
            assert "<script>alert" not in text
            assert ">49<" not in text
            assert "13912345678" not in text, path
        assert "13912345678" not in console.rows(NOTES)[0]["text"]


async def test_a_viewer_sees_and_decides_nothing(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, READER) as client:
        await console.put(pending("cwe-p"))
        page = (await client.get("/cases/cwe-p")).text
        assert 'action="/cases/cwe-p/verdict"' not in page
        for path in ("claim", "release", "verdict", "notes", "postpone", "export", "verdicts/1/cancel"):
            assert (
                await client.post(f"/cases/cwe-p/{path}", data={"verdict": "overturn", "reason": "x"})
            ).status_code == 403
        assert console.rows(CASES)[0]["claimed_by"] is None


async def test_a_case_is_found_by_any_of_its_ids_and_exported_with_its_records(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        upheld = event("cwe-u", supersedes="cwe-p", kind="ban", tier="severe", evidence=Evidence(review_ids=("r-1",)))
        await console.put(pending("cwe-p"), review("r-1", "cwe-p"), upheld)
        answer = await client.get("/cases/cwe-u")
        assert (answer.status_code, answer.headers["location"]) == (303, "/cases/cwe-p")
        assert (await client.get("/cases/cwe-unknown")).status_code == 404
        exported = await client.post("/cases/cwe-p/export")
        document = msgspec.json.decode(exported.content)
        assert [each["id"] for each in document["events"]] == ["cwe-p", "cwe-u"]
        assert [each["topic"] for each in document["records"]] == [
            "callwarden.enforcement", "callwarden.enforcement", "callwarden.reviews",
        ]  # fmt: skip
        assert document["records"][0]["offset"] == 0
        file = tmp_path / "case.json"
        file.write_bytes(exported.content)
        assert len(read_case(file).records) == 3  # `ledger verify --case` reads it
        assert exported.headers["content-disposition"] == 'attachment; filename="case-cwe-p.json"'


async def test_a_queue_is_paged_without_gaps(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, browser(console, LI) as client:
        await console.put(*(pending(f"cwe-{n:03}", f"t{n}", review_by_ms=T0 + DAY + n // 3) for n in range(120)))
        path, seen = "/queue", []
        while path:
            page = (await client.get(path)).text
            seen += re.findall(r'class="who" href="/cases/(cwe-\d+)"', page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            path = following[1].replace("&amp;", "&") if following else ""
        assert seen == [f"cwe-{n:03}" for n in range(120)]
        assert (await client.get("/queue?after=nonsense")).status_code == 303
