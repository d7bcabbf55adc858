"""Deadlines: a test that waits in vain fails, and names what it waited for."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


@asynccontextmanager
async def deadline(what: str, within_s: float = 60) -> AsyncIterator[None]:
    """Raises AssertionError when the block does not finish in time."""
    try:
        async with asyncio.timeout(within_s) as limit:
            yield
    except TimeoutError:
        assert not limit.expired(), f"waited {within_s:g} s in vain: {what}"
        raise


@contextmanager
def killed_after(within_s: float, process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """The process, killed after that time: a test that reads its output never blocks for longer."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(within_s, kill)
    timer.start()
    try:
        with process:
            yield process
    finally:
        timer.cancel()
        timer.join()
        assert not late.is_set(), f"killed after {within_s:g} s: {process.args}"
