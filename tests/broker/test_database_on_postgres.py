"""A consumer's database on a real PostgreSQL that hangs, is a standby, or has the wrong configuration."""

import asyncio

import psycopg
import pytest
from postgres import Postgres
from sqlalchemy import Connection, insert, text

from helpers.database_turns import check_turns
from helpers.patience import PATIENCE_S
from streams.consumers.billing.tables import HANDLED
from streams.consumers.database import Database
from streams.kafka.api import PermanentError, TransientError

pytestmark = pytest.mark.services


@pytest.mark.parametrize("how", ["in a statement", "between two", "at the next connection"])
async def test_closing_does_not_wait_for_a_frozen_server(postgres: Postgres, how: str) -> None:
    database = Database(postgres.database("frozen"), "ledger")
    await database.migrate()
    if how == "at the next connection":
        database.forget()
    asked = "SELECT pg_sleep(600)" if how == "in a statement" else "SELECT 1"
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        connection.execute(text(asked))

    if how == "in a statement":
        running = asyncio.create_task(database.run(work))
        await started.wait()
        await asyncio.sleep(0.3)  # until the server has received the statement
    with postgres.frozen():
        if how != "in a statement":
            running = asyncio.create_task(database.run(work))
            await asyncio.sleep(0.1)
        await asyncio.wait_for(asyncio.to_thread(database.close, 0.5), PATIENCE_S)
        with pytest.raises(TransientError, match=r"the database postgresql://127"):
            await asyncio.wait_for(running, PATIENCE_S)


async def test_a_standby_server_is_waited_for_and_its_successor_found(postgres: Postgres) -> None:
    database = Database(postgres.database("standby"), "billing")
    await database.migrate()

    def write(connection: Connection) -> None:
        connection.execute(insert(HANDLED).values(id="a"))

    with psycopg.connect(postgres.address("postgres"), autocommit=True) as admin:
        admin.execute("ALTER DATABASE standby SET default_transaction_read_only = on")
        database.forget()
        with pytest.raises(TransientError, match=r"cannot execute INSERT in a read-only transaction"):
            await database.run(write)
        admin.execute("ALTER DATABASE standby SET default_transaction_read_only = off")
    await database.run(write)  # on a new connection: the previous one would stay read-only
    database.close()


async def test_a_foreign_database_or_one_without_utf8_is_refused_in_a_sentence(postgres: Postgres) -> None:
    url = postgres.database("foreign")
    with psycopg.connect(postgres.address("postgres"), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS latin")
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
        admin.execute("DROP ROLE IF EXISTS stranger")
        admin.execute("CREATE ROLE stranger LOGIN")
    asked = (
        (
            url.replace("callwarden@", "stranger@"),
            r"permission denied for schema public; expected one that this role owns",
        ),
        (postgres.address("latin"), r"has the encoding LATIN1, .*; expected .* ENCODING 'UTF8' TEMPLATE template0"),
    )
    for address, why in asked:
        database = Database(address, "billing")
        with pytest.raises(PermanentError, match=f"{why}$"):
            await database.migrate()
        database.close()


async def test_processes_take_turns_and_a_stalled_one_stops_none(postgres: Postgres) -> None:
    await check_turns(postgres.database("turns"))
