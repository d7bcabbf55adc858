"""Exceptions of the policy: the list with what has expired, and the form, whose result is a draft of the text."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import HOSTILE_ID, pages_of
from helpers.english_sentences import english_in
from monitor.policy.load import loads, to_plain
from streams.console.identity.users import Role
from streams.console.policies import drafts, texts
from streams.console.policies.exceptions import next_version
from streams.console.policies.tables import POLICY_CHANGES, POLICY_DRAFTS

POLICY = """id: house  # ours
version: "2026-11"
extends: access-rules
# the exceptions
overrides:
- {tenant: acme, rule: short-calls, above: 0.6, owner: ops, reason: surveys, expires: 2099-01-01}
exemptions:
- tenant: hospital  # calls at night
  rules: [out-of-hours]
  owner: ops
  reason: "<img src=x onerror=alert(1)> +8613812345678"
  expires: 2020-01-01
profiles:
  schools:
    {exempt: [short-calls], tenants: [s1, s2, s3, s4, s5, s6, s7], owner: ops, reason: calls, expires: 2099-01-01}
"""


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    text = re.sub(r"reason: .*onerror.*", 'reason: "<img src=x onerror=alert(1)> +8613812345678"', POLICY)
    (tmp_path / "policy.yaml").write_text(text)
    async with console_at(tmp_path, policy=str(tmp_path / "policy.yaml")) as console:
        yield console


@pytest.fixture
async def owner(console: ConsoleHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with pages_of(console, Role.POLICY_OWNER) as client:
        yield client


def draft_of(console: ConsoleHarness, answer: httpx.Response) -> drafts.Draft:
    assert answer.status_code == 303, re.sub(r"<[^>]+>", " ", answer.text)[-2_000:]
    with console.database.reading() as connection:
        draft = drafts.get(connection, answer.headers["location"].rpartition("/")[2])
    assert draft is not None
    return draft


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_the_list_shows_what_holds_and_what_has_expired(owner: httpx.AsyncClient, lang: str) -> None:
    owner.cookies.set("lang", lang)
    page = (await owner.get("/policy/exceptions")).text
    for said in ("acme", "short-calls", "hospital", "schools", "60 %", "→", "s5"):
        assert said in page, said
    assert ("Short-call ratio in 4h" if lang == "en" else "4 小时内短呼占比") in page
    assert ("Expired" if lang == "en" else "已到期") in page
    assert ("2 more" if lang == "en" else "另有 2 个") in page
    assert "<img src=x" not in page
    assert "13812345678" not in page
    assert page.index("hospital") < page.index("acme")  # what has ended comes first
    found = (await owner.get("/policy/exceptions", params={"q": "s7"})).text
    assert ("schools" in found, "hospital" in found) == (True, False)


EXEMPTION = {
    "kind": "exemption",
    "at": "",
    "tenant": "bank",
    "rules": ["short-calls", "out-of-hours"],
    "owner": "li",
    "reason": "calls back, see +8613812345678",
    "expires": "2098-01-01",
    "version": "2026-12",
}


async def test_an_exemption_becomes_a_draft_of_the_text(console: ConsoleHarness, owner: httpx.AsyncClient) -> None:
    draft = draft_of(console, await owner.post("/policy/exceptions/edit", data=EXEMPTION))
    assert draft.title == "Exemption: bank (short-calls, out-of-hours)"
    for kept in (
        "id: house  # ours",
        "# the exceptions",
        "- tenant: hospital  # calls at night",
        "version: 2026-12" if "version: 2026-12" in draft.text else 'version: "2026-12"',
    ):
        assert kept in draft.text
    policy = loads(draft.text, "p")
    made = next(one for one in policy.exemptions if one.tenant == "bank")
    assert (made.rules, made.owner) == (("out-of-hours", "short-calls"), "li")
    assert made.reason == "calls back, see +•••••••••••78"
    assert policy.version == "2026-12"


async def test_an_override_with_a_share(console: ConsoleHarness, owner: httpx.AsyncClient) -> None:
    form = {k: v for k, v in EXEMPTION.items() if k != "rules"} | {
        "kind": "override",
        "rule": "short-calls",
        "threshold": "72.5%",
    }
    draft = draft_of(console, await owner.post("/policy/exceptions/edit", data=form | {"mode": "review"}))
    rule = next(one.rule for one in loads(draft.text, "p").overrides if one.tenant == "bank")
    assert (rule.threshold, rule.mode) == (0.725, "review")


async def test_one_is_changed_and_one_is_ended(console: ConsoleHarness, owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/policy/exceptions/edit", params={"kind": "profile", "at": "schools"})).text
    assert "s1\ns2" in html.unescape(page)
    form: dict[str, Any] = {**EXEMPTION, "kind": "profile", "at": "schools", "tenants": "s1\n s9 \n", "version": ""}
    draft = draft_of(console, await owner.post("/policy/exceptions/edit", data=form))
    assert {one.name: one.tenants for one in loads(draft.text, "p").profiles} == {"schools": ("s1", "s9")}
    ended = {"kind": "exemption", "at": "0", "do": "end", "tenant": "hospital", "version": "x"}
    draft = draft_of(console, await owner.post("/policy/exceptions/edit", data=ended))
    assert "exemptions: []\n" in draft.text
    assert draft.title.startswith("End of Exemption: hospital")
    assert (await owner.get("/policy/exceptions/edit", params={"kind": "exemption", "at": "7"})).status_code == 404


@pytest.mark.parametrize("do", ["save", "end"])
async def test_a_form_of_an_earlier_policy_does_not_change_another_exception(
    tmp_path: Path, console: ConsoleHarness, owner: httpx.AsyncClient, do: str
) -> None:
    page = (await owner.get("/policy/exceptions/edit", params={"kind": "exemption", "at": "0"})).text
    form = {**EXEMPTION, "at": "0", "tenant": "hospital", "do": do, "policy": _shown_policy(page)}
    draft_of(console, await owner.post("/policy/exceptions/edit", data=form))
    other = "- {tenant: bank, rules: [short-calls], owner: o, reason: r, expires: 2099-01-01}\n- tenant: hospital"
    await _change_policy(console, POLICY.replace("- tenant: hospital", other))
    answer = await owner.post("/policy/exceptions/edit", data=form)
    assert answer.status_code == 409
    assert "The policy has changed since this page was opened" in html.unescape(answer.text)
    assert _shown_policy(answer.text) == form["policy"]  # sent again, it is refused again
    page = (await owner.get("/policy/exceptions/edit", params={"kind": "exemption", "at": "1"})).text
    draft = draft_of(
        console, await owner.post("/policy/exceptions/edit", data=form | {"at": "1", "policy": _shown_policy(page)})
    )
    assert "bank" in draft.text


def _shown_policy(page: str) -> str:
    (shown,) = set(re.findall(r'name="policy" value="([0-9a-f]{64})"', page))
    return str(shown)


async def _change_policy(console: ConsoleHarness, text: str) -> None:
    """Put another policy in force, as if a worker had recorded it."""
    policy = loads(text, "p")
    said = {"reason": "", "given_by": "", "at_ms": 1}
    change = {"partition": 0, "offset": 1, "from_ms": 1, "sha256": policy.sha256, **said}

    def work(connection: Connection) -> None:
        texts.remember(connection, to_plain(policy), policy.sha256, 1, text)
        connection.execute(insert(POLICY_CHANGES).values(change))

    await console.database.run(work)


async def test_a_threshold_keeps_all_its_digits_in_the_form(console: ConsoleHarness, owner: httpx.AsyncClient) -> None:
    await _change_policy(console, POLICY.replace("above: 0.6", "above: 0.6000000000000001"))
    page = (await owner.get("/policy/exceptions/edit", params={"kind": "override", "at": "0"})).text
    assert 'value="0.6000000000000001"' in page


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tenant": " "}, "Enter the tenant"),
        ({"rules": []}, "at least one rule"),
        ({"reason": ""}, "Enter a reason"),
        ({"expires": "soon"}, "expected a date"),
        ({"kind": "override", "rule": "short-calls", "threshold": "much"}, "a number or a percentage"),
        ({"kind": "override", "rule": "short-calls"}, "at least one setting"),
        ({"kind": "override", "rule": "short-calls", "tenant": "acme", "threshold": "0.7"}, "already has an override"),
        ({"kind": "override", "rule": "short-calls", "threshold": "170%"}, "17"),
        ({"kind": "profile", "name": "schools", "tenants": "a"}, "cannot edit this policy file"),
        ({"at": "99"}, "cannot edit this policy file"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_lost(
    console: ConsoleHarness, owner: httpx.AsyncClient, changed: dict[str, Any], says: str
) -> None:
    answer = await owner.post("/policy/exceptions/edit", data=EXEMPTION | changed)
    assert answer.status_code == 409
    page = html.unescape(answer.text)
    assert says in page
    if changed.get("reason") is None:
        assert "calls back, see" in page
    assert console.rows(POLICY_DRAFTS) == []


async def test_the_form_is_prefilled_from_a_case_or_a_tenant(owner: httpx.AsyncClient) -> None:
    given = {"kind": "exemption", "tenant": HOSTILE_ID, "rule": "short-calls"}
    page = (await owner.get("/policy/exceptions/edit", params=given)).text
    assert "<img src=x" not in page
    assert f'value="{html.escape(HOSTILE_ID)}"'.replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    assert re.search(r'value="short-calls" checked', page)


def test_the_next_version_is_the_date() -> None:
    assert next_version("1", "2026-11-29") == "2026-11-29"
    assert next_version("2026-11-29", "2026-11-29") == "2026-11-29.2"
    assert next_version("2026-11-29.9", "2026-11-29") == "2026-11-29.10"
    assert next_version("2026-11-29-b", "2026-11-29") == "2026-11-29.2"
    assert next_version("2026-11-29.²", "2026-11-29") == "2026-11-29.2"


async def test_a_chinese_reader_gets_the_faults_of_a_form_in_chinese(owner: httpx.AsyncClient) -> None:
    owner.cookies.set("lang", "zh")
    form = {k: v for k, v in EXEMPTION.items() if k != "rules"}
    form |= {"kind": "override", "rule": "short-calls", "threshold": "1.5", "tenant": "acme", "expires": "soon"}
    answer = await owner.post("/policy/exceptions/edit", data=form)
    assert answer.status_code == 409
    refused = re.sub(r"<[^>]+>", "\n", answer.text.partition('role="alert"')[2].partition("</div>")[0])
    for said in ("`acme` 对 `short-calls` 已有参数覆盖（第 6 行）", "不会高于 1.5", "实际值：`soon`"):
        assert said in html.unescape(refused), refused
    assert english_in(html.unescape(refused)) == []
