"""No text of a tenant, a record or a form acts on a page or shows a telephone number: tried on each route there is.

A new route needs its addresses or its form here, or the test of the tables fails.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
import structlog

from helpers.console_harness import console_at
from helpers.console_pages import (
    HOSTILE,
    HOSTILE_ID,
)
from helpers.harmless_page import FIELDS, OWN_FIELDS, harm_of
from helpers.hostile_console import APPLICATION, BAN, FINAL, NOW, PREVIEW, WAITS, address_with, browser_of, fill
from helpers.odd_values import ODD, errors_by, routes
from helpers.thorough import thorough
from streams.console.pages.path_ids import tenant_path

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
        "/queue", "/queue?view=mine", "/queue?view=approval", "/queue?view=postponed",
        "/queue?view=verdicts", f"/queue?view=verdicts&mine=1&after={Q}",
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
        f"/search?rule={quote(HOSTILE_ID)}", f"/search?rule={Q}",
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

        async with browser_of(console) as browser:
            with structlog.testing.capture_logs() as logs:
                for language in ("zh", "en"):
                    if language == "en":  # the forms have put their texts where they belong
                        for route, forms in POSTS.items():
                            for address, fields in forms:
                                answer = await browser.post(
                                    address_with(ids, address), data=dict.fromkeys(FIELDS, HOSTILE) | fields
                                )
                                found += [f"POST {address}: {one}" for one in harm_of(answer, route in OWN_FIELDS)]
                    for route, addresses in GETS.items():
                        for address in addresses:
                            answer = await browser.get(
                                address_with(ids, address), headers={"cookie": f"lang={language}"}
                            )
                            statuses[address] = answer.status_code
                            found += [f"{language}, {address}: {one}" for one in harm_of(answer, route in OWN_FIELDS)]
    assert not found, "\n".join(found)
    assert "12345678" not in f"{logs} {caplog.text}"
    assert not {address: status for address, status in statuses.items() if status == 405}
    shown = [address for address, status in statuses.items() if status == 200]
    assert len(shown) > 60, "most pages were shown"


@pytest.mark.parametrize("values", thorough([[*ODD[:2]], [*ODD[2:]]], 1), ids=lambda values: f"{len(values)} values")
async def test_no_value_is_an_error_of_the_server(values: list[str], tmp_path: Path) -> None:
    """Each route with odd values in its path, its query and its form, by somebody who may do everything."""
    wrong = list[str]()
    async with console_at(tmp_path) as console:
        console.now_ms = NOW
        await fill(console)
        async with browser_of(console) as browser:
            for value in values:
                wrong += await errors_by(value, browser)
    assert not wrong, "\n".join(wrong)
