"""No text of a tenant, a record or a form acts on a page or shows a telephone number: tried on each route there is.

A new route needs its addresses or its form here, or the test of the tables fails.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import httpx
import msgspec
import pytest
import structlog
from argon2 import PasswordHasher
from fastapi.routing import APIRoute
from sqlalchemy import insert
from starlette.types import Receive, Scope, Send

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import (
    DAY_MS,
    HOSTILE,
    HOSTILE_ID,
    NUMBER,
    alerted,
    application,
    decided,
    reviewed,
    tenant,
)
from helpers.console_policies import ThreadChecks, file_of, recorded, started
from monitor.policy.load import loads
from oracle.ledger import T0
from schemas import codec
from schemas.inputs import Complaint
from schemas.outputs import Evidence, Reason
from streams.console.app import ROUTERS, make
from streams.console.cases import verdicts
from streams.console.cases.verdicts import VerdictRules, WantedVerdict
from streams.console.cluster_reports import ClusterReport
from streams.console.evidence.masked_record import masked
from streams.console.evidence.tables import EVIDENCE
from streams.console.identity.components import Identity
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.sessions import Session, Stage
from streams.console.identity.users import Role, User
from streams.console.pages.path_ids import tenant_path
from streams.console.policies import drafts
from streams.console.policies.checker import CheckRequest, check
from streams.console.policies.proposals import PolicyProposals
from streams.console.policies.requests import RequestedChange
from streams.console.previews.result import (
    ChangedTenant,
    ComparedPolicy,
    PreviewResult,
    RecordCounts,
    RuleCount,
    RuleStep,
)
from streams.console.previews.tables import PREVIEWS
from streams.console.security_headers import with_security_headers
from streams.kafka.api import TP
from streams.ops.dead_letters import DeadLetter
from streams.topics.reported_waits import ReportedWaits

NOW: Final = T0 + 10 * DAY_MS
EVERYBODY: Final = User("local:chen", "Chen", frozenset(Role))
LI: Final = User("local:li", HOSTILE, frozenset(Role))
TEXTS: Final = Reason(HOSTILE, HOSTILE)
WAITS: Final = decided(
    50, HOSTILE_ID, NOW - 2 * DAY_MS, tier="severe", status="pending_review", reason=TEXTS, rule_id=HOSTILE_ID,
    evidence=Evidence(call_ids=(HOSTILE_ID,), complaint_ids=(HOSTILE_ID,)),
)  # fmt: skip
BAN: Final = decided(51, HOSTILE_ID, NOW - DAY_MS, tier="severe", status="pending_review", reason=TEXTS)
FINAL: Final = decided(52, HOSTILE_ID, NOW - DAY_MS, tier="minor", reason=TEXTS, evidence=Evidence(review_ids=("r-1",)))
APPLICATION: Final = decided(
    53, HOSTILE_ID, NOW - DAY_MS, kind="admission_review", status="pending_review", behaviour="application_review",
    tier=None, rule_id="application_review", measure=None, window=None, clause=None, refunds="unaffected",
    review_by_ms=None, evidence=Evidence(application_ids=(HOSTILE_ID,)), reason=TEXTS,
)  # fmt: skip
HOSTILE_POLICY: Final = file_of("2") + f"# {HOSTILE}\n"
PREVIEW: Final = "cwp-1"
Q: Final = quote(HOSTILE)

GETS: Final[Mapping[str, tuple[str, ...]]] = {
    "/": ("/",),
    "/sign-in": (f"/sign-in?next={quote('/queue')}", f"/sign-in?failed={Q}"),
    "/sign-in/code": ("/sign-in/code",),
    "/sign-in/password": ("/sign-in/password",),
    "/sign-in/second-factor": ("/sign-in/second-factor",),
    "/sign-in/provider": ("/sign-in/provider",),
    "/sign-in/provider/callback": (f"/sign-in/provider/callback?code={Q}&state={Q}", "/sign-in/provider/callback"),
    "/notice": ("/notice",),
    "/queue": (
        "/queue", "/queue?view=mine", "/queue?view=approval", "/queue?view=sent", "/queue?view=postponed",
        "/queue?grouped=1", f"/queue?rule={quote(HOSTILE_ID)}&tenant={quote(HOSTILE_ID)}",
        f"/queue?view={Q}&tier={Q}&age={Q}&after={Q}", f"/queue?done={WAITS.id}", f"/queue?done={Q}",
    ),
    "/queue/counts": ("/queue/counts", f"/queue/counts?view={Q}"),
    "/queue/next": ("/queue/next", f"/queue/next?after={Q}"),
    "/cases/{case_id}": (
        *(f"/cases/{one.id}" for one in (WAITS, BAN, FINAL, APPLICATION)), f"/cases/{WAITS.id}?done={BAN.id}",
        f"/cases/{quote(HOSTILE_ID.replace('/', ''))}",
    ),
    "/tenants/{rest:path}": (
        tenant_path(HOSTILE_ID), f"{tenant_path(HOSTILE_ID)}/measures", f"{tenant_path(HOSTILE_ID)}?after={Q}",
    ),
    "/search": (
        "/search", "/search?q=hostile", f"/search?q={quote(HOSTILE_ID)}", f"/search?from={Q}&to={Q}&status={Q}",
    ),
    "/admissions": ("/admissions",),
    "/policy": ("/policy", f"/policy?said={Q}&refused={Q}"),
    "/policy/drafts/{draft_id}": ("/policy/drafts/DRAFT", "/policy/drafts/OTHER", f"/policy/drafts/DRAFT?refused={Q}"),
    "/policy/drafts/{draft_id}/check": ("/policy/drafts/DRAFT/check", "/policy/drafts/FAULTY/check"),
    "/policy/drafts/{draft_id}/preview": ("/policy/drafts/DRAFT/preview",),
    "/policy/proposals/{proposal_id}": ("/policy/proposals/PROPOSAL", f"/policy/proposals/PROPOSAL?refused={Q}"),
    "/policy/versions/{sha256}": ("/policy/versions/SHA", f"/policy/versions/SHA?against={Q}"),
    "/policy/exceptions": ("/policy/exceptions",),
    "/policy/exceptions/edit": (
        f"/policy/exceptions/edit?kind=exemption&tenant={quote(HOSTILE_ID)}",
        f"/policy/exceptions/edit?kind={Q}&at={Q}",
    ),
    "/policy/previews": ("/policy/previews", f"/policy/previews?after={Q}"),
    "/policy/previews/{preview_id}": (f"/policy/previews/{PREVIEW}",),
    "/policy/previews/{preview_id}/progress": (f"/policy/previews/{PREVIEW}/progress",),
    "/quality": ("/quality", f"/quality?days={Q}"),
    "/health": ("/health", f"/health?done={Q}"),
    "/health/cluster": ("/health/cluster",),
    "/health/programs": ("/health/programs",),
    "/settings/account": ("/settings/account", f"/settings/account?done={Q}"),
    "/admin/users": ("/admin/users", f"/admin/users?after={Q}"),
    "/admin/reasons": ("/admin/reasons",),
    "/admin/actions": ("/admin/actions", f"/admin/actions?actor={Q}&tenant={Q}&after={Q}"),
    "/v1/tenants": ("/v1/tenants", f"/v1/tenants?after={Q}"),
    "/v1/tenants/{tenant_id:path}": (tenant_path(HOSTILE_ID, "/v1/tenants/"),),
    "/v1/cases": ("/v1/cases", f"/v1/cases?tenant_id={quote(HOSTILE_ID)}"),
    "/v1/cases/{case_id}": tuple(f"/v1/cases/{one.id}" for one in (WAITS, BAN, FINAL, APPLICATION)),
    "/v1/decisions": ("/v1/decisions",),
    "/v1/measures": (f"/v1/measures?tenant_id={quote(HOSTILE_ID)}",),
    "/v1/openapi.json": ("/v1/openapi.json",),
}  # fmt: skip
"""The addresses of each page, by route. `/events` never ends, and has no text of anybody."""

_CASE: Final = f"/cases/{WAITS.id}"
POSTS: Final[Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]]] = {
    "/sign-in": (("/sign-in", {}),),
    "/sign-in/code": (("/sign-in/code", {}),),
    "/sign-in/password": (("/sign-in/password", {}),),
    "/sign-in/second-factor": (("/sign-in/second-factor", {}),),
    "/sign-out": (("/sign-out", {}),),
    "/queue/claim": (("/queue/claim", {"ids": WAITS.id}), ("/queue/claim", {})),
    "/queue/assign": (("/queue/assign", {"ids": WAITS.id, "to": "me"}), ("/queue/assign", {})),
    "/queue/postpone": (("/queue/postpone", {"ids": FINAL.id, "until": "1h"}), ("/queue/postpone", {})),
    "/queue/preview": (("/queue/preview", {"ids": WAITS.id, "verdict": "overturn"}), ("/queue/preview", {})),
    "/queue/verdict": (("/queue/verdict", {"ids": APPLICATION.id, "verdict": "reject"}), ("/queue/verdict", {})),
    "/cases/{case_id}/claim": ((f"{_CASE}/claim", {}),),
    "/cases/{case_id}/release": ((f"{_CASE}/release", {}),),
    "/cases/{case_id}/postpone": ((f"{_CASE}/postpone", {}),),
    "/cases/{case_id}/assign": ((f"{_CASE}/assign", {}),),
    "/cases/{case_id}/notes": ((f"{_CASE}/notes", {}), (f"{_CASE}/notes", {"kind": "appeal"})),
    "/cases/{case_id}/verdict": ((f"{_CASE}/verdict", {}), (f"{_CASE}/verdict", {"verdict": "overturn"})),
    "/cases/{case_id}/verdicts/{number}/cancel": ((f"{_CASE}/verdicts/99/cancel", {}),),
    "/cases/{case_id}/verdicts/{number}/approve": ((f"{_CASE}/verdicts/99/approve", {}),),
    "/cases/{case_id}/verdicts/{number}/decline": ((f"/cases/{BAN.id}/verdicts/1/decline", {}),),
    "/cases/{case_id}/export": ((f"{_CASE}/export", {}),),
    "/policy/drafts": (("/policy/drafts", {"base": ""}), ("/policy/drafts", {})),
    "/policy/drafts/{draft_id}": (("/policy/drafts/OTHER", {"revision": "1"}), ("/policy/drafts/DRAFT", {})),
    "/policy/drafts/{draft_id}/discard": (("/policy/drafts/OTHER/discard", {}),),
    "/policy/drafts/{draft_id}/shadow": (("/policy/drafts/DRAFT/shadow", {}),),
    "/policy/check": (("/policy/check", {}), ("/policy/check", {"text": f"id: house\n'{HOSTILE}': 1\n"})),
    "/policy/drafts/{draft_id}/propose": (("/policy/drafts/DRAFT/propose", {"revision": "1"}),),
    "/policy/withdraw": (("/policy/withdraw", {}),),
    "/policy/proposals/{proposal_id}/approve": (("/policy/proposals/PROPOSAL/approve", {}),),
    "/policy/proposals/{proposal_id}/decline": (("/policy/proposals/PROPOSAL/decline", {}),),
    "/policy/proposals/{proposal_id}/withdraw": (("/policy/proposals/PROPOSAL/withdraw", {}),),
    "/quality/second-looks": (("/quality/second-looks", {"case_id": FINAL.id}), ("/quality/second-looks", {})),
    "/health/dead-letters/{letter_id}/retry": (("/health/dead-letters/0-5/retry", {}),),
    "/policy/exceptions/edit": (
        ("/policy/exceptions/edit", {"kind": "exemption", "expires": "2099-01-01"}), ("/policy/exceptions/edit", {}),
    ),
    "/policy/previews": (("/policy/previews", {}),),
    "/policy/previews/{preview_id}/cancel": ((f"/policy/previews/{PREVIEW}/cancel", {}),),
    "/policy/previews/{preview_id}/export": (
        (f"/policy/previews/{PREVIEW}/export", {}), (f"/policy/previews/{PREVIEW}/export", {"format": "csv"}),
    ),
    "/settings/account/password": (("/settings/account/password", {}),),
    "/settings/account/second-factor": (("/settings/account/second-factor", {}),),
    "/settings/account/second-factor/confirm": (("/settings/account/second-factor/confirm", {}),),
    "/settings/account/second-factor/remove": (("/settings/account/second-factor/remove", {}),),
    "/settings/account/recovery-codes": (("/settings/account/recovery-codes", {}),),
    "/settings/account/sessions": (("/settings/account/sessions", {}),),
    "/settings/account/tokens": (("/settings/account/tokens", {"days": "30"}), ("/settings/account/tokens", {})),
    "/settings/account/tokens/revoke": (("/settings/account/tokens/revoke", {}),),
    "/admin/users": (("/admin/users", {"role_viewer": "on"}),),
    "/admin/users/change": (("/admin/users/change", {"change": "disable"}), ("/admin/users/change", {})),
    "/admin/reasons": (("/admin/reasons", {"verdict": "any"}), ("/admin/reasons", {})),
    "/admin/reasons/{number}": (("/admin/reasons/1", {"verdict": "any"}), ("/admin/reasons/1", {})),
    "/admin/actions/export": (("/admin/actions/export", {}),),
}  # fmt: skip
"""Forms of each route: the fields that need a certain value; all others have the hostile text."""

OWN_FIELDS: Final = frozenset(
    {
        "/policy/drafts/{draft_id}", "/search", "/admin/actions", "/sign-in", "/policy/exceptions/edit", "/admin/users",
        "/admin/reasons", "/admin/reasons/{number}",
    }
)  # fmt: skip
"""Routes whose fields show what the reader has written: its draft, its filter, a form that was refused."""

FIELDS: Final = (
    "ids", "to", "until", "verdict", "reason", "kind", "text", "case_id", "answer", "note", "base", "title", "revision",
    "sha256", "when", "from", "seen", "name", "password", "repeated", "current", "code", "session", "token", "days",
    "subject", "change", "zh", "en", "format", "draft", "source", "tenant", "tenants", "rule", "rules", "owner", "do",
    "expires", "at", "next",
)  # fmt: skip


class Reports:
    """Stands for Kafka: a dead letter and a wait with hostile texts."""

    async def report(self) -> ClusterReport:
        letter = DeadLetter(0, 5, T0, b"k", b"v", f"invalid_record {HOSTILE}", TP("callwarden.calls", 0), 9)
        return ClusterReport(ReportedWaits(T0, {3: [HOSTILE]}), [letter], set())

    async def retry(self, letter_id: str) -> bool:
        return True


def complaint() -> Complaint:
    record = codec.convert(
        {
            "type": "complaint", "complaint_id": HOSTILE_ID, "tenant_id": HOSTILE_ID, "category": "fraud",
            "status": "verified", "caller": NUMBER, "complainant": "person-1", "channel": HOSTILE, "reported_ms": T0,
            "updated_ms": T0,
        }
    )  # fmt: skip
    assert isinstance(record, Complaint)
    return record


def preview_of(text: str) -> dict[str, Any]:
    """A finished preview whose texts are hostile."""
    after = loads(text, "f")
    step = RuleStep(HOSTILE_ID, "final", True, "minor", 0, HOSTILE, HOSTILE)
    none: dict[str, str | None] = {"final": None, "pending": None, "shadow": None}
    compared = ComparedPolicy(HOSTILE, HOSTILE, after.sha256)
    result = PreviewResult(
        before=compared, after=compared, records=RecordCounts(1, 1, 1, 0, 0, 1, None, [("bad_field", 1)]), tiers=[],
        changed=[ChangedTenant(HOSTILE_ID, none, none | {"final": "minor"}, [step])], changed_total=1, new_total=1,
        gone_total=0, rules=[RuleCount(HOSTILE_ID, (1, 2), (3, 4), (5, 6))], scores=[],
    )  # fmt: skip
    return {
        "id": PREVIEW, "subject": LI.subject, "name": HOSTILE, "state": "done", "source": "file", "days": 1,
        "file_name": HOSTILE, "file_bytes": 9, "title": HOSTILE, "base_name": HOSTILE, "base_sha256": after.sha256,
        "asked_ms": NOW, "alive_ms": NOW, "step": "after", "read": 0, "total": 0, "policy_sha256": after.sha256,
        "result": msgspec.json.encode(result),
    }  # fmt: skip


async def fill(console: ConsoleHarness) -> dict[str, str]:
    """Hostile texts wherever a record or a user can put one. The ids that stand for words in the addresses."""
    await console.put(tenant(HOSTILE_ID, T0, f"hostile {HOSTILE}", HOSTILE_ID, (HOSTILE,)))
    await console.put(
        tenant("b", T0, HOSTILE, HOSTILE_ID), application(HOSTILE_ID, HOSTILE_ID, T0, f"催收 {HOSTILE}", HOSTILE)
    )
    await console.put(WAITS, BAN, FINAL, APPLICATION, alerted(HOSTILE_ID, NOW - DAY_MS, reason=TEXTS))
    await console.put(reviewed(FINAL, NOW - 1, "uphold", HOSTILE), reviewed(WAITS, NOW - 1, "overturn", HOSTILE))
    await console.put(decided(54, HOSTILE_ID, T0, reason=TEXTS, rule_id=HOSTILE_ID), shadow=True)
    await recorded(console, started(loads(file_of("1"), "f"), T0, HOSTILE))
    kept = {"enforcement_id": WAITS.id, "tenant_id": HOSTILE_ID, "topic": "c", "partition": 0, "added_ms": T0}
    value = msgspec.json.encode(masked(complaint()))
    rows = [
        kept | {"number": 0, "offset": 0, "state": "kept", "value": value},
        kept | {"number": 1, "offset": 1, "state": "expired", "value": None},
    ]
    rules = VerdictRules(0, 60_000, four_eyes=True)
    steps = PolicyProposals(console.context.policies, True, 1_000)
    checked = check(CheckRequest(HOSTILE_POLICY, 0)).policy
    assert checked is not None

    def work(connection: Any) -> dict[str, str]:
        connection.execute(insert(EVIDENCE), rows)
        given = verdicts.give(connection, [BAN.id], WantedVerdict("uphold", HOSTILE), LI, rules, NOW)
        assert not given.refused
        draft = drafts.create(connection, EVERYBODY, HOSTILE_POLICY, HOSTILE, NOW)
        other = drafts.create(connection, LI, HOSTILE_POLICY, HOSTILE, NOW)
        faulty = drafts.create(connection, LI, f"id: house\n'{HOSTILE}': 1\n", HOSTILE, NOW)
        wanted = RequestedChange("apply", (checked.sha256,), None, HOSTILE)
        proposal = steps.propose(connection, LI, other, checked, wanted, NOW)
        assert proposal is not None
        connection.execute(insert(PREVIEWS).values(preview_of(HOSTILE_POLICY)))
        return {"DRAFT": draft.id, "OTHER": other.id, "FAULTY": faulty.id, "PROPOSAL": proposal, "SHA": checked.sha256}

    return await console.database.run(work)


@asynccontextmanager
async def browser_of(console: ConsoleHarness) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with every role, signed in."""
    passwords = PasswordChecks(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    identity = Identity(console.settings, console.database, console.clock, passwords)
    await identity.prepare()
    console.context = replace(console.context, reports=Reports())  # type: ignore[arg-type]  # what pages use of it
    made = make(console.context)
    made.state.policy_checks, made.state.identity = ThreadChecks(), identity
    await made.state.changes.look()
    app = with_security_headers(made)
    session = Session("h", EVERYBODY, Stage.FULL, "password", NOW, NOW, "192.0.2.1", HOSTILE)

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        await app(
            {**scope, "callwarden.user": EVERYBODY, "callwarden.csrf": "t", "callwarden.session": session},
            receive,
            send,
        )

    transport = httpx.ASGITransport(app=signed_in, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:6071") as client:
            yield client
    finally:
        passwords.close()


def routes(method: str) -> set[str]:
    """The paths of the routes with that method."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return {route.path for route in found if method in route.methods}


class Page(HTMLParser):
    """What a page shows: its texts and attributes; apart the values of its fields, and what a text made of it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fields: list[str] = []
        self.acts: list[str] = []
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.acts += [f"<{tag}>"] if tag in ("img", "iframe") else []
        for name, value in attrs:
            self.acts += [f"<{tag} {name}>"] if name.startswith("on") or (value or "").startswith("javascript:") else []
            kept = self.fields if name == "value" else self.texts
            # A control character changes the order of what is read, and no attribute is read but in a field.
            kept.append((value or "").replace("\u202e", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.fields if self._inside == "textarea" else self.texts).append(data)


def harm_of(answer: httpx.Response, own_fields: bool) -> list[str]:
    """What an answer does that no text may make it do. ``own_fields``: its fields show what the reader has written."""
    headers = " ".join(f"{name}: {unquote(value)}" for name, value in answer.headers.items())
    found = [f"status {answer.status_code}"] if answer.status_code >= 500 else []
    if "attachment" in answer.headers.get("content-disposition", "") and "case-" in headers:
        return found  # the records as they were written, whole: `ledger verify --case` compares them
    if answer.headers.get("content-type", "").startswith("text/html"):
        page = Page(answer.text)
        shown = " ".join(page.texts + ([] if own_fields else page.fields))
        found += page.acts + (["a control character in the page"] if "\u202e" in shown else [])
    else:
        shown = answer.text
    found += [f"a number in {where}" for where, text in (("a header", headers), ("it", shown)) if "12345678" in text]
    return found


def test_each_route_is_tried() -> None:
    assert set(GETS) | {"/events"} == routes("GET") | {"/"}
    assert set(POSTS) == routes("POST")


async def test_no_text_acts_or_shows_a_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "httpx")  # of the browser, not of the console
    found, statuses = [], dict[str, int]()
    async with console_at(tmp_path) as console:
        console.now_ms = NOW
        ids = await fill(console)

        def filled(address: str) -> str:
            for word, value in ids.items():
                address = address.replace(word, value)
            return address

        async with browser_of(console) as browser:
            with structlog.testing.capture_logs() as logs:
                for language in ("zh", "en"):
                    if language == "en":  # the forms have put their texts where they belong
                        for route, forms in POSTS.items():
                            for address, fields in forms:
                                answer = await browser.post(
                                    filled(address), data=dict.fromkeys(FIELDS, HOSTILE) | fields
                                )
                                found += [f"POST {address}: {one}" for one in harm_of(answer, route in OWN_FIELDS)]
                    for route, addresses in GETS.items():
                        for address in addresses:
                            answer = await browser.get(filled(address), headers={"cookie": f"lang={language}"})
                            statuses[address] = answer.status_code
                            found += [f"{language}, {address}: {one}" for one in harm_of(answer, route in OWN_FIELDS)]
    assert not found, "\n".join(found)
    assert "12345678" not in f"{logs} {caplog.text}"
    assert not {address: status for address, status in statuses.items() if status == 405}
    shown = [address for address, status in statuses.items() if status == 200]
    assert len(shown) > 60, "most pages were shown"


ODD: Final = ("9" * 30, f"{'9' * 30}.YQ", "\0", "\ud800\u202e", "x" * 1_000)
QUERIES: Final = (
    "after",
    "view",
    "done",
    "q",
    "from",
    "to",
    "days",
    "id",
    "next",
    "against",
    "kind",
    "at",
    "actor",
    "once",
)


async def test_no_value_is_an_error_of_the_server(tmp_path: Path) -> None:
    """Each route with odd values in its path, its query and its form, by somebody who may do everything."""
    wrong = []
    async with console_at(tmp_path) as console:
        console.now_ms = NOW
        await fill(console)
        async with browser_of(console) as browser:
            for value in ODD:
                written = quote(value.replace("/", ""), safe="", errors="replace")
                for method in ("GET", "POST"):
                    for route in sorted(routes(method) - {"/events"}):
                        path = re.sub(r"\{[^}]*\}", written, route)
                        if method == "GET":
                            answer = await browser.get(f"{path}?{'&'.join(f'{name}={written}' for name in QUERIES)}")
                        else:
                            body = "&".join(f"{name}={written}" for name in FIELDS)
                            headers = {"content-type": "application/x-www-form-urlencoded"}
                            answer = await browser.post(path, content=body, headers=headers)
                        if answer.status_code >= 500:
                            wrong.append(f"{method} {path[:80]}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
