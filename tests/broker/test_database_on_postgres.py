"""A consumer's database on a real PostgreSQL that answers nothing any more."""

import asyncio

import pytest
from postgres import Postgres
from sqlalchemy import text

from streams.cluster import Unavailable
from streams.consumers.database import Database

pytestmark = pytest.mark.services


@pytest.mark.parametrize("how", ["in a statement", "between two", "at the next connection"])
async def test_a_server_that_is_frozen_is_not_waited_for_when_closing(postgres: Postgres, how: str) -> None:
    database = Database(postgres.database("frozen"), "ledger")
    await database.migrate()
    if how == "at the next connection":
        database.forget()
    asked = "SELECT pg_sleep(2)" if how == "in a statement" else "SELECT 1"
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: object) -> None:
        loop.call_soon_threadsafe(started.set)
        connection.execute(text(asked))

    if how == "in a statement":
        running = asyncio.create_task(database.run(work))
        await started.wait()
        await asyncio.sleep(0.3)  # until the server has the statement
    with postgres.frozen():
        if how != "in a statement":
            running = asyncio.create_task(database.run(work))
            await asyncio.sleep(0.1)
        await asyncio.wait_for(asyncio.to_thread(database.close, 0.5), 30)
        with pytest.raises(Unavailable, match=r"the database postgresql://127"):
            await asyncio.wait_for(running, 30)
