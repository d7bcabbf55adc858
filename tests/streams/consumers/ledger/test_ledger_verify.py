"""Every change in a ledger behind its back is found, with the position of the change."""

import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from changed_ledger import OF_ONE_CHAIN, heads_now, held_topics, tamper

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import ACTIONS, DECISIONS, REVIEWS, address, filled, put, topics
from oracle.ledger import T0, event, review
from streams.consumers.database import Database
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.gaps import accept
from streams.consumers.ledger.published_heads import HeadReport, HeadsFault, PublishedHead
from streams.consumers.ledger.tables import POSITIONS
from streams.consumers.ledger.verify.chains import Verified, verify
from streams.consumers.ledger.verify.topics import compare_partition
from streams.kafka.api import TP, FetchedBatch


def verified(database: Database, published: tuple[PublishedHead, ...] = ()) -> Verified:
    with database.reading() as connection:
        return verify(connection, heads.first_published(iter([HeadReport("2026-03-02", T0, published)])))


async def against_topic(database: Database, held: FakeTopics, tp: TP) -> list[str]:
    """A verification against the topic, in batches of two."""

    async def batches() -> AsyncIterator[FetchedBatch]:
        for start in range(held.first[tp], held.end(tp), 2):
            values = held.logs[tp][start - held.first[tp] :][:2]
            offsets = np.arange(start, start + len(values))
            yield FetchedBatch(
                start, start + 2, offsets, np.full(len(values), held.now_ms), [None] * len(values), values
            )

    with database.reading() as connection:
        position = POSITIONS.known(connection).get(tp)
        return await compare_partition(connection, tp, position, held.first[tp], batches())


async def test_an_unchanged_ledger_is_verified(tmp_path: Path) -> None:
    held = held_topics()
    database = await filled(address(tmp_path), held)
    published = heads_now(database)
    found = verified(database, published)
    assert found.faults == []
    assert {tp: head.number for tp, head in found.heads.items()} == dict.fromkeys(held.logs, 6)
    assert [(h.topic, h.partition, h.number, h.offset) for h in published] == [
        (topic, partition, 6, 5)
        for topic, partition in ((REVIEWS, 0), (REVIEWS, 1), (ACTIONS, 0), (DECISIONS, 0), (DECISIONS, 1))
    ]
    put(held, 0, event("later"))
    database.close()
    database = await filled(address(tmp_path), held)
    assert verified(database, published).faults == []
    for tp in held.logs:
        assert await against_topic(database, held, tp) == []
    database.close()


CHANGES = {
    "a byte of a value": (
        f"UPDATE ledger_entry SET value = replace(value, 'ban', 'bat') WHERE {OF_ONE_CHAIN} AND number = 3",
        3,
    ),
    "a key": (f"UPDATE ledger_entry SET key = x'00' WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "an empty key for none": (f"UPDATE ledger_entry SET key = x'' WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "a value moved into the key": (
        f"UPDATE ledger_entry SET key = value, value = NULL WHERE {OF_ONE_CHAIN} AND number = 3",
        3,
    ),
    "a time": (f"UPDATE ledger_entry SET timestamp_ms = timestamp_ms + 1 WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "an offset": (f"UPDATE ledger_entry SET offset = 77 WHERE {OF_ONE_CHAIN} AND number = 6", 6),
    "a hash": (f"UPDATE ledger_entry SET hash = '{'0' * 64}' WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "no hash": (f"UPDATE ledger_entry SET hash = 'none' WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "a column beside the bytes": (
        f"UPDATE ledger_entry SET tenant_id = 'other' WHERE {OF_ONE_CHAIN} AND number = 3",
        3,
    ),
    "a fault that is none": (f"UPDATE ledger_entry SET fault = 'bad' WHERE {OF_ONE_CHAIN} AND number = 3", 3),
    "an entry removed": (f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND number = 3", 4),
    "the first entry removed": (f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND number = 1", 2),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_is_found_with_its_position(tmp_path: Path, what: str) -> None:
    statement, number = CHANGES[what]
    (await filled(address(tmp_path), held_topics())).close()
    tamper(tmp_path, statement)
    database = Database(address(tmp_path), "ledger")
    faults = verified(database).faults
    assert faults
    places = {int(found[1]) for fault in faults if (found := re.search(r"^out.enforcement-1 entry (\d+) ", fault))}
    assert number in places
    assert places <= {number, number + 1}, "the hash of the entry after it is made of this one's, and no other"
    database.close()


async def test_a_release_that_reads_more_or_less_than_the_one_before_it_finds_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = topics(1)
    put(held, 0, event("a"), review("r", "a"))
    held.put(DECISIONS, 0, b'{"type":"callwarden.of-tomorrow"}')

    def cannot(value: bytes | None) -> EntryFields:
        return EntryFields(fault="no release reads this, says this one")

    def all_of(fields: EntryFields) -> Callable[[bytes | None], EntryFields]:
        return lambda value: fields

    with monkeypatch.context() as before:
        before.setattr(keep, "fields_of_event", cannot)
        database = await filled(address(tmp_path), held)
    found = verified(database)  # of two unreadable entries one is readable now, and the reason of the other differs
    assert (found.faults, found.unlisted, found.unreadable) == ([], 1, 1)
    monkeypatch.setattr(keep, "fields_of_event", all_of(EntryFields(tenant_id="acme", kind="of-tomorrow")))
    assert (verified(database).faults, verified(database).unlisted) == ([], 2)
    monkeypatch.setattr(keep, "fields_of_review", cannot)
    found = verified(database)
    assert (found.faults, found.unlisted, found.unreadable) == ([], 2, 1)
    database.close()


async def test_an_unreadable_entry_has_nothing_but_its_bytes(tmp_path: Path) -> None:
    held = topics(1)
    held.put(DECISIONS, 0, b"{}")
    (await filled(address(tmp_path), held)).close()
    tamper(tmp_path, "UPDATE ledger_entry SET tenant_id = 'acme', kind = 'ban'")
    database = Database(address(tmp_path), "ledger")
    assert verified(database).faults == [
        "out.enforcement-0 entry 1 (offset 0): the columns tenant_id, kind differ from the stored bytes"
    ]
    database.close()


async def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    tamper(tmp_path, f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND number IN (1, 3, 4)")
    database = Database(address(tmp_path), "ledger")
    missing = [fault.partition(": ")[2] for fault in verified(database).faults if fault.endswith("missing")]
    assert missing == [
        "the entry before it is 0: entry 1 is missing",
        "the entry before it is 2: entries 3 to 4 are missing",
    ]
    database.close()


async def test_two_entries_that_changed_places_are_found(tmp_path: Path) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    swap = (
        f"UPDATE ledger_entry SET number = -number WHERE {OF_ONE_CHAIN} AND number IN (2, 3)",
        f"UPDATE ledger_entry SET number = 5 + number WHERE {OF_ONE_CHAIN} AND number < 0",
    )
    tamper(tmp_path, *swap)
    database = Database(address(tmp_path), "ledger")
    assert any("out.enforcement-1 entry 3 (offset 1): expected an offset above" in f for f in verified(database).faults)
    database.close()


async def test_an_end_that_was_cut_off_is_found_by_published_heads_and_by_the_topic(tmp_path: Path) -> None:
    held = held_topics()
    database = await filled(address(tmp_path), held)
    published = heads_now(database)
    database.close()
    tamper(tmp_path, f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND number > 4")
    database = Database(address(tmp_path), "ledger")
    [cut] = verified(database).faults
    assert cut.startswith("out.enforcement-1: the last entry has offset 3; expected an entry for offset 5")
    [fault, again] = verified(database, published).faults
    assert again == cut
    assert fault.startswith(
        "out.enforcement-1: it ends with entry 4; expected the published entry 6: entries 5 to 6 are missing"
    )
    [printed] = await against_topic(database, held, TP(DECISIONS, 1))
    assert printed.startswith("out.enforcement-1: the topic has offsets 4 to 5 (2 records), the newest of ")
    assert printed.endswith("; the ledger, which ends at 6, does not have them")
    assert await against_topic(database, held, TP(DECISIONS, 0)) == []
    database.close()


async def test_a_chain_that_was_recreated_over_a_change_is_found_by_published_heads(tmp_path: Path) -> None:
    held = held_topics()
    honest = await filled(address(tmp_path), held)
    published = heads_now(honest)
    honest.close()
    held.logs[TP(DECISIONS, 1)][2] = held.logs[TP(DECISIONS, 1)][2].replace(b"ban", b"warning", 1)  # type: ignore[union-attr]
    forged = await filled(f"sqlite:///{tmp_path / 'forged.db'}", held)
    assert verified(forged).faults == []
    [fault] = verified(forged, published).faults
    assert "out.enforcement-1 entry 6" in fault
    assert "expected the published hash" in fault
    assert await against_topic(forged, held_topics(), TP(DECISIONS, 1)) == [
        "out.enforcement-1 entry 3: the topic has another time, key or value at offset 2"
    ]
    forged.close()


async def test_a_missing_chain_is_found(tmp_path: Path) -> None:
    database = await filled(address(tmp_path), held_topics())
    published = heads_now(database)
    database.close()
    tamper(tmp_path, f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN}")
    database = Database(address(tmp_path), "ledger")
    assert [fault.partition(":")[2].partition(";")[0] for fault in verified(database, published).faults] == [
        " there is no entry",
        " it has no entries",
    ]
    database.close()


async def test_an_entry_that_the_topic_lacks_is_found(tmp_path: Path) -> None:
    held = held_topics()
    database = await filled(address(tmp_path), held)
    tp = TP(REVIEWS, 0)
    del held.logs[tp][-1]
    assert await against_topic(database, held, tp) == ["in.reviews-0 entry 6: the topic has no record at offset 5"]
    held.delete_before(REVIEWS, 0, 3)
    held.logs[tp].append(b"other")
    assert await against_topic(database, held, tp) == [
        "in.reviews-0 entry 6: the topic has another time, key or value at offset 5"
    ]
    database.close()


async def test_any_change_at_random_is_found(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    held = held_topics()
    honest = await filled(address(tmp_path), held)
    published = heads_now(honest)
    honest.close()
    whole = (tmp_path / "ledger.db").read_bytes()
    for _ in range(25):
        (tmp_path / "ledger.db").write_bytes(whole)
        for rest in tmp_path.glob("ledger.db-*"):
            rest.unlink()
        topic, partition, number = rng.choice((DECISIONS, REVIEWS)), rng.randrange(2), rng.randint(1, 6)
        of = f"topic = '{topic}' AND partition = {partition}"
        change: Callable[[], str] = rng.choice(
            [
                lambda of=of, n=number: f"DELETE FROM ledger_entry WHERE {of} AND number = {n}",
                lambda of=of, n=number: f"DELETE FROM ledger_entry WHERE {of} AND number >= {n}",
                lambda of=of, n=number: f"UPDATE ledger_entry SET value = value || ' ' WHERE {of} AND number = {n}",
                lambda of=of, n=number: f"UPDATE ledger_entry SET kind = 'lapse' WHERE {of} AND number = {n}",
            ]
        )
        statement = change()
        tamper(tmp_path, statement)
        database = Database(address(tmp_path), "ledger")
        assert verified(database, published).faults, statement
        database.close()


async def test_an_accepted_gap_is_reported_and_is_no_difference(tmp_path: Path) -> None:
    held = topics(1)
    put(held, 0, *(review(f"r{number}", "e") for number in range(5)))
    held.delete_before(REVIEWS, 0, 3)
    database = Database(address(tmp_path), "ledger")
    await database.migrate()
    await accept(database, {TP(REVIEWS, 0): (0, 3)}, T0, "wang", "retention")
    database.close()
    database = await filled(address(tmp_path), held)
    found = verified(database)
    assert found.faults == []
    assert found.losses == [
        "in.reviews-0: offsets 0 to 2 were deleted before they were recorded; accepted by wang: retention"
    ]
    database.close()


def test_a_file_of_heads_is_appended_to_and_read(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    lines = [HeadReport(f"2026-03-0{day}", T0, (PublishedHead("t", 0, day, day, "0" * 64),)) for day in (1, 2, 3)]
    heads.append(path, lines[0])
    with path.open("ab") as torn:
        torn.write(b'{"day":"2026')
    with pytest.raises(
        HeadsFault, match=r"heads.jsonl:2:8: .*; expected a line that `callwarden ledger run` has written"
    ):
        list(heads.read_heads_file(path))
    heads.append(path, lines[1])
    path.write_bytes(path.read_bytes().replace(b'{"day":"2026\n', b""))
    heads.append(path, lines[2])
    assert list(heads.read_heads_file(path)) == lines
