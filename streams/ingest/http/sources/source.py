"""A source: one sender or one kind of sender, with the mapping of its bodies."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from monitor.adapters.errors import TooManyRows
from schemas import codec
from streams.ingest.foreign_rows import DocumentAdapter
from streams.ingest.http.formats import MAX_RECORDS, ReceivedRecord
from streams.ingest.http.problems import RequestProblem
from streams.ingest.http.signatures.signed import SignatureScheme

PushProtocol = Literal["", "tccc"]

_AT_ONCE = 250  # rows, before the event loop gets a turn


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """See the module. ``protocol``: how the sender wants to be answered, if not like others."""

    name: str
    adapter: DocumentAdapter
    protocol: PushProtocol = ""
    signature: SignatureScheme | None = None


async def mapped(source: ForeignSource, body: bytes) -> list[ReceivedRecord]:
    """The records of a body. Raises RequestProblem if it has none, or too many."""
    received: list[ReceivedRecord] = []
    try:
        for row in source.adapter.document_rows(body, MAX_RECORDS):
            raw = codec.encode(row.record) if row.record is not None else row.raw
            received.append(ReceivedRecord(raw, row.reason, original=row.raw))
            if len(received) % _AT_ONCE == 0:
                await asyncio.sleep(0)
    except TooManyRows as error:
        raise RequestProblem("too-large", str(error)) from None
    if not received:
        raise RequestProblem("bad-request", "the body has no row of this source's format")
    return received
