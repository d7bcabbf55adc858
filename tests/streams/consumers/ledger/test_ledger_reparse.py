"""Records that were unreadable when stored are found once a release can read them; their entries do not change."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from helpers.ledger_samples import address, filled, put, topics
from oracle.ledger import event, pending, review
from streams.consumers.database import Database
from streams.consumers.ledger import main as service
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.queries.export import lines
from streams.consumers.ledger.queries.lookup import CaseQuery, case_of, cases, of_tenant
from streams.consumers.ledger.reparse import reparse_faulty
from streams.consumers.ledger.verify.chains import Verified, verify


def cannot(value: bytes | None) -> EntryFields:
    return EntryFields(fault="of tomorrow")


@asynccontextmanager
async def kept_unread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A ledger stored by a release that could read only the first decisions and reviews."""
    held = topics(1)
    put(held, 0, pending("p", "acme"), event("w", "other"))
    database = await filled(address(folder), held)
    put(held, 0, event("u", "acme", kind="ban", supersedes="p"), pending("q", "acme"), review("r", "p"))
    with monkeypatch.context() as before:
        before.setattr(keep, "fields_of_event", cannot)
        before.setattr(keep, "fields_of_review", cannot)
        (await filled(address(folder), held)).close()
    yield database
    database.close()


def verified(database: Database) -> Verified:
    with database.reading() as connection:
        return verify(connection, {})


def found(database: Database) -> tuple[list[str], list[str], list[str | None]]:
    """The result of lists and a time line: pending cases, the tenant's events, and the reviews of the case."""
    with database.reading() as connection:
        waiting = [case.opening.id for case in cases(connection, CaseQuery(status="pending"))]
        events = [each.id for each in of_tenant(connection, "acme")[0]]
        case = case_of(connection, "p")
    return waiting, events, [each.review_id for each in case.reviews] if case else []


async def test_a_release_that_reads_more_lists_it_and_changes_no_entry(tmp_path: Path, monkeypatch) -> None:
    async with kept_unread(tmp_path, monkeypatch) as database:
        with database.reading() as connection:
            before = heads.heads_of(connection)
        assert found(database) == (["p"], ["p"], []), "it says that what was upheld still waits"
        assert verified(database).unlisted == 3
        # As `callwarden ledger run` begins.
        assert await service._begun(database) == before
        assert found(database) == (["q"], ["p", "u", "q"], ["r"])
        output = verified(database)
        assert (output.faults, output.unlisted, output.unreadable) == ([], 0, 0)
        assert await database.run(reparse_faulty) == 3, "once more changes nothing"
        assert found(database) == (["q"], ["p", "u", "q"], ["r"])


async def test_a_release_that_reads_less_no_longer_lists_it(tmp_path: Path, monkeypatch) -> None:
    async with kept_unread(tmp_path, monkeypatch) as database:
        await service._begun(database)
        monkeypatch.setattr(keep, "fields_of_event", cannot)
        assert verified(database).faults == []
        assert await database.run(reparse_faulty) == 1
        assert verified(database).faults == []


async def test_records_readable_since_then_are_exported_with_their_content(tmp_path: Path, monkeypatch) -> None:
    async with kept_unread(tmp_path, monkeypatch) as database:

        def exported(tenant: str | None) -> list[str]:
            with database.reading() as connection:
                output = [msgspec.json.decode(line) for line in lines(connection, tenant=tenant, with_bytes=False)]
            return [line["fault"] if "fault" in line else told_id(line["record"]) for line in output]

        assert exported(None) == ["of tomorrow", "p", "w", "of tomorrow", "of tomorrow"]
        assert exported("acme") == ["p"]
        await service._begun(database)
        assert exported(None) == ["r", "p", "w", "u", "q"]
        assert exported("acme") == ["r", "p", "u", "q"]


def told_id(record: dict[str, str]) -> str:
    return record["review_id"] if record["type"] == "review" else record["id"]


async def test_a_listing_that_differs_from_the_bytes_is_reported(tmp_path: Path, monkeypatch) -> None:
    async with kept_unread(tmp_path, monkeypatch) as database:
        await service._begun(database)
        connection = sqlite3.connect(tmp_path / "ledger.db")
        connection.execute("UPDATE ledger_reread SET tenant_id = 'another' WHERE event_id = 'u'")
        connection.execute(
            "INSERT INTO ledger_reread (topic, partition, number, kind) VALUES ('out.enforcement', 0, 1, 'x')"
        )
        connection.commit()
        connection.close()
        assert [fault.partition(": ")[2] for fault in verified(database).faults] == [
            "the columns kind differ from the stored bytes",
            "the columns tenant_id differ from the stored bytes",
        ]
