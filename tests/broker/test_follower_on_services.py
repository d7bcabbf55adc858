"""Following a real Kafka into a real SQLite and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from broker_clusters import cluster_at, delete_below, in_transactions, make_topic, numbered, produce, until
from postgres import Postgres
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, insert, select, text

from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Follower
from streams.consumers.offsets import Offsets, position_table
from streams.kafka.api import TP, TransientError

pytestmark = pytest.mark.services

METADATA = MetaData()
POSITIONS = Offsets(position_table(METADATA, "notes"))
NOTES = Table(
    "note", METADATA, Column("partition", Integer), Column("offset", BigInteger), Column("value", String, unique=True)
)


def note(connection: Connection, records: Sequence[FollowedRecord]) -> None:
    """Insert a value; handling it twice violates a constraint."""
    connection.execute(
        insert(NOTES),
        [
            {"partition": record.tp.partition, "offset": record.offset, "value": (record.value or b"").decode()}
            for record in records
        ],
    )


def noted(database: Database) -> list[int]:
    with database.reading() as connection:
        return [int(value) for value in connection.execute(select(NOTES.c.value).order_by(NOTES.c.offset)).scalars()]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'notes.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database("notes")
    database = Database(url, "notes")
    await database.run(lambda connection: METADATA.create_all(connection))
    yield database
    database.close()


@asynccontextmanager
async def following(address: str, topic: str, database: Database) -> AsyncIterator[Follower]:
    async with cluster_at(address) as cluster:
        follower = Follower(cluster, database, POSITIONS, [topic], note)
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_committed_records_alone_are_handled_each_once(address: str, database: Database) -> None:
    topic = await make_topic(address)
    tp = TP(topic, 0)
    await in_transactions(address, tp, (True, numbered(0, 5)), (False, numbered(100, 5)), (True, numbered(5, 5)))
    async with following(address, topic, database) as follower:
        await until(lambda: noted(database) == list(range(10)))
        await until(lambda: follower.progress().as_of_ms is not None and not follower.progress().behind[tp])
    await in_transactions(address, tp, (False, numbered(100, 3)), (True, numbered(10, 3)))
    async with following(address, topic, database), following(address, topic, database):
        await until(lambda: noted(database) == list(range(13)))
        await in_transactions(address, tp, (True, numbered(13, 3)))
        await until(lambda: noted(database) == list(range(16)))


async def test_it_stays_caught_up_without_records_and_reports_the_time(address: str, database: Database) -> None:
    topic = await make_topic(address, 3)
    async with following(address, topic, database) as follower:

        def as_of() -> int:
            return follower.progress().as_of_ms or 0

        await until(lambda: as_of() > 0)
        first = as_of()
        await until(lambda: as_of() > first)


async def test_unhandled_records_that_were_deleted_are_refused(address: str, database: Database) -> None:
    topic = await make_topic(address)
    await produce(address, TP(topic, 0), numbered(0, 5))
    await delete_below(address, TP(topic, 0), 3)
    async with cluster_at(address) as cluster:
        with pytest.raises(RecordsLost, match="the next record to handle is 0, but all records before 3 were deleted"):
            await Follower(cluster, database, POSITIONS, [topic], note).run()


async def test_records_that_were_deleted_since_it_stopped_are_refused(address: str, database: Database) -> None:
    topic = await make_topic(address)
    await produce(address, TP(topic, 0), numbered(0, 5))
    async with cluster_at(address) as cluster:
        await database.run(lambda connection: POSITIONS.begin(connection, {TP(topic, 0): 1}, None))
        await delete_below(address, TP(topic, 0), 3)
        with pytest.raises(RecordsLost, match="the next record to handle is 1, but all records before 3 were deleted"):
            await Follower(cluster, database, POSITIONS, [topic], note).run()


async def test_a_postgresql_that_was_killed_is_waited_for(
    address: str, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(postgres.database("killed"), "notes")
    await database.run(lambda connection: METADATA.create_all(connection))
    topic = await make_topic(address)
    await produce(address, TP(topic, 0), numbered(0, 5))
    async with following(address, topic, database):
        await until(lambda: noted(database) == list(range(5)))
        postgres.kill()
        try:
            await produce(address, TP(topic, 0), numbered(5, 5))
            with pytest.raises(TransientError, match=r"the database postgresql://127.0.0.1"):
                await database.run(lambda connection: connection.execute(text("SELECT 1")))
        finally:
            postgres.start()
        await until(lambda: handled(database) == list(range(10)))
    database.close()


def handled(database: Database) -> list[int]:
    try:
        return noted(database)
    except TransientError:
        return []


async def test_a_statement_that_waits_for_ever_is_ended(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"options": "-c statement_timeout=100", "connect_timeout": 5}
    monkeypatch.setattr("streams.consumers.database._POSTGRESQL", bounds)
    database = Database(postgres.database("waiting"), "notes")
    with pytest.raises(TransientError, match="statement timeout"):
        await database.run(lambda connection: connection.execute(text("SELECT pg_sleep(60)")))
    database.close()


async def test_two_that_start_at_once_make_the_tables_once(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_first.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('case', sa.Column('id', sa.String(64), primary_key=True))\n"
    )
    monkeypatch.setattr("streams.consumers.database._versions", lambda name: tmp_path)
    url = postgres.database("cases")
    databases = [Database(url, "cases") for _ in range(4)]
    await asyncio.gather(*(database.migrate() for database in databases))
    with databases[0].reading() as connection:
        assert connection.execute(text('SELECT count(*) FROM "case"')).scalar() == 0
    for database in databases:
        database.close()
