"""A ledger of thirty entries, and how its owner changes it behind its back."""

import sqlite3
from pathlib import Path

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import put, topics
from oracle.ledger import action, pending, review
from streams.consumers.database import Database
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger.published_heads import PublishedHead

OF_ONE_CHAIN = "topic = 'out.enforcement' AND partition = 1"


def held_topics() -> FakeTopics:
    """Topics with six decisions and six reviews in each of two partitions, and six actions."""
    held = topics(2)
    for number in range(12):
        put(held, number % 2, pending(f"e{number}"), review(f"r{number}", f"e{number}"))
    put(held, 0, *(action(f"a{number}") for number in range(6)))
    return held


def tamper(folder: Path, *statements: str) -> None:
    """Change the database as its owner can, without the triggers in the way."""
    connection = sqlite3.connect(folder / "ledger.db")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, statement
    connection.commit()
    connection.close()


def heads_now(database: Database) -> tuple[PublishedHead, ...]:
    """The heads of the chains, as `callwarden ledger run` would publish them."""
    with database.reading() as connection:
        return heads.heads_of(connection)
