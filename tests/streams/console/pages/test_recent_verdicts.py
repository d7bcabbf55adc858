"""The view of recent verdicts: what a person gave stays there, with its state, when it has left the queue."""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, pages_of
from oracle.ledger import T0, event, pending
from schemas.outputs import Evidence
from streams.console.cases.sending import release_due
from streams.console.tables import VERDICTS

VIEW = "/queue?view=verdicts"


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        made.now_ms = T0 + DAY_MS
        yield made


async def give(client: httpx.AsyncClient, case_id: str, verdict: str = "overturn", reason: str = "wrong") -> None:
    answer = await client.post(f"/cases/{case_id}/verdict", data={"verdict": verdict, "reason": reason})
    assert answer.status_code == 303


async def listed(client: httpx.AsyncClient, path: str = VIEW) -> list[str]:
    """The text of each row, without its markup."""
    page = (await client.get(path)).text
    rows = re.findall(r"<tr data-row>(.*?)</tr>", page, re.S)
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]


async def test_a_verdict_stays_listed_until_days_after_it_took_effect(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p"))
    async with pages_of(console) as client:
        assert "Nobody gave a verdict here in the last 7 days" in (await client.get(VIEW)).text
        await give(client, "cwe-p")
        [row] = await listed(client)
        assert "about to be sent" in row
        console.now_ms += 60_000
        await console.context.write(partial(release_due, now_ms=console.now_ms, sign=lambda value: ()))
        [row] = await listed(client)
        assert "sent It takes effect about" in row
        [verdict] = console.rows(VERDICTS)
        reversal = {"decided_ms": console.now_ms, "reverses": "cwe-p", "actions": (), "refunds": "released"}
        effect = Evidence(review_ids=(verdict["review_id"],))
        await console.put(event("cwe-r", kind="reversal", evidence=effect, **reversal))
        assert "cwe-p" not in (await client.get("/queue")).text
        [row] = await listed(client)
        for said in ("acme", "Severe Ban", "overturn wrong", "Li", "in effect"):
            assert said in row
        assert 'href="/cases/cwe-p"' in (await client.get(VIEW)).text
        console.now_ms += 8 * DAY_MS
        assert await listed(client) == []


async def test_one_person_can_see_only_its_own_verdicts(console: ConsoleHarness) -> None:
    await console.put(*(pending(f"cwe-{n}", f"tenant-{n}") for n in range(3)))
    async with pages_of(console) as li, pages_of(console, subject="local:wang") as wang:
        await give(li, "cwe-0")
        console.now_ms += 1
        await give(wang, "cwe-1")
        assert [row.split(" Severe")[0].split()[-1] for row in await listed(li)] == ["tenant-1", "tenant-0"]
        assert len(await listed(li, f"{VIEW}&mine=1")) == 1
        assert "tenant-0" in (await listed(li, f"{VIEW}&mine=1"))[0]
        assert "You gave no verdict here" not in (await li.get(f"{VIEW}&mine=1")).text
    async with pages_of(console, subject="local:zhao") as zhao:
        assert "You gave no verdict here in the last 7 days" in (await zhao.get(f"{VIEW}&mine=1")).text
        chinese = (await zhao.get(VIEW, headers={"accept-language": "zh"})).text
        assert re.search(r'aria-current="page">近期结论 <span class="num">2</span>', chinese)
        assert "即将发送" in chinese


async def test_the_verdicts_are_read_a_page_at_a_time(console: ConsoleHarness) -> None:
    await console.put(*(pending(f"cwe-{n:02}", f"tenant-{n:02}") for n in range(55)))
    async with pages_of(console) as client:
        for n in range(55):
            await give(client, f"cwe-{n:02}")
            console.now_ms += n % 2  # some are given at one instant
        page = (await client.get(VIEW)).text
        first = await listed(client)
        [following] = re.findall(r'rel="next" href="([^"]*)"', page)
        rest = await listed(client, following.replace("&amp;", "&"))
    named = [re.findall(r"tenant-\d\d", row)[0] for row in first + rest]
    assert (len(first), named) == (50, [f"tenant-{n:02}" for n in reversed(range(55))])


async def test_a_verdict_that_came_too_late_says_why_in_both_languages(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p"))
    async with pages_of(console) as client:
        await give(client, "cwe-p", reason="<b>13812345678</b>")
        await console.put(event("cwe-l", kind="lapse", decided_ms=console.now_ms, reverses="cwe-p", actions=()))
        [row] = await listed(client)
        assert "withdrawn decided otherwise: lapse" in row
        english = (await client.get(VIEW)).text
        chinese = (await client.get(VIEW, headers={"accept-language": "zh"})).text
    assert "已作废" in chinese
    assert "已另有决定：逾期失效" in chinese
    assert "decided otherwise" not in chinese
    assert "&lt;b&gt;" in english
    assert "1381234" not in english


async def test_a_rejected_verdict_shows_the_workers_reason(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p"))
    async with pages_of(console) as client:
        await give(client, "cwe-p")
        rejected = {"state": "rejected", "why": "nothing_to_change: x", "why_zh": None}
        await console.context.write(lambda connection: connection.execute(update(VERDICTS).values(rejected)))
        [row] = await listed(client)
    assert "rejected by a worker nothing_to_change: x" in row
