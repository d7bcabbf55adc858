"""A real MariaDB server from Debian's package, on 127.0.0.1, removed after the tests."""

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
from typing import Any, Self

import pymysql


def program() -> Path | None:
    """The server's program; None if there is none."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(found) if found else None


class MariaDb:
    """The server. It can be killed and restarted on the same data."""

    def __init__(self, server: Path) -> None:
        self._program = server
        # Not below pytest's own folder: the server does not run as root and cannot read that folder.
        self._folder = Path(tempfile.mkdtemp(prefix="callwarden-mariadb-"))
        self._user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        done = subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--user={self._user}", f"--datadir={self._folder / 'data'}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db: {done.stdout}{done.stderr}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        log = (self._folder / "log").open("ab")
        self._server = subprocess.Popen(
            [
                *(self._program, "--no-defaults", f"--user={self._user}", f"--datadir={self._folder / 'data'}"),
                *(f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._folder / 'socket'}"),
                *(f"--pid-file={self._folder / 'pid'}", "--max-allowed-packet=64M", "--innodb-buffer-pool-size=64M"),
                # Neither UTC nor UTF-8, as many a server.
                *(
                    "--default-time-zone=+08:00",
                    "--character-set-server=latin1",
                    "--collation-server=latin1_swedish_ci",
                ),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        for _ in range(600):
            if self._server.poll() is not None:
                raise RuntimeError(f"MariaDB ended: {(self._folder / 'log').read_text()[-2000:]}")
            try:
                self.connect().close()
            except pymysql.OperationalError:
                signal.sigtimedwait([], 0.1)
            else:
                return
        raise RuntimeError("MariaDB does not answer")

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(30)
        self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its process while the context is active: it answers nothing, and connections stay open."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def database(self, name: str, *statements: str) -> str:
        """The address of a new database with a user `reader`, who may read only, after these statements."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in (
                f"DROP DATABASE IF EXISTS `{name}`",
                f"CREATE DATABASE `{name}`",
                "CREATE USER IF NOT EXISTS reader@127.0.0.1 IDENTIFIED BY 'a-password'",
                f"GRANT SELECT ON `{name}`.* TO reader@127.0.0.1",
                f"USE `{name}`",
                *statements,
            ):
                cursor.execute(statement)
            connection.commit()
        return f"mysql://reader:a-password@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str | None = None) -> "pymysql.Connection[Any]":
        """A connection of the administrator."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=name, charset="utf8mb4", connect_timeout=2
        )
