"""Billing's holds, against the contract's rule implemented with plain sets."""

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from oracle.billing import TENANTS, batches, event, holds, random_records
from streams.consumers.billing.handler import Handler
from streams.consumers.billing.holds import counted, holds_of
from streams.consumers.billing.tables import HANDLED, METADATA, REJECTED, RELEASED
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.kafka.api import TP


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'billing.db'}", "billing")
    await database.migrate()
    yield database
    database.close()


class Feed:
    """Passes values on as records of one partition."""

    def __init__(self, database: Database) -> None:
        self._database, self._next = database, 0
        self.counts: Counter[str] = Counter()
        self._handler = Handler(self.counts.update)

    async def put(self, values: Sequence[bytes | None]) -> None:
        records = [FollowedRecord(TP("t", 0), self._next + at, 0, None, value) for at, value in enumerate(values)]
        self._next += len(values)
        (await self._database.run(lambda connection: self._handler(connection, records)))()

    def held(self, *tenants: str) -> dict[str, set[str]]:
        with self._database.reading() as connection:
            found = holds_of(connection, tenants or TENANTS)
        return {tenant: {hold.id for hold in each} for tenant, each in found.items() if each}


@pytest.mark.parametrize("turn", range(6))
async def test_any_records_in_any_batches_leave_the_holds_of_the_rule(database: Database, turn: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    records = random_records(rng, 400)
    feed = Feed(database)
    done: list[bytes | None] = []
    for batch in batches(rng, records):
        await feed.put(batch)
        done += batch
        assert feed.held() == holds(done)
    assert any(holds(records).values())
    with database.reading() as connection:
        expected = holds(records)
        assert counted(connection) == (sum(map(len, expected.values())), len(expected))
    assert feed.counts.total() == len(records)
    await feed.put(records)  # a restored database may be behind the topic, never ahead of it
    assert feed.held() == expected


async def test_an_id_that_was_released_holds_nothing_when_its_event_comes_later(database: Database) -> None:
    feed = Feed(database)
    await feed.put([event("reversal", "acme", "released", reverses="ban")])
    await feed.put([event("ban", "acme", "frozen"), event("other", "acme", "frozen")])
    assert feed.held() == {"acme": {"other"}}


async def test_an_event_that_releases_a_hold_may_hold_itself(database: Database) -> None:
    feed = Feed(database)
    await feed.put([event("pending", "acme", "frozen", decided_ms=1_772_000_000_000)])
    await feed.put([event("final", "acme", "frozen", supersedes="pending", decided_ms=1_772_000_000_500)])
    assert feed.held() == {"acme": {"final"}}
    with database.reading() as connection:
        [hold] = holds_of(connection, ["acme"])["acme"]
    assert (hold.since_ms, hold.decided_ms) == (1_772_000_000_000, 1_772_000_000_500)


async def test_since_is_the_same_when_the_pending_event_comes_last(database: Database) -> None:
    feed = Feed(database)
    await feed.put([event("final", "acme", "frozen", supersedes="pending", decided_ms=1_772_000_000_500)])
    await feed.put([event("pending", "acme", "frozen", decided_ms=1_772_000_000_000)])
    with database.reading() as connection:
        [hold] = holds_of(connection, ["acme"])["acme"]
    assert hold.since_ms == 1_772_000_000_000


async def test_a_repeated_id_changes_nothing_whatever_its_second_event(database: Database) -> None:
    feed = Feed(database)
    await feed.put([event("ban", "acme", "frozen")])
    await feed.put([event("warning", "acme", "unaffected"), event("warning", "acme", "frozen", reverses="ban")])
    await feed.put([event("warning", "acme", "frozen", reverses="ban"), event("ban", "other", "frozen")])
    assert feed.held("acme", "other") == {"acme": {"ban"}}
    assert feed.counts == Counter(frozen=1, unaffected=1, duplicate=3, released=0)


@pytest.mark.parametrize(
    "value",
    [
        b'{"id":"e","subject":"acme","data":{"refunds":"frozen"}}',
        b'{"id":"e","type":"callwarden.enforcement.v9","subject":"acme","new":[{}],"data":{"refunds":"frozen","x":1}}',
        b'{"id":"e","subject":"acme","data":{"refunds":"frozen","clause":"six","status":{},"reason":[],'
        b'"decided_ms":"soon","review_by_ms":-1,"reverses":null,"supersedes":""}}',
        b'{"id":"e","subject":"acme","data":{"refunds":"frozen","clause":99999999999,"reason":{"zh":7},'
        b'"decided_ms":99999999999999999999999999,"reverses":""}}',
    ],
)
async def test_an_event_of_a_newer_release_holds(database: Database, value: bytes) -> None:
    feed = Feed(database)
    await feed.put([value])
    assert feed.held() == {"acme": {"e"}}
    with database.reading() as connection:
        [hold] = holds_of(connection, ["acme"])["acme"]
    assert (hold.clause, hold.status, hold.decided_ms, hold.since_ms, hold.reason_zh) == (None,) * 5


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no value"),
        (b"", "truncated"),
        (b"\xff", "malformed"),
        (b'{"id":"e","subject":"acme","data":{}}', "missing required field `refunds`"),
        (b'{"id":"e","subject":"acme","data":{"refunds":"13800138000"}}', r"'•••••••••00'"),
        (b'{"id":"e","subject":"","data":{"refunds":"frozen"}}', r"length >= 1 - at `\$.subject`"),
        (b'{"id":"%s","subject":"acme","data":{"refunds":"frozen"}}' % (b"e" * 129), r"length <= 128"),
        (b'{"id":"e","subject":"acme","data":{"refunds":"frozen","reverses":7}}', r"\$.data.reverses"),
        (b'{"id":"\\ud800","subject":"acme","data":{"refunds":"frozen"}}', "surrogate|truncated"),
        (b'{"id":"e","subject":"acme","data":{"refunds":"frozen","x":' + b"[" * 5_000_000, "recursion|Stack overflow"),
    ],
)
async def test_an_unreadable_record_is_noted_and_stops_nothing(database: Database, value: bytes, why: str) -> None:
    feed = Feed(database)
    await feed.put([event("before", "acme", "frozen"), value, event("after", "acme", "frozen")])
    assert feed.held() == {"acme": {"before", "after"}}
    with database.reading() as connection:
        [row] = connection.execute(select(REJECTED)).all()
    assert (row.topic, row.partition, row.offset) == ("t", 0, 1)
    assert re.search(why, row.reason)
    assert feed.counts["rejected"] == 1


async def test_rolled_back_records_are_not_counted(database: Database) -> None:
    counts: Counter[str] = Counter()
    handler = Handler(counts.update)

    def fail(connection):
        handler(connection, [FollowedRecord(TP("t", 0), 0, 0, None, event("e", "acme", "frozen"))])
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        await database.run(fail)
    assert not counts
    with database.reading() as connection:
        assert connection.execute(select(HANDLED)).all() == connection.execute(select(RELEASED)).all() == []


async def test_the_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "billing_version"})
        assert compare_metadata(context, METADATA) == []


async def test_unreadable_records_are_logged_in_one_line_a_transaction(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await Feed(database).put([b"13800138000", event("ban", "acme", "frozen"), None, b""])
    output = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
    assert len(output) == 1
    assert re.search(r"offset=0 .*records=3", output[0])
    assert "138" not in output[0]
