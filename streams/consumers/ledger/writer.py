"""Appends records to the chains of their partitions, in the transaction that moves the position."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, insert

from streams.consumers.follower import FollowedRecord
from streams.consumers.ledger.entries import (
    ACTIONS,
    EntryFields,
    fields_of_console_action,
    fields_of_event,
    fields_of_review,
)
from streams.consumers.ledger.hash_chain import link
from streams.consumers.ledger.journal import fields_of_action
from streams.consumers.ledger.published_heads import ChainHead, head_of
from streams.consumers.ledger.tables import ENTRIES, JOURNAL
from streams.consumers.ledger.up_to_date import DECISIONS
from streams.kafka.api import TP

log = structlog.get_logger("callwarden")


def reader_of(topic: str) -> Callable[[bytes | None], EntryFields]:
    """The parser of a topic's values, by the name's end: after a migration a ledger holds topics of other prefixes."""
    if topic == JOURNAL.topic:
        return fields_of_action
    if topic.endswith(ACTIONS):
        return fields_of_console_action
    return fields_of_event if topic.endswith(DECISIONS) else fields_of_review


class LedgerWriter:
    """Appends records. After the commit, ``on_append`` gets each partition's head and its count of unread records."""

    def __init__(self, on_append: Callable[[TP, ChainHead, int], None] | None = None) -> None:
        self._on_append = on_append

    def keep(self, connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        """Append these records. A record that cannot be parsed is stored with its fault."""
        faults: dict[TP, list[tuple[int, str]]] = {}
        heads: dict[TP, ChainHead] = {}
        for tp, some in _by_partition(records):
            head = head_of(connection, tp)
            read = reader_of(tp.topic)
            rows, faults[tp] = [], []
            for record in some:
                hash_ = link(head.hash, *record[1:])
                head = ChainHead(head.number + 1, record.offset, hash_)
                fields = read(record.value)
                if fields.fault:
                    faults[tp].append((record.offset, fields.fault))
                rows.append(_row(record, head, fields))
            connection.execute(insert(ENTRIES), rows)
            heads[tp] = head

        def committed() -> None:
            for tp, unread in faults.items():
                if unread:
                    offset, why = unread[0]
                    log.warning(
                        "records kept that cannot be read", **tp._asdict(), records=len(unread), first=offset, why=why
                    )
                if self._on_append:
                    self._on_append(tp, heads[tp], len(unread))

        return committed


def _by_partition(records: Sequence[FollowedRecord]) -> Iterator[tuple[TP, list[FollowedRecord]]]:
    by_partition: dict[TP, list[FollowedRecord]] = {}
    for record in records:
        by_partition.setdefault(record.tp, []).append(record)
    yield from by_partition.items()


def _row(record: FollowedRecord, head: ChainHead, fields: EntryFields) -> dict[str, Any]:
    return {
        "topic": record.tp.topic,
        "partition": record.tp.partition,
        "number": head.number,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": record.key,
        "value": record.value,
        "hash": head.hash.hex(),
        "signature": record.signature,
        **fields._asdict(),
    }
