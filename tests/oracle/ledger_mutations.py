"""Mutations that the owner of a ledger's database can make, and the topics that reveal them, for SQLite and PostgreSQL.

Each mutation is SQL on a ledger of `LOGS` after `fill`, with the words in which `ledger verify` must report it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from oracle.ledger import DAY, T0, event, pending, review
from schemas import codec
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.ledger.gaps import accept
from streams.consumers.ledger.published_heads import HeadReport, first_published, heads_of
from streams.consumers.ledger.tables import POSITIONS
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.verify.topics import committed_ends, compare
from streams.consumers.ledger.writer import LedgerWriter
from streams.consumers.offsets import LastRecord, hash_of
from streams.kafka.api import TP, FetchedBatch, TopicInfo
from streams.kafka.topic_names import TopicNames
from streams.reviews.reservations import Replace, ReviewedBy, claim, mark_sent, withdraw

NAMES = TopicNames("in.", "out.")
DECISIONS, REVIEWS = "out.enforcement", "in.reviews"
NOW = T0 + DAY

Held = Sequence[tuple[int, int, bytes | None, bytes | None]]
LOGS: dict[TP, Held] = {
    # Transaction markers leave gaps in the offsets.
    TP(DECISIONS, 0): [(2 * n, T0 + n, b"k", codec.encode(pending(f"p{n}"))) for n in range(5)],
    TP(DECISIONS, 1): [(n, T0 + n, b"k", codec.encode(event(f"e{n}", "bravo"))) for n in range(3)],
    TP(REVIEWS, 0): [(n, T0 + n, None, codec.encode(review(f"r{n}", f"p{n}"))) for n in range(4, 7)],
    TP(REVIEWS, 1): [],
}
BEGIN = {TP(REVIEWS, 0): 4}

_D0 = "topic = 'out.enforcement' AND partition = 0"
_D1 = "topic = 'out.enforcement' AND partition = 1"
_R0 = "topic = 'in.reviews' AND partition = 0"
_J = "topic = 'ledger:journal'"
MUTATIONS: dict[str, tuple[Sequence[str], str]] = {
    "an entry": ([f"DELETE FROM ledger_entry WHERE {_D0} AND number = 2"], "entry 2 is missing"),
    "a tail": (
        [f"DELETE FROM ledger_entry WHERE {_D0} AND number > 3"],
        "out.enforcement-0: the topic has offsets 6 to 8 (2 records), the newest of 2026-03-02 00:00:00 UTC; "
        "the ledger, which ends at 9, does not",
    ),
    "a tail, without the topics": (
        [f"DELETE FROM ledger_entry WHERE {_D0} AND number > 3"],
        "out.enforcement-0: the last entry has offset 4; expected an entry for offset 8",
    ),
    "a tail with its position": (
        [
            f"DELETE FROM ledger_entry WHERE {_D0} AND number > 3",
            f"UPDATE ledger_position SET next = 5, last_offset = NULL WHERE {_D0}",
        ],
        "out.enforcement-0: the topic has offsets 6 to 8 (2 records), the newest of 2026-03-02 00:00:00 UTC; "
        "the ledger's position is 5",
    ),
    "a partition, its position left": (
        [f"DELETE FROM ledger_entry WHERE {_D1}"],
        "out.enforcement-1: there is no entry; expected an entry for offset 2",
    ),
    "a partition with its position": (
        [f"DELETE FROM ledger_entry WHERE {_D1}", f"DELETE FROM ledger_position WHERE {_D1}"],
        "out.enforcement-1: the topic has offsets 0 to 2 (3 records), the newest of 2026-03-02 00:00:00 UTC; the "
        "ledger has no position there",
    ),
    "a topic with its positions": (
        [
            "DELETE FROM ledger_entry WHERE topic = 'out.enforcement'",
            "DELETE FROM ledger_position WHERE topic = 'out.enforcement'",
        ],
        "out.enforcement-0: the topic has offsets 0 to 8 (5 records)",
    ),
    "what the topic begins after": (
        [f"DELETE FROM ledger_entry WHERE {_R0}", f"DELETE FROM ledger_position WHERE {_R0}"],
        "in.reviews-0: the topic begins at 4, the ledger ends at 0",
    ),
    "a position moved forward": (
        [f"UPDATE ledger_position SET next = 99 WHERE {_D1}"],
        "out.enforcement-1: the topic ends at 3, the ledger at 99",
    ),
    "a position moved back": (
        [f"UPDATE ledger_position SET next = 1 WHERE {_D1}"],
        "out.enforcement-1: the last entry has offset 2; expected the position to be beyond it, got 1",
    ),
    "a position deleted": ([f"DELETE FROM ledger_position WHERE {_D1}"], "to be beyond it, got 0"),
    "a claim": (
        ["DELETE FROM ledger_claim WHERE enforcement_id = 'p0'"],
        "ledger_claim p0: the journal records it, but it is missing: the row was deleted",
    ),
    "the verdict of a claim": (
        ["UPDATE ledger_claim SET verdict = 'overturn' WHERE enforcement_id = 'p0'"],
        "ledger_claim p0: verdict differ from what the journal records",
    ),
    "the reviewer of a claim": (
        ["UPDATE ledger_claim SET reviewer = 'li' WHERE enforcement_id = 'p1'"],
        "ledger_claim p1: reviewer differ from what the journal records",
    ),
    "that a claim was sent": (
        ["UPDATE ledger_claim SET sent_ms = NULL WHERE enforcement_id = 'p0'"],
        "ledger_claim p0: sent_ms differ from what the journal records",
    ),
    "that a claim was withdrawn": (
        ["UPDATE ledger_claim SET withdrawn = NULL WHERE enforcement_id = 'p2'"],
        "ledger_claim p2: withdrawn differ from what the journal records",
    ),
    "a claim's place": (
        ["UPDATE ledger_claim SET enforcement_id = 'p9' WHERE enforcement_id = 'p0'"],
        "ledger_claim p9: the journal does not record it",
    ),
    "a claim with its entry in the journal": (
        ["DELETE FROM ledger_claim WHERE enforcement_id = 'p0'", f"DELETE FROM ledger_entry WHERE {_J} AND number = 2"],
        "ledger:journal-0 entry 3 (offset 2): the entry before it is 1: entry 2 is missing",
    ),
    "a claim with the end of the journal": (
        ["DELETE FROM ledger_claim", f"DELETE FROM ledger_entry WHERE {_J} AND number > 1"],
        "ledger:journal-0: it ends with entry 1; expected the published entry 8: entries 2 to 8 are missing",
    ),
    "an entry of the journal": (
        [f"UPDATE ledger_entry SET timestamp_ms = 1 WHERE {_J} AND number = 3"],
        "ledger:journal-0 entry 3 (offset 2): expected the hash",
    ),
    "an accepted gap": (
        ["DELETE FROM ledger_loss"],
        "ledger_loss in.reviews 0 0: the journal records it, but it is missing",
    ),
    "who accepted a gap": (
        ["UPDATE ledger_loss SET accepted_by = 'li'"],
        "ledger_loss in.reviews 0 0: accepted_by differ from what the journal records",
    ),
    "a gap that nobody accepted": (
        [
            "INSERT INTO ledger_loss VALUES ('out.enforcement', 1, 0, 3, 1, 'li', 'none')",
            f"DELETE FROM ledger_entry WHERE {_D1}",
            f"UPDATE ledger_position SET last_offset = NULL WHERE {_D1}",
        ],
        "ledger_loss out.enforcement 1 0: the journal does not record it",
    ),
}  # fmt: skip


class HeldTopics:
    """`streams.consumers.topic_reader.TopicReader` of logs with explicit offsets, for comparisons with a ledger."""

    def __init__(self, logs: Mapping[TP, Held], begin: Mapping[TP, int] = BEGIN) -> None:
        self.logs, self.begin = dict(logs), dict(begin)

    async def cluster_id(self) -> str | None:
        return "this-one"

    def reader(self) -> Any:
        raise NotImplementedError

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        raise NotImplementedError

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return {
            topic: sum(tp.topic == topic for tp in self.logs) for topic in {tp.topic for tp in self.logs} & {*topics}
        }

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: self.begin.get(tp, 0) for tp in tps}

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: self.logs[tp][-1][0] + 1 if self.logs[tp] else 0 for tp in tps}

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """Read in batches of two."""
        held = [record for record in self.logs[tp] if start <= record[0] < stop]
        for at in range(0, len(held), 2):
            offsets, times, keys, values = zip(*held[at : at + 2], strict=True)
            yield FetchedBatch(
                offsets[0], offsets[-1] + 1, np.array(offsets), np.array(times), list(keys), list(values)
            )


async def fill(database: Database) -> None:
    """Migrate, and store all of `LOGS`, an accepted gap, and claims: sent, replaced, withdrawn and unsent."""
    await database.migrate()
    await accept(database, {TP(REVIEWS, 0): (0, 4)}, T0, "wang", "retention")

    def keep(connection: Connection) -> None:
        POSITIONS.begin(connection, dict.fromkeys(LOGS, 0), "this-one")
        for tp, log in LOGS.items():
            if log:
                offset, _, key, value = log[-1]
                POSITIONS.advance(connection, tp, BEGIN.get(tp, 0), offset + 1, LastRecord(offset, hash_of(key, value)))
        LedgerWriter().keep(connection, [FollowedRecord(tp, *held) for tp, log in LOGS.items() for held in log])

    def give(connection: Connection) -> None:
        by = ReviewedBy("zhao", "heard")
        mark_sent(connection, [claim(connection, "p0", "uphold", by, NOW)], NOW)
        first = claim(connection, "p1", "uphold", by, NOW)
        mark_sent(connection, [first], NOW)
        seen = Replace({"p1": first}, 0)
        claim(connection, "p1", "overturn", by, NOW + 1, again=seen)
        withdraw(connection, claim(connection, "p2", "uphold", by, NOW), "future_event", NOW + 2)

    await database.run(keep)
    await database.run(give)


async def faults_after(database: Database, mutation: str | None) -> list[str]:
    """The output of `ledger verify --with-topics --heads FILE` after a mutation, which is then undone; None: no
    mutation.
    """
    topics = HeldTopics(LOGS)
    with database.reading() as connection:
        heads = first_published(iter([HeadReport("2026-03-02", T0, heads_of(connection))]))
    with database._engine.connect() as connection:
        for statement in [*_triggers(connection), *(MUTATIONS[mutation][0] if mutation else ())]:
            done = connection.execute(text(statement))
            assert statement.startswith("DROP") or done.rowcount > 0, statement
        found = verify(connection, heads).faults
        found += (await compare(topics, connection, NAMES, await committed_ends(topics, NAMES))).faults
        connection.rollback()
    return found


def _triggers(connection: Connection) -> list[str]:
    """The statements that drop the triggers in the way."""
    if connection.dialect.name == "sqlite":
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
        return [f"DROP TRIGGER {name}" for name in names]
    query = text("SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2")
    return [f"DROP TRIGGER {name} ON {table}" for name, table in connection.execute(query)]
