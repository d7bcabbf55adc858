"""Compares a case that the console exported with the ledger: each of its records, and whether it leaves any out."""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import DecodeError, Meta, Struct, json
from sqlalchemy import Connection, and_, or_, select

from streams.consumers.ledger.tables import ENTRIES, LISTED
from streams.consumers.ledger.verify.chains import as_bytes, chain_name
from streams.kafka.api import TP

_LONGEST: Final = 64 << 20
_AT_ONCE: Final = 500
_COMPARED: Final = ("time", "key", "value", "signature")

_Text = Annotated[str, Meta(max_length=4_096)]


class CaseFault(Exception):
    """The file is not an exported case."""


class _Record(Struct):
    topic: _Text
    partition: int
    offset: int
    timestamp_ms: int
    value: str
    key: str | None = None
    signature: str | None = None


class _Event(Struct):
    id: _Text


class ExportedCase(Struct):
    """What of an exported case the ledger has, too."""

    format: Literal["callwarden-case-1"]
    case_id: _Text
    events: list[_Event]
    records: list[_Record]


@dataclass
class CaseComparison:
    """The result: how many records the file has, the faults, and how many entries about the case are newer."""

    case_id: str
    records: int = 0
    newer: int = 0
    faults: list[str] = field(default_factory=list)


def read_case(path: Path) -> ExportedCase:
    """Raises CaseFault."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise CaseFault(f"{path}: {error.strerror or error}") from None
    if len(content) > _LONGEST:
        raise CaseFault(f"{path}: it has more than {_LONGEST:,} bytes; expected a case that the console exported")
    try:
        return json.decode(content, type=ExportedCase)
    except DecodeError as error:
        raise CaseFault(f"{path}: {error}; expected a case that the console exported") from None


def compare_case(connection: Connection, case: ExportedCase) -> CaseComparison:
    """Find each record of the case in the ledger, at its place and with the same time, key, value and signature.

    The chains vouch for the ledger, so verify them, too. An entry about the case that the file leaves out is a fault if
    it lies before another record of the file in its partition, else it is newer than the export.
    """
    found = CaseComparison(case.case_id, len(case.records))
    last: dict[TP, int] = {}
    places: set[tuple[TP, int]] = set()
    for record in case.records:
        tp = TP(record.topic, record.partition)
        places.add((tp, record.offset))
        last[tp] = max(last.get(tp, -1), record.offset)
        e = ENTRIES.c
        at = (e.topic == record.topic, e.partition == record.partition, e.offset == record.offset)
        row = connection.execute(select(e.timestamp_ms, e.key, e.value, e.signature).where(*at)).one_or_none()
        where = f"{chain_name(tp)} offset {record.offset}"
        if row is None:
            found.faults.append(f"{where}: the case has a record that the ledger does not have")
            continue
        stored = row.timestamp_ms, as_bytes(row.key), as_bytes(row.value), as_bytes(row.signature)
        given = record.timestamp_ms, _decoded(record.key), _decoded(record.value), _decoded(record.signature)
        wrong = [name for name, one, other in zip(_COMPARED, stored, given, strict=True) if one != other]
        if wrong:
            found.faults.append(f"{where}: the {' and '.join(wrong)} of the case's record differ from the ledger's")
    for tp, offset in _about(connection, [event.id for event in case.events]):
        if (tp, offset) in places:
            continue
        if offset < last.get(tp, -1):
            found.faults.append(f"{chain_name(tp)} offset {offset}: the case leaves out a record that concerns it")
        else:
            found.newer += 1
    return found


def _about(connection: Connection, ids: list[str]) -> set[tuple[TP, int]]:
    """The places of the entries that are one of these decisions, or a review or a reversal of one."""
    listed, e = LISTED.c, ENTRIES.c
    same = (e.topic == listed.topic, e.partition == listed.partition, e.number == listed.number)
    found: set[tuple[TP, int]] = set()
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        named = or_(*(listed[name].in_(some) for name in ("event_id", "reverses", "supersedes", "about")))
        query = select(e.topic, e.partition, e.offset).select_from(LISTED.join(ENTRIES, onclause=and_(*same)))
        found.update(
            (TP(topic, partition), offset) for topic, partition, offset in connection.execute(query.where(named))
        )
    return found


def _decoded(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
