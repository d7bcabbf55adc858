"""Parses again the entries that had a fault; a newer release may succeed. The entries themselves never change."""

from sqlalchemy import Connection, delete, select

from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.tables import ENTRIES, REREAD
from streams.consumers.ledger.writer import reader_of
from streams.consumers.sql_common import insert_new

_AT_ONCE = 500
_PLACE = ("topic", "partition", "number")


def reparse_faulty(connection: Connection) -> int:
    """Rebuild `REREAD` from the entries with a fault; returns how many this release can parse."""
    connection.execute(delete(REREAD))
    places = [ENTRIES.c[name] for name in _PLACE]
    unread = select(*places, ENTRIES.c.value).where(ENTRIES.c.fault.is_not(None)).order_by(*places)
    count = 0
    for some in connection.execute(unread).partitions(_AT_ONCE):
        read = [({name: getattr(row, name) for name in _PLACE}, reader_of(row.topic)(row.value)) for row in some]
        rows = [place | _said(fields) for place, fields in read if fields.fault is None]
        count += len(rows)
        if rows:
            connection.execute(insert_new(connection, REREAD), rows)
    return count


def _said(fields: EntryFields) -> dict[str, object]:
    return {name: value for name, value in fields._asdict().items() if name != "fault"}
