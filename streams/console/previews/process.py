"""The child process of one preview: started with its limits, read within bounds, and killed with its whole group."""

import asyncio
import contextlib
import pickle
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from streams.console import child_process
from streams.console.previews.child import OUT_OF_MEMORY
from streams.console.previews.task import LONGEST_LINE, Failed, PreviewTask, Progress, Report, decode
from streams.runtime.monotonic import steady_s

_PROGRAM: Final = "streams.console.previews.child"


@dataclass(frozen=True, slots=True)
class PreviewLimits:
    """The limits of one child process: address space, time by the clock and in CPU time, and its lower priority."""

    memory_bytes: int
    time_s: float
    nice: int = 10


class Launch(Protocol):
    """Runs a task, and gives what it reports: progress, then one result or failure."""

    def __call__(self, task: PreviewTask, limits: PreviewLimits) -> AsyncGenerator[Report, None]: ...


async def launch(task: PreviewTask, limits: PreviewLimits) -> AsyncGenerator[Report, None]:
    """Run the task in a child process. Closing the iterator kills it. Raises OSError if it cannot be started."""
    until_s, first = steady_s() + limits.time_s, True
    arguments = (limits.memory_bytes, max(1, round(limits.time_s)), limits.nice)
    child = await child_process.start(_PROGRAM, *map(str, arguments), file=task.file, longest_line=LONGEST_LINE)
    try:
        while True:
            try:
                # One line at a time: a timeout around a `yield` would cancel the reader of the reports.
                async with asyncio.timeout(max(0.0, until_s - steady_s())):
                    report = await _next(child, task if first else None)
            except TimeoutError:
                report = Failed("time")
            yield report
            if not isinstance(report, Progress):
                return
            first = False
    finally:
        child_process.kill(child)
        await child.wait()


async def _next(child: asyncio.subprocess.Process, task: PreviewTask | None) -> Report:
    """The next report; before the first one the ``task`` is sent."""
    assert child.stdin is not None
    assert child.stdout is not None
    if task is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended: its status says why
            child.stdin.write(pickle.dumps(task))
            await child.stdin.drain()
    try:
        line = await child.stdout.readline()
        return decode(line) if line.endswith(b"\n") else failure_of(await child.wait())
    except (ValueError, msgspec.DecodeError):  # too long, or not a report
        return Failed("crashed", "a report cannot be read")


def failure_of(status: int) -> Failed:
    """Why a child ended without a result, by its exit status; negative: the signal."""
    if status == -signal.SIGXCPU:
        return Failed("time")
    if status == OUT_OF_MEMORY or -status in _WITHOUT_MEMORY:
        return Failed("memory")
    return Failed("killed" if status == -signal.SIGKILL else "crashed", f"exit status {status}")


# A library that gets no memory aborts, or follows a null pointer.
_WITHOUT_MEMORY: Final = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
