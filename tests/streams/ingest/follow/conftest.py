"""A follower of files in a folder of the test, and a writer of the rows of a table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from followed_files import Followed, Topics
from followed_tables import MAPPING

from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.files import file_set
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.placement import TopicPlacement
from streams.kafka.topic_names import TopicNames


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing rotates while the folder is looked at: there is one thread."""
    monkeypatch.setattr(file_set, "_SETTLED_NS", 0)


@pytest.fixture
async def placement() -> TopicPlacement:
    placement = TopicPlacement(TopicNames(), "murmur2")
    await placement.refresh(Topics())  # type: ignore[arg-type]
    return placement


@pytest.fixture
def followed(placement: TopicPlacement, tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(placement, tmp_path)
    yield followed
    followed.source.close()


@pytest.fixture
def from_ends(followed: Followed) -> Followed:
    followed.from_ends = True
    followed.restart()
    return followed


@pytest.fixture
def rows(placement: TopicPlacement, tmp_path: Path) -> RowWriter:
    """A writer of rows for the mapping `calls.yaml`, which it creates."""
    (tmp_path / "calls.yaml").write_text(MAPPING)
    return RowWriter(open_adapter(str(tmp_path / "calls.yaml")), placement, "acc")  # type: ignore[arg-type]
