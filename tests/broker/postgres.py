"""A real PostgreSQL server from Debian's package, on 127.0.0.1, removed after the tests."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg


def programs() -> Path | None:
    """The folder of the newest server's programs; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class Postgres:
    """The server. It can be killed and restarted on the same data."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        # Not below pytest's own folder: the server does not run as root and cannot read that folder.
        self._folder = Path(tempfile.mkdtemp(prefix="callwarden-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "--auth=trust", "--username=callwarden", "--encoding=UTF8", "--locale=C", "-D", "data")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # immediately, without a final checkpoint
            self._server.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        log = (self._folder / "log").open("ab")
        self._server = subprocess.Popen(
            [
                self._bin / "postgres",
                "-D",
                "data",
                "-p",
                str(self.port),
                "-k",
                str(self._folder),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=50",
            ],
            cwd=self._folder,
            user=self._user if os.geteuid() == 0 else None,
            stdout=log,
            stderr=log,
        )
        log.close()
        for _ in range(600):
            if self._server.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended: {(self._folder / 'log').read_text()[-2000:]}")
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                signal.sigtimedwait([], 0.1)
            else:
                return
        raise RuntimeError("PostgreSQL does not answer")

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        assert self._server is not None
        self._signal(signal.SIGKILL)
        self._server.wait(30)
        self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its processes while the context is active: it answers nothing, and connections stay open."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

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

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.address(name)

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://callwarden@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self._folder,
            user=self._user if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
