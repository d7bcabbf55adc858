"""Every kind of mistake in a mapping is reported with its line, its column and what was expected."""

import pytest
from adapter_rows import ONE, SMALL

from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.read import read_mapping

# (the error, the text in SMALL that is replaced, its replacement, line:column, part of the message)
FAULTS = [
    ("unknown key", "format: csv", "formatt: csv", "1:1", "did you mean `format`"),
    ("unknown format", "format: csv", "format: xml", "1:9", "`csv`, `json`, `jsonl`"),
    ("record missing", "record: cdr\n", "", "1:1", "`record` is missing: one of cdr"),
    ("unknown record", "record: cdr", "record: cdrs", "2:9", "did you mean `cdr`"),
    ("unknown encoding", "format: csv", "encoding: utf-9", "1:11", "write utf-8"),
    ("encoding in which bytes are no text", "format: csv", "encoding: rot13", "1:11", "is no encoding"),
    ("wide encoding", "format: csv", "encoding: utf-16", "1:11", "convert the file to utf-8"),
    ("delimiter of two", "format: csv", 'delimiter: "||"', "1:12", "one ASCII character"),
    ("delimiter is the quote", "format: csv", "quote: ','", "1:8", "other than the delimiter"),
    ("header is a word", "format: csv", 'header: "yes"', "1:9", "true, false, or the list"),
    ("header names twice", "format: csv", "header: [id, to, id, end]", "1:18", "a second column `id`"),
    ("unknown zone", "format: csv", "zone: Asia/Peking", "1:7", "write an IANA name"),
    ("zone outside the data base", "format: csv", "zone: ../../etc/passwd", "1:7", "write an IANA name"),
    ("rows without a document", "format: csv", "rows: a.b", "1:7", "write `format: json`"),
    ("delimiter of JSON", "format: csv", 'format: jsonl\ndelimiter: ";"', "2:1", "for `format: csv`"),
    ("encoding of JSON", "format: csv", "format: json\nencoding: gbk", "2:11", "JSON and forms are UTF-8"),
    ("sort is a word", "format: csv", 'sort: "no"', "1:7", "true or false"),
    ("arrival is a word", "format: csv", "arrival: seq", "1:10", "{column: NAME"),
    ("reject without reason", "format: csv", "reject: [{when: {column: id, equals: x}}]", "1:10", "needs a `reason`"),
    ("reject of everything", "format: csv", "reject: [{reason: x}]", "1:10", "it would reject every row"),
    ("optional column that nobody reads", "format: csv", "optional: [ident]", "1:11", "no field reads `ident`"),
    ("unknown field", "  callee:", "  callees:", "8:3", "did you mean `callee`"),
    ("required field missing", "  callee: {column: to}\n", "", "3:1", "cannot be without `callee`"),
    ("field is a text", "{column: to}", "to", "8:11", "write `{column: to}`"),
    ("field is a list", "{column: to}", "[to]", "8:11", "a field is {column: NAME"),
    ("two sources", "{column: to}", "{column: to, const: x}", "8:11", "exactly one of"),
    ("no source", "{column: to}", "{empty: x}", "8:11", "here are 0"),
    ("unknown key of a field", "{column: to}", "{column: to, tabel: {a: b}}", "8:24", "did you mean `table`"),
    ("column is a number", "{column: to}", "{column: 3}", "8:20", "write it in quotes"),
    ("unknown row name", "{column: to}", "{column: $line}", "8:20", "`$row`"),
    ("join of nothing", "{column: to}", "{join: []}", "8:18", "a list of columns"),
    ("with beside a column", "{column: to}", '{column: to, with: "-"}', "8:24", "of a `join` only"),
    ("two changes", "{column: to}", "{column: to, number: CN, table: {a: b}}", "8:11", "one of table, time"),
    ("unknown region", "{column: to}", "{column: to, number: China}", "8:32", "CN, US, IL"),
    ("unknown region in a mapping", "{column: to}", "{column: to, number: {only: x}}", "8:32", "CN, US, IL"),
    (
        "broken pattern",
        "{column: to}",
        '{column: to, number: {region: CN, only: "("}}',
        "8:51",
        "expected a regular expression",
    ),
    ("time format without percent", "time: epoch_s}\n  end", "time: seconds}\n  end", "9:33", "no time format"),
    ("time format with a bad part", "time: epoch_s}\n  end", 'time: "%Y %Q"}\n  end', "9:33", "'%Y %Q'"),
    ("time format without a year", "time: epoch_s}\n  end", 'time: "%H:%M"}\n  end', "9:33", "has no year"),
    ("local time without a zone", "time: epoch_s}\n  end", 'time: "%Y-%m-%d"}\n  end', "9:33", "add `zone:"),
    ("time without a format", ", time: epoch_s}\n  end", "}\n  end", "9:13", "a time needs `time`"),
    (
        "condition on a field that is computed after it",
        "{column: to}",
        "{column: to, when: {field: ring_ms, empty: false}}\n"
        "  ring_ms: {column: end, time: epoch_s, when: {field: end_ms, empty: false}}",
        "8:11",
        "expected this field below `ring_ms`",
    ),
    ("time of a text", "{column: to}", "{column: to, time: epoch_s}", "8:24", "remove `time`"),
    (
        "constant that is no time",
        "{column: end, time: epoch_s}\n  outcome",
        "{const: now}\n  outcome",
        "10:19",
        "epoch milli",
    ),
    ("constant that is no word", "{const: busy}", "{const: bussy}", "11:20", "did you mean `busy`"),
    ("constant that is a number", "{const: outbound}", "{const: 007}", "6:22", "write it in quotes"),
    ("tenant that is a constant", "{column: tenant}", "{const: acme}", "5:22", "got the constant"),
    ("tenant by default", "{column: tenant}", "{column: t, default: acme}", "5:35", "the tenant of each record"),
    (
        "tenant that is a constant in a case",
        "{column: tenant}",
        "{cases: [{column: t}, {const: acme}]}",
        "5:44",
        "the tenant of each record",
    ),
    ("default that is no word", "{const: busy}", "{column: x, default: none}", "11:33", "is not allowed here"),
    (
        "table entry that is no word",
        "{const: busy}",
        '{column: x, table: {"1": answerd}}',
        "11:37",
        "did you mean `answered`",
    ),
    ("table key without quotes", "{const: busy}", "{column: x, table: {1: busy}}", "11:32", "write it in quotes"),
    (
        "table key twice",
        "{const: busy}",
        "{column: x, table: {a: busy, a: failed}}",
        "11:41",
        "already defined on line 11",
    ),
    ("table is a list", "{const: busy}", "{column: x, table: [busy]}", "11:31", "a table is"),
    (
        "unknown otherwise",
        "{const: busy}",
        "{column: x, table: {a: busy}, otherwise: drop}",
        "11:53",
        "reject, keep, empty",
    ),
    ("otherwise without a table", "{const: busy}", "{column: x, otherwise: keep}", "11:24", "goes with `table`"),
    ("zone without a time", "{const: busy}", "{column: x, zone: Asia/Shanghai}", "11:24", "goes with `time`"),
    ("shift of a text", "{const: busy}", "{column: x, plus: {column: y}}", "11:30", "a duration that is added"),
    (
        "unknown unit",
        "time: epoch_s}\n  out",
        "time: epoch_s, plus: {column: y, unit: d}}\n  out",
        "10:64",
        "`ms`, `s`",
    ),
    ("condition without a test", "{const: busy}", "{column: x, when: {column: y}}", "11:30", "needs equals"),
    (
        "condition with two tests",
        "{const: busy}",
        "{column: x, when: {column: y, equals: a, in: [b]}}",
        "11:30",
        "one of",
    ),
    ("condition on nothing", "{const: busy}", "{column: x, when: {equals: a}}", "11:30", "one of them"),
    ("condition on no field", "{const: busy}", "{column: x, when: {field: y, equals: a}}", "11:38", "no field `y`"),
    (
        "field that waits for itself",
        "{const: busy}",
        "{column: x, when: {field: outcome, equals: a}}",
        "11:30",
        "itself",
    ),
    ("condition on a number", "{const: busy}", "{column: x, when: {column: y, equals: 07}}", "11:50", "in quotes"),
    (
        "event time that waits for a field",
        "time: epoch_s}\n  out",
        "time: epoch_s, when: {field: outcome, equals: busy}}\n  out",
        "10:11",
        "decides the order",
    ),
    ("split of a text", "{column: to}", '{column: to, split: ";"}', "8:24", "not a list"),
    ("not YAML", "format: csv", "format: [csv", "2:7", "not YAML"),
    ("fields missing", SMALL[SMALL.index("fields:") :], "fields: {}\n", "3:1", "cannot be without `call_id`"),
]


@pytest.mark.parametrize(("old", "new", "place", "part"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_fault_is_reported_where_it_stands(old: str, new: str, place: str, part: str) -> None:
    assert old in SMALL
    with pytest.raises(MappingError) as caught:
        read_mapping(SMALL.replace(old, new, 1), "acme.yaml")
    reported = {f"{fault.line}:{fault.column}": fault.message for fault in caught.value.faults}
    assert part in reported.get(place, ""), reported
    assert str(caught.value).startswith(f"acme.yaml:{caught.value.faults[0].line}:")


def test_the_mapping_that_the_faults_are_made_of_has_none() -> None:
    assert read_mapping(SMALL, "acme.yaml").record == "cdr"


def test_one_fault_does_not_hide_the_others() -> None:
    text = SMALL.replace("{const: busy}", "{const: bussy}").replace("{column: to}", "to").replace("epoch_s", "seconds")
    with pytest.raises(MappingError) as caught:
        read_mapping(text, "acme.yaml")
    assert [fault.line for fault in caught.value.faults] == [8, 9, 10, 11]


@pytest.mark.parametrize("text", ["", " \n", "- a\n", "just words", "null"])
def test_a_file_that_is_no_mapping_is_a_fault_and_no_crash(text: str) -> None:
    with pytest.raises(MappingError) as caught:
        read_mapping(text, "acme.yaml")
    assert "polic" not in str(caught.value)


def test_a_list_field_without_its_separator_is_a_fault() -> None:
    text = "record: tenant\nfields:\n  tenant_id: {column: t}\n  numbers: {column: n}\n"
    text += '  declared_businesses: {column: b, split: "、"}\n  updated_ms: {const: "1700000000000"}\n'
    with pytest.raises(MappingError, match=r"acme.yaml:4:12: this field is a list: add `split"):
        read_mapping(text, "acme.yaml")


def test_a_column_that_the_file_lacks_is_reported_with_its_place_in_the_mapping() -> None:
    from adapter_rows import rows

    with pytest.raises(MappingError, match=r"test.yaml:8:20: the file has no column `to`; known: `id`, `end`"):
        rows(SMALL, "id,end\n1,1700000000\n")


def test_a_file_without_the_column_of_the_tenant_names_the_option_that_sets_it() -> None:
    from adapter_rows import rows

    with pytest.raises(
        MappingError, match=r"no column `tenant`.*; if all records are of one tenant: `--set tenant_id=ID`"
    ):
        rows(
            SMALL.replace("tenant_id: {column: tenant}", "tenant_id: { column: tenant }"), "id,to,end\n1,2,1700000000\n"
        )


def test_a_constant_for_no_field_is_a_fault() -> None:
    with pytest.raises(MappingError, match="did you mean `tenant_id`"):
        read_mapping(SMALL, "acme.yaml", {"tenant": "x"})
    with pytest.raises(MappingError, match="direction=sideways"):
        read_mapping(SMALL, "acme.yaml", {"direction": "sideways"})


def test_a_constant_makes_up_for_a_field_that_the_mapping_lacks() -> None:
    with pytest.raises(MappingError, match="declared_business"):
        read_mapping(ONE, "acme.yaml")
    mapping = read_mapping(ONE, "acme.yaml", {"declared_business": "hotel", "tenant_id": "b"})
    assert mapping.fields["declared_business"].const == "hotel"
    assert mapping.fields["tenant_id"].const == "b"
