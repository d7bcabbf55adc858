"""The outcomes of the causes that networks give."""

import pytest
from adapter_rows import SMALL, rows
from mapped_calls import T


@pytest.mark.parametrize(
    ("table", "text", "outcome"),
    [
        ("sip", "404", "invalid_number"),
        ("sip", "486", "busy"),
        ("sip", "480", "unreachable"),
        ("sip", "603", "rejected"),
        ("sip", "608", "carrier_blocked"),
        ("sip", "403", "failed"),
        ("sip", "699", "failed"),
        ("q850", "1", "invalid_number"),
        ("q850", "21", "rejected"),
        ("q850", "52", "failed"),
        ("hangup_cause", "NO_USER_RESPONSE", "unreachable"),
    ],
)
def test_the_causes_of_the_networks_have_their_outcomes(table: str, text: str, outcome: str) -> None:
    mapping = SMALL.replace("{const: busy}", f"{{column: code, table: {table}}}")
    (row,) = rows(mapping, f"id,to,end,code\n1,2,{T},{text}\n")
    assert row.record.outcome == outcome


def test_an_unknown_cause_is_rejected_or_what_the_mapping_says() -> None:
    mapping = SMALL.replace("{const: busy}", "{column: code, table: sip, otherwise: {const: failed}}")
    assert [row.record.outcome for row in rows(mapping, f"id,to,end,code\n1,2,{T},999\n")] == ["failed"]
    mapping = SMALL.replace("{const: busy}", "{column: code, table: sip}")
    (row,) = rows(mapping, f"id,to,end,code\n1,2,{T},999\n")
    assert row.reason == "unknown_value: outcome: '999' has no entry in the table"
