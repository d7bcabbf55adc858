"""Decisions, reviews and actions in topics in memory, a ledger of them, and the oracle of its chains: a plain loop."""

from pathlib import Path

from helpers.fake_topics import FakeTopics
from schemas import codec
from schemas.actions import Action
from schemas.inputs import Review
from schemas.outputs import Enforcement
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.consumers.ledger.up_to_date import topics_of
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

NAMES = TopicNames("in.", "out.")
DECISIONS, REVIEWS, ACTIONS = topics_of(NAMES)

_TOPIC_OF = {Enforcement: DECISIONS, Review: REVIEWS, Action: ACTIONS}


def topics(partitions: int = 2) -> FakeTopics:
    """All topics, empty. Their clock is ahead of the test's, so every answer counts as current."""
    held = FakeTopics(**{DECISIONS: partitions, REVIEWS: partitions, ACTIONS: 1})
    held.now_ms = 4_000_000_000_000
    return held


def address(folder: Path) -> str:
    """The address of the ledger's database in that folder."""
    return f"sqlite:///{folder / 'ledger.db'}"


async def filled(url: str, held: FakeTopics, names: TopicNames = NAMES) -> Database:
    """A ledger that has stored every record of the topics. The caller closes it."""
    database = Database(url, "ledger")
    try:
        await database.migrate()
        await catch_up(held, database, names)
    except BaseException:
        database.close()
        raise
    return database


def put(held: FakeTopics, partition: int, *records: Enforcement | Review | Action) -> None:
    """Append records to their topics."""
    for record in records:
        topic = next(topic for kind, topic in _TOPIC_OF.items() if isinstance(record, kind))
        held.put(topic, partition, codec.encode(record))


def held_by(fake: FakeTopics) -> dict[TP, list[tuple[int, int, bytes | None, bytes | None]]]:
    """The content of topics in memory, for the oracle."""
    return {
        tp: [(fake.first[tp] + n, fake.now_ms, None, value) for n, value in enumerate(log)]
        for tp, log in fake.logs.items()
    }
