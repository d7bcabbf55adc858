"""Brings the ledger's database up to what the topics hold."""

from streams.consumers.data_loss import Gone
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.ledger.tables import POSITIONS
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.ledger.writer import Keeper
from streams.consumers.topic_reader import Topics
from streams.kafka.api import Refused
from streams.kafka.topic_names import Names


def follower_of(cluster: Topics, database: Database, names: Names, keeper: Keeper) -> Follower:
    """What keeps the ledger's topics in its database."""
    return Follower(cluster, database, POSITIONS, topics_of(names), keeper.keep)


def lost(error: Gone) -> Refused:
    """What it means for the ledger that records are gone, and how to go on."""
    if error.offset >= error.start:
        return Refused(f"{error}. A ledger goes on with the topics that it began with; another database would be right")
    return Refused(
        f"{error}. What was decided or reviewed there is not in the ledger and cannot be: a decision whose reversal "
        "is missing would seem to stand. Restore the topic, or go on without: `callwarden ledger accept-loss "
        "--reason WHY` records the gap for whoever verifies the ledger"
    )


async def catch_up(topics: Topics, database: Database, names: Names) -> None:
    """Keep all that is committed now. Unavailable, Refused, Unreadable."""
    try:
        await follower_of(topics, database, names, Keeper()).catch_up()
    except Gone as error:
        raise lost(error) from None
