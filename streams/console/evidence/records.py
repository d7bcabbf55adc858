"""Reads what is kept of the records that a decision names."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from streams.console.evidence.tables import EVIDENCE

MOST_PLACES: Final = 200
"""The most places of a decision: 20 of each kind, by the contract, and some room."""


class NamedRecord(NamedTuple):
    """A record that a decision names: what is known of it, and its fields if it is kept, with numbers masked."""

    state: str
    topic: str
    partition: int
    offset: int
    fields: dict[str, Any] | None

    @property
    def type(self) -> str | None:
        """The type of the record, if it is kept."""
        return None if self.fields is None else str(self.fields["type"])


def records_of(connection: Connection, enforcement_id: str) -> list[NamedRecord]:
    """The records that a decision names, in the order of its evidence; empty if none are known."""
    e = EVIDENCE.c
    columns = (e.state, e.topic, e.partition, e.offset, e.value)
    query = select(*columns).where(e.enforcement_id == enforcement_id).order_by(e.number).limit(MOST_PLACES)
    return [
        NamedRecord(state, topic, partition, offset, None if value is None else msgspec.json.decode(value))
        for state, topic, partition, offset, value in connection.execute(query)
    ]
