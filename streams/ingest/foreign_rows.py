"""What becomes of a row of another system: a record of an input topic, an event of `callwarden.raw`, or a dead letter.

Every way into the topics that maps rows uses it, so that the same row gives the same record, or the same letter.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, runtime_checkable

from monitor.adapters.assembled import AssembledAdapter, EventRow
from monitor.adapters.base import InputRow
from monitor.adapters.errors import EXCLUSIONS, RowErrorCode
from monitor.adapters.versioned import VersionedAdapter, VersionRow
from schemas import codec
from schemas.error_codes import ErrorCode
from streams.ingest.placement import TopicPlacement
from streams.kafka.outputs import OutputRecord
from streams.topics.transaction_records import MAX_KEY_BYTES, MAX_REASON

MAX_RECORD_BYTES: Final = 900_000
"""The most bytes of a record, and of the copy of a rejected one: it must fit into one record of Kafka."""

Origin = tuple[tuple[str, bytes], ...]
"""The headers of a dead letter that say where it came from."""

_CODES: Final = frozenset({*map(str, ErrorCode), *map(str, RowErrorCode)})


@runtime_checkable
class DocumentAdapter(Protocol):
    """An adapter that reads one document, such as the body of a request or the value of a record."""

    def document_rows(self, document: bytes, most: int | None = None) -> Iterator[InputRow]:
        """See `monitor.adapters.mapped.MappedAdapter`."""
        ...


class RowOutcome(NamedTuple):
    """What is written for a row. ``code``: why it is not a record or an event; None if it is one.

    Nothing is written for a row that the mapping leaves out on purpose: its code is one of `EXCLUSIONS`.
    """

    out: OutputRecord | None
    code: str | None


EventAdapter = AssembledAdapter | VersionedAdapter
"""An adapter whose rows are events of calls, or versions of them: `callwarden.raw` takes these."""

ForeignAdapter = DocumentAdapter | EventAdapter
"""An adapter whose rows are records, or one whose rows are events."""

ForeignRow = InputRow | EventRow | VersionRow
"""A row of such an adapter."""


def foreign_rows(
    adapter: ForeignAdapter, document: bytes, most: int | None = None
) -> Iterator[InputRow] | Iterator[EventRow] | Iterator[VersionRow]:
    """The rows of a document, in its order. Raises `TooManyRows` at row ``most`` + 1."""
    if isinstance(adapter, EventAdapter):
        return adapter.document_events(document, most)
    return adapter.document_rows(document, most)


def outcome_of(
    row: ForeignRow, placement: TopicPlacement, source: str, origin: Origin, key: bytes | None = None
) -> RowOutcome:
    """The outcome of a row of `foreign_rows`.

    ``source`` places its dead letter and is the feed of an event, ``key`` is the key under which it came. Raises
    PermanentError for an event if there is no topic of raw events.
    """
    reason = row.reason
    if isinstance(row, EventRow | VersionRow):
        if row.event is not None and (reason := size_fault(row.value)) is None:
            return RowOutcome(placement.event(source, row.event, row.value), None)
    elif row.record is not None:
        raw = codec.encode(row.record)
        if len(raw) <= MAX_RECORD_BYTES:
            return RowOutcome(placement.record(row.record, raw), None)
        reason = size_fault(raw)
    code = code_of(reason or "")
    if code in EXCLUSIONS:
        return RowOutcome(None, code)
    return RowOutcome(dead_letter(placement, source, row.raw, reason or "", origin, key), code)


def size_fault(raw: bytes) -> str | None:
    """Why a record is too large to be written; None if it is not."""
    if len(raw) <= MAX_RECORD_BYTES:
        return None
    return f"{ErrorCode.TOO_LONG}: the record has {len(raw):,} bytes; expected at most {MAX_RECORD_BYTES:,}"


def code_of(reason: str) -> str:
    """The code at the start of a reason."""
    code = reason.partition(":")[0]
    return code if code in _CODES else ErrorCode.UNREADABLE.value


def dead_letter(
    placement: TopicPlacement, source: str, raw: bytes | None, reason: str, origin: Origin, key: bytes | None = None
) -> OutputRecord:
    """A rejected record as it came. One that is too large is cut, with its length and hash in headers."""
    headers = (("reason", reason[:MAX_REASON].encode(errors="backslashreplace")), *origin)
    if raw is not None and len(raw) > MAX_RECORD_BYTES:
        headers += (*_whole("length", "sha256", raw),)
        raw = raw[:MAX_RECORD_BYTES]
    if key is not None and len(key) > MAX_KEY_BYTES:
        headers += (*_whole("key_length", "key_sha256", key),)
        key = key[:MAX_KEY_BYTES]
    return placement.letter(source, raw, headers, key)


def _whole(length: str, sha256: str, content: bytes) -> Origin:
    """What identifies the content that is cut."""
    return (length, str(len(content)).encode()), (sha256, hashlib.sha256(content).hexdigest().encode())
