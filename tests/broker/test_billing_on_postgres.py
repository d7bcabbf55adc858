"""Billing's tables on a real PostgreSQL: the same holds as the rule gives, and billing's answers while it is away."""

import asyncio
import json
import random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from typing import Any
from unittest.mock import Mock

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from broker_clusters import cluster_at, in_transactions, make_topic
from deadlines import deadline
from postgres import Postgres
from sqlalchemy import func, select

from helpers.patience import PATIENCE_S
from oracle.billing import TENANTS, batches, event, holds, random_records
from streams.consumers.billing import unread
from streams.consumers.billing.handler import Handler
from streams.consumers.billing.holds import holds_of
from streams.consumers.billing.lookup import Lookup
from streams.consumers.billing.main import Billing
from streams.consumers.billing.tables import HANDLED, METADATA
from streams.consumers.billing.unread import AnswerWithheld
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Follower
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP
from streams.settings.load import load

pytestmark = pytest.mark.services


@pytest.fixture
async def databases(postgres: Postgres) -> AsyncIterator[list[Database]]:
    """Two processes' connections to one database."""
    url = postgres.database("billing")
    databases = [Database(url, "billing") for _ in range(2)]
    await asyncio.gather(*(database.migrate() for database in databases))
    yield databases
    for database in databases:
        database.close()


async def put(database: Database, values: Sequence[bytes | None], partition: int = 0, first: int = 0) -> None:
    records = [FollowedRecord(TP("t", partition), first + at, 0, None, value) for at, value in enumerate(values)]
    (await database.run(lambda connection: Handler()(connection, records)))()


def held(database: Database) -> dict[str, set[str]]:
    with database.reading() as connection:
        found = holds_of(connection, TENANTS)
    return {tenant: {hold.id for hold in each} for tenant, each in found.items() if each}


async def test_any_records_in_any_batches_leave_the_holds_of_the_rule(databases: list[Database]) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    done: list[bytes | None] = []
    for batch in batches(rng, random_records(rng, 500)):
        await put(databases[0], batch, first=len(done))
        done += batch
        assert held(databases[1]) == holds(done)


async def test_two_at_once_with_the_same_ids_handle_each_once(
    databases: list[Database],
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    records = random_records(rng, 1_000)
    for first in range(0, len(records), 250):
        mine = records[first : first + 250]
        theirs = rng.sample(mine, len(mine))
        await asyncio.gather(put(databases[0], mine, 0, first), put(databases[1], theirs, 1, first))
    assert held(databases[0]) == holds(records)
    with databases[0].reading() as connection:
        ids = connection.execute(select(HANDLED.c.id)).scalars().all()
        assert len(ids) == connection.execute(select(func.count()).select_from(HANDLED)).scalar_one()


async def test_an_answer_includes_what_another_process_has_just_committed(databases: list[Database]) -> None:
    lookup = Lookup(databases[1], Mock(Follower))
    for number in range(50):
        await put(databases[0], [event(f"e{number}", "acme", "frozen")], first=number)
        answers = await asyncio.gather(*(lookup.holds(tenant) for tenant in ("acme", "other", "acme")))
        assert [len(answer) for answer in answers] == [number + 1, 0, number + 1]
    lookup.close()


async def test_answers_are_withheld_by_one_process_and_accepted_by_another(databases: list[Database]) -> None:
    lookup = Lookup(databases[1], Mock(Follower))
    await put(databases[0], [event("e", "nul\0", "suspended"), event("ban", "other", "frozen")])
    with pytest.raises(AnswerWithheld, match="the record at t-0 offset 0 cannot be read"):
        await lookup.holds("nul\0")
    assert [hold.id for hold in await lookup.holds("other")] == ["ban"]
    await put(databases[0], [None], first=2)
    with pytest.raises(AnswerWithheld, match="offset 2"):
        await lookup.holds("other")
    with databases[1].reading() as connection:
        assert unread.counted(connection) == (2, 1)
        assert [each.tenants for each in unread.listed(connection, 9)] == [("nul\0",), ()]
    assert await databases[1].run(lambda connection: unread.accept(connection, None, "seen", 1)) == 2
    await put(databases[0], [None], first=2)
    assert await lookup.holds("nul\0") == []
    assert unread_counts(databases[0]) == (0, 0)
    lookup.close()


def unread_counts(database: Database) -> tuple[int, int]:
    with database.reading() as connection:
        return unread.counted(connection)


async def test_the_migrations_make_the_tables_that_the_code_has(databases: list[Database]) -> None:
    with databases[0].reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "billing_version"})
        assert compare_metadata(context, METADATA) == []


def ask(port: int) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/refunds/acme", timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    except OSError:
        return 0, None


async def answered(port: int, status: int) -> Any:
    async with deadline(f"a {status}"):
        while (answer := await asyncio.to_thread(ask, port))[0] != status:
            await asyncio.sleep(0.05)
    return answer[1]


async def test_answers_fail_while_postgresql_is_away_and_resume_afterwards(address: str, postgres: Postgres) -> None:
    topic = await make_topic(address, suffix=".enforcement")
    [port] = free_ports(1)
    prefix = topic.removesuffix("enforcement")
    settings = load({"bootstrap_servers": address, "output_prefix": prefix, "billing_port": port})
    async with cluster_at(address) as cluster:
        await in_transactions(address, TP(topic, 0), (True, [event("ban", "acme", "frozen")]))
        database = Database(postgres.database("billing_away"), "billing")
        running = asyncio.create_task(Billing(settings, cluster, database).host(None, []))
        try:
            await answered(port, 200)
            postgres.kill()
            try:
                body = await answered(port, 503)
                assert (body["holds"], "database" in body["detail"]) == (None, True)
            finally:
                postgres.start()
            body = await answered(port, 200)
            assert [hold["id"] for hold in body["holds"]] == ["ban"]
        finally:
            running.cancel()
            await asyncio.wait([running])
            database.close()
