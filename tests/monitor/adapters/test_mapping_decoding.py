"""Values that are decoded, and the number in an address."""

from adapter_rows import value
from mapped_calls import LINES


def test_a_value_is_decoded_where_the_mapping_says_so() -> None:
    content = '{"id": 1, "v": "a%20b%2B%E5%91%BC+", "w": "100%"}'
    assert value("{column: v, decode: url}", content, LINES) == "a b+呼+"
    assert value("{column: v}", content, LINES) == "a%20b%2B%E5%91%BC+"
    assert value("{column: w, decode: url}", content, LINES) == "100%"
    assert value("{join: [v, w], decode: url, with: '/'}", content, "decode: url\n" + LINES) == "a b+呼+/100%"
    assert str(value("{column: v, decode: url}", '{"id": 1, "v": "%ff"}', LINES)).startswith(
        "not_text: declared_business"
    )


def test_half_of_a_surrogate_pair_is_not_text() -> None:
    half = value("{column: v, decode: url}", "id,v\n1,\\ud800%41\n", "encoding: raw_unicode_escape\n")
    assert str(half).startswith("not_text: declared_business")


def test_the_whole_file_may_be_decoded_and_its_conditions_too() -> None:
    field = '{cases: [{when: {column: v, equals: "sip:404"}, const: seen}, {const: missed}]}'
    assert value(field, '{"id": 1, "v": "sip%3A404"}', "decode: url\n" + LINES) == "seen"
    assert value(field, '{"id": 1, "v": "sip%3A404"}', LINES) == "missed"


def test_of_an_address_the_number_is_taken() -> None:
    for text, expected in [
        ("tel:+8613800138000", "+8613800138000"),
        ("sip:13800138000@192.0.2.7:5060;transport=udp", "+8613800138000"),
        ("sip:1001@pbx", "1001"),
        ("sip:alice@pbx", "sip:alice@pbx"),
        ("TEL:+86-138-0013-8000;ext=1", "+8613800138000"),
    ]:
        assert value("{column: v, number: CN}", f"id,v\n1,{text}\n") == expected
