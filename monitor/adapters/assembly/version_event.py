"""One version of a call's record, and the program that makes it of a row's cells."""

from typing import NamedTuple

from monitor.adapters.assembly.call_event import CallKey, event_time, whole_number
from monitor.adapters.errors import Reject
from monitor.adapters.mapping.cells import Cells, Index
from monitor.adapters.mapping.compile_fields import CompiledFields
from monitor.adapters.mapping.compile_value import compile_value
from monitor.adapters.mapping.spec import Versions
from schemas.codec import InvalidRecordError, convert
from schemas.inputs import Cdr


class VersionEvent(NamedTuple):
    """One version: its record, its rank among the versions of the call, and its event time.

    ``key`` is the id of the call and the tenant. The event time is the version, if that is a time, else the end of the
    call.
    """

    key: CallKey
    version: int
    at_ms: int
    record: Cdr


class VersionProgram:
    """Compiled for files with the columns of ``index``: makes a version of a row's cells."""

    def __init__(self, versions: Versions, fields: CompiledFields, index: Index, key: bytes) -> None:
        self._fields = fields
        self._version = compile_value(versions.version, index, key)

    def event(self, cells: Cells) -> VersionEvent:
        """The version that a row is. Raises `Reject` if it is no record, or its version cannot be read."""
        try:
            record = convert(self._fields.data(cells))
        except InvalidRecordError as error:
            raise Reject(str(error)) from None
        assert isinstance(record, Cdr)
        version, at_ms = self.rank(cells)
        return VersionEvent((record.call_id, record.tenant_id), version, at_ms or record.end_ms, record)

    def rank(self, cells: Cells) -> tuple[int, int]:
        """The version of a row, and its time; 0 if it is no time. Raises `Reject` if it cannot be read."""
        try:
            found = self._version(cells)
        except Reject as error:
            raise error.of("version") from None
        if not isinstance(found, int):
            return whole_number("version", found or ""), 0
        at_ms = event_time("version", found)
        return at_ms, at_ms
