"""A real MariaDB server from Debian's package."""

import os
import shutil
from pathlib import Path
from typing import Any

import pymysql
from database_server import DatabaseServer


def program() -> Path | None:
    """The server's program; None if there is none."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(found) if found else None


class MariaDb(DatabaseServer):
    """The server, with neither UTC nor UTF-8, as many a server."""

    name, account, away = "MariaDB", "mysql", pymysql.OperationalError

    def __init__(self, server: Path) -> None:
        super().__init__()
        self._program = server
        self._common = ("--no-defaults", f"--user={self.user}", f"--datadir={self.folder / 'data'}")

    def initialise(self) -> None:
        words = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        self.run("mariadb-install-db", *self._common, *words)

    def command(self) -> list[str | Path]:
        return [
            *(self._program, *self._common),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self.folder / 'socket'}"),
            *(f"--pid-file={self.folder / 'pid'}", "--max-allowed-packet=64M", "--innodb-buffer-pool-size=64M"),
            *("--default-time-zone=+08:00", "--character-set-server=latin1", "--collation-server=latin1_swedish_ci"),
        ]

    def probe(self) -> None:
        self.connect().close()

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
