"""The ledger's tables on a real PostgreSQL: as the code expects them, and append-only."""

from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres import Postgres
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from oracle.ledger import chained, event, oracle, pending, review, rows
from oracle.ledger_mutations import MUTATIONS, faults_after, fill
from schemas import codec
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.ledger.queries.lookup import CaseQuery, cases
from streams.consumers.ledger.tables import ENTRIES, LOSSES, METADATA
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.writer import LedgerWriter
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

NAMES = TopicNames("in.", "out.")
HELD: dict[TP, list[tuple[int, int, bytes | None, bytes | None]]] = {
    TP("in.reviews", 0): [(4, 9, b"a", codec.encode(review("r1", "cwe-p"))), (9, 9, None, None)],
    TP("out.enforcement", 1): [
        (0, 7, b"a\x00b", codec.encode(pending("cwe-p", "a\x00b"))),
        (3, 8, b"", codec.encode(event("cwe-w", "租户"))),
        (5, 8, None, b"\x00\xff {"),
    ],
}


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.database("ledger_tables"), "ledger")
    await database.migrate()
    records = [FollowedRecord(tp, *held) for tp, some in HELD.items() for held in some]
    await database.run(lambda connection: LedgerWriter().keep(connection, records))
    yield database
    database.close()


async def test_entries_are_what_the_topics_hold(database: Database) -> None:
    assert list(map(chained, rows(database))) == oracle(HELD)
    with database.reading() as connection:
        [case] = cases(connection, CaseQuery(tenant="a\x00b"))
        assert (case.opening.id, case.opening.subject) == ("cwe-p", "a\x00b")


async def test_removed_moved_and_edited_entries_are_named(postgres: Postgres) -> None:
    database = Database(postgres.database("ledger_mutated"), "ledger")
    await fill(database)
    assert await faults_after(database, None) == []
    for mutation, (_, output) in MUTATIONS.items():
        found = await faults_after(database, mutation)
        assert any(output in fault for fault in found), (mutation, found)
    assert await faults_after(database, None) == []
    database.close()


async def test_the_migrations_make_what_the_code_expects(database: Database) -> None:
    with database.reading() as connection:
        ours = MigrationContext.configure(connection, opts={"include_name": lambda name, *_: name != "ledger_version"})
        assert compare_metadata(ours, METADATA) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET value = ''",
        "UPDATE ledger_entry SET fault = 'x' WHERE number = 1",
        "DELETE FROM ledger_entry WHERE number = 2",
        "TRUNCATE ledger_entry",
        "UPDATE ledger_loss SET reason = ''",
        "DELETE FROM ledger_loss",
        "TRUNCATE ledger_loss",
    ],
)
async def test_no_entry_can_be_changed_or_deleted(database: Database, change: str) -> None:
    loss = {"topic": "t", "partition": 0, "first": 0, "stop": 1, "at_ms": 1, "accepted_by": "wang", "reason": "why"}
    await database.run(lambda connection: connection.execute(insert(LOSSES), [loss]))
    before = rows(database)
    with pytest.raises(DBAPIError, match="is append-only: nothing in it is changed or deleted"):
        await database.run(lambda connection: connection.execute(text(change)))
    assert rows(database) == before


async def test_an_entry_that_leaves_a_number_out_is_refused(database: Database) -> None:
    more = {**rows(database)[0], "number": 4, "offset": 70}
    with pytest.raises(DBAPIError, match="expected the next number"):
        await database.run(lambda connection: connection.execute(insert(ENTRIES), [more]))


async def test_a_reader_sees_one_state_while_entries_come(database: Database) -> None:
    more = FollowedRecord(TP("out.enforcement", 1), 6, 9, None, codec.encode(event("cwe-x")))
    with database.reading() as connection:
        assert len(connection.execute(select(ENTRIES.c.number)).all()) == 5
        await database.run(lambda writing: LedgerWriter().keep(writing, [more]))
        assert len(connection.execute(select(ENTRIES.c.number)).all()) == 5
        faults = verify(connection, {}).faults
    # Nothing has moved the positions in this test.
    assert [fault.partition(":")[0] for fault in faults] == ["in.reviews-0", "out.enforcement-1"]
    assert all("to be beyond it, got 0" in fault for fault in faults)
    with pytest.raises(DBAPIError, match="read-only"), database.reading() as connection:
        connection.execute(text("CREATE TABLE other (id int)"))
