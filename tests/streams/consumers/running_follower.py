"""Shared by the tests of the follower: run it, and wait for what it does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from helpers.patience import PATIENCE_S
from streams.consumers.follower import Follower


@asynccontextmanager
async def following(follower: Follower) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(follower.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.001)


def is_as_of(follower: Follower, ms: int) -> bool:
    """Whether it is current as of that time; two clocks cannot be read at the same instant."""
    return abs((follower.progress().as_of_ms or 0) - ms) < 500
