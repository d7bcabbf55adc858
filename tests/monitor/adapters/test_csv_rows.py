"""Real-world CSV: byte order marks, encodings, quotes, ragged rows, NULs, huge cells; each row exactly once."""

import io
import json
import random

import pytest
from adapter_rows import SMALL, adapter, rows
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.adapters.errors import MappingError, Reject
from monitor.adapters.mapped import MappedRows
from monitor.adapters.mapping.spec import Dialect
from monitor.adapters.rows import csv_rows
from monitor.adapters.rows.csv_rows import MAX_LINES, CsvRows
from monitor.adapters.rows.open_row import OpenRow

T = 1_700_000_000


def ids(content: bytes | str, mapping: str = SMALL) -> list[tuple[int, str]]:
    """Line and call id of each row, or its reason."""
    found = rows(mapping, content)
    return [(row.line, row.record.call_id if row.record else row.reason) for row in found]


def test_a_byte_order_mark_does_not_hide_the_first_column() -> None:
    assert ids(b"\xef\xbb\xbfid,to,end\n1,2,%d\n" % T) == [(2, "1")]
    content = f"\ufeffid,to,end\n一,2,{T}\n".encode("gb18030")
    assert ids(content, "encoding: gb18030\n" + SMALL) == [(2, "一")]


def test_gbk_is_read_as_gbk_and_what_is_not_is_one_rejected_row() -> None:
    content = f"编号,to,end\n甲,2,{T}\n".encode("gbk") + b"\xff,2,%d\n" % T + f"乙,2,{T}\n".encode("gbk")
    found = ids(content, "encoding: gbk\n" + SMALL.replace("column: id", "column: 编号"))
    assert found[1:] == [(2, "甲"), (4, "乙")]
    assert found[0][0] == 3
    assert found[0][1] == "not_text: column 编号: character 1 is not gbk"


def test_an_invalid_byte_in_a_column_that_is_not_read_costs_no_row() -> None:
    named = b'id,name,to,end\n1,Jos\xe9,2,%d\n2,"Jos\xe9,\nM\xfcller",2,%d\n3,x,Jos\xe9,%d\n' % (T, T, T)
    assert sorted(ids(named)) == [(2, "1"), (3, "2"), (5, "not_text: column to: character 4 is not utf-8")]
    assert {row.raw for row in rows(SMALL, named)} >= {b'2,"Jos\xe9,\nM\xfcller",2,%d' % T}


def test_an_invalid_byte_of_percent_encoding_in_a_column_that_is_not_read_costs_no_row() -> None:
    content = f"id,name,to,end\n1,Jos%e9,2,{T}\n2,x,Jos%e9,{T}\n"
    first, second = sorted(ids(content, "decode: url\n" + SMALL))
    assert first == (2, "1")
    assert second[1].startswith("not_text: ")


def test_a_body_of_one_row_without_a_header_may_have_an_invalid_byte_in_a_column_that_is_not_read() -> None:
    numbered = SMALL.replace("column: id", 'column: "1"').replace("column: to", 'column: "2"')
    numbered = "header: false\n" + numbered.replace("column: end", 'column: "3"')
    assert ids(b"1,2,%d,Jos\xe9\n" % T, numbered) == [(1, "1")]
    assert ids(b"1,Jos\xe9,%d,x\n" % T, numbered) == [(1, "not_text: column 2: character 4 is not utf-8")]


def test_a_row_that_is_kept_as_json_has_a_replacement_for_each_invalid_byte() -> None:
    reader = adapter(SMALL).document_reader(b"id,name,to,end\n1,Jos\xe9,2,%d\n" % T)
    assert isinstance(reader, MappedRows)
    [(_, raw)] = reader.records()
    assert json.loads(reader.alone(raw))["name"] == "Jos\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "gbk", "gb18030", "big5", "shift_jis", "euc_kr"])
@pytest.mark.parametrize("seed", range(3))
def test_a_row_whose_bytes_are_invalid_is_text_or_rejected(encoding: str, seed: int) -> None:
    rng = random.Random(seed)
    read = 0
    for _ in range(500):
        unread = bytes(rng.choice((0x20, 0x31, 0x41, 0x7E, *range(0x80, 0x100))) for _ in range(rng.randint(1, 6)))
        source = CsvRows([b"id,note,to\n", b"1," + unread + b",2\n"], Dialect(), encoding, ("id", "to"))
        [(_, raw)] = source.records()
        try:
            first, note, last = source.cells(raw)
        except Reject:
            continue
        read += 1
        assert (first, last) == ("1", "2")
        note.encode()
    assert read > 400, (encoding, seed)


def test_a_gbk_byte_that_looks_like_a_delimiter_does_not_cut_a_cell() -> None:
    content = f"id|to|end\n亅|2|{T}\n".encode("gbk")
    assert b"|" in "亅".encode("gbk")
    assert ids(content, 'encoding: gbk\ndelimiter: "|"\n' + SMALL) == [(2, "亅")]


def test_line_ends_and_blank_lines_are_no_rows_and_count_as_lines() -> None:
    assert ids(f"\r\n \nid,to,end\r\n\r\n1,2,{T}\r\n\t\n2,2,{T}") == [(5, "1"), (7, "2")]


def test_a_quoted_line_break_stays_in_its_cell_and_the_row_has_its_first_line() -> None:
    content = f'id,to,end\n"a\nb",2,{T}\nc,"x ""y"", z",{T}\n'
    first, second = rows(SMALL, content)
    assert (first.line, first.record.call_id, first.raw) == (2, "a\nb", f'"a\nb",2,{T}'.encode())
    assert (second.line, second.record.callee) == (4, 'x "y", z')


@pytest.mark.parametrize(
    "hostile",
    [
        '"open,2,1700000000',
        'a,"2,1700000000',
        'a,2,"',
        '"',
        '""",',
        'x,"a"b"c,1700000000"',
        "a,b",
        "a,b,c,d",
        ",,",
        "\x00",
        "a,\x00,1700000000x",
        '"a\r"b,2,3',
    ],
)
def test_a_hostile_line_costs_its_neighbours_nothing(hostile: str) -> None:
    good = [f"{n},2,{T + n}" for n in range(MAX_LINES + 10)]
    for at in (0, 3, len(good)):
        lines = ["id,to,end", *good[:at], hostile, *good[at:]]
        found = rows(SMALL, "\n".join(lines) + "\n")
        assert len(found) == len(good) + 1
        assert [row.record.call_id for row in found if row.record] == [str(n) for n in range(len(good))]
        (bad,) = [row for row in found if row.reason]
        assert (bad.line, bad.raw) == (at + 2, hostile.encode())


def test_two_open_quotes_are_two_broken_rows() -> None:
    found = ids(f'id,to,end\n"a,2,{T}\n1,2,{T}\n"b,2,{T}\n2,2,{T}\n')
    assert [line for line, _ in found] == [2, 4, 3, 5]
    assert [text for _, text in found[2:]] == ["1", "2"]


def test_a_quote_inside_a_cell_is_a_character() -> None:
    (row,) = rows(SMALL, f'id,to,end\n5" pipe,2,{T}\n')
    assert row.record.call_id == '5" pipe'


def test_quotes_mean_nothing_where_the_mapping_says_so() -> None:
    assert ids(f'id,to,end\n"a,2,{T}\nb",2,{T}\n', "quote: none\n" + SMALL) == [(2, '"a'), (3, 'b"')]


def test_ragged_rows_are_rejected_with_their_count() -> None:
    found = ids(f"id,to,end\n1,2\n1,2,{T},4\n1,2,{T}\n")
    assert found[0] == (2, "malformed_row: 2 cells; expected 3, as in the header")
    assert found[1] == (3, "malformed_row: 4 cells; expected 3, as in the header")
    assert found[2] == (4, "1")


@pytest.mark.parametrize("content", ["", "\n\n", "id,to,end", "id,to,end\n", "\ufeff"])
def test_an_empty_file_has_no_rows(content: str) -> None:
    assert rows(SMALL, content) == []


def test_a_nul_byte_is_a_character_and_stops_nothing() -> None:
    assert ids(f"id,to,end\na\x00b,2,{T}\n2,2,{T}\n") == [(2, "a\x00b"), (3, "2")]


def test_a_cell_of_ten_megabytes_stops_nothing() -> None:
    huge = "x" * 10_000_000
    content = f'id,to,end,note\n1,2,{T},{huge}\n2,2,{T},"{huge}"\n{huge},2,{T},\n3,2,{T},\n'
    found = ids(content)
    assert {text for _, text in found} >= {"1", "3"}
    reasons = [text for line, text in found if line in (3, 4)]
    assert len(reasons) == 2
    assert all(len(text) < 300 for text in reasons)
    assert any("field larger than field limit" in text for text in reasons)


def test_columns_without_a_header_go_by_names_or_by_numbers() -> None:
    content = f"1,2,{T}\n2,2,{T}\n"
    assert ids(content, "header: [id, to, end]\n" + SMALL) == [(1, "1"), (2, "2")]
    numbered = SMALL.replace("column: id", 'column: "1"').replace("column: to", 'column: "2"')
    numbered = "header: false\n" + numbered.replace("column: end", 'column: "3"')
    assert ids(content, numbered) == [(1, "1"), (2, "2")]
    assert ids(f'"a\nb",2,{T}\n2,2,{T}\n', numbered) == [(1, "a\nb"), (3, "2")]


def test_a_broken_first_row_without_a_header_costs_no_other_row() -> None:
    numbered = SMALL.replace("column: id", 'column: "1"').replace("column: to", 'column: "2"')
    numbered = "header: false\n" + numbered.replace("column: end", 'column: "3"')
    for broken in (b"\xff,2,3\n", b'"open,2,3\n', b'\n"x\n\xff",2\n'):
        found = ids(broken + b"1,2,%d\n2,2,%d\n" % (T, T), numbered)
        number = broken.count(b"\n")
        assert [text for line, text in found if line <= number and ("not_text" in text or "malformed" in text)]
        assert [row for row in found if row[0] > number] == [(number + 1, "1"), (number + 2, "2")]


def test_a_header_that_cannot_be_read_is_reported_once_and_not_of_every_row() -> None:
    with pytest.raises(MappingError, match="header cannot be read: not_text: byte 1 of the row is not utf-8"):
        ids(f"id,to,end\n1,2,{T}\n".encode("utf-16"))


def test_of_two_columns_of_one_name_the_first_counts() -> None:
    assert ids(f"id,to,end,id\n1,2,{T},x\n") == [(2, "1")]


def test_an_optional_column_may_be_absent() -> None:
    mapping = "optional: [who]\n" + SMALL + "  agent_id: {column: who}\n"
    assert rows(mapping, f"id,to,end\n1,2,{T}\n")[0].record.agent_id is None
    assert rows(mapping, f"id,to,end,who\n1,2,{T},x\n")[0].record.agent_id == "x"


HOSTILE = st.lists(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"1700000000", b"\xff", b" ", b"\x00", b'""']))


@examples(HOSTILE, fast=100, most=400)
def test_every_byte_of_a_file_lies_in_exactly_one_row(parts: list[bytes]) -> None:
    content = b"".join(parts)
    source = CsvRows(io.BytesIO(b"id,to,end\n" + content), Dialect(), "utf-8")
    found = list(source.records())
    lines = content.split(b"\n")
    expected = [line for line in lines if line and not line.isspace()]
    back = [line for _, raw in found for line in raw.split(b"\n") if line and not line.isspace()]
    assert [line.rstrip(b"\r") for line in back] == [line.rstrip(b"\r") for line in expected]
    for line, raw in found:
        assert lines[line - 2].startswith(raw.split(b"\n")[0])


@examples(st.lists(st.lists(st.text('ab,"\n ;', max_size=6), min_size=2, max_size=2), max_size=6), fast=75, most=300)
def test_output_of_pythons_csv_module_is_read_back(table: list[list[str]]) -> None:
    import csv

    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["x", "y"], *table])
    source = CsvRows(io.BytesIO(text.getvalue().encode()), Dialect(), "utf-8")
    assert [source.cells(raw) for _, raw in source.records()] == table


@pytest.mark.parametrize("line", ['"x', '"a,b', 'x","y', '"",', '"""', '"a""', 'a"b,"c', '"x' + "y" * 500])
def test_lines_that_each_open_a_quote_are_not_read_a_thousand_times(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    class Counting(OpenRow):
        def read(self, line: str) -> None:
            nonlocal read
            read += len(line)
            super().read(line)

    monkeypatch.setattr(csv_rows, "OpenRow", Counting)
    content = "id,tenant,to,end\n" + f"{line}\n" * 3_000
    assert len(list(CsvRows(io.BytesIO(content.encode()), Dialect(), "utf-8").records())) > 1_000
    assert read <= 6 * len(content)


def test_a_body_that_is_one_endless_name_of_a_column_is_rejected_with_a_short_reason() -> None:
    for body in ("x" * 1_000_000, "x," * 100_000):
        with pytest.raises(MappingError) as error:
            rows(SMALL, body + "\n1\n")
        assert len(str(error.value)) < 50_000
