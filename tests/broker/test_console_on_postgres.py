"""The console on a real PostgreSQL: its tables, its pages, and two browsers at once on one case."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher
from postgres import Postgres
from sqlalchemy import select

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, alerted, application, decided, pages_of, reviewed, tenant
from oracle.ledger import T0
from schemas.outputs import Evidence
from streams.console import four_eyes
from streams.console.cases import claims, verdicts
from streams.console.cases.sending import release_due
from streams.console.cases.verdicts import GivenVerdicts, VerdictRules, WantedVerdict
from streams.console.four_eyes import ProposalKind
from streams.console.identity import accounts
from streams.console.identity.links.sign_in_links import FIRST, SECOND
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, METADATA, VERDICTS
from streams.consumers.database import Database

pytestmark = pytest.mark.services

NOW = T0 + 10 * DAY_MS
LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
WANG = User("local:wang", "Wang", frozenset({Role.REVIEWER}))
PENDING = decided(33, "nanhai", NOW - DAY_MS, tier="major", status="pending_review")
BAN = decided(34, "a/..\x00b", NOW - DAY_MS, tier="severe", status="pending_review")
WAITING: dict[str, Any] = {
    "kind": "admission_review", "status": "pending_review", "behaviour": "application_review", "tier": None,
    "rule_id": "application_review", "measure": None, "window": None, "clause": None, "review_by_ms": None,
    "evidence": Evidence(application_ids=("app-1",)),
}  # fmt: skip
RULES = VerdictRules(0, 60_000, four_eyes=True)


@pytest.fixture
async def console(postgres: Postgres) -> AsyncIterator[ConsoleHarness]:
    async with console_at(postgres.database("console")) as made:
        made.now_ms = NOW
        await made.put(
            tenant("nanhai", T0, "南海联合贸易有限公司", "owner-1"), tenant("nanhai-2", T0, "N 2", "owner-1")
        )
        await made.put(*(decided(n, "nanhai", T0 + n * DAY_MS) for n in range(6)), PENDING, BAN)
        await made.put(alerted("nanhai", T0 + DAY_MS), reviewed(decided(0, "nanhai", T0), T0 + DAY_MS, "uphold", "ok"))
        await made.put(application("nanhai", "app-1", T0, "信用卡", "推广"), decided(40, "nanhai", NOW, **WAITING))
        yield made


async def test_the_migrations_make_what_the_code_expects(console: ConsoleHarness) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with console.database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, *_: name != "console_version"}
        )
        assert compare_metadata(context, METADATA) == []


PAGES = (
    ("/queue", "南海联合贸易有限公司"),
    ("/queue?tier=major&rule=short-calls-day&age=4h&grouped=1&tenant=nanhai", PENDING.id),
    ("/queue?view=mine", "Mine"),
    ("/queue?view=approval", "second person"),
    ("/queue?view=verdicts", "Recent verdicts"),
    ("/queue?view=verdicts&mine=1", "You gave no verdict here"),
    ("/queue?view=postponed", "Postponed"),
    (f"/cases/{PENDING.id}", "short-calls-day"),
    ("/tenants/nanhai", "owner-1"),
    ("/search?q=nanhai", "nanhai-2"),
    ("/search?q=%E5%8D%97%E6%B5%B7", "南海联合贸易有限公司"),
    ("/search?q=call-33", PENDING.id),
    ("/search?q=short-calls-day", PENDING.id),
    ("/search", PENDING.id),
    ("/admissions", "app-1"),
    ("/quality", "short-calls-day"),
    ("/health", "Health"),
)


async def test_each_page(console: ConsoleHarness) -> None:
    async with pages_of(console, *Role) as client:
        for path, words in PAGES:
            answer = await client.get(path, headers={"accept-language": "en"})
            assert (path, answer.status_code) == (path, 200)
            assert words in answer.text, path


async def test_of_two_browsers_at_once_one_claims_and_one_decides(console: ConsoleHarness, postgres: Postgres) -> None:
    other = Database(postgres.address("console"), "console", package="streams.console")
    try:
        for turn in range(10):
            claim = partial(claims.claim, ids=[PENDING.id], now_ms=NOW + turn * 100_000, last_ms=1_000)
            mine, theirs = await asyncio.gather(
                console.database.run(partial(claim, by=LI)), other.run(partial(claim, by=WANG))
            )
            assert sorted([mine, theirs]) == [[], [PENDING.id]]
        now_ms = NOW + 2_000_000
        give = partial(verdicts.give, ids=[PENDING.id], wanted=WantedVerdict("overturn", "why"), rules=RULES)
        given = await asyncio.gather(
            console.database.run(partial(give, by=LI, now_ms=now_ms)), other.run(partial(give, by=WANG, now_ms=now_ms))
        )
        assert sorted(len(each.given) for each in given) == [0, 1]
        assert [row["state"] for row in console.rows(VERDICTS)] == ["waiting"]
    finally:
        other.close()


async def test_a_ban_is_proposed_approved_once_and_sent_once(console: ConsoleHarness, postgres: Postgres) -> None:
    database = console.database
    give = partial(verdicts.give, ids=[BAN.id], wanted=WantedVerdict("uphold", "heard"), rules=RULES, now_ms=NOW)
    given: GivenVerdicts = await database.run(partial(give, by=LI))
    number = given.given[BAN.id]
    assert (await database.run(partial(give, by=WANG))).refused.keys() == {BAN.id}
    approve = partial(verdicts.approve, number=number, reason="", rules=RULES, now_ms=NOW)
    other = Database(postgres.address("console"), "console", package="streams.console")
    try:
        results = await asyncio.gather(
            database.run(partial(approve, by=WANG)), other.run(partial(approve, by=SECOND)), return_exceptions=True
        )
    finally:
        other.close()
    assert sorted(type(each).__name__ for each in results) == ["CaseRefused", "NoneType"]
    [proposal] = await database.run(partial(four_eyes.proposals_about, kind=ProposalKind.BAN, about=BAN.id))
    assert proposal.decided_by in (WANG.subject, SECOND.subject)
    assert await database.run(partial(release_due, now_ms=NOW, sign=lambda value: ())) == 1
    assert await console.send() > 0
    assert len([each for each in console.written if each.topic.endswith("reviews")]) == 1
    with database.reading() as connection:
        assert connection.execute(select(CASES.c.queue).where(CASES.c.id == BAN.id)).scalar() is None


async def test_users_are_added_once(console: ConsoleHarness) -> None:
    hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("a horse, a battery")
    add = partial(accounts.add_local, by=FIRST, subject="local:ada", roles={Role.ADMIN}, hashed=hashed, now_ms=NOW)
    added = await console.database.run(partial(add, initial_until_ms=None))
    assert added.subject == "local:ada"
    with pytest.raises(accounts.AccountRefused, match="already a user"):
        await console.database.run(partial(add, initial_until_ms=None))
