"""The last verification that was recorded in the ledger's database, for the pages of its service.

It is a note, not a proof: who can change the ledger can change it, too. A proof is a verification with published heads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from streams.consumers.ledger.published_heads import ChainHead
from streams.consumers.ledger.tables import VERIFICATION
from streams.consumers.sql_common import insert_new
from streams.kafka.api import TP

_ID = 1


@dataclass(frozen=True, slots=True)
class Verification:
    """When, by whom and with how many differences the chains were verified, and the last entry of each.

    ``with_heads``: whether they were compared with published heads.
    """

    at_ms: int
    by: str
    differences: int
    with_heads: bool
    entries: Mapping[TP, int]


def note(connection: Connection, done: Verification, heads: Mapping[TP, ChainHead]) -> None:
    """Record it in place of the one before, with the hashes of the ``heads``."""
    ends = [[*tp, done.entries[tp], heads[tp].hash.hex()] for tp in sorted(heads)]
    values = {
        "at_ms": done.at_ms,
        "verified_by": done.by,
        "differences": done.differences,
        "with_heads": done.with_heads,
        "heads": json.dumps(ends),
    }
    connection.execute(insert_new(connection, VERIFICATION).values(id=_ID, **values))
    connection.execute(update(VERIFICATION).where(VERIFICATION.c.id == _ID).values(values))


def last(connection: Connection) -> Verification | None:
    """The one recorded last."""
    row = connection.execute(select(VERIFICATION).where(VERIFICATION.c.id == _ID)).one_or_none()
    if row is None:
        return None
    entries = {TP(topic, partition): number for topic, partition, number, _ in json.loads(row.heads)}
    return Verification(row.at_ms, row.verified_by, row.differences, row.with_heads, entries)
