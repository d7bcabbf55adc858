"""How SQLite answers the queries of the pages: it has no statistics, and must not need them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from helpers.console_harness import console_at
from helpers.console_pages import DAY_MS, decided, pages_of, reviewed, tenant
from oracle.ledger import T0
from streams.console.identity.users import Role

PENDING = decided(1, "nanhai", T0, tier="major", status="pending_review")
WARNED = decided(2, "nanhai", T0)
PATHS = (
    *("/queue", "/queue?grouped=1", "/queue?tier=severe", "/queue?rule=short-calls-day", "/queue?tenant=nanhai"),
    *("/queue?view=mine", "/queue?view=postponed", "/queue?view=verdicts", "/queue?view=verdicts&mine=1"),
    *(f"/cases/{PENDING.id}", "/tenants/nanhai", "/search", "/search?q=nanhai", "/search?q=short-calls-day"),
    *("/search?q=call-2", "/quality", "/health", "/admissions"),
)


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is asked of databases in the block, with the parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_no_page_reads_half_of_the_events_for_each_case(tmp_path: Path) -> None:
    """Without statistics SQLite takes any value of an index's first column for a few rows: also of a flag."""
    async with console_at(tmp_path) as console:
        console.now_ms = T0 + DAY_MS
        await console.put(tenant("nanhai", T0, "N", "owner"), PENDING, WARNED, reviewed(WARNED, T0 + 1, "uphold"))
        with statements() as asked:
            async with pages_of(console, *Role) as client:
                for path in PATHS:
                    assert (await client.get(path)).status_code == 200, path
    read = {statement: parameters for statement, parameters in asked if statement.startswith("SELECT")}
    assert len(read) > 40
    with closing(sqlite3.connect(tmp_path / "console.db")) as connection:
        plans = {
            statement: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in read.items()
        }
    steps = {step: statement for statement, plan in plans.items() for step in plan}
    assert any("INDEX console_event_case (case_id=?)" in step for step in steps)
    assert {step: statement for step, statement in steps.items() if "(shadow=?)" in step} == {}
    mine = [step for statement, plan in plans.items() if "claimed_by = ?" in statement for step in plan]
    assert mine, "the cases of the reader are counted on each page"
    assert [step for step in mine if "(queue=?" in step] == [], "they are not looked for in the whole queue"
