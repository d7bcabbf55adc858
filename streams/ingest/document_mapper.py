"""Maps documents of another system, such as values of Kafka records or lines of a file, to the records to write."""

from collections import Counter
from typing import Final

from monitor.adapters.errors import EXCLUSIONS, TooManyRows
from monitor.adapters.mapped import MappedAdapter
from schemas.error_codes import ErrorCode
from streams.ingest.foreign_rows import (
    MAX_RECORD_BYTES,
    EventAdapter,
    ForeignAdapter,
    ForeignRow,
    Origin,
    code_of,
    dead_letter,
    foreign_rows,
    outcome_of,
)
from streams.ingest.placement import TopicPlacement
from streams.kafka.outputs import OutputRecord

MAX_ROWS: Final = 2_000
"""The most rows of one document, as of one request."""

_ONE: Final = ("record", "")
_RECORD_BYTES: Final = 200  # an output record beside its value


class MappedOutputs:
    """What documents have become.

    ``counts`` are rows by result and code: ``record`` and ``event`` without a code, ``rejected`` (a dead letter) and
    ``left_out`` (on purpose, by the mapping).
    """

    def __init__(self) -> None:
        self.records: list[OutputRecord] = []
        self.bytes = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, out: OutputRecord, result: str, code: str = "") -> None:
        """Add a record for one row."""
        self.records.append(out)
        self.bytes += len(out.value or b"") + _RECORD_BYTES
        self.counts[result, code] += 1


class DocumentMapper:
    """Maps documents of one format. It is used by one thread at a time.

    ``feed`` is the name of the source: events are assembled by what it stands for, and letters are placed by it.
    """

    def __init__(
        self, adapter: ForeignAdapter, placement: TopicPlacement, feed: str, most_rows: int = MAX_ROWS
    ) -> None:
        self._adapter, self._placement, self._feed, self._most_rows = adapter, placement, feed, most_rows
        takes_events = isinstance(adapter, EventAdapter)
        self._single = adapter if isinstance(adapter, MappedAdapter) and not takes_events else None
        self._written = "event" if takes_events else "record"

    def map_one(self, document: bytes, outputs: MappedOutputs) -> bool:
        """Add what becomes of a document that is one row, valid or left out; False, and nothing added, for any other.

        It is `map` for most documents of most formats, at a part of its cost.
        """
        found = self._single.only_record(document) if self._single is not None else None
        if isinstance(found, tuple):
            record, raw = found
            if (size := len(raw)) > MAX_RECORD_BYTES:
                return False
            outputs.records.append(self._placement.record(record, raw))
            outputs.bytes += size + _RECORD_BYTES
            outputs.counts[_ONE] += 1
            return True
        if found is not None and (code := code_of(found)) in EXCLUSIONS:
            outputs.counts["left_out", code] += 1
            return True
        return False

    def map(
        self,
        document: bytes,
        origin: Origin,
        outputs: MappedOutputs,
        key: bytes | None = None,
        original: bytes | None = None,
    ) -> None:
        """Add what becomes of a document that came under ``key``. A document of too many rows is one dead letter.

        ``original``: what came, if the document was decoded from it. It is the content of the dead letter of the whole
        document and of its only row; several rows have letters of their own content, or they would have it many times.
        Raises PermanentError for an event if there is no topic of raw events.
        """
        came = document if original is None else original
        try:
            rows: list[ForeignRow] = list(foreign_rows(self._adapter, document, self._most_rows))
        except TooManyRows as error:
            self.reject(came, f"{ErrorCode.TOO_LONG}: {error}", origin, outputs, key)
            return
        if not rows:
            self.reject(came, f"{ErrorCode.UNREADABLE}: it has no row of this format", origin, outputs, key)
        if original is not None and len(rows) == 1:
            rows = [rows[0]._replace(raw=original)]
        for row in rows:
            self._add(row, origin, outputs, key)

    def reject(
        self, raw: bytes | None, reason: str, origin: Origin, outputs: MappedOutputs, key: bytes | None = None
    ) -> None:
        """Add a dead letter."""
        out = dead_letter(self._placement, self._feed, raw, reason, origin, key)
        outputs.add(out, "rejected", code_of(reason))

    def _add(self, row: ForeignRow, origin: Origin, outputs: MappedOutputs, key: bytes | None) -> None:
        outcome = outcome_of(row, self._placement, self._feed, origin, key)
        if outcome.out is None:
            outputs.counts["left_out", outcome.code or ""] += 1
        elif outcome.code is None:
            outputs.add(outcome.out, self._written)
        else:
            outputs.add(outcome.out, "rejected", outcome.code)
