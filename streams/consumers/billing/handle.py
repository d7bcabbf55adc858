"""The contract's sentence for billing, a batch of records at a time, in the transaction that moves the position."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Table

from streams.consumers.billing.events import Event, UnreadableError, read
from streams.consumers.billing.tables import HANDLED, HOLD, REJECTED, TAKEN
from streams.consumers.follow import Record
from streams.consumers.shapes import insert_new

log = structlog.get_logger("callwarden")


class Handler:
    """Handles records; ``count`` is told, once they are committed, how many of each kind they were."""

    def __init__(self, count: Callable[[Counter[str]], None] = lambda counts: None) -> None:
        self._count = count

    def __call__(self, connection: Connection, records: Sequence[Record]) -> Callable[[], None]:
        """An id that was handled before changes nothing; a record that cannot be read is noted, and changes nothing.

        Gives what is to be done after the commit.
        """
        events: dict[str, Event] = {}
        rejected = []
        for record in records:
            try:
                event = read(record.value)
            except UnreadableError as error:
                where = {"topic": record.tp.topic, "partition": record.tp.partition, "offset": record.offset}
                rejected.append(where | {"reason": str(error)})
            else:
                events.setdefault(event.id, event)
        # In one order everywhere, or two processes with one database could wait for each other.
        new = [events[name] for name in sorted(_add(connection, HANDLED, [{"id": name} for name in sorted(events)]))]
        _add(connection, HOLD, [event.hold() for event in new if event.freezes])
        taken = {name: event.id for event in new for name in event.takes}
        _add(connection, TAKEN, [{"id": name, "by": taken[name]} for name in sorted(taken)])
        _add(connection, REJECTED, rejected)
        counts: Counter[str] = Counter(event.data.refunds for event in new)
        counts.update(duplicate=len(records) - len(rejected) - len(new), rejected=len(rejected))

        def committed() -> None:
            if rejected:  # one line, however many they are: all stand in the table
                log.warning("records that cannot be read were passed over", records=len(rejected), **rejected[0])
            self._count(counts)

        return committed


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> list[str]:
    """Add the rows whose key is new; the first column of these."""
    if not rows:
        return []
    statement = insert_new(connection, table).returning(next(iter(table.c)))
    return list(connection.execute(statement, rows).scalars())
