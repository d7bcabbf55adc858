"""The log of actions: filters, pages, export, and nothing in it that acts on a page."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import insert

from helpers.console_identity import NOON_MS, Clock, recorded
from monitor.policy.model import OpenKind
from oracle.ledger import action
from schemas.actions import Action, ActionName
from streams.console.app import make
from streams.console.cases.reason_texts import VERDICTS_OF_TEXTS
from streams.console.context import ConsoleContext
from streams.console.four_eyes import ProposalKind
from streams.console.identity.links import sign_in_links
from streams.console.identity.oidc import sign_in as oidc_sign_in
from streams.console.identity.users import Role, User
from streams.console.previews.task import Source
from streams.console.tables import ACTIONS
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.settings.load import load

AUDITOR = User("local:aude", "aude", frozenset({Role.AUDITOR}))


@pytest.fixture
async def browser(database: Database, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    context = ConsoleContext(load({}), database, ConsoleMetrics(), lambda: FollowerProgress(None, {}), clock)
    app = make(context)

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "callwarden.user": AUDITOR}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=call), base_url="http://127.0.0.1") as made:
        yield made


async def _store(database: Database, *some: Action) -> None:
    rows = [
        {
            **{name: getattr(each, name) for name in ("action", "actor", "subject", "tenant_id", "enforcement_id")},
            "id": each.action_id,
            "at_ms": each.at_ms,
            "value": msgspec.json.encode(each),
        }
        for each in some
    ]
    await database.run(lambda connection: connection.execute(insert(ACTIONS), rows))


async def test_all_pages_together_show_each_action_once(browser: httpx.AsyncClient, database: Database) -> None:
    # Many at the same time, so that a page ends among them.
    await _store(database, *(action(f"cwc-{number:03}", f"local:u{number:03}") for number in range(120)))
    seen, path = [], "/admin/actions?action=case_claimed"
    while path:
        page = (await browser.get(path)).text
        seen += [part[:4] for part in page.split("<bdi>local:")[1:]]
        path = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert seen == [f"u{number:03}" for number in reversed(range(120))]


async def test_filters(browser: httpx.AsyncClient, database: Database) -> None:
    await _store(
        database,
        action("cwc-1", "local:li", tenant_id="acme", enforcement_id="cwe-1"),
        action("cwc-2", "local:wu", subject="local:li", tenant_id="other"),
        msgspec.structs.replace(action("cwc-3", "local:wu"), action="signed_in"),
    )
    for query, expected in (
        ("", 3),
        ("who=local:li", 2),
        ("tenant=acme", 1),
        ("decision=cwe-1", 1),
        ("action=signed_in", 1),
        ("who=local:li&tenant=other", 1),
        ("who=%27%20OR%201=1", 0),
        ("after=x", 3),
        ("after=1-x", 0),
    ):
        page = (await browser.get(f"/admin/actions?{query}")).text
        assert page.count("<time ") == expected, query


async def test_an_export_has_what_the_filters_select_and_is_recorded(
    browser: httpx.AsyncClient, database: Database
) -> None:
    await _store(
        database, *(action(f"cwc-{number:04}", "local:li") for number in range(2_500)), action("cwc-x", "local:wu")
    )
    answer = await browser.post("/admin/actions/export", data={"who": "local:li"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["action_id"] for line in lines] == [f"cwc-{number:04}" for number in reversed(range(2_500))]
    assert answer.headers["content-disposition"] == 'attachment; filename="callwarden-actions.jsonl"'
    (done,) = recorded(database)
    assert (done["action"], done["actor"], done["details"]) == ("actions_exported", "local:aude", {"who": "local:li"})
    assert done["at_ms"] == NOON_MS


async def test_each_kind_of_action_is_named_in_the_readers_language(
    browser: httpx.AsyncClient, database: Database
) -> None:
    details = {"before": "", "roles": "reviewer,former_role", "until_ms": "1772409600000", "of_a_later_release": "x"}
    shown = action("cwc-0", details=details)
    await _store(
        database,
        shown,
        *(msgspec.structs.replace(action(f"cwc-{name}"), action=name) for name in get_args(ActionName)),
    )
    page = (await browser.get("/admin/actions", headers={"cookie": "lang=zh; zone=Asia/Shanghai"})).text
    assert all(f'<option value="{name}">' in page for name in get_args(ActionName))
    for words in ("领取案件", "导出操作记录", "复核员、former_role", "2026-03-02 08:00:00", "of_a_later_release"):
        assert words in page, words
    page = (await browser.get("/admin/actions")).text
    assert "roles before – · roles reviewer, former_role" in " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def test_nothing_in_an_action_acts_on_the_page(browser: httpx.AsyncClient, database: Database) -> None:
    hostile = '"><img src=x onerror=alert(1)>'
    await _store(
        database, action("cwc-1", f"oidc:{hostile}", tenant_id=hostile, reason=hostile, details={hostile: hostile})
    )
    page = (await browser.get("/admin/actions", params={"who": hostile, "after": hostile})).text
    assert "<img" not in page
    assert "<img" not in (await browser.get("/admin/actions")).text


VALUES = {
    "method": {"password", oidc_sign_in._METHOD, sign_in_links._METHOD},
    "kind": {*ProposalKind, *get_args(OpenKind)},
    "answer": {"agrees", "would_overturn"},
    "verdict": set(VERDICTS_OF_TEXTS),
    "change": {"added", "changed", "removed"},
    "step": {"started", "cancelled", "exported"},
    "source": set(get_args(Source)),
    "preview": {"none"},
}


@pytest.mark.parametrize(("language", "said"), [("zh", "撤销"), ("en", "overturn")])
async def test_the_code_words_of_details_are_in_the_language_of_the_reader(
    browser: httpx.AsyncClient, database: Database, language: str, said: str
) -> None:
    details = [{name: value} for name, values in VALUES.items() for value in sorted(values)]
    details += [{"action": name} for name in sorted(get_args(ActionName))]
    await _store(database, *(replace(action(f"cwc-{n:03}"), details=one) for n, one in enumerate(details)))
    browser.cookies.set("lang", language)
    page, cursor = "", "/admin/actions"
    while cursor:
        page += (part := (await browser.get(cursor)).text)
        cursor = part.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    shown = re.findall("</span> <bdi>([^<]*)</bdi>", page)
    assert len(shown) == len(details)
    assert said in shown
    english = [
        text
        for text in shown
        if re.search("[A-Za-z]", text) and text not in ("Kafka 主题", "生成 API 令牌", "撤销 API 令牌")
    ]
    assert (english == []) == (language == "zh"), english


async def test_a_value_of_another_release_is_shown_as_it_is(browser: httpx.AsyncClient, database: Database) -> None:
    await _store(database, replace(action("cwc-1"), details={"method": "retina", "action": "teleported"}))
    browser.cookies.set("lang", "zh")
    page = (await browser.get("/admin/actions")).text
    assert "<bdi>retina</bdi>" in page
    assert "<bdi>teleported</bdi>" in page
