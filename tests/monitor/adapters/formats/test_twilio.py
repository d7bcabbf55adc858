"""The format of Twilio's call resources, field by field, on made-up samples of the real structure."""

import json
from typing import Any

import pytest
from adapter_rows import fields, read
from format_rows import reason

from schemas.inputs import Cdr


def twilio(**changes: Any) -> dict[str, Any]:
    return {
        "sid": "CA1",
        "account_sid": "AC1",
        "parent_call_sid": None,
        "from": "+15550001111",
        "to": "+15557654321",
        "status": "completed",
        "start_time": "Mon, 02 Mar 2026 01:30:00 +0000",
        "end_time": "Mon, 02 Mar 2026 01:30:05 +0000",
        "duration": "5",
        "direction": "outbound-api",
        "answered_by": "machine_start",
    } | changes


def test_a_call_of_twilio_is_read_from_a_page_and_from_a_line() -> None:
    expected = {
        "call_id": "CA1",
        "tenant_id": "AC1",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 0,
        "answer_ms": 0,
        "end_ms": 5_000,
        "outcome": "answered",
        "answered_by": "machine",
        "source": "twilio",
    }
    assert fields("twilio", json.dumps({"calls": [twilio()], "page": 0})) == expected
    assert fields("twilio", json.dumps(twilio())) == expected
    assert fields("twilio", json.dumps(twilio(duration="6"))) == expected  # rounded separately


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("canceled", "cancelled"), ("failed", "failed")],
)
def test_a_status_of_twilio_has_its_outcome(status: str, outcome: str) -> None:
    found = fields("twilio", json.dumps(twilio(status=status, duration="0", answered_by=None)))
    assert (found["outcome"], found.get("answer_ms")) == (outcome, None)


def test_of_parent_and_child_one_counts() -> None:
    parent, child = json.dumps(twilio()), json.dumps(twilio(parent_call_sid="CA0", direction="outbound-dial"))
    assert reason("twilio", child).startswith("internal_leg: ")
    assert fields("twilio", child, legs="children")["direction"] == "outbound"
    assert reason("twilio", parent, legs="children").startswith("internal_leg: ")
    assert reason("twilio", json.dumps(twilio(status="ringing", end_time=None))) == "excluded: the call has not ended"
    assert reason("twilio", json.dumps(twilio(to="client:desk1"))).startswith("internal_leg: ")


@pytest.mark.parametrize(("trunk", "direction"), [("terminating", "outbound"), ("originating", "inbound")])
def test_a_call_of_a_trunk_has_the_direction_that_the_network_sees(trunk: str, direction: str) -> None:
    assert fields("twilio", json.dumps(twilio(direction=f"trunking-{trunk}")))["direction"] == direction


AGENTS = ["client:alice", "sip:alice@acme.sip.twilio.com", "alice@acme.sip.ashburn.twilio.com:5060;transport=tls"]
CENTRE, CUSTOMER = "+15550001111", "+15557654321"


def calls_of_a_centre(agent: str) -> str:
    """An agent calls a customer, and a customer an agent: two legs each, of the softphone and of the telephone."""
    legs = [
        twilio(sid="CA1", direction="inbound", to=CUSTOMER, **{"from": agent}),
        twilio(sid="CA2", parent_call_sid="CA1", direction="outbound-dial", to=CUSTOMER, **{"from": CENTRE}),
        twilio(sid="CA3", direction="inbound", to=CENTRE, **{"from": CUSTOMER}),
        twilio(sid="CA4", parent_call_sid="CA3", direction="outbound-dial", to=agent, **{"from": CUSTOMER}),
    ]
    return json.dumps({"calls": legs})


@pytest.mark.parametrize("agent", AGENTS)
def test_of_a_centre_of_softphones_the_legs_of_telephones_count(agent: str) -> None:
    rows = read("twilio", calls_of_a_centre(agent), legs="telephones")
    records = [row.record for row in rows if isinstance(row.record, Cdr)]
    assert [(found.call_id, found.direction, found.caller, found.callee) for found in records] == [
        ("CA2", "outbound", CENTRE, CUSTOMER),
        ("CA3", "inbound", CUSTOMER, CENTRE),
    ]
    assert {str(row.reason).partition(":")[0] for row in rows if row.reason} == {"internal_leg"}


@pytest.mark.parametrize(("legs", "counted"), [("parents", ["CA3"]), ("children", ["CA2"])])
def test_a_leg_from_a_client_of_the_application_is_no_call(legs: str, counted: list[str]) -> None:
    rows = read("twilio", calls_of_a_centre("client:alice"), legs=legs)
    assert [row.record.call_id for row in rows if isinstance(row.record, Cdr)] == counted


def test_a_leg_of_a_trunk_counts_as_one_of_a_telephone() -> None:
    trunk = json.dumps(twilio(direction="trunking-terminating", to="sip:+15557654321@acme.pstn.twilio.com"))
    assert fields("twilio", trunk, legs="telephones")["callee"] == CUSTOMER
