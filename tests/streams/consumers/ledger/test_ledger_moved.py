"""A ledger whose topics were rescaled to others with another number of partitions continues without
repeated entries.
"""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import address
from oracle.ledger import T0, event, pending, review, rows
from schemas import codec
from streams.cli.app import build
from streams.consumers.database import Database
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.catch_up import follower_of
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.queries.lookup import CaseQuery, case_of, cases, of_tenant
from streams.consumers.ledger.reparse import reparse_faulty
from streams.consumers.ledger.up_to_date import topics_of
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.writer import LedgerWriter
from streams.kafka.topic_names import TopicNames

OLD, NEW = TopicNames("old-in.", "old."), TopicNames("new-in.", "new.")  # the new names sort first
BEFORE = pending("p"), event("w"), pending("q")
WAITS = review("r", "q", "overturn")
SINCE = (
    event("u", kind="ban", supersedes="p", decided_ms=T0 + 1),
    event("v", kind="reversal", reverses="q", decided_ms=T0 + 2),
)


async def moved(database: Database) -> None:
    """The old topics, then the new ones, into one database."""
    topics = FakeTopics(**dict.fromkeys(topics_of(OLD), 2), **dict.fromkeys(topics_of(NEW), 3))
    topics.now_ms = 4_000_000_000_000
    decisions, reviews, _ = topics_of(OLD)
    topics.put(decisions, 1, *map(codec.encode, BEFORE))
    topics.put(reviews, 1, codec.encode(WAITS))
    await follower_of(topics, database, OLD, LedgerWriter()).catch_up()
    decisions, reviews, _ = topics_of(NEW)
    topics.put(decisions, 2, *map(codec.encode, SINCE))
    topics.put(reviews, 2, codec.encode(WAITS))  # carried over
    await follower_of(topics, database, NEW, LedgerWriter()).catch_up()


async def test_earlier_cases_continue_and_every_chain_is_verified(tmp_path: Path) -> None:
    database = Database(address(tmp_path), "ledger")
    await database.migrate()
    await moved(database)
    assert len(rows(database)) == 7, "entries are kept as they came, the review in both topics"
    with database.reading() as connection:
        found = verify(connection, {})
        events, reviews, _ = of_tenant(connection, "acme")
        waiting = cases(connection, CaseQuery(status="pending"))
        case = case_of(connection, "q")
    assert (found.faults, found.unreadable, len(found.heads)) == ([], 0, 4)
    assert [one.id for one in events] == ["p", "w", "q", "u", "v"], "in the order in which they were decided"
    assert (reviews, waiting) == ([WAITS], [])
    assert case is not None
    assert (case.status, case.reviews) == ("reversed", (WAITS,))
    database.close()
    command = ["ledger", "show", "acme", "--database", address(tmp_path)]
    shown = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
    assert shown.output.count("  r  ") == 1
    assert "violations on record: 2, refunds not frozen" in shown.output


async def test_records_unread_before_a_rescale_are_read_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(address(tmp_path), "ledger")
    await database.migrate()
    with monkeypatch.context() as before:
        before.setattr(keep, "fields_of_event", lambda _: EntryFields(fault="of tomorrow"))
        await moved(database)
    assert await database.run(reparse_faulty) == len([*BEFORE, *SINCE])
    database.close()
