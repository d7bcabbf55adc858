"""The third chain: nothing that people did in the console is changed, removed or reordered unnoticed."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.ledger_samples import ACTIONS, NAMES, address, filled, put, topics
from oracle.ledger import T0, action, pending, review
from streams.consumers.database import Database
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger.published_heads import HeadReport
from streams.consumers.ledger.queries.cases import LedgerCase
from streams.consumers.ledger.queries.export import lines
from streams.consumers.ledger.queries.lookup import case_of
from streams.consumers.ledger.verify.chains import Verified, verify
from streams.consumers.ledger.verify.topics import committed_ends, compare
from streams.kafka.api import TP

LOG = TP(ACTIONS, 0)


async def _ledger(folder: Path) -> Database:
    held = topics()
    put(held, 0, pending("cwe-1"), review("r-1", "cwe-1"))
    put(held, 0, *(action(f"cwc-{number}", f"local:{'li' if number % 2 else 'wu'}") for number in range(8)))
    return await filled(address(folder), held)


def _verified(database: Database, published: HeadReport) -> Verified:
    with database.reading() as connection:
        return verify(connection, heads.first_published(iter([published])))


def _heads(database: Database) -> HeadReport:
    with database.reading() as connection:
        return HeadReport("2026-03-02", T0, heads.heads_of(connection))


def _rechained(connection: sqlite3.Connection) -> None:
    """Recompute all hashes from the bytes, as a forger who knows the ledger does."""
    from streams.consumers.ledger.hash_chain import beginning, link

    before = beginning(*LOG)
    query = "SELECT number, offset, timestamp_ms, key, value FROM ledger_entry WHERE topic = ? ORDER BY number"
    for number, offset, at_ms, key, value in connection.execute(query, (ACTIONS,)).fetchall():
        value = value.encode() if isinstance(value, str) else value  # as SQLite's `replace` leaves it
        before = link(before, offset, at_ms, key, value)
        connection.execute(
            "UPDATE ledger_entry SET hash = ? WHERE topic = ? AND number = ?", (before.hex(), ACTIONS, number)
        )


def _set(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement.format(of=f"topic = '{ACTIONS}'"))


def _swap(connection: sqlite3.Connection) -> None:
    """Two actions change places, values alone."""
    query = "SELECT value FROM ledger_entry WHERE topic = ? AND number = ?"
    one, two = (connection.execute(query, (ACTIONS, number)).fetchone()[0] for number in (3, 4))
    for number, value in ((3, two), (4, one)):
        connection.execute("UPDATE ledger_entry SET value = ? WHERE topic = ? AND number = ?", (value, ACTIONS, number))


TAMPERING: dict[str, Callable[[sqlite3.Connection], None]] = {
    "the actor of one": lambda c: _set(
        c, "UPDATE ledger_entry SET value = replace(value, 'local:li', 'local:wu') WHERE {of} AND number = 4"
    ),
    "the time of one": lambda c: _set(
        c, "UPDATE ledger_entry SET timestamp_ms = timestamp_ms - 1 WHERE {of} AND number = 4"
    ),
    "one removed": lambda c: _set(c, "DELETE FROM ledger_entry WHERE {of} AND number = 4"),
    "one removed and the rest renumbered": lambda c: (
        _set(c, "DELETE FROM ledger_entry WHERE {of} AND number = 4"),
        _set(c, "UPDATE ledger_entry SET number = number - 1 WHERE {of} AND number > 4"),
    )[0],
    "two that changed places": _swap,
    "the last one removed": lambda c: _set(c, "DELETE FROM ledger_entry WHERE {of} AND number = 8"),
    "all removed": lambda c: _set(c, "DELETE FROM ledger_entry WHERE {of}"),
}


async def test_the_chain_is_that_of_the_topic(tmp_path: Path) -> None:
    database = await _ledger(tmp_path)
    published = _heads(database)
    found = _verified(database, published)
    assert found.faults == []
    assert found.heads[LOG].number == 8
    assert found.unreadable == 0
    database.close()


@pytest.mark.parametrize("forged", [False, True], ids=["as it is", "with recomputed hashes"])
@pytest.mark.parametrize("name", TAMPERING)
async def test_tampering_is_found(tmp_path: Path, name: str, forged: bool) -> None:
    database = await _ledger(tmp_path)
    published = _heads(database)
    database.close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        TAMPERING[name](connection)
        if forged:
            _rechained(connection)
    connection.close()
    database = await filled(address(tmp_path), _same_topics())
    faults = [each for each in _verified(database, published).faults if each.startswith(f"{ACTIONS}-0")]
    assert faults, "found in the chain, or by the heads that were published"
    database.close()


def _same_topics():  # type: ignore[no-untyped-def]
    held = topics()
    put(held, 0, pending("cwe-1"), review("r-1", "cwe-1"))
    put(held, 0, *(action(f"cwc-{number}", f"local:{'li' if number % 2 else 'wu'}") for number in range(8)))
    return held


async def test_the_triggers_refuse_changes(tmp_path: Path) -> None:
    database = await _ledger(tmp_path)
    database.close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    for statement in ("UPDATE ledger_entry SET value = x'00' WHERE {of}", "DELETE FROM ledger_entry WHERE {of}"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            _set(connection, statement)
    connection.close()


async def test_the_topic_is_compared_record_by_record(tmp_path: Path) -> None:
    held = _same_topics()
    database = await filled(address(tmp_path), held)
    held.logs[LOG][2] = (held.logs[LOG][2] or b"").replace(b"local:wu", b"local:li")
    put(held, 0, action("cwc-late"))
    ends = await committed_ends(held, NAMES)
    with database.reading() as connection:
        found = await compare(held, connection, NAMES, ends)
    assert len(found.faults) == 2
    assert "entry 3: the topic has another time, key or value at offset 2" in found.faults[0]
    assert "the topic has offset 8" in found.faults[1]
    database.close()


async def test_an_export_shows_actions_and_cases_do_not(tmp_path: Path) -> None:
    database = await _ledger(tmp_path)
    with database.reading() as connection:
        exported = [json.loads(line) for line in lines(connection, tenant=None, with_bytes=False)]
        case = case_of(connection, "cwe-1")
    shown = [line["record"]["action_id"] for line in exported if line["topic"] == ACTIONS]
    assert shown == [f"cwc-{number}" for number in range(8)]
    assert isinstance(case, LedgerCase)
    database.close()


async def test_an_action_of_a_newer_release_is_kept_with_its_fault(tmp_path: Path) -> None:
    held = _same_topics()
    held.put(ACTIONS, 0, b'{"type":"action","action":"teleported"}', b"\xff", None)
    database = await filled(address(tmp_path), held)
    found = _verified(database, _heads(database))
    assert (found.faults, found.unreadable, found.heads[LOG].number) == ([], 3, 11)
    database.close()
