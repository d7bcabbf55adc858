"""The last row that was read, by which a table that was made again is recognised.

A table that is emptied and filled again, or restored from a backup, gives keys a second time. If its greatest key is
above the position by the time it is looked at, the keys do not show it; but the row of the last key is another one.
"""

import hashlib
from collections.abc import Iterable

from monitor.adapters.base import InputRow
from schemas.codec import record_id
from streams.ingest.follow.positions import RowMark
from streams.ingest.foreign_rows import ForeignRow
from streams.ingest.raw_events import event_key


def mark_of(key: int, rows: Iterable[ForeignRow]) -> RowMark | None:
    """The mark of a row of a table by what was mapped from it; None if that is no record or event.

    It is made of the id alone, since a row may get further columns, and a mapping may be corrected.
    """
    for row in rows:
        if isinstance(row, InputRow):
            identity = None if row.record is None else record_id(row.record).encode()
        else:
            identity = None if row.event is None else event_key("", row.event)
        if identity is not None:
            return RowMark(key, hashlib.sha256(identity).hexdigest()[:32])
    return None
