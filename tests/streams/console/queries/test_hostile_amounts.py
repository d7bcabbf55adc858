"""The cost of a page does not grow with the number of a tenant's cases or with their times: the tenant chooses both."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, decided, pages_of, reviewed
from helpers.hostile_cases import RULE, TENANT, fill, steps
from monitor.text.durations import HOUR
from oracle.ledger import T0
from streams.console.cases import queue
from streams.console.cases.case_counts import case_counts
from streams.console.cases.queue import QueueFilter
from streams.console.identity.users import Role
from streams.console.queries import search
from streams.console.queries.search import CaseFilter
from streams.console.tables import CASES

PATHS = (
    *("/queue", "/queue?grouped=1", "/queue?tier=severe", "/queue?tier=minor", f"/queue?rule={RULE}&tier=severe"),
    *(f"/queue?tenant={TENANT}", f"/queue?tenant={TENANT}&tier=severe", f"/queue?tenant={TENANT}&rule={RULE}"),
    *("/queue?view=postponed", "/queue?view=mine", "/queue?age=7d", "/queue?age=4h", "/queue?age=4h&tier=severe"),
    *("/cases/pending-000001", f"/tenants/{TENANT}", f"/tenants/{TENANT}/measures", "/admissions", "/search"),
    *(f"/search?q={TENANT}", "/search?q=owner", "/search?status=reversed", "/search?tier=severe"),
    *("/v1/tenants", f"/v1/tenants/{TENANT}", "/v1/cases", f"/v1/cases?tenant_id={TENANT}", "/v1/cases?tier=severe"),
    *(f"/v1/cases?tenant_id={TENANT}&{each}" for each in ("status=pending", "status=reversed", "tier=severe")),
    *(f"/v1/cases?tenant_id={TENANT}&rule_id={RULE}&status=reversed", "/v1/cases?status=reversed", "/v1/decisions"),
    *(f"/v1/decisions?tenant_id={TENANT}", f"/v1/measures?tenant_id={TENANT}&days=90", "/v1/cases/pending-000001"),
)
FEW, MANY = 2_000, 20_000
LOOKED_AT = 500


async def steps_of_pages(folder: Path, cases: int) -> dict[str, int]:
    folder.mkdir()
    async with console_at(folder) as console:
        console.now_ms = T0 + 10 * HOUR
        await console.database.run(lambda connection: fill(connection, cases))
        console.database.forget()
        found = {}
        with steps() as taken:
            async with pages_of(console, *Role) as client:
                for path in PATHS:
                    taken[0] = 0
                    answer = await client.get(path)
                    assert answer.status_code == 200, path
                    found[path] = taken[0]
    return found


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks at fewer rows, so that fewer make the difference."""
    for module in (queue, search):
        monkeypatch.setattr(module, "EXAMINED", LOOKED_AT)
    monkeypatch.setattr(queue, "MOST_OTHERS", LOOKED_AT)


@pytest.mark.usefixtures("looked_at")
async def test_no_page_takes_longer_for_a_tenant_with_ten_times_the_cases(tmp_path: Path) -> None:
    few = await steps_of_pages(tmp_path / "few", FEW)
    many = await steps_of_pages(tmp_path / "many", MANY)
    grown = {path: (few[path], many[path]) for path in PATHS if many[path] > 1.3 * few[path] + 500}
    assert grown == {}
    assert max(many.values()) < 150_000


@pytest.mark.usefixtures("looked_at")
async def test_pages_that_look_for_few_cases_leave_none_out_and_come_to_an_end(tmp_path: Path) -> None:
    """Those that fit are the last ones of the tenant in each order."""
    async with console_at(tmp_path) as console:
        console.now_ms = T0 + 10 * HOUR
        await console.database.run(lambda connection: fill(connection, 1_700))
        for number in range(3):
            await console.put(decided(number, TENANT, T0 + number, tier="severe", status="pending_review"))
            await console.put(decided(number + 9, TENANT, T0 - 1 - number, tier="severe", status="pending_review"))
        wanted = {each.id for each in await severe(console)}
        assert len(wanted) == 6
        for filters in ({}, {"tenant": TENANT}, {"rule": RULE}, {"min_age_ms": HOUR}, {"tenant": TENANT, "rule": RULE}):
            assert await of_queue(console, QueueFilter(tier="severe", **filters)) == wanted, filters
        assert len(await of_queue(console, QueueFilter(collapsed=True))) == 1, "all have one cause"
        for chosen in ({}, {"tenant_id": TENANT}, {"tenant_id": TENANT, "rule_id": RULE}, {"status": "pending"}):
            assert await of_list(console, CaseFilter(tier="severe", **chosen)) == wanted, chosen


async def severe(console: ConsoleHarness) -> list[Any]:
    with console.database.reading() as connection:
        return list(connection.execute(select(CASES.c.id).where(CASES.c.tier == "severe")).all())


async def of_queue(console: ConsoleHarness, wanted: QueueFilter) -> set[str]:
    """The cases of all pages, two a page."""
    found: list[str] = []
    after = None
    with console.database.reading() as connection:
        for _ in range(100):
            page = queue.page(connection, wanted, "local:li", console.now_ms, after, 2)
            found += [row.case.id for row in page.rows]
            if (after := page.after) is None:
                break
    assert after is None
    assert len(found) == len(set(found))
    return set(found)


async def of_list(console: ConsoleHarness, wanted: CaseFilter) -> set[str]:
    found: list[str] = []
    after = None
    with console.database.reading() as connection:
        for _ in range(100):
            lines, after = search.list_cases(connection, wanted, after, 2)
            found += [line.case_id for line in lines]
            if after is None:
                break
    assert after is None
    assert len(found) == len(set(found))
    return set(found)


async def test_the_kept_counts_are_those_of_the_cases(tmp_path: Path) -> None:
    pending = [decided(number, "nanhai", T0, status="pending_review") for number in range(4)]
    upheld = decided(11, "nanhai", T0 + 1, supersedes=pending[0].id)
    changed = decided(12, "nanhai", T0 + 2, kind="ban", supersedes=upheld.id)
    reversed_ = decided(13, "nanhai", T0 + 1, kind="reversal", reverses=pending[1].id)
    lapsed = decided(14, "nanhai", T0 + 1, kind="lapse", reverses=pending[2].id)
    orphan = decided(15, "nanhai", T0 + 1, kind="reversal", reverses="cwe-unknown")
    async with console_at(tmp_path) as console:
        await console.put(*pending, upheld, reviewed(upheld, T0 + 2, "uphold"), changed, reversed_, lapsed, orphan)
        await console.put(pending[3], changed)  # again, as in a topic that was moved
        with console.database.reading() as connection:
            kept = case_counts(connection, ["nanhai", "unknown"])
            c = CASES.c
            counted = connection.execute(select(c.status, c.kind, func.count()).group_by(c.status, c.kind)).all()
    assert kept == {"nanhai": {(status, kind): n for status, kind, n in counted}, "unknown": {}}
    assert kept["nanhai"]["final", "ban"] == 1
    assert kept["nanhai"]["pending", "warning"] == 1


async def test_more_cases_in_force_than_are_listed_are_counted(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        console.now_ms = T0 + DAY_MS
        await console.database.run(lambda connection: fill(connection, 300))
        async with pages_of(console, *Role) as client:
            page = (await client.get(f"/tenants/{TENANT}")).text
    assert "580 older ones are in the history below." in page
