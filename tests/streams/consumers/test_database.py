"""A consumer's database: one writer, migrations, and errors that say what to do without showing stored values."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from helpers.database_turns import check_turns
from helpers.patience import PATIENCE_S
from streams.consumers import database as module
from streams.consumers.database import Database, filled
from streams.kafka.api import PermanentError, TransientError

CASES = Table("case", MetaData(), Column("id", String(64)))
FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("case", sa.Column("id", sa.String(64), primary_key=True))
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade():
    op.add_column("case", sa.Column("note", sa.String(64)))
"""


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "0001_first.py").write_text(FIRST)
    monkeypatch.setattr(module, "_versions", lambda name: folder)
    return folder


def at(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'cases.db'}", "cases")


async def test_migrations_make_the_tables_and_change_them_once(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()
    await database.run(lambda connection: connection.execute(text("INSERT INTO \"case\" VALUES ('one')")))
    (versions / "0002_second.py").write_text(SECOND)
    await database.migrate()
    await database.migrate()
    with database.reading() as connection:
        assert connection.execute(text('SELECT id, note FROM "case"')).all() == [("one", None)]
        assert connection.execute(text("SELECT version_num FROM cases_version")).all() == [("0002",)]
    database.close()


async def test_several_that_make_one_new_database_at_once_all_have_it(tmp_path: Path, versions: Path) -> None:
    for number in range(40):  # SQLite refused one in three such concurrent starts
        folder = tmp_path / str(number)
        folder.mkdir()
        databases = [at(folder) for _ in range(4)]
        await asyncio.gather(*(database.migrate() for database in databases))
        for database in databases:
            database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, versions: Path) -> None:
    (versions / "0001_first.py").write_text(FIRST + "    raise RuntimeError('half way')\n")
    database = at(tmp_path)
    with pytest.raises(RuntimeError, match="half way"):
        await database.migrate()
    with database.reading() as connection:
        assert connection.execute(text("SELECT name FROM sqlite_master")).all() == []
    database.close()


async def test_tables_of_a_newer_release_are_refused(tmp_path: Path, versions: Path) -> None:
    second = versions / "0002_second.py"
    second.write_text(SECOND)
    newer = at(tmp_path)
    await newer.migrate()
    newer.close()
    second.unlink()
    older = at(tmp_path)
    with pytest.raises(PermanentError, match="tables of another release of Callwarden"):
        await older.migrate()
    older.close()


async def test_what_raises_is_rolled_back(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()

    def twice(connection):
        connection.execute(text("INSERT INTO \"case\" VALUES ('one')"))
        connection.execute(text("INSERT INTO \"case\" VALUES ('one')"))

    with pytest.raises(IntegrityError):
        await database.run(twice)
    with database.reading() as connection:
        assert connection.execute(text('SELECT count(*) FROM "case"')).scalar() == 0
    database.close()


async def test_a_reader_sees_one_state_and_holds_no_writer_up(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()
    with database.reading() as connection:
        assert connection.execute(text('SELECT count(*) FROM "case"')).scalar() == 0
        await database.run(lambda writing: writing.execute(text("INSERT INTO \"case\" VALUES ('one')")))
        assert connection.execute(text('SELECT count(*) FROM "case"')).scalar() == 0
    with database.reading() as connection:
        assert connection.execute(text('SELECT count(*) FROM "case"')).scalar() == 1
    database.close()


async def test_a_database_that_is_opened_to_be_read_stays_as_it_is(tmp_path: Path, versions: Path) -> None:
    writer = await with_cases(tmp_path, "one")
    before = [(tmp_path / name).read_bytes() for name in ("cases.db", "cases.db-wal")]
    reader = Database(f"sqlite:///{tmp_path / 'cases.db'}", "cases", read_only=True)
    count = text('SELECT count(*) FROM "case"')
    with reader.reading() as connection:
        assert connection.execute(count).scalar() == 1
        assert [(tmp_path / name).read_bytes() for name in ("cases.db", "cases.db-wal")] == before
        await writer.run(lambda writing: writing.execute(text("INSERT INTO \"case\" VALUES ('two')")))
        assert connection.execute(count).scalar() == 1, "it sees one state"
        with pytest.raises(OperationalError, match="readonly"):
            connection.execute(text('DELETE FROM "case"'))
    with pytest.raises(RuntimeError, match="is open read-only"):
        await reader.migrate()
    writer.close()
    before = [(tmp_path / "cases.db").read_bytes()]
    with reader.reading() as connection:
        assert connection.execute(count).scalar() == 2
    reader.close()
    assert [(tmp_path / "cases.db").read_bytes()] == before


async def test_a_database_that_is_locked_for_long_is_away(
    tmp_path: Path, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_S", 0.05)
    database = at(tmp_path)
    await database.migrate()
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match=r"cases.db: database is locked"):
        await database.run(lambda connection: None)
    other.close()
    await database.run(lambda connection: None)
    database.close()


def test_a_file_that_cannot_be_there_is_refused_for_waiting_would_not_help(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"no/cases.db: there is no folder .*/no; expected an existing one"):
        at(tmp_path / "no")
    with pytest.raises(PermanentError, match=r"the path is a folder; expected a file in it"):
        Database(f"sqlite:///{tmp_path}", "cases")


@pytest.fixture
def disk(versions: Path) -> Iterator[Path]:
    """A folder in which only its owner can change anything; others can read."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def not_to_be_written(folder: Path) -> Iterator[None]:
    """Make it appear to be on a read-only disk."""
    root = os.geteuid() == 0
    try:
        for file in folder.iterdir():
            file.chmod(0o644 if root else 0o444)
        if root:
            os.seteuid(65_534)
        else:
            folder.chmod(0o555)
        yield
    finally:
        if root:
            os.seteuid(0)
        else:
            folder.chmod(0o755)


async def with_cases(folder: Path, *names: str) -> Database:
    database = at(folder)
    await database.migrate()
    await database.run(lambda connection: connection.execute(insert(CASES), [{"id": name} for name in names]))
    return database


def read(folder: Path) -> list[str]:
    with filled(f"sqlite:///{folder / 'cases.db'}", "cases", CASES, "is empty") as found, found.reading() as connection:
        return list(connection.execute(select(CASES.c.id)).scalars())


async def test_what_lies_on_a_disk_that_cannot_be_written_to_is_read(disk: Path) -> None:
    (await with_cases(disk, "one", "two")).close()
    files = sorted(disk.iterdir())
    with not_to_be_written(disk):
        assert read(disk) == ["one", "two"]
        database = at(disk)
        with pytest.raises(TransientError, match="readonly"):
            await database.run(lambda connection: connection.execute(insert(CASES), [{"id": "three"}]))
        database.close()
    assert sorted(disk.iterdir()) == files
    assert read(disk) == ["one", "two"]


@pytest.mark.parametrize("started_before", [True, False])
async def test_a_disk_that_was_not_writable_for_a_while_is_written_to_again(disk: Path, started_before: bool) -> None:
    def add(connection: Connection) -> None:
        connection.execute(insert(CASES), [{"id": "two"}])

    database = other = await with_cases(disk, "one")
    with other.reading() as reader:  # keeps the side files, without which nothing connects
        reader.execute(select(CASES.c.id)).all()
        if started_before:
            database.forget()
        with not_to_be_written(disk):
            if not started_before:
                database = at(disk)
            for _ in range(2):
                with pytest.raises(TransientError, match="readonly"):
                    await database.run(add)
        with suppress(TransientError):  # finds out that the file is writable now
            await database.run(add)
        if read(disk) == ["one"]:
            await database.run(add)
        assert read(disk) == ["one", "two"]
    database.close()
    other.close()


async def test_what_a_writer_has_just_written_is_read_by_one_who_cannot_write(disk: Path) -> None:
    writer = await with_cases(disk, "one")
    with writer.reading() as connection:  # keeps the log from being copied into the file
        connection.execute(select(CASES.c.id)).all()
        await writer.run(lambda connection: connection.execute(insert(CASES), [{"id": "two"}]))
        with not_to_be_written(disk):
            assert read(disk) == ["one", "two"]
    writer.close()


async def test_a_copy_whose_log_cannot_be_read_is_not_taken_for_all(disk: Path, tmp_path: Path) -> None:
    writer = await with_cases(tmp_path, "one")
    for name in ("cases.db", "cases.db-wal"):
        shutil.copy(tmp_path / name, disk / name)
        (disk / name).chmod(0o644)
    writer.close()
    with (
        not_to_be_written(disk),
        pytest.raises(PermanentError, match=r"part of it is in cases.db-wal, .* a writable copy of both"),
    ):
        read(disk)
    assert read(disk) == ["one"]


async def test_an_error_of_a_statement_shows_no_value(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(text('INSERT INTO "case" VALUES (:id)'), {"id": "13800138000"})

    with pytest.raises(IntegrityError) as raised:
        await database.run(twice)
    assert "INSERT" in str(raised.value)
    assert "13800138000" not in str(raised.value)
    database.close()


@pytest.mark.parametrize("address", ["cases.db", "mysql://host/cases", "sqlite+aiosqlite:///cases.db", "//"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(PermanentError, match=r"CALLWARDEN_CASES_DATABASE: .*sqlite:///FILE or postgresql://"):
        Database(address, "cases")


@pytest.mark.parametrize(
    "url", ["postgresql://ward:geheim@127.0.0.1:1/cases", "postgresql://ward@127.0.0.1:1/cases?password=geheim"]
)
def test_a_password_is_never_shown(url: str) -> None:
    database = Database(url, "cases")
    with (
        pytest.raises(TransientError, match=r"the database postgresql://127.0.0.1:1/cases: ") as raised,
        database.reading(),
    ):
        pass
    assert "geheim" not in str(raised.value)
    database.close()


@pytest.mark.parametrize(("asked", "timeout"), [("", 5), ("?connect_timeout=40", "40")])
def test_a_postgresql_that_goes_silent_is_waited_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, asked: str, timeout: object
) -> None:
    given: dict[str, object] = {}

    def connect(*_: object, **arguments: object) -> None:
        given.update(arguments)
        raise psycopg.OperationalError("no server there")

    monkeypatch.setattr(psycopg, "connect", connect)
    database = Database(f"postgresql://ward@127.0.0.1:1/cases{asked}", "cases")
    with pytest.raises(TransientError, match="no server there"), database.reading():
        pass
    database.close()
    assert given["connect_timeout"] == timeout, "an explicit value takes precedence"
    assert given["tcp_user_timeout"] == 15_000
    assert (given["keepalives"], given["keepalives_idle"]) == (1, 5)
    assert (given["keepalives_interval"], given["keepalives_count"]) == (3, 3)
    assert given["options"] == "-c statement_timeout=60s"


async def test_closing_it_again_changes_nothing(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()
    database.close()
    database.close()


async def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path, versions: Path) -> None:
    database = at(tmp_path)
    await database.migrate()
    database.close()
    with (tmp_path / "cases.db").open("r+b") as stored:
        stored.truncate(4096)  # only the first page, which says that there are more
    damaged = at(tmp_path)
    with pytest.raises(
        PermanentError, match=r"cases\.db is damaged: .*; expected an intact one: restore a backup, or use a new one, "
    ):
        await damaged.migrate()
    damaged.close()


async def test_processes_take_turns_and_a_stalled_one_stops_none(tmp_path: Path) -> None:
    await check_turns(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert (tmp_path / "ledger.db-callwarden-ledger-reviews.lock").stat().st_mode & 0o777 == 0o600


async def test_a_turn_ends_with_the_process_that_had_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    script = (
        "import asyncio, sys\nfrom streams.consumers.database import Database\n"
        "async def main():\n    async with Database(sys.argv[1], 'ledger').turn('reviews', 600.0):\n"
        "        print('taken', flush=True)\n        await asyncio.sleep(600)\nasyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, url, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"taken\n"
    database, killed, taken = Database(url, "ledger"), False, []

    async def wait() -> None:
        async with database.turn("reviews", 600.0):
            taken.append(killed)

    running = asyncio.create_task(wait())
    await asyncio.sleep(0.2)
    killed = True
    process.kill()
    await process.wait()
    await asyncio.wait_for(running, PATIENCE_S)
    assert taken == [True]
    database.close()
