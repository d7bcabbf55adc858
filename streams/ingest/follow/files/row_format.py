"""What a follower of files must know of a format: whether files have a header, and where a row ends."""

from dataclasses import replace

from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.mapping.spec import ROW, Mapping
from monitor.adapters.rows.csv_rows import CsvRows, is_open
from monitor.adapters.shipped import ByHeader
from streams.ingest.foreign_rows import EventAdapter, ForeignAdapter
from streams.kafka.api import PermanentError


class RowFormat:
    """The format of an adapter's files. Raises PermanentError if it cannot be followed."""

    def __init__(self, adapter: ForeignAdapter, name: str) -> None:
        if isinstance(adapter, ByHeader):
            self._mappings = adapter.mappings
        elif isinstance(adapter, MappedAdapter | EventAdapter):
            self._mappings = [adapter.mapping]
        else:
            raise PermanentError(f"--format {name}: it reads whole files only; expected a mapping")
        mapping = self._mappings[0]
        if any(ROW in each.marks for each in self._mappings):
            raise PermanentError(
                f"--format {name}: it uses the row's number in the file, which a follower does not know; expected a "
                "column that identifies the row"
            )
        self._mapping = mapping
        self.has_header = mapping.form == "csv" and mapping.dialect.header is True
        """Whether the first line of a file names its columns."""
        self.alone = mapping.form == "json"
        """Whether each line is a document."""
        self.encoding = mapping.encoding

    def misses(self, header: bytes) -> list[str]:
        """The columns of the mapping that a header line does not have; empty if it is one."""
        names = CsvRows([header], self._mapping.dialect, self._mapping.encoding).names
        missing = [_missing(mapping, names) for mapping in self._mappings]
        return min(missing, key=len)

    def continues(self, raw: bytes) -> bool:
        """Whether a row may continue on the next line, for a quoted cell is open."""
        mapping = self._mapping
        return mapping.form == "csv" and is_open(raw, replace(mapping.dialect, header=True), mapping.encoding)


def _missing(mapping: Mapping, names: tuple[str, ...]) -> list[str]:
    return [column for column in mapping.columns if column not in names and column not in mapping.optional]
