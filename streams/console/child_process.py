"""Child processes of the console: a module of this project, started with few threads and ended with all its own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

# Each thread of a numerical library, and each arena of the allocator, takes address space from the limit.
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}


async def start(
    module: str,
    *arguments: str,
    stdin: int = PIPE,
    stderr: int = DEVNULL,
    file: int | None = None,
    longest_line: int = 1 << 16,
) -> Process:
    """Run ``module`` in a session of its own, which Ctrl-C in the terminal does not reach; its output is a pipe.

    ``file`` is a descriptor that the child keeps. ``longest_line`` is the most that is read ahead of a line's end.
    Raises OSError if it cannot be started.
    """
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=stdin,
        stdout=PIPE,
        stderr=stderr,
        limit=longest_line,
        start_new_session=True,
        pass_fds=() if file is None else (file,),
        env={**os.environ, **_ENVIRONMENT},
    )


def kill(process: Process) -> None:
    """Kill it, and what it started. Await ``process.wait()`` afterwards."""
    with suppress(ProcessLookupError):  # it has ended, and nothing of its group is left
        os.killpg(process.pid, signal.SIGKILL)
