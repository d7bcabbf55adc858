"""The values of fields: sources, tables, conditions, durations, lists, pseudonyms."""

import io

import pytest
from adapter_rows import ONE, SMALL, rows, value

from monitor.adapters.values.pseudonym import PUBLIC_KEY, VARIABLE, key_from, pseudonym

T = 1_700_000_000


def made(field: str, content: str) -> object:
    return value(field, content)


def test_white_space_around_a_cell_is_no_part_of_it() -> None:
    assert made("{column: b}", "id,b\n 1 , hotel\t\n") == "hotel"
    assert made("{column: b}", "id,b\n1,  \n").startswith("missing_field: declared_business: column b is empty")


def test_texts_that_mean_empty_are_empty() -> None:
    assert str(made('{column: b, empty: ["-", "0"]}', "id,b\n1,-\n")).startswith("missing_field")
    assert made('{column: b, empty: ["-"], default: none}', "id,b\n1,-\n") == "none"
    assert made('{column: b, empty: "-"}', "id,b\n1,--\n") == "--"


def test_the_first_column_that_is_not_empty_counts() -> None:
    assert made("{first: [b, c]}", "id,b,c\n1,,x\n") == "x"
    assert made("{first: [b, c]}", "id,b,c\n1,y,x\n") == "y"
    reason = "missing_field: declared_business: one of the columns b or c is empty"
    assert made("{first: [b, c]}", "id,b,c\n1,,\n") == reason


def test_a_join_with_an_empty_part_is_empty() -> None:
    assert made('{join: [b, c], with: "-"}', "id,b,c\n1,x,y\n") == "x-y"
    assert made("{join: [b, c]}", "id,b,c\n1,x,y\n") == "xy"
    assert str(made('{join: [b, c], with: "-"}', "id,b,c\n1,x,\n")).startswith("missing_field")


def test_the_rows_own_number_counts_rows_and_not_lines() -> None:
    content = "id,b\n1,x\n\n2,y\n3\n4,z\n"
    found = rows(f'{ONE}  declared_business: {{join: [b, $row], with: "#"}}\n', content)
    texts = [row.record.declared_business for row in found if row.record]
    assert texts == ["x#1", "y#2", "z#4"]


def test_a_value_without_an_entry_does_what_otherwise_says() -> None:
    table = 'table: {"1": hotel, "2":}'
    assert made(f"{{column: b, {table}}}", "id,b\n1,1\n") == "hotel"
    assert str(made(f"{{column: b, {table}}}", "id,b\n1,2\n")).startswith("missing_field")
    reason = "unknown_value: declared_business: '3' has no entry in the table"
    assert made(f"{{column: b, {table}}}", "id,b\n1,3\n") == reason
    assert made(f"{{column: b, {table}, otherwise: keep}}", "id,b\n1,3\n") == "3"
    assert made(f"{{column: b, {table}, otherwise: {{const: shop}}}}", "id,b\n1,3\n") == "shop"
    assert str(made(f"{{column: b, {table}, otherwise: empty}}", "id,b\n1,3\n")).startswith("missing_field")


@pytest.mark.parametrize(
    ("condition", "cell", "holds"),
    [
        ("equals: x", "x", True),
        ("equals: x", "X", False),
        ("in: [x, y]", "y", True),
        ("in: [x, y]", "", False),
        ("not_in: [x, y]", "y", False),
        ("not_in: [x, y]", "", True),
        ("empty: true", "", True),
        ("empty: true", "x", False),
        ("empty: false", "x", True),
        ("matches: '[a-z]+'", "xy", True),
        ("matches: '[a-z]+'", "xy1", False),
        ("matches: '[a-z]+', not_in: [xy]", "xy", False),
        ("parts: '(?P<a>[a-z]+)-(?P<b>[0-9]+)', in: [x, '7']", "x-6", True),
        ("parts: '(?P<a>[a-z]+)-(?P<b>[0-9]+)', in: [x, '7']", "y-7", True),
        ("parts: '(?P<a>[a-z]+)-(?P<b>[0-9]+)', in: [x, '7']", "y-77", False),
        ("parts: '(?P<a>[a-z]+)-(?P<b>[0-9]+)', in: [x, '7']", "x", False),
        ("parts: '(?P<a>[a-z]+)-(?P<b>[0-9]+)', empty: true", "x", True),
        ("parts: '(?P<a>[a-z]+)-', matches: '[xy]'", "a y-7", True),
    ],
)
def test_a_field_is_made_only_where_its_condition_holds(condition: str, cell: str, holds: bool) -> None:
    mapping = (
        f"{ONE}  declared_business: {{const: hotel}}\n  scenario: {{const: s, when: {{column: b, {condition}}}}}\n"
    )
    (row,) = rows(mapping, f"id,b\n1,{cell}\n")
    assert row.record.scenario == ("s" if holds else None)


def test_all_conditions_of_a_list_must_hold() -> None:
    condition = "when: [{column: b, equals: x}, {column: c, equals: y}]"
    mapping = f"{ONE}  declared_business: {{const: hotel}}\n  scenario: {{const: s, {condition}}}\n"
    found = rows(mapping, "id,b,c\n1,x,y\n2,x,z\n3,z,y\n")
    assert [row.record.scenario for row in found] == ["s", None, None]


def test_a_field_may_wait_for_another_whatever_their_order() -> None:
    mapping = SMALL.replace("{const: busy}", '{column: o, table: {"1": answered, "2": busy}}')
    waits = "  answer_ms: {column: end, time: epoch_s, when: {field: outcome, equals: answered}}\n"
    content = f"id,to,end,o\n1,2,{T},1\n2,2,{T},2\n"
    for text in (mapping + waits, mapping.replace("  call_id", f"{waits}  call_id")):
        answers = [row.record.answer_ms for row in rows(text, content)]
        assert answers == [T * 1000, None]


def test_rows_that_the_mapping_rejects_are_rejected_with_its_reason() -> None:
    mapping = "reject: [{when: {column: id, matches: 't.*'}, reason: a test call}]\n" + SMALL
    found = rows(mapping, f"id,to,end\nt1,2,{T}\n1,2,{T}\n")
    assert [row.reason for row in found] == ["excluded: a test call", None]


def test_a_list_is_split_and_its_items_trimmed() -> None:
    mapping = "record: tenant\nfields:\n  tenant_id: {column: t}\n  updated_ms: {const: '1700000000000'}\n"
    mapping += "  declared_businesses: {column: b, split: '|'}\n  numbers: {column: n, split: '|'}\n"
    first, second = rows(mapping, "t,b,n\na,hotel | shop||,1\nb,,\n")
    assert first.record.declared_businesses == ["hotel", "shop"]
    assert (second.record.declared_businesses, second.record.numbers) == ([], [])


def test_a_constant_from_outside_replaces_the_mappings_own() -> None:
    assert rows(SMALL, f"id,to,end\n1,2,{T}\n")[0].record.tenant_id == "acme"
    found = rows(SMALL, f"id,end\n1,{T}\n", {"tenant_id": "b", "callee": "+1", "agent_id": "x"})
    assert (found[0].record.tenant_id, found[0].record.callee) == ("b", "+1")
    assert found[0].record.agent_id == "x"
    found = rows(SMALL, f"id,to,end\n1,2,{T}\n", {"ring_ms": str(T * 1000)})
    assert found[0].record.ring_ms == T * 1000


def test_the_records_own_rules_hold_for_mapped_rows() -> None:
    mapping = SMALL.replace("start_ms: {column: end, time: epoch_s}", "start_ms: {column: begin, time: epoch_s}")
    (row,) = rows(mapping, f"id,to,end,begin\n1,2,{T},{T + 1}\n")
    assert str(row.reason).startswith("impossible_times: ")
    (row,) = rows(SMALL, f"id,to,end\n1,{'9' * 65},{T}\n")
    assert str(row.reason).startswith("wrong_length: ")


def test_a_pseudonym_distinguishes_parts_and_keys() -> None:
    assert made("{hmac: [b, c]}", "id,b,c\n1,x,y\n") == pseudonym(("x", "y"), PUBLIC_KEY)
    assert str(made("{hmac: [b, c]}", "id,b,c\n1,,\n")).startswith("missing_field")
    assert made("{hmac: [b, c]}", "id,b,c\n1,,y\n") == pseudonym(("", "y"), PUBLIC_KEY)
    names = {pseudonym(parts, key) for parts in (("ab", "c"), ("a", "bc"), ("abc",)) for key in (b"k", b"l")}
    assert len(names) == 6
    assert all(len(name) == 32 for name in names)


def test_a_pseudonym_is_hmac_sha_256_of_the_parts() -> None:
    import hashlib
    import hmac

    assert pseudonym(("x", "y"), b"k") == hmac.new(b"k", b"x\x1fy", hashlib.sha256).hexdigest()[:32]


def test_the_key_is_the_environments_else_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.adapters.shipped import open_adapter

    content = b"created_date,api_offset,company_phone_number,consumer_area_code\n2021-01-24,5,2125550123,216\n"

    def name(key: bytes | None = None) -> str:
        (row,) = open_adapter("ftc-dnc", key=key).rows(io.BytesIO(content))
        return row.record.complainant

    monkeypatch.delenv(VARIABLE, raising=False)
    assert name() == name(PUBLIC_KEY)
    monkeypatch.setenv(VARIABLE, "secret")
    assert name() == name(b"secret") != name(PUBLIC_KEY)
    assert key_from({VARIABLE: ""}) == PUBLIC_KEY
