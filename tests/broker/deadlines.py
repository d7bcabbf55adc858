"""Deadlines: a test that waits in vain fails, and names what it waited for."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from helpers.patience import PATIENCE_S


@asynccontextmanager
async def deadline(what: str) -> AsyncIterator[None]:
    """Raises AssertionError when the block does not finish in time."""
    try:
        async with asyncio.timeout(PATIENCE_S) as limit:
            yield
    except TimeoutError:
        assert not limit.expired(), f"waited {PATIENCE_S:g} s in vain: {what}"
        raise


@contextmanager
def killed_when_late(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """The process, killed when it hangs: a test that reads its output does not wait for ever."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(PATIENCE_S, kill)
    timer.start()
    try:
        with process:
            yield process
    finally:
        timer.cancel()
        timer.join()
        assert not late.is_set(), f"killed after {PATIENCE_S:g} s: {process.args!r}"
