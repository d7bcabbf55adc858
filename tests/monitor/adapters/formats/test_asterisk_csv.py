"""The CSV format of Asterisk, field by field, on made-up samples of the real structure."""

import pytest
from adapter_rows import fields
from format_rows import reason


def master(disposition: str = "ANSWERED", more: str = ',"1772415000.17",""', context: str = "from-internal") -> str:
    answer = "2026-03-02 09:30:08" if disposition == "ANSWERED" else ""
    return (
        f'"acme","075500001111","13800138000","{context}","""Desk 1"" <075500001111>","PJSIP/desk1-00000011",'
        f'"PJSIP/trunk-00000012","Dial","PJSIP/13800138000@trunk,60","2026-03-02 09:30:00","{answer}",'
        f'"2026-03-02 09:30:13","13","5","{disposition}","DOCUMENTATION"{more}'
    )


def test_a_row_of_master_csv_is_a_call() -> None:
    assert fields("asterisk-csv", master()) == {
        "call_id": "1772415000.17",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 0,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "source": "asterisk",
    }


@pytest.mark.parametrize(
    ("disposition", "userfield", "outcome"),
    [
        ("NO ANSWER", "", "no_answer"),
        ("BUSY", "", "busy"),
        ("FAILED", "", "failed"),
        ("CONGESTION", "", "failed"),
        ("FAILED", "1", "invalid_number"),
        ("FAILED", "hangupcause=20", "unreachable"),
    ],
)
def test_a_disposition_of_asterisk_has_its_outcome(disposition: str, userfield: str, outcome: str) -> None:
    found = fields("asterisk-csv", master(disposition, f',"1.1","{userfield}"'))
    assert (found["outcome"], found.get("answer_ms")) == (outcome, None)
    assert found.get("q850") == (int(userfield.rpartition("=")[2]) if userfield else None)


def test_rows_of_asterisk_differ_by_their_sequence_and_by_their_trunk() -> None:
    row = master(more=',"1.1","","","1.1","7"')
    assert fields("asterisk-csv", row, carrier_gateways="trunk")["call_id"] == "1.1-7"
    assert fields("asterisk-csv", row, carrier_gateways="desk1")["direction"] == "inbound"
    assert reason("asterisk-csv", row, carrier_gateways="other").startswith("internal_leg: ")
    assert fields("asterisk-csv", master(context="from-trunk"))["direction"] == "inbound"
    assert reason("asterisk-csv", master(more="")).startswith("malformed_row: 16 cells; expected 17 to 21")


@pytest.mark.parametrize("span", ["i2", "DAHDI/i2"])
def test_a_trunk_of_a_pri_is_a_span(span: str) -> None:
    row = master(more=',"1.1",""')
    out = row.replace("PJSIP/trunk-00000012", "DAHDI/i2/075512345678-2b")
    assert fields("asterisk-csv", out, carrier_gateways=span)["direction"] == "outbound"
    into = row.replace("PJSIP/desk1-00000011", "DAHDI/i2/18782985586-51")
    assert fields("asterisk-csv", into, carrier_gateways=f"other,{span}")["direction"] == "inbound"
    for other in (row, out.replace("/i2/", "/i21/"), out.replace("/i2/", "/2/"), out.replace("DAHDI", "PJSIP")):
        assert reason("asterisk-csv", other, carrier_gateways=span).startswith("internal_leg: ")


def test_only_an_attempt_without_an_answer_is_answered_elsewhere() -> None:
    assert reason("asterisk-csv", master("NO ANSWER", ',"1.1","26"')).startswith("internal_leg: answered elsewhere")
    assert fields("asterisk-csv", master("ANSWERED", ',"1.1","26"'))["outcome"] == "answered"
