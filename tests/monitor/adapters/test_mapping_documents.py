"""Which rows a document holds: objects on lines, pages, rows without their last columns, and bodies read one by one."""

import io
import json

import pytest
from adapter_rows import SMALL, adapter, rows
from mapped_calls import JSON, T, call, ids


@pytest.mark.parametrize("mapping", [JSON, SMALL.replace("format: csv", "format: jsonl")], ids=["json", "jsonl"])
@pytest.mark.parametrize("between", ["", " ", "\t "])
def test_objects_that_stand_on_one_line_are_a_row_each(mapping: str, between: str) -> None:
    content = between.join(call(n) for n in range(3))
    found = rows(mapping, f"{content}\n{call(3)}")
    assert ids(found) == ["0", "1", "2", "3"]
    assert [row.line for row in found] == [1, 1, 1, 2]
    assert found[1].raw == call(1).encode()


def test_a_broken_object_on_a_line_affects_no_other_object() -> None:
    found = rows(JSON, f'{call(1)}{{"id": oops, "b": {{"c": 1}}}}{call(2)} {call(3)}')
    assert [row.record.call_id for row in found if row.record] == ["1", "2", "3"]
    (bad,) = [row for row in found if row.reason]
    assert bad.raw == b'{"id": oops, "b": {"c": 1}}'
    assert str(bad.reason).startswith("malformed_json: ")


def test_objects_over_several_lines_may_follow_each_other() -> None:
    content = "\n".join(json.dumps(json.loads(call(n)), indent=1) for n in range(3))
    found = rows(JSON, content)
    assert ids(found) == ["0", "1", "2"]
    assert [row.line for row in found] == [1, 6, 11]


def test_braces_in_texts_separate_nothing() -> None:
    content = '{"id": "}{", "to": "} {", "end": 1700000000}'
    assert ids(rows(JSON, content)) == ["}{"]
    assert ids(rows(JSON, content + content)) == ["}{", "}{"]


def test_a_page_is_an_array_of_rows_with_or_without_a_name() -> None:
    page = JSON.replace("json\n", "json\nrows: [calls, objects]\n")
    one, two = call(1), call(2)
    assert ids(rows(page, f'{{"calls": [{one}, {two}], "page": 0}}')) == ["1", "2"]
    assert ids(rows(page, f'{{"objects": [\n{one},\n{two}]}}')) == ["1", "2"]
    assert ids(rows(page, f"[{one},\n {two}]")) == ["1", "2"]
    assert ids(rows(page, f"[{one}, {two}]\n[{call(3)}]\n{call(4)}")) == ["1", "2", "3", "4"]
    assert ids(rows(page, one)) == ["1"]
    assert rows(page, "[]") == rows(page, '{"calls": []}') == []


def test_the_object_at_the_path_of_the_rows_is_a_row() -> None:
    event = JSON.replace("json\n", "json\nrows: detail.eventBody\n")
    content = f'{{"id": 9, "detail": {{"eventBody": {call(1)}}}}}\n'
    assert ids(rows(event, content * 2)) == ["1", "1"]
    chosen = JSON.replace("json\n", 'json\nrows: "events[kind=end].calls"\n')
    assert ids(rows(chosen, f'{{"events": [{{"kind": "start"}}, {{"kind": "end", "calls": [{call(2)}]}}]}}')) == ["2"]


def test_objects_without_end_cost_no_more_than_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.adapters.rows import json_rows

    read = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0):  # type: ignore[no-untyped-def]
            nonlocal read
            try:
                found = super().raw_decode(s, idx)
                read += found[1] - idx
            except json.JSONDecodeError as error:
                read += error.pos - idx
                raise
            return found

    monkeypatch.setattr(json_rows, "_SPLITTER", Counting())
    for content in ('{"a": }{' * 4_000, "{}" * 4_000, '{"a":{"b":{} }{ ' * 4_000):
        read = 0
        rows(JSON, content)
        assert read <= 4 * len(content)


def test_rows_may_lack_the_optional_columns_at_their_end() -> None:
    mapping = SMALL.replace("format: csv", "format: csv\nheader: [id, to, end, code, more]\noptional: [code, more]")
    mapping = mapping.replace("{const: busy}", "{join: [code, more], default: busy}")
    found = rows(mapping, f'1,2,{T}\n2,2,{T},failed,\n3,2,{T},failed,"a\nb"\n4,2\n5,2,{T},a,b,c\n')
    assert [(row.line, row.record.call_id) for row in found if row.record] == [(1, "1"), (2, "2")]
    reasons = {row.line: str(row.reason) for row in found if row.reason}
    assert reasons[5] == "malformed_row: 2 cells; expected 3 to 5, as in the header"
    assert reasons[6].startswith("malformed_row: 6 cells")


def test_a_document_is_read_the_same_each_time_and_keeps_its_order() -> None:
    reader = adapter(JSON)
    document = f'[{call(2)}, {{"id": 7}}, {call(1)}]'.encode()
    first = reader.read(document)
    assert ids(first) == ["2", "missing_field: callee: column to is empty", "1"]
    assert reader.read(document) == first == adapter(JSON).read(document)
    assert [row.raw for row in first] == [call(2).encode(), b'{"id": 7}', call(1).encode()]


def test_a_document_of_csv_has_its_own_header() -> None:
    reader = adapter(SMALL)
    assert ids(reader.read(f"id,to,end\n1,2,{T}\n".encode())) == ["1"]
    assert ids(reader.read(f"end,id,to\n{T},3,2\n".encode())) == ["3"]
    (row,) = reader.read(b"id,end\n1,2\n")
    assert row.reason == "malformed_row: the file has no column `to`; known: `id`, `end`"
    assert reader.read(b"") == []


def test_a_mapping_is_compiled_once_for_bodies_with_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.adapters import mapped

    compiled = []
    original = mapped.RowProgram

    def counting(*args: object) -> mapped.RowProgram:
        compiled.append(args)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(mapped, "RowProgram", counting)
    for reader, document in ((adapter(JSON), call(1)), (adapter(SMALL), f"id,to,end\n1,2,{T}\n")):
        compiled.clear()
        for _ in range(3):
            assert ids(reader.read(document.encode())) == ["1"]
        assert len(compiled) == 1


def test_a_document_that_is_too_long_is_one_rejected_row() -> None:
    (row,) = adapter(JSON).read(b" " * (32 << 20))
    assert str(row.reason).startswith("too_long: expected a document of less than 33,554,432 bytes")


def test_rows_from_a_stream_and_from_a_document_are_the_same_records() -> None:
    content = "".join(f"{call(n)}\n" for n in range(5))
    assert sorted(ids(list(adapter(JSON).rows(io.BytesIO(content.encode()))))) == sorted(
        ids(adapter(JSON).read(content.encode()))
    )
