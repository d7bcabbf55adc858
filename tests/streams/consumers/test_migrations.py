"""The consumers' own migrations: what an earlier release has stored is still there, and the tables are those in use."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from streams.consumers import database as module
from streams.consumers.database import Database
from streams.consumers.offsets import LastRecord

CONSUMERS = ["billing", "ledger", "notify"]
FIRST = "INSERT INTO {}_position (topic, partition, next, last_offset, last_hash) VALUES ('ours', 0, 7, 6, 'abc')"


@pytest.mark.parametrize("name", CONSUMERS)
async def test_tables_of_the_first_release_are_brought_to_those_in_use(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = module._versions(name)
    (tmp_path / "first").mkdir()
    (first,) = every.glob("0001_*.py")
    shutil.copy(first, tmp_path / "first")
    database = Database(f"sqlite:///{tmp_path / 'consumer.db'}", name)
    monkeypatch.setattr(module, "_versions", lambda _: tmp_path / "first")
    await database.migrate()
    await database.run(lambda connection: connection.execute(text(FIRST.format(name))))
    monkeypatch.setattr(module, "_versions", lambda _: every)
    await database.migrate()
    tables = import_module(f"streams.consumers.{name}.tables")
    with database.reading() as connection:
        assert tables.POSITIONS.known(connection) == {("ours", 0): 7}
        assert tables.POSITIONS.last(connection) == {("ours", 0): LastRecord(6, "abc")}
        assert tables.POSITIONS.clusters(connection) == set()
        differences = compare_metadata(MigrationContext.configure(connection), tables.METADATA)
        assert [each for each in differences if each[0] != "remove_table"] == []
    database.close()
