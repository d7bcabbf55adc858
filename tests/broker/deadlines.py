"""Deadlines: a test that waits for what does not come fails, and says for what."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


@asynccontextmanager
async def deadline(what: str, within_s: float = 60) -> AsyncIterator[None]:
    """AssertionError when what is awaited inside has not come in time."""
    try:
        async with asyncio.timeout(within_s) as limit:
            yield
    except TimeoutError:
        assert not limit.expired(), f"waited {within_s:g} s in vain: {what}"
        raise


@contextmanager
def killed_after(within_s: float, process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """The process, which does not live for longer: who reads what it says is never held up."""
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
