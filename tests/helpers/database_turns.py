"""The requirements of turns on each kind of database."""

import asyncio

from streams.consumers.database import Database

LONG_S = 600.0


async def check_turns(url: str) -> None:
    """Two processes take turns on one database, and a stalled one only delays the other."""
    first, second = Database(url, "ledger"), Database(url, "ledger")
    order: list[str] = []
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        async with second.turn("reviews", LONG_S):
            order.append("second")

    async with first.turn("reviews", LONG_S):
        running = asyncio.create_task(wait())
        await waiting.wait()
        async with second.turn("another", LONG_S):
            order.append("another")
        async with second.turn("reviews", 0.0):
            order.append("impatient")
        order.append("first")
    await asyncio.wait_for(running, LONG_S)
    assert order == ["another", "impatient", "first", "second"]
    for database in (first, second):
        database.close()
