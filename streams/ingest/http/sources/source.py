"""A source: one sender or one kind of sender, with the mapping of its bodies."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.assembly.version_event import VersionEvent
from monitor.adapters.base import InputRow
from monitor.adapters.errors import TooManyRows
from schemas import codec
from streams.ingest.foreign_rows import EventAdapter, ForeignAdapter, ForeignRow, foreign_rows
from streams.ingest.http.formats import MAX_RECORDS, ReceivedEvent, ReceivedRecord
from streams.ingest.http.problems import RequestProblem
from streams.ingest.http.signatures.signed import SignatureScheme

PushProtocol = Literal["", "tccc"]

_AT_ONCE = 250  # rows, before the event loop gets a turn


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """See the module. ``protocol``: how the sender wants to be answered, if not like others."""

    name: str
    adapter: ForeignAdapter
    protocol: PushProtocol = ""
    signature: SignatureScheme | None = None

    @property
    def has_events(self) -> bool:
        """Whether its rows are events or versions of calls, which `callwarden assemble` makes of them."""
        return isinstance(self.adapter, EventAdapter)

    def received(self, row: ForeignRow) -> ReceivedRecord:
        """A row of a body."""
        if isinstance(row, InputRow):
            raw = codec.encode(row.record) if row.record is not None else row.raw
            return ReceivedRecord(raw, row.reason, original=row.raw)
        if row.event is None or not isinstance(self.adapter, EventAdapter):
            return ReceivedRecord(row.raw, row.reason, original=row.raw)
        if isinstance(row.event, VersionEvent):
            tenant_id = row.event.record.tenant_id
        else:
            assert isinstance(self.adapter, AssembledAdapter)
            tenant_id = self.adapter.program.tenant(row.event)
        event = ReceivedEvent(self.name, row.event, tenant_id, self.adapter.mapping.record)
        return ReceivedRecord(row.value, original=row.raw, event=event)


async def mapped(source: ForeignSource, body: bytes) -> list[ReceivedRecord]:
    """The records of a body. Raises RequestProblem if it has none, or too many."""
    received: list[ReceivedRecord] = []
    try:
        for row in foreign_rows(source.adapter, body, MAX_RECORDS):
            received.append(source.received(row))
            if len(received) % _AT_ONCE == 0:
                await asyncio.sleep(0)
    except TooManyRows as error:
        raise RequestProblem("too-large", str(error)) from None
    if not received:
        raise RequestProblem("bad-request", "the body has no row of this source's format")
    return received
