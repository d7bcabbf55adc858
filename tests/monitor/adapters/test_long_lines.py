"""A line without an end is one rejected row with any mapping: it is not loaded, and hides no other row."""

import io
import tracemalloc
from typing import BinaryIO

import pytest
from adapter_rows import SMALL, rows

from monitor.adapters.bank import COLUMNS, BankAdapter
from monitor.adapters.base import Adapter, InputRow
from monitor.adapters.lines import LongLine, bounded_lines
from monitor.adapters.mapping.spec import ROW, Mapping
from monitor.adapters.shipped import NAMES, ByHeader, open_adapter
from monitor.adapters.values.pseudonym import PUBLIC_KEY
from schemas import codec

MOST = 6_000
JSONL = SMALL.replace("format: csv", "format: jsonl")
GOOD = {"csv": b"c1,1700000000,+8613800000000\n", "jsonl": b'{"id":"c1","end":1700000000,"to":"+8613800000000"}\n'}
LONG = {
    "a cell": b"c2,1700000001,+86138" + b"0" * MOST + b"\n",
    "an open quote": b'c2,1700000001,"+86138' + b"0" * MOST + b"\n",
    "blanks before a record": b" " * MOST + b"c2,1700000001,+8613800000000\n",
    "an object": b'{"id":"c2","end":1700000001,"to":"' + b"0" * MOST + b'"}\n',
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BYTES", MOST)


def outcomes(found: list[InputRow]) -> list[tuple[int, str]]:
    return sorted((row.line, "" if row.reason is None else row.reason.partition(":")[0]) for row in found)


@pytest.mark.parametrize("sort", ["true", "false"])
@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("form", GOOD)
def test_a_line_that_is_too_long_is_one_rejected_row_and_its_neighbours_are_read(
    form: str, what: str, sort: str
) -> None:
    mapping = (SMALL if form == "csv" else JSONL) + f"sort: {sort}\n"
    head = b"id,end,to\n" if form == "csv" else b"\n"
    found = rows(mapping, head + GOOD[form] + LONG[what] + GOOD[form].replace(b"c1", b"c3"))
    assert outcomes(found) == [(2, ""), (3, "too_long"), (4, "")]
    assert max(len(row.raw) for row in found) <= 4_096


def test_a_long_line_in_an_open_cell_ends_it() -> None:
    found = rows(SMALL, b'id,end,to\nc0,1700000000,"open\n' + LONG["a cell"] + GOOD["csv"])
    assert [reason for _, reason in outcomes(found)] == ["malformed_row", "too_long", ""]


def test_long_blanks_are_blank_and_a_header_that_is_too_long_is_reported() -> None:
    assert outcomes(rows(SMALL, b"id,end,to\n" + b" " * 3 * MOST + b"\n" + GOOD["csv"])) == [(3, "")]
    with pytest.raises(Exception, match="the file's header cannot be read: too_long"):
        rows(SMALL, b"x" * MOST + b"\n" + GOOD["csv"])
    numbered = SMALL.replace("column: id", 'column: "1"').replace("column: end", 'column: "2"')
    numbered = numbered.replace("column: to", 'column: "3"') + "header: false\n"
    assert outcomes(rows(numbered, LONG["a cell"] + GOOD["csv"])) == [(1, "too_long"), (2, "")]


class Endless(io.RawIOBase):
    """A line of ``size`` bytes, generated while it is read."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        room = memoryview(buffer)  # type: ignore[call-overload]
        size = min(len(room), self._left)
        room[:size] = b"x" * size
        self._left -= size
        return size


def test_a_line_without_an_end_takes_no_memory() -> None:
    stream: BinaryIO = io.BufferedReader(Endless(30 << 20))
    tracemalloc.start()
    lines = list(bounded_lines(stream))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(line) for line in lines] == [LongLine]
    assert peak < 6 << 20


# One document may be one long line.
DOCUMENTS = {
    *("amazon-connect", "bandwidth", "freeswitch-json", "genesys", "plivo", "tccc", "telnyx", "twilio", "vonage")
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DOCUMENTS])
def test_every_shipped_adapter_rejects_a_long_line(name: str) -> None:
    shipped = open_adapter(name, key=PUBLIC_KEY)
    columns = COLUMNS if isinstance(shipped, BankAdapter) else [c for c in mapping_of(shipped).columns if c != ROW]
    mark = b"\t" if isinstance(shipped, BankAdapter) else mapping_of(shipped).dialect.delimiter.encode()
    head = mark.join(column.encode() for column in columns)
    found = list(shipped.rows(io.BytesIO(head + b"\n" + b"7" * MOST + b"\n")))
    assert [row for row in outcomes(found) if row[0] == 2] == [(2, "too_long")]  # line 1: a header, or a row
    assert len(found[-1].raw) <= 4_096


def mapping_of(shipped: Adapter) -> Mapping:
    """Its mapping, or the first one."""
    return shipped.mappings[0] if isinstance(shipped, ByHeader) else getattr(shipped, "mapping")  # noqa: B009
