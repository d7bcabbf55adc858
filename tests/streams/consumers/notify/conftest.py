"""The notifier's database, for its tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.consumers.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'notify.db'}", "notify")
    await database.migrate()
    yield database
    database.close()
