"""Real-world JSON: lines, a document, a line that is a document; each row with its bytes and its line."""

import io
import json
import random
import re

import pytest
from adapter_rows import SMALL, rows

from monitor.adapters.rows import json_rows

LINES = SMALL.replace("format: csv", "format: jsonl")
EITHER = SMALL.replace("format: csv", "format: json\nrows: data.list")
T = 1_700_000_000


def call(name: object) -> str:
    return f'{{"id": {name}, "to": "2", "end": {T}}}'


def ids(content: str | bytes, mapping: str = EITHER) -> list[tuple[int, str]]:
    """Line and call id of each row, or its reason."""
    return [(row.line, row.record.call_id if row.record else row.reason) for row in rows(mapping, content)]


def test_lines_are_rows_and_values_are_read_as_text() -> None:
    assert ids(f"\ufeff{call(1)}\n\n{call(true := 'true')}\r\n{call(1.5)}", LINES) == [(1, "1"), (3, true), (4, "1.5")]


def test_a_document_gives_its_elements_with_their_bytes_and_lines() -> None:
    content = f'\n{{"code": 0,\n "data": {{"list": [\n  {call(1)},\n  {call(2)}, {call(3)}\n]}},\n "list": []}}\n'
    assert ids(content) == [(4, "1"), (5, "2"), (5, "3")]
    assert [row.raw.decode() for row in rows(EITHER, content)] == [call(1), call(2), call(3)]


def test_equal_elements_have_lines_of_their_own() -> None:
    content = f'{{"data": {{"list": [\n{call(1)},\n{call(1)},\n{call(1)}\n]}}}}'
    assert [line for line, _ in ids(content)] == [2, 3, 4]


def test_lines_may_be_documents_or_records() -> None:
    content = f'{{"data": {{"list": [{call(1)}, {call(2)}]}}}}\n{call(3)}\n{{"data": {{"list": []}}}}\n'
    assert ids(content) == [(1, "1"), (1, "2"), (2, "3")]


def test_a_document_that_is_the_record_itself_may_run_over_lines() -> None:
    assert ids(call(1).replace(",", ",\n")) == [(1, "1")]


def test_a_broken_document_is_one_rejected_row() -> None:
    content = f'{{"data":\n {{"list": [\n  {call(1)},\n  {call(2)}\n'
    ((line, reason),) = ids(content)
    assert line == 1
    assert reason.startswith("malformed_json: ")


def test_a_broken_first_line_does_not_make_lines_a_document() -> None:
    found = ids(f'{{"id": 1, \n{call(2)}\n{call(3)}\n')
    assert found[0][0] == 1
    assert found[1:] == [(2, "2"), (3, "3")]


@pytest.mark.parametrize(
    ("hostile", "word"),
    [
        ('{"id": 1', "malformed_json"),
        ("[1]", "not_an_object"),
        ("null", "not_an_object"),
        ('"a"', "not_an_object"),
        ('{"id": NaN, "to": "2", "end": 1700000000}', "malformed_json"),
        ('{"id": "\\ud800", "to": "2", "end": 1700000000}', "malformed_json"),
        ('{"id": [1], "to": "2", "end": 1700000000}', "wrong_type"),
        ('{"id": {"a": 1}, "to": "2", "end": 1700000000}', "wrong_type"),
        ('{"to": "2", "end": 1700000000}', "missing_field"),
        ('{"id": null, "to": "2", "end": 1700000000}', "missing_field"),
        ('{"id": 1, "to": "2", "end": 1e400}', "malformed_json"),
        ('{"id": 1, "to": "2", "end": "yesterday"}', "unreadable_time"),
        ('{"id": 1, "to": "2", "end": 99999999999999}', "out_of_range"),
        ("[" * 100_000, "malformed_json"),
        ("\x00", "malformed_json"),
        ('{"id": "' + "x" * 10_000_000 + '", "to": "2", "end": 1700000000}', "wrong_length"),
    ],
    ids=range(16),
)
@pytest.mark.parametrize("mapping", [LINES, EITHER], ids=["jsonl", "json"])
def test_a_hostile_line_costs_its_neighbours_nothing(hostile: str, word: str, mapping: str) -> None:
    found = rows(mapping, f"{call(1)}\n{hostile}\n{call(2)}\n")
    assert [row.record.call_id for row in found if row.record] == ["1", "2"]
    (bad,) = [row for row in found if row.reason]
    assert (bad.line, bad.raw) == (2, hostile.encode())
    assert str(bad.reason).startswith(f"{word}: ")
    assert len(str(bad.reason)) < 400


@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 5_000 + ".5", "-" + "9" * 5_000, "1e" + "9" * 5_000])
@pytest.mark.parametrize("mapping", [LINES, EITHER], ids=["jsonl", "json"])
def test_an_endless_number_costs_its_neighbours_on_the_line_nothing(number: str, mapping: str) -> None:
    found = rows(mapping, f'{call(1)}{{"id": "2", "to": "2", "end": {number}}}{call(3)}\n')
    assert [row.record.call_id for row in found if row.record] == ["1", "3"]
    assert [str(row.reason).partition(":")[0] for row in found if row.reason] == ["malformed_json"]


def test_bytes_that_are_no_text_are_one_rejected_row() -> None:
    found = rows(LINES, call(1).encode() + b'\n{"id": "\xff\xfe", "to": "2", "end": 1}\n')
    assert [row.line for row in found] == [2, 1]
    assert str(found[0].reason).startswith("malformed_json")


@pytest.mark.parametrize("content", ["", "\n \n", '{"data": {"list": []}}', "\ufeff"])
def test_an_empty_file_has_no_rows(content: str) -> None:
    assert rows(EITHER, content) == []


def test_a_dot_goes_down_unless_the_whole_name_is_there() -> None:
    mapping = LINES.replace("column: id", "column: a.b")
    assert ids('{"a": {"b": "x"}, "to": "2", "end": 1700000000}', mapping) == [(1, "x")]
    assert ids('{"a.b": "y", "a": {"b": "x"}, "to": "2", "end": 1700000000}', mapping) == [(1, "y")]
    assert ids('{"a": [1], "to": "2", "end": 1700000000}', mapping)[0][1].startswith("missing_field: call_id")


def test_a_path_that_leads_to_no_array_leaves_the_document_a_row() -> None:
    assert ids('{"data": {"list": 7}, "id": 1, "to": "2", "end": 1700000000}') == [(1, "1")]
    assert len(rows(EITHER, io.BytesIO(b'{"data": 1}').read())) == 1


def plainly_split(text: str) -> list[str]:
    """The values of a text, each read from where it begins to the end of the text."""
    found, at = [], 0
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            end = decoder.raw_decode(text, at)[1]
        except json.JSONDecodeError as error:
            boundary = re.compile(r"(?<=\})\s*(?=\{)").search(text, max(error.pos, at + 1))
            end = boundary.start() if boundary else len(text)
        found.append(text[at:end].rstrip())
        at = end
    return found


@pytest.mark.parametrize("seed", range(20))
def test_where_a_value_ends_does_not_depend_on_the_part_that_is_read(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_PART", 1 << seed % 9)
    rng = random.Random(seed)
    pieces = [
        *(
            "{}",
            '{"a": 1}',
            '{"b": tru}',
            "}{",
            '"',
            "\\",
            '\\"',
            "[",
            "]",
            " ",
            "\t",
            ": ",
            ",",
            "-Infinity",
            "12.5e3",
        ),
        *("\\u00e4", "null", "x" * 70, '{"t": "' + "y" * 200 + '"}', "\u00e4", '{"c": "}{"}', "{\n}"),
    ]
    for _ in range(300):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 12)))
        found = [each.decode() for each in json_rows._values(text.encode())]
        assert found == plainly_split(text), f"seed {seed}: {text!r}"


def test_broken_objects_on_a_line_are_each_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The decoder counts the lines before an error, from the beginning of what it is given.
    given = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[object, int]:
            nonlocal given
            given += len(s)
            return super().raw_decode(s, idx)

    monkeypatch.setattr(json_rows, "_SPLITTER", Counting())
    text = '{"a": 1}{"b": tru}' * 5_000
    assert len(list(json_rows._values(text.encode()))) == 10_000
    assert given <= 10_000 * json_rows._PART


def test_no_more_objects_of_a_line_are_read_than_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def end(text: str, at: int) -> int:
        read.append(at)
        return at + 2

    monkeypatch.setattr(json_rows, "_end_of_value", end)
    values = json_rows._values(b"{}" * 1_000)
    assert [next(values), next(values)] == [b"{}", b"{}"]
    assert len(read) == 2
