"""Brings the ledger's database up to date with the topics."""

from functools import partial

from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.ledger.progress import note_progress
from streams.consumers.ledger.tables import POSITIONS
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.ledger.writer import LedgerWriter
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames
from streams.runtime.wall_clock import epoch_ms


def follower_of(cluster: TopicReader, database: Database, names: TopicNames, keeper: LedgerWriter) -> Follower:
    """The follower that writes the ledger's topics to its database."""
    return Follower(cluster, database, POSITIONS, topics_of(names), keeper.keep)


def lost(error: RecordsLost) -> PermanentError:
    """The ledger's error for lost records: the consequence, and how to continue."""
    if error.offset >= error.start:
        return PermanentError(
            f"{error}. A ledger belongs to the topics that it began with; expected another database for other topics"
        )
    return PermanentError(
        f"{error}. The records in between cannot be recorded: a decision whose reversal is missing would "
        "appear to be in force. Restore the topic, or continue without them: `callwarden ledger accept-loss --reason "
        "WHY` records the gap, and `callwarden ledger verify` reports it"
    )


async def catch_up(topics: TopicReader, database: Database, names: TopicNames) -> None:
    """Write everything committed by now. Raises TransientError or PermanentError."""
    as_of_ms = epoch_ms()
    try:
        await follower_of(topics, database, names, LedgerWriter()).catch_up()
    except RecordsLost as error:
        raise lost(error) from None
    await database.run(partial(note_progress, as_of_ms=as_of_ms))
