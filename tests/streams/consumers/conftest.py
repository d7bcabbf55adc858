"""A database of stored records, and a broker that is asked again at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import recording_consumer

from streams.consumers.database import Database


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before retrying the broker."""
    monkeypatch.setattr("streams.consumers.follower.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.LONGEST_S", 0.001)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await recording_consumer.new_database(tmp_path)
    yield database
    database.close()
