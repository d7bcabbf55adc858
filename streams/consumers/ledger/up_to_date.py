"""Whether the ledger has everything that its topics hold, determined without reading them."""

import asyncio
from typing import Final

from sqlalchemy import Connection, select

from streams.consumers.database import Database
from streams.consumers.ledger.entries import ACTIONS
from streams.consumers.ledger.tables import ABOUT_ONE, ENTRIES, POSITIONS, REREAD
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

DECISIONS: Final = "enforcement"
_LOOK_S = 0.1
_LOOKS = 10


def topics_of(names: TopicNames) -> list[str]:
    """The topics that the ledger records: decisions, reviews, and what people did in the console."""
    return [names.output(DECISIONS), names.input_prefix + "reviews", names.output(ACTIONS)]


def may_be_reread(connection: Connection) -> bool:
    """Whether an entry has a fault and no row in `REREAD`."""
    query = select(ENTRIES.c.number).join_from(ENTRIES, REREAD, ABOUT_ONE, isouter=True)
    return (
        connection.execute(query.where(ENTRIES.c.fault.is_not(None), REREAD.c.topic.is_(None)).limit(1)).first()
        is not None
    )


async def is_up_to_date(topics: TopicReader, database: Database, names: TopicNames) -> bool:
    """Whether everything committed at the time of the call is recorded. Raises TransientError or PermanentError.

    With a running `callwarden ledger run` that is so at once or a moment later: this waits while the positions advance.
    False also if anything is wrong: the catch-up that follows reports it.
    """
    counts = await topics.partitions(topics_of(names))
    if len(counts) < len(topics_of(names)):
        return False  # the follower reports which topic is missing
    tps = [TP(topic, number) for topic in counts for number in range(counts[topic])]
    ends, cluster = await topics.ends(tps), await topics.cluster_id()
    before: dict[TP, int] | None = None
    for _ in range(_LOOKS):
        known, clusters = await asyncio.to_thread(_look, database)
        if clusters - {cluster}:
            return False
        if all(known.get(tp, 0) >= end for tp, end in ends.items()):
            beyond = [tp for tp, end in ends.items() if known.get(tp, 0) > end]
            now = await topics.ends(beyond)  # or the topic was truncated
            return all(known[tp] <= now[tp] for tp in beyond)
        if known == before:
            return False  # no other process is writing
        before = known
        await asyncio.sleep(_LOOK_S)
    return False


def _look(database: Database) -> tuple[dict[TP, int], set[str]]:
    with database.reading() as connection:
        return POSITIONS.known(connection), POSITIONS.clusters(connection)
