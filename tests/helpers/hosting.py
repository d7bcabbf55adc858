"""Hosts a service in a task while a test asks it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from helpers.patience import PATIENCE_S


@asynccontextmanager
async def hosted(
    service: Coroutine[Any, Any, None], ready: Callable[[], Awaitable[bool]]
) -> AsyncIterator[asyncio.Task[None]]:
    """The task of a service that is ``ready``, to be cancelled at the end. An error that ends it is raised."""
    task = asyncio.create_task(service)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not task.done() and not await ready():
                await asyncio.sleep(0.01)
        if task.done():
            task.result()
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
