"""Verifies the ledger by itself: recomputes its chains and checks published heads and parsed columns."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, select

from monitor.text.masking import mask_text
from schemas.review_signature import signer_of
from streams.consumers.ledger import journal
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.hash_chain import beginning, link
from streams.consumers.ledger.published_heads import ChainHead, PublishedHead
from streams.consumers.ledger.tables import ABOUT_ONE, ENTRIES, JOURNAL, LOSSES, POSITIONS, READ, REREAD
from streams.consumers.ledger.writer import reader_of
from streams.kafka.api import TP

_AT_ONCE = 1_000
_HASH = re.compile("[0-9a-f]{64}")


@dataclass
class Verified:
    """The result: each chain's head, the faults, and the accepted losses.

    ``unreadable`` counts entries that this release cannot parse. ``unlisted`` counts those that it can parse but that
    no release that wrote or reparsed them could: look-ups do not find them. ``signed`` counts the reviews with a
    signature by the name of its key; the workers and an audit check the signature, the chain only that it is the same.
    """

    heads: dict[TP, ChainHead] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    unreadable: int = 0
    unlisted: int = 0
    signed: Counter[str] = field(default_factory=Counter)


def verify(connection: Connection, published: Mapping[TP, Mapping[int, PublishedHead]]) -> Verified:
    """Verify all chains in one state of the database. The ``published`` heads must be found in them."""
    found = Verified()
    positions = POSITIONS.known(connection)
    entries = connection.execution_options(yield_per=_AT_ONCE).execute(
        select(ENTRIES, *(REREAD.c[name].label(f"reread_{name}") for name in ("topic", *READ)))
        .join_from(ENTRIES, REREAD, ABOUT_ONE, isouter=True)
        .order_by(ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number)
    )
    for (topic, partition), rows in groupby(entries, attrgetter("topic", "partition")):
        tp = TP(topic, partition)
        _verify_chain(found, tp, rows, dict(published.get(tp, {})))
        if tp != JOURNAL and found.heads[tp].offset >= positions.get(tp, 0):
            found.faults.append(
                f"{chain_name(tp)}: the last entry has offset {found.heads[tp].offset}; expected the position to be "
                f"beyond it, got {positions.get(tp, 0)}: the position was set back, or entries were added"
            )
    for tp, last in sorted(POSITIONS.last(connection).items()):
        offset = found.heads[tp].offset if tp in found.heads else None
        if offset is None or offset < last.offset:
            ends = "there is no entry" if offset is None else f"the last entry has offset {offset}"
            found.faults.append(
                f"{chain_name(tp)}: {ends}; expected an entry for offset {last.offset}, the last by the position: "
                "the end was removed, or the position was changed"
            )
    for tp, heads in published.items():
        if tp not in found.heads and heads:
            found.faults.append(f"{chain_name(tp)}: it has no entries; expected the {max(heads)} that were published")
    found.faults += journal.differences(connection)
    for loss in connection.execute(select(LOSSES).order_by(LOSSES.c.topic, LOSSES.c.partition, LOSSES.c.first)):
        where = chain_name(TP(loss.topic, loss.partition))
        found.losses.append(
            f"{where}: offsets {loss.first} to {loss.stop - 1} were deleted before they were recorded; "
            f"accepted by {mask_text(loss.accepted_by)}: {mask_text(loss.reason)}"
        )
    return found


def _verify_chain(found: Verified, tp: TP, rows: Iterator[Row[Any]], published: dict[int, PublishedHead]) -> None:
    read = reader_of(tp.topic)
    head = ChainHead(0, -1, beginning(*tp))
    for row in rows:
        where = f"{chain_name(tp)} entry {row.number} (offset {row.offset})"
        if row.number != head.number + 1:
            found.faults.append(f"{where}: the entry before it is {head.number}: {_missing(head.number, row.number)}")
        if row.offset <= head.offset:
            found.faults.append(f"{where}: expected an offset above that of the entry before it, {head.offset}")
        key, value = as_bytes(row.key), as_bytes(row.value)
        expected = link(head.hash, row.offset, row.timestamp_ms, key, value, as_bytes(row.signature)).hex()
        if row.hash != expected:
            found.faults.append(
                f"{where}: expected the hash {expected}, got {row.hash}: its bytes, offset or time, or an entry before "
                "it, were changed"
            )
        if name := signer_of(as_bytes(row.signature)):
            found.signed[name] += 1
        fields = read(value)
        found.unreadable += fields.fault is not None
        found.unlisted += row.fault is not None and fields.fault is None and row.reread_topic is None
        if wrong := _wrong(row, fields):
            found.faults.append(f"{where}: the columns {', '.join(wrong)} differ from the stored bytes")
        expected_head = published.pop(row.number, None)
        if expected_head and (expected_head.offset, expected_head.hash) != (row.offset, row.hash):
            found.faults.append(
                f"{where}: expected the published hash {expected_head.hash} (offset {expected_head.offset}), got "
                f"{row.hash}: the chain up to it is not the published one"
            )
        # Continue from the stored hash: a change is reported once, not for every entry after it.
        head = ChainHead(row.number, row.offset, bytes.fromhex(row.hash if _HASH.fullmatch(row.hash) else expected))
    found.heads[tp] = head
    if published:
        found.faults.append(
            f"{chain_name(tp)}: it ends with entry {head.number}; expected the published entry {max(published)}: "
            f"{_missing(head.number, max(published) + 1)}"
        )


def _wrong(row: Row[Any], fields: EntryFields) -> list[str]:
    """The columns that differ from the parsed bytes. Releases differ in what they can parse and in their fault texts,
    so faults are never compared; the columns of an entry that was written with a fault must be empty."""
    said = EntryFields() if row.fault is not None else fields
    wrong = [] if said.fault else [name for name in READ if getattr(row, name) != getattr(said, name)]
    if row.reread_topic is not None:
        said = fields if row.fault is not None else EntryFields()
        wrong += [] if said.fault else [name for name in READ if getattr(row, f"reread_{name}") != getattr(said, name)]
    return wrong


def chain_name(tp: TP) -> str:
    """A chain's name for display."""
    return f"{tp.topic}-{tp.partition}"


def as_bytes(data: bytes | str | None) -> bytes | None:
    """The value of a bytes column."""
    # SQLite returns whatever was written there by hand, text included.
    return data.encode() if isinstance(data, str) else data


def _missing(before: int, after: int) -> str:
    first, last = before + 1, after - 1
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
