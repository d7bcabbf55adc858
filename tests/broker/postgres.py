"""A real PostgreSQL server from Debian's package."""

import shutil
from pathlib import Path

import psycopg
from database_server import DatabaseServer


def programs() -> Path | None:
    """The folder of the newest server's programs; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class Postgres(DatabaseServer):
    """The server."""

    name, account, away = "PostgreSQL", "postgres", psycopg.OperationalError

    def __init__(self, bin_folder: Path) -> None:
        super().__init__()
        self._bin = bin_folder

    def initialise(self) -> None:
        words = ("--auth=trust", "--username=callwarden", "--encoding=UTF8", "--locale=C", "-D", "data")
        self.run(self._bin / "initdb", *words)

    def command(self) -> list[str | Path]:
        settings = ("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50")
        return [self._bin / "postgres", "-D", "data", "-p", str(self.port), "-k", self.folder, *settings]

    def probe(self) -> None:
        psycopg.connect(self.address("postgres"), connect_timeout=2).close()

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.address(name)

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://callwarden@127.0.0.1:{self.port}/{name}"
