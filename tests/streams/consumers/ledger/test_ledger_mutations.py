"""`ledger verify --with-topics` names everything that is removed, moved or edited in a ledger, including claims."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers.ledger_samples import address
from oracle.ledger_mutations import LOGS, MUTATIONS, NAMES, HeldTopics, faults_after, fill
from streams.consumers.database import Database
from streams.consumers.ledger.verify import topics as topicverify
from streams.consumers.ledger.verify.topics import compare, wait_until_caught_up
from streams.kafka.api import TP


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(address(tmp_path), "ledger")
    await fill(database)
    yield database
    database.close()


async def test_an_unchanged_ledger_has_no_difference(database: Database) -> None:
    assert await faults_after(database, None) == []


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_it_is_named(database: Database, mutation: str) -> None:
    found = await faults_after(database, mutation)
    assert any(MUTATIONS[mutation][1] in fault for fault in found), found


async def test_a_ledger_that_is_behind_is_reported_as_behind(database: Database) -> None:
    held = HeldTopics(LOGS)
    tp = TP("in.reviews", 1)
    held.logs[tp] = [(0, 1_772_409_600_000, None, b"{}")]
    with database.reading() as connection:
        compared = await compare(held, connection, NAMES, {**await held.ends(list(held.logs))})
    assert compared.faults == [
        "in.reviews-1: the topic has offset 0, the newest of 2026-03-02 00:00:00 UTC; the ledger's position is "
        "0: the ledger is behind, or its end was removed with its position"
    ]
    with database.reading() as connection:
        asked_before = await compare(held, connection, NAMES, {**await held.ends(list(held.logs)), tp: 0})
    assert asked_before.faults == [], "what came after the command began is not asked for"


async def test_entries_of_deleted_topics_are_counted_and_a_lost_partition_is_a_difference(
    database: Database,
) -> None:
    held = HeldTopics(LOGS)
    for tp in [TP("in.reviews", 0), TP("in.reviews", 1), TP("out.enforcement", 1)]:
        del held.logs[tp]
    with database.reading() as connection:
        compared = await compare(held, connection, NAMES, await held.ends(list(held.logs)))
    assert compared.absent == {"in.reviews": 3}
    assert compared.faults == ["out.enforcement-1: the topic has 1 partitions; expected this one among them"]


async def test_a_running_ledger_gets_the_time_to_store_new_records(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topicverify, "_LOOK_S", 0.0)
    looks = iter([{TP("t", 0): at} for at in (1, 1, 2, 5, 7)])
    monkeypatch.setattr(topicverify, "_positions", lambda _: next(looks))
    await wait_until_caught_up(database, {TP("t", 0): 7})
    assert next(looks, None) is None
    monkeypatch.setattr(topicverify, "_positions", lambda _: {})
    monkeypatch.setattr(topicverify, "_QUIET_S", 0.0)
    await wait_until_caught_up(database, {TP("t", 0): 7})  # no ledger is running: it is not waited for
