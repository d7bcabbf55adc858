"""Records that were deleted unhandled: refused with the consequence, and skipped only once an operator accepts it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from billing_server import TOPIC, serving
from sqlalchemy import select

from helpers.fake_topics import FakeTopics
from oracle.billing import event
from streams.consumers.billing.gaps import accept, consequence
from streams.consumers.billing.main import Accepted
from streams.consumers.billing.tables import GAP, POSITIONS
from streams.consumers.data_loss import OtherCluster, RecordsLost
from streams.consumers.database import Database
from streams.kafka.api import TP, PermanentError

FROM = TP(TOPIC, 0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.consumers.follower.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.001)
    monkeypatch.setattr("streams.runtime.retry.LONGEST_S", 0.001)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'billing.db'}", "billing")
    await database.migrate()
    yield database
    database.close()


def cut(topics: FakeTopics, offset: int) -> FakeTopics:
    topics.delete_before(TOPIC, 0, offset)
    return topics


def filled(first: int = 0) -> FakeTopics:
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, *[event(f"e{number}", "acme", "frozen") for number in range(first, first + 6)])
    return topics


async def refusal(folder: Path, topics: FakeTopics) -> str:
    with pytest.raises(RecordsLost) as gone:
        async with serving(folder, topics=topics):
            pass
    return consequence(gone.value)


async def test_a_trimmed_topic_is_refused_until_the_unknown_is_accepted(tmp_path: Path) -> None:
    topics = filled()
    async with serving(tmp_path, topics=topics):
        pass
    topics.put(TOPIC, 0, event("e6", "acme", "released", reverses="e0"), event("e7", "acme", "frozen"))
    cut(topics, 7)
    said = await refusal(tmp_path, topics)
    assert "the next record to handle is 6, but all records before 7 were deleted" in said
    assert "would be answered as refundable" in said
    assert said.endswith("  callwarden billing --accept-loss --partition 0 --offset 7 --reason WHY")
    accepted = [Accepted(0, 7, "retention was set by mistake")]
    for _ in range(2):  # leaving the option on the command line is not an error
        async with serving(tmp_path, topics=topics, accepted=accepted) as billing:
            assert len((await billing.refunds("acme"))["holds"]) == 7
    async with serving(tmp_path, topics=topics) as billing:
        await billing.put(event("e8", "acme", "frozen"))
        assert len((await billing.refunds("acme"))["holds"]) == 8


async def test_a_new_database_for_a_trimmed_topic_is_refused_too(tmp_path: Path) -> None:
    said = await refusal(tmp_path, cut(filled(), 2))
    assert said.endswith("--accept-loss --partition 0 --offset 2 --reason WHY")
    async with serving(tmp_path, topics=cut(filled(), 2), accepted=[Accepted(0, 2, "why")]) as billing:
        assert len((await billing.refunds("acme"))["holds"]) == 4


async def test_a_recreated_topic_that_is_longer_by_now_is_refused_until_accepted(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, topics=filled()):
        pass
    recreated = filled(100)
    recreated.put(TOPIC, 0, event("more", "acme", "frozen"))
    said = await refusal(tmp_path, recreated)
    assert "the last handled record has changed" in said
    assert said.endswith("  callwarden billing --accept-loss --partition 0 --offset 0 --reason WHY")
    for _ in range(2):
        async with serving(tmp_path, topics=recreated, accepted=[Accepted(0, 0, "a new cluster")]) as billing:
            assert len((await billing.refunds("acme"))["holds"]) == 13


async def test_a_recreated_topic_is_read_from_its_beginning_and_earlier_holds_stay(tmp_path: Path) -> None:
    topics = filled()
    async with serving(tmp_path, topics=topics):
        pass
    recreated = FakeTopics(**{TOPIC: 1})
    recreated.put(TOPIC, 0, event("e0", "acme", "frozen"), event("new", "acme", "frozen"))
    said = await refusal(tmp_path, recreated)
    assert "the topic ends at 2" in said
    assert "a new, empty database is filled from the new topic alone" in said
    assert said.endswith("--accept-loss --partition 0 --offset 0 --reason WHY")
    async with serving(tmp_path, topics=recreated, accepted=[Accepted(0, 0, "the cluster was recreated")]) as billing:
        assert len((await billing.refunds("acme"))["holds"]) == 7


async def test_another_cluster_is_refused_until_it_is_accepted_for_each_partition(tmp_path: Path) -> None:
    topics = FakeTopics(**{TOPIC: 2})
    topics.put(TOPIC, 0, event("e0", "acme", "frozen"))
    topics.put(TOPIC, 1, event("e1", "acme", "frozen"))
    async with serving(tmp_path, topics=topics):
        pass
    topics.id = "another-one"
    topics.put(TOPIC, 0, event("e2", "acme", "frozen"))
    topics.put(TOPIC, 1, event("e3", "acme", "frozen"))
    topics.delete_before(TOPIC, 1, 1)
    for accepted in ([], [Accepted(0, 0, "moved")]):
        with pytest.raises(OtherCluster, match="offsets of the Kafka cluster this-one") as gone:
            async with serving(tmp_path, topics=topics, accepted=accepted):
                pass
        said = consequence(gone.value)
        assert said.endswith(
            "  callwarden billing --accept-loss --partition 0 --offset 0 --partition 1 --offset 1 --reason WHY"
        )
    for _ in range(2):
        accepted = [Accepted(0, 0, "moved"), Accepted(1, 1, "moved")]
        async with serving(tmp_path, topics=topics, accepted=accepted) as billing:
            assert len((await billing.refunds("acme"))["holds"]) == 4


@pytest.mark.parametrize(
    ("partition", "offset", "why"),
    [
        (0, 3, "begins at offset 2; expected 3"),
        (0, 1, "begins at offset 2; expected 1"),
        (1, 2, "callwarden.enforcement has no partition 1"),
    ],
)
async def test_a_gap_without_deleted_records_is_not_accepted(
    database: Database, partition: int, offset: int, why: str
) -> None:
    topics = cut(filled(), 2)
    with pytest.raises(PermanentError, match=why):
        await accept(topics, database, TP(TOPIC, partition), offset, "why", 1)
    with database.reading() as connection:
        assert connection.execute(select(GAP)).all() == []


async def test_no_existing_record_is_skipped(database: Database) -> None:
    with pytest.raises(PermanentError, match="no record from offset 0, the next one to handle, was deleted"):
        await accept(filled(), database, FROM, 4, "why", 1)
    await database.run(lambda connection: POSITIONS.begin(connection, {FROM: 3}, None))
    await accept(cut(filled(), 4), database, FROM, 4, "ask 13812345678", 5)
    with database.reading() as connection:
        assert connection.execute(select(GAP)).all() == [(TOPIC, 0, 3, 4, 5, "ask •••••••••78")]
        assert POSITIONS.known(connection) == {FROM: 4}
