"""The contract's billing rule, applied to a batch of records in the transaction that moves the position."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Table

from streams.consumers.billing.events import Event, UnreadableError, read, subject_of_key
from streams.consumers.billing.tables import ALL_TENANTS, HANDLED, HOLD, REJECTED, RELEASED, UNREAD
from streams.consumers.follower import FollowedRecord
from streams.consumers.offsets import hash_of
from streams.consumers.sql_common import insert_new

log = structlog.get_logger("callwarden")


class Handler:
    """Handles records; ``count`` gets the number of records by outcome after the commit."""

    def __init__(self, count: Callable[[Counter[str]], None] = lambda counts: None) -> None:
        self._count = count

    def __call__(self, connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        """Handle a batch. A duplicate id changes nothing. An undecodable record changes no hold; the answers of the
        tenants that it may concern are withheld from this transaction on.

        Returns the callback to run after the commit.
        """
        events: dict[str, Event] = {}
        rejected, unread = [], list[dict[str, Any]]()
        for record in records:
            try:
                event = read(record.value)
            except UnreadableError as error:
                where = {"topic": record.tp.topic, "partition": record.tp.partition, "offset": record.offset}
                rejected.append(where | {"reason": str(error)})
                about = sorted(error.subjects | subject_of_key(record.key)) or [ALL_TENANTS]
                whole = where | {"reason": str(error), "hash": hash_of(record.key, record.value)}
                unread += [whole | {"tenant_id": tenant} for tenant in about]
            else:
                events.setdefault(event.id, event)
        # In one order everywhere, or two processes with one database could deadlock.
        new = [events[name] for name in sorted(_add(connection, HANDLED, [{"id": name} for name in sorted(events)]))]
        _add(connection, HOLD, [event.hold() for event in new if event.freezes])
        released = {name: event.id for event in new for name in event.releases}
        _add(connection, RELEASED, [{"id": name, "by": released[name]} for name in sorted(released)])
        _add(connection, REJECTED, rejected)
        _add(connection, UNREAD, unread)
        counts: Counter[str] = Counter(event.data.refunds for event in new)
        counts.update(duplicate=len(records) - len(rejected) - len(new), rejected=len(rejected))

        def committed() -> None:
            if rejected:  # one line, however many there are: the table has all
                log.error("records that cannot be read withhold answers", records=len(rejected), **rejected[0])
            self._count(counts)

        return committed


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> list[str]:
    """Insert the rows whose key is new; returns the first column of these."""
    if not rows:
        return []
    statement = insert_new(connection, table).returning(next(iter(table.c)))
    return list(connection.execute(statement, rows).scalars())
