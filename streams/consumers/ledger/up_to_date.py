"""Whether the ledger has all that its topics hold, told without reading them."""

import asyncio
from typing import Final

from sqlalchemy import Connection, select

from streams.consumers.database import Database
from streams.consumers.ledger.tables import ABOUT_ONE, ENTRIES, POSITIONS, REREAD
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

DECISIONS: Final = "enforcement"
_LOOK_S = 0.1
_LOOKS = 10


def topics_of(names: TopicNames) -> list[str]:
    """The topics whose records are kept: decisions, then reviews."""
    return [names.output(DECISIONS), names.input_prefix + "reviews"]


def may_be_reread(connection: Connection) -> bool:
    """Whether there is an entry that could not be read when it was kept, and is not listed since."""
    query = select(ENTRIES.c.number).join_from(ENTRIES, REREAD, ABOUT_ONE, isouter=True)
    return (
        connection.execute(query.where(ENTRIES.c.fault.is_not(None), REREAD.c.topic.is_(None)).limit(1)).first()
        is not None
    )


async def is_up_to_date(topics: TopicReader, database: Database, names: TopicNames) -> bool:
    """Whether all that was committed when this is called is kept. Unavailable, Refused.

    A ledger that `callwarden ledger run` keeps is so at once, or a moment later: that is waited for while its positions
    move. False where anything is not as it must be: whoever catches up finds out what.
    """
    counts = await topics.partitions(topics_of(names))
    if len(counts) < len(topics_of(names)):
        return False  # whoever follows says which topic is missing
    tps = [TP(topic, number) for topic in counts for number in range(counts[topic])]
    ends, cluster = await topics.ends(tps), await topics.cluster_id()
    before: dict[TP, int] | None = None
    for _ in range(_LOOKS):
        known, clusters = await asyncio.to_thread(_look, database)
        if clusters - {cluster}:
            return False
        if all(known.get(tp, 0) >= end for tp, end in ends.items()):
            beyond = [tp for tp, end in ends.items() if known.get(tp, 0) > end]
            now = await topics.ends(beyond)  # or the topic was cut
            return all(known[tp] <= now[tp] for tp in beyond)
        if known == before:
            return False  # nobody else is at work
        before = known
        await asyncio.sleep(_LOOK_S)
    return False


def _look(database: Database) -> tuple[dict[TP, int], set[str]]:
    with database.reading() as connection:
        return POSITIONS.known(connection), POSITIONS.clusters(connection)
