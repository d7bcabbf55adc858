"""The ledger's entries equal the topics' records, are chained and immutable, and are the same when rebuilt."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from helpers.ledger_samples import DECISIONS, NAMES, REVIEWS, address, filled, held_by, put, topics
from oracle.ledger import T0, chained, event, oracle, pending, review, rows
from schemas import codec
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import follower_of
from streams.consumers.ledger.gaps import accept, gaps
from streams.consumers.ledger.published_heads import head_of
from streams.consumers.ledger.tables import ENTRIES, METADATA
from streams.consumers.ledger.writer import LedgerWriter
from streams.kafka.api import TP, PermanentError, TransientError


def mess(rng: random.Random) -> Iterator[bytes | None]:
    """Records that another program might write into our topics."""
    yield None
    yield b""
    yield b"{"
    yield b"\xff\xfe"
    yield b'{"type":"callwarden.enforcement.v9"}'
    yield rng.randbytes(40)
    yield codec.encode(event("x" * 129))
    yield codec.encode(event("late", decided_ms=5))
    yield codec.encode(event("nul\x00in", tenant="a\x00b"))
    yield b"[" * 5_000


async def test_entries_equal_the_topics_records_whatever_their_content(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    held = topics(3)
    for number in range(60):
        put(held, rng.randrange(3), event(f"e{number}"), review(f"r{number}", f"e{number}"))
        if rng.random() < 0.3:
            held.put(rng.choice((DECISIONS, REVIEWS)), rng.randrange(3), *mess(rng))
    one, two = await filled(address(tmp_path), held), await filled(f"sqlite:///{tmp_path / 'second.db'}", held)
    assert list(map(chained, rows(one))) == oracle(held_by(held))
    assert rows(one) == rows(two)
    one.close(), two.close()


async def test_looked_up_fields_are_parsed_from_the_bytes(tmp_path: Path) -> None:
    held = topics(1)
    put(held, 0, pending("cwe-1"), review("r1", "cwe-1", reviewer="王"), event("cwe-2", reverses="cwe-1"))
    held.put(DECISIONS, 0, b'{"call from 13812345678": ')
    database = await filled(address(tmp_path), held)
    third, first, second, bad = rows(database)
    assert (first["event_id"], first["kind"], first["status"], first["decided_ms"]) == (
        "cwe-1", "ban", "pending_review", T0,
    )  # fmt: skip
    assert first["review_by_ms"] == T0 + 7 * 86_400_000
    assert (second["event_id"], second["reverses"], second["fault"]) == ("cwe-2", "cwe-1", None)
    assert (third["event_id"], third["kind"], third["status"], third["about"]) == ("r1", "review", "uphold", "cwe-1")
    assert bad["fault"].startswith("expected an enforcement event of this release")
    assert {bad[name] for name in ("tenant_id", "event_id", "kind", "decided_ms")} == {None}
    assert bad["value"] == b'{"call from 13812345678": '
    database.close()


async def test_faults_do_not_quote_telephone_numbers(tmp_path: Path) -> None:
    held = topics(1)
    held.put(DECISIONS, 0, codec.encode(event("e", kind="warning")).replace(b'"warning"', b'"+8613812345678"'))
    database = await filled(address(tmp_path), held)
    assert "13812345678" not in rows(database)[0]["fault"]
    assert "78" in rows(database)[0]["fault"]
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET value = 'x'",
        "UPDATE ledger_entry SET fault = 'x' WHERE number = 1",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_entry WHERE number = 2",
        "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry",
        "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry WHERE number = 2",
    ],
)
async def test_no_entry_can_be_changed_or_deleted(tmp_path: Path, change: str) -> None:
    held = topics(1)
    put(held, 0, event("a"), event("b"))
    database = await filled(address(tmp_path), held)
    before = rows(database)
    with pytest.raises(DBAPIError, match="append-only"):
        await database.run(lambda connection: connection.execute(text(change)))
    assert rows(database) == before
    database.close()


async def test_an_entry_that_leaves_a_number_out_is_refused(tmp_path: Path) -> None:
    held = topics(1)
    put(held, 0, event("a"))
    database = await filled(address(tmp_path), held)
    more = {**rows(database)[0], "number": 3, "offset": 7}
    with pytest.raises(DBAPIError, match="expected the next number"):
        await database.run(lambda connection: connection.execute(insert(ENTRIES), [more]))
    database.close()


async def test_the_migrations_make_what_the_code_expects(tmp_path: Path) -> None:
    database = Database(address(tmp_path), "ledger")
    await database.migrate()
    with database.reading() as connection:
        ours = MigrationContext.configure(connection, opts={"include_name": lambda name, *_: name != "ledger_version"})
        assert compare_metadata(ours, METADATA) == []
    database.close()


async def test_catching_up_ends_at_the_ends_and_continues_from_there(tmp_path: Path) -> None:
    held = topics(2)
    put(held, 0, *(event(f"e{number}") for number in range(10)))
    database = await filled(address(tmp_path), held)
    put(held, 1, event("later"))
    await follower_of(held, database, NAMES, LedgerWriter()).catch_up()
    assert list(map(chained, rows(database))) == oracle(held_by(held))
    held.away = True
    with pytest.raises(TransientError):
        await follower_of(held, database, NAMES, LedgerWriter()).catch_up()
    database.close()


async def test_a_gap_is_refused_with_its_consequence_and_kept_once_it_is_accepted(tmp_path: Path) -> None:
    held = topics(1)
    put(held, 0, *(review(f"r{number}", "e") for number in range(6)))
    held.delete_before(REVIEWS, 0, 4)
    with pytest.raises(
        PermanentError, match="a decision whose reversal is missing would appear to be in force"
    ) as gone:
        await filled(address(tmp_path), held)
    assert "callwarden ledger accept-loss" in str(gone.value)
    database = Database(address(tmp_path), "ledger")
    found = await gaps(held, database, NAMES)
    assert found == {TP(REVIEWS, 0): (0, 4)}
    await accept(database, found, T0, "wang", "ask 13812345678")
    with database.reading() as connection:
        assert connection.execute(text("SELECT reason FROM ledger_loss")).scalars().all() == ["ask •••••••••78"]
    await follower_of(held, database, NAMES, LedgerWriter()).catch_up()
    assert [row["event_id"] for row in rows(database) if row["topic"] == REVIEWS] == ["r4", "r5"]
    assert await gaps(held, database, NAMES) == {}
    with pytest.raises(DBAPIError, match="append-only"):
        await database.run(lambda connection: connection.execute(text("UPDATE ledger_loss SET reason = ''")))
    database.close()


async def test_a_head_is_the_last_entry_of_its_chain(tmp_path: Path) -> None:
    held = topics(2)
    put(held, 1, event("a"), event("b"), event("c"))
    database = await filled(address(tmp_path), held)
    with database.reading() as connection:
        head = head_of(connection, TP(DECISIONS, 1))
        assert (head.number, head.offset, head.hash.hex()) == (3, 2, rows(database)[-1]["hash"])
        assert head_of(connection, TP(DECISIONS, 0)).number == 0
    database.close()
