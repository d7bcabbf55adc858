"""The name of a rule stands beside its id wherever a person reads it."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, HOSTILE_ID, alerted, decided, pages_of
from helpers.console_pages import tenant as tenant_record
from oracle.ledger import T0, pending
from streams.console.identity.users import Role


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        made.now_ms = T0 + 2 * DAY_MS
        yield made


async def words_of(client: httpx.AsyncClient, path: str, language: str = "en") -> str:
    """The page without its markup."""
    answer = await client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200, path
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def waiting(number: int, rule_id: str, **changes: object) -> object:
    return decided(number, "acme", T0 + number, rule_id=rule_id, status="pending_review", **changes)


async def test_each_page_names_a_measured_rule_in_the_readers_language(console: ConsoleHarness) -> None:
    case, other = waiting(1, "short-calls"), waiting(2, "short-calls")
    await console.put(tenant_record("acme", T0, "Acme"), case, other, alerted("acme", T0, rule_id="short-calls"))
    english, chinese = "Short-call ratio in 4h short-calls", "4 小时内短呼占比 short-calls"
    paths = (
        "/queue", f"/cases/{case.id}", "/tenants/acme", "/tenants/acme?rule=short-calls", "/quality",
        "/search?q=short-calls", "/search?rule=short-calls",
    )  # fmt: skip
    async with pages_of(console, Role.REVIEWER, Role.AUDITOR) as client:
        for path in paths:
            assert english in await words_of(client, path), path
            assert chinese in await words_of(client, path, "zh"), path
        assert "Short-call ratio in 4h · short-calls" in await words_of(client, "/queue")
        preview = await client.post("/queue/preview", data={"ids": [case.id, other.id], "verdict": "uphold"})
        assert preview.text.count("Short-call ratio in 4h") == 2


async def test_a_decision_that_a_record_made_has_its_behaviours_name(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p"))
    async with pages_of(console) as client:
        assert "Undeclared prohibited business · undeclared_prohibited_business" in await words_of(client, "/queue")
        name = "Undeclared prohibited business undeclared_prohibited_business"
        for path in ("/cases/cwe-p", "/search", "/quality"):
            assert name in await words_of(client, path), path


async def test_an_escalation_is_named_by_what_it_counts(console: ConsoleHarness) -> None:
    [escalation] = (await console.context.read(lambda c: console.context.policies.now(c, T0))).escalations
    changes = {"behaviour": "repeat_violation", "tier": "major", "window": None, "clause": None}
    await console.put(waiting(1, escalation.id, measure=None, **changes))
    async with pages_of(console) as client:
        assert f"3 violations within 30d {escalation.id}" in await words_of(client, "/queue")
        assert f"30 天内累计 3 次违规 {escalation.id}" in await words_of(client, "/queue", "zh")


async def test_a_rule_that_the_policy_no_longer_has_is_named_by_what_it_measured(console: ConsoleHarness) -> None:
    case, hostile = waiting(1, "gone"), waiting(2, HOSTILE_ID)
    await console.put(case, hostile)
    async with pages_of(console) as client:
        assert "Short-call ratio gone" in await words_of(client, "/queue")
        assert "Short-call ratio gone" in await words_of(client, f"/cases/{case.id}")
        assert "gone" in await words_of(client, "/quality")
        assert "<img" not in (await client.get("/queue")).text.replace('<img class="mark"', "")


async def test_a_count_of_quality_leads_to_the_decisions_that_it_counted(console: ConsoleHarness) -> None:
    """Also at the border of the period, which begins with a day of the reader's zone."""
    console.now_ms = T0 + 40 * DAY_MS
    zone = "Asia/Shanghai"
    shift_ms = 8 * 3_600_000
    border_ms = (console.now_ms + shift_ms) // DAY_MS * DAY_MS - shift_ms - 30 * DAY_MS
    await console.put(
        decided(1, "acme", border_ms - 1, rule_id="short-calls"),
        decided(2, "acme", border_ms, rule_id="short-calls"),
        decided(3, "acme", border_ms + DAY_MS, rule_id="short-calls"),
        decided(4, "acme", console.now_ms - 1, rule_id="short-calls"),
        decided(5, "acme", console.now_ms - 1, rule_id="out-of-hours"),
    )
    undone = {"kind": "reversal", "refunds": "released", "rule_id": "short-calls", "actions": ()}
    for number, opened in ((1, 11), (2, 12)):
        await console.put(decided(opened, "acme", console.now_ms, reverses=decided(number, "acme", 0).id, **undone))
    async with pages_of(console) as client:
        client.cookies.set("zone", zone)
        quality = await client.get("/quality", headers={"accept-language": "en"})
        found = re.search(r"Short-call ratio in 4h.*?</tr>", quality.text, re.S)
        assert found is not None
        links = re.findall(r'<a href="(/search\?[^"]*)">(\d+)</a>', found.group())
        assert [(count, "status=final" in link, "status=reversed" in link) for link, count in links] == [
            ("2", True, False),
            ("1", False, True),
        ]
        for link, count in links:
            listed = (await client.get(unescape(link))).text
            assert listed.count("<tr data-row>") == int(count), link
            assert '<option value="short-calls" selected>' in listed
        [whole] = re.findall(r'<a href="(/search\?rule=short-calls&amp;from=[0-9-]+)">', quality.text)
        assert (await client.get(unescape(whole))).text.count("<tr data-row>") == 3


async def test_a_search_lists_by_rule_also_one_that_is_gone(console: ConsoleHarness) -> None:
    await console.put(decided(1, "acme", T0, rule_id="gone"), decided(2, "acme", T0, rule_id="short-calls"))
    async with pages_of(console) as client:
        for rule, count in (("gone", 1), ("short-calls", 1), ("never-was", 0), ("", 2)):
            text = (await client.get(f"/search?rule={rule}")).text
            assert text.count("<tr data-row>") == count, rule
            assert (f'<option value="{rule}" selected>' in text) == (rule in ("gone", "short-calls")), rule
            assert "never-was" not in text
