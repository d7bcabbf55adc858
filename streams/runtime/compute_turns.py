"""Turns to compute, for a process whose event loop and threads both do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

_PATIENCE_S: Final = 0.25  # half of the time within which alerts are to come


class ComputeTurns:
    """Turns: one thread at a time, and between two of them the event loop, if it waits.

    Python runs one thread at a time. Where two compute, they take the interpreter from each other whenever numpy
    releases it, on another core each time: tens of thousands of switches a minute, and a sixth of a worker's CPU time.
    Two threads would also take twice the memory.
    """

    def __init__(self) -> None:
        self._threads = asyncio.Lock()
        self._turn = asyncio.Lock()  # of one thread or the loop; those that wait get it in their order

    @asynccontextmanager
    async def of_thread(self) -> AsyncIterator[None]:
        """The turn of a thread, which runs within the block."""
        async with self._threads, self._turn:
            yield

    @asynccontextmanager
    async def of_thread_after(self, meanwhile: Callable[[], Awaitable[None]], every_s: float) -> AsyncIterator[None]:
        """As `of_thread`; if the turn does not come at once, calls ``meanwhile``, and every so many seconds again."""
        async with AsyncExitStack() as held:
            coming = asyncio.create_task(held.enter_async_context(self.of_thread()))
            try:
                within_s = 0.0
                while not (await asyncio.wait([coming], timeout=within_s))[0]:
                    await meanwhile()
                    within_s = every_s
            except BaseException:
                coming.cancel()
                await asyncio.wait([coming])
                raise
            await coming
            yield

    @asynccontextmanager
    async def of_loop(self) -> AsyncIterator[None]:
        """The turn of the event loop; it comes without one if a thread takes longer than 250 ms, for nothing may wait
        for a large partition.
        """
        mine = False
        try:
            async with asyncio.timeout(_PATIENCE_S):
                mine = await self._turn.acquire()
        except TimeoutError:
            pass
        try:
            yield
        finally:
            if mine:
                self._turn.release()
