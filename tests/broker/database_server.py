"""A real database server on 127.0.0.1 that tests kill, freeze and restart; removed afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from helpers.patience import PATIENCE_S


class DatabaseServer:
    """The server, on a free port and in a folder of its own. A subclass knows its programs and its driver."""

    name: str
    account: str
    """The account that the server runs under if the tests run as root, which it refuses."""
    away: type[Exception]
    """What the driver raises while the server does not accept connections."""

    def __init__(self) -> None:
        # Not below pytest's own folder: the server does not run as root and cannot read that folder.
        self.folder = Path(tempfile.mkdtemp(prefix=f"callwarden-{self.name.lower()}-"))
        self.user = self.account if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self.initialise()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def initialise(self) -> None:
        """Create the data folder."""
        raise NotImplementedError

    def command(self) -> Sequence[str | Path]:
        """The command that starts the server."""
        raise NotImplementedError

    def probe(self) -> None:
        """Connect once. Raises `away` while the server does not accept connections."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        log = (self.folder / "log").open("ab")
        self._server = subprocess.Popen(self.command(), cwd=self.folder, user=self._as(), stdout=log, stderr=log)
        log.close()
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if self._server.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()[-2000:]}")
            try:
                self.probe()
            except self.away:
                signal.sigtimedwait([], 0.1)
            else:
                return
        raise RuntimeError(f"{self.name} does not answer")

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        assert self._server is not None
        self._signal(signal.SIGKILL)
        self._server.wait(PATIENCE_S)
        self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its processes while the context is active: it answers nothing, and connections stay open."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def run(self, program: str | Path, *arguments: str) -> None:
        """Run a program of the server to its end. Raises RuntimeError with its output if it fails."""
        done = subprocess.run(
            [program, *arguments], cwd=self.folder, user=self._as(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{Path(program).name}: {done.stdout}{done.stderr}")

    def _as(self) -> str | None:
        return self.user if os.geteuid() == 0 else None

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._server.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for pid in [self._server.pid, *map(int, children)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
