"""The adapter `bank-calls`: every call of an Israeli bank's call centre in 1999, one tenant, inbound.

The data set is the Technion's (Mandelbaum, Guedj). It needs more than a mapping: what ends a call depends on its
outcome, and times have no date of their own, so a call over midnight ends before it begins.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final, NamedTuple

from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError, Reject, RowErrorCode, quoted_value
from monitor.adapters.lines import bounded_lines
from monitor.adapters.mapping.spec import Dialect
from monitor.adapters.mapping_wording import listed, mapping_text
from monitor.adapters.rows.csv_rows import CsvRows
from monitor.adapters.values.pseudonym import pseudonym
from monitor.adapters.values.times import to_ms, zone
from monitor.policy.file.errors import PolicyFault
from monitor.text.bilingual import Bilingual
from monitor.text.masking import mask_text
from schemas.codec import InvalidRecordError, convert
from schemas.error_codes import ErrorCode as Word
from schemas.inputs import Cdr

NAME: Final = "bank-calls"
ABOUT: Final = "A bank's call centre, every call of 1999 (Technion): tab-separated, inbound, one tenant."
_TIMES: Final = ("vru_exit", "q_exit", "ser_start", "ser_exit")
COLUMNS: Final = (
    *("vru+line", "call_id", "customer_id", "date", "vru_entry", "vru_exit", "q_start", "q_exit", "outcome"),
    *("ser_start", "ser_exit", "server"),
)
TENANT: Final = "bank"
UNIDENTIFIED: Final = "unidentified"

_DIALECT: Final = Dialect(delimiter="\t", quote="")
_ZONE: Final = "Asia/Jerusalem"
_DAY_S: Final = 86_400
# A time this much before the call's entry is on the next day. A smaller difference is clock skew of the voice-response
# unit, which ran up to 192 s behind; no call lasts close to 12 h.
_NEXT_DAY_S: Final = 43_200


class BankAdapter:
    """Turns the file's rows into inbound calls, sorted by their ends.

    AGENT is answered, from the service's start to its end; where both are missing, answered for zero seconds when
    the wait ended, for a server is named. HANG is abandoned: `cancelled` when the queue, or without one the voice
    menu, was left. PHANTOM, "a virtual call to be ignored" and unclear to the data's own authors, is `failed`: it is
    in the published daily counts, so it is a record, and no rate counts it but as one of the inbound.

    Sorting keeps all rows and their records in memory: about 1 kB a row.
    """

    def __init__(self, key: bytes, constants: dict[str, str]) -> None:
        self._key = key
        self._constants = constants
        self._zone = zone(_ZONE)
        self._days: dict[str, datetime] = {}

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """The rows by event time; those without a record first. Raises `MappingError` if the header does not match."""
        return iter(sorted(self.file_rows(bounded_lines(stream)), key=_event_ms))

    def file_rows(self, lines: Iterable[bytes]) -> Iterator[InputRow]:
        """The rows in file order."""
        source = CsvRows(lines, _DIALECT, "ascii")
        if source.unread:
            raise _none_of_it(mapping_text("unread_header", why=source.unread))
        absent = [column for column in COLUMNS if column not in source.names] if source.names else []
        if absent:
            header = quoted_value(mask_text(",".join(source.names)))
            raise _none_of_it(mapping_text("no_such_columns", columns=listed(absent), header=header))
        index = [source.names.index(column) for column in COLUMNS] if source.names else []
        for line, raw in source.records():
            try:
                cells = source.cells(raw)
                yield InputRow(line, raw, convert(self._data(_Call(*(cells[n].strip() for n in index)))), None)
            except (Reject, InvalidRecordError) as error:
                yield InputRow(line, raw, None, str(error))

    def _data(self, call: "_Call") -> dict[str, Any]:
        entry = _seconds("vru_entry", call.vru_entry)
        vru_exit, q_exit, ser_start, ser_exit = (_after(entry, _seconds(name, getattr(call, name))) for name in _TIMES)
        queued = not (call.q_start == call.q_exit and _is_blank(call.q_exit))
        served = not (call.ser_start == call.ser_exit and _is_blank(call.ser_exit))
        waited = max(entry, q_exit if queued else vru_exit)
        answer: int | None = None
        if call.outcome == "AGENT":
            answer, end, outcome = (ser_start, ser_exit, "answered") if served else (waited, waited, "answered")
        elif call.outcome == "HANG":
            end, outcome = waited, "cancelled"
        elif call.outcome == "PHANTOM":
            end, outcome = max(waited, ser_exit) if served else waited, "failed"
        else:
            raise Reject(f"{Word.UNKNOWN_VALUE}: outcome: {quoted_value(call.outcome)} is none of AGENT, HANG, PHANTOM")
        data: dict[str, Any] = {
            "type": "cdr",
            "call_id": f"{call.line}-{call.call_id}",
            "tenant_id": TENANT,
            "direction": "inbound",
            "caller": UNIDENTIFIED if call.customer_id == "0" else pseudonym((call.customer_id,), self._key),
            "callee": call.line,
            "start_ms": self._ms(call.date, entry),
            "end_ms": self._ms(call.date, end),
            "outcome": outcome,
            "source": NAME,
        }
        if answer is not None:
            data["answer_ms"] = self._ms(call.date, answer)
        if call.outcome == "HANG":
            data["hangup_by"] = "caller"
        if call.server != "NO_SERVER":
            data["agent_id"] = call.server
        return data | self._constants

    def _ms(self, date: str, seconds: int) -> int:
        day = self._days.get(date)
        if day is None:
            try:
                day = self._days[date] = datetime.strptime(date, "%y%m%d")
            except ValueError:
                raise Reject(
                    f"{RowErrorCode.UNREADABLE_TIME}: date: {quoted_value(date)} is no date of the form yymmdd"
                ) from None
        return to_ms(day + timedelta(seconds=seconds), self._zone)


class _Call(NamedTuple):
    line: str
    call_id: str
    customer_id: str
    date: str
    vru_entry: str
    vru_exit: str
    q_start: str
    q_exit: str
    outcome: str
    ser_start: str
    ser_exit: str
    server: str


def _none_of_it(message: Bilingual) -> MappingError:
    return MappingError([PolicyFault.worded(NAME, 1, 1, message)])


def _event_ms(row: InputRow) -> int:
    return row.record.end_ms if isinstance(row.record, Cdr) else 0


def _seconds(name: str, text: str) -> int:
    hours, _, rest = text.partition(":")
    minutes, _, seconds = rest.partition(":")
    if not all(part.isascii() and part.isdigit() and len(part) <= 2 for part in (hours, minutes, seconds)):
        raise Reject(f"{RowErrorCode.UNREADABLE_TIME}: {name}: {quoted_value(text)} is no time of the form h:mm:ss")
    if int(hours) >= 48 or int(minutes) >= 60 or int(seconds) >= 60:
        raise Reject(f"{RowErrorCode.UNREADABLE_TIME}: {name}: {quoted_value(text)} is no time of a day")
    return int(hours) * 3_600 + int(minutes) * 60 + int(seconds)


def _after(entry: int, time: int) -> int:
    return time + _DAY_S if time < entry - _NEXT_DAY_S else time


def _is_blank(text: str) -> bool:
    return not text.strip("0:")
