"""Processes of one command that start in no time: what they need was imported by the one that they are forked from."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

# Forks one process a line, "LOG ARGUMENT...", and says which; ends all of them when nobody is left to ask.
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
    """Starts `callwarden` processes with one environment; none of them outlives it."""

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
        self._fork_server.wait(60)
        self._fork_server.stdout.close()

    def start(self, log: Path, *arguments: str) -> int:
        """The process that runs that command."""
        assert self._fork_server.stdin is not None
        assert self._fork_server.stdout is not None
        self._fork_server.stdin.write(f"{log} {' '.join(arguments)}\n")
        self._fork_server.stdin.flush()
        return int(self._fork_server.stdout.readline())

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether it is there."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self, pid: int) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + 60
        while self.runs(pid):
            assert time.monotonic() < until_s, f"{pid} does not end"
            time.sleep(0.002)
