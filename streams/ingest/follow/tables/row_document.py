"""A row of a table as the document that its mapping reads: its JSON object, or a CSV file of one row."""

import csv
import io
from typing import Final

import msgspec

from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.mapping.spec import ROW
from streams.ingest.foreign_rows import EventAdapter, ForeignAdapter
from streams.kafka.api import PermanentError

_COLUMNS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


class RowDocument:
    """Makes the documents for a mapping. Raises PermanentError if it cannot read rows of a table."""

    def __init__(self, adapter: ForeignAdapter, form: str) -> None:
        mapping = adapter.mapping if isinstance(adapter, MappedAdapter | EventAdapter) else None
        if mapping is None or not (
            mapping.form in ("json", "jsonl")
            or (mapping.form == "csv" and mapping.dialect.header is True and mapping.dialect.quote)
        ):
            raise PermanentError(
                f"--format {form}: a row of a table has names of columns; expected a mapping with `format: json`, or "
                "with `format: csv` and a header"
            )
        if ROW in mapping.marks:
            raise PermanentError(f"--format {form}: it uses the row's number in a file; expected a column of the table")
        self._mapping = mapping

    def of(self, value: bytes) -> bytes:
        """The document of a row, given as the JSON object of its columns.

        Raises UnicodeEncodeError, or ValueError or RecursionError for JSON that cannot be read.
        """
        if self._mapping.form != "csv":
            return value
        columns = _COLUMNS.decode(value)
        out = io.StringIO()
        dialect = self._mapping.dialect
        writer = csv.writer(out, delimiter=dialect.delimiter, quotechar=dialect.quote, quoting=csv.QUOTE_ALL)
        writer.writerows((columns, map(_text, columns.values())))
        return out.getvalue().encode(self._mapping.encoding)


def _text(raw: msgspec.Raw) -> str:
    """A value as text; a number as it stands there, null as nothing."""
    value = bytes(raw)
    if value == b"null":
        return ""
    return _TEXT.decode(value) if value.startswith(b'"') else value.decode()
