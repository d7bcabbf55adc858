"""Processes of one command that start quickly: they are forked from a process that has imported everything."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from helpers.patience import PATIENCE_S

# Forks one process per input line, "LOG ARGUMENT...", and prints its id. At the end of its input it kills all of them.
_FORK_SERVER = """
import os, signal, sys
import alembic.command, fastapi, psycopg, sqlalchemy, uvicorn
import streams.consumers.billing.main, streams.kafka.cluster, streams.runtime.logging
from streams.cli.app import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
children = []
for line in sys.stdin:
    log, *arguments = line.split()
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(out, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["callwarden", *arguments]
        main()
        os._exit(0)
    children.append(pid)
    print(pid, flush=True)
for pid in children:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class ProcessGroup:
    """Starts `callwarden` processes with one environment; none of them outlives the group."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._fork_server = subprocess.Popen(
            [sys.executable, "-c", _FORK_SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._fork_server.stdin is not None
        assert self._fork_server.stdout is not None
        self._fork_server.stdin.close()
        self._fork_server.wait(PATIENCE_S)
        self._fork_server.stdout.close()

    def start(self, log: Path, *arguments: str) -> int:
        """Start a process that runs the command."""
        assert self._fork_server.stdin is not None
        assert self._fork_server.stdout is not None
        self._fork_server.stdin.write(f"{log} {' '.join(arguments)}\n")
        self._fork_server.stdin.flush()
        return int(self._fork_server.stdout.readline())

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether the process is running."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self, pid: int) -> None:
        """kill -9, and wait until the process has ended."""
        os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + PATIENCE_S
        while self.runs(pid):
            assert time.monotonic() < until_s, f"{pid} does not end"
            time.sleep(0.002)
