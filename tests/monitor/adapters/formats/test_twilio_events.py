"""Callbacks of Twilio make calls, field by field, on made-up samples of the real structure."""

import itertools
from urllib.parse import urlencode

import pytest
from adapter_rows import fields, read
from event_rows import calls_of, outcome

from schemas.inputs import Cdr


def twilio(status: str, number: int, second: int, **changes: str) -> dict[str, str]:
    return {
        "AccountSid": "AC00000000000000000000000000000001",
        "CallSid": "CA00000000000000000000000000000001",
        "CallStatus": status,
        "Direction": "outbound-api",
        "From": "+15550001111",
        "To": "+15557654321",
        "SequenceNumber": str(number),
        "CallbackSource": "call-progress-events",
        "Timestamp": f"Mon, 02 Mar 2026 01:30:{second:02} +0000",
        "FromCity": "",
    } | changes


TWILIO = [
    twilio("initiated", 0, 0),
    twilio("ringing", 1, 2),
    twilio("in-progress", 2, 8, AnsweredBy="human", StirVerstat="TN-Validation-Passed-A"),
    twilio("completed", 3, 13, CallDuration="5", Duration="1", SipResponseCode="200"),
]


def forms(documents: list[dict[str, str]]) -> str:
    return "\n".join(map(urlencode, documents))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_callbacks_of_a_call_sid_are_a_call(order: tuple[int, ...]) -> None:
    assert fields("twilio-events", forms([TWILIO[n] for n in order])) == {
        "call_id": "CA00000000000000000000000000000001",
        "tenant_id": "AC00000000000000000000000000000001",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 0,
        "ring_ms": 2_000,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "answered_by": "human",
        "sip_code": 200,
        "attestation": "A",
        "source": "twilio",
    }


def test_the_callback_completed_alone_is_a_call() -> None:
    found = fields("twilio-events", forms(TWILIO[3:]))
    assert (found["start_ms"], found["answer_ms"], found["end_ms"]) == (8_000, 8_000, 13_000)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("busy", "486", "busy"),
        ("no-answer", "487", "no_answer"),
        ("canceled", "487", "cancelled"),
        ("failed", "404", "invalid_number"),
        ("failed", "608", "carrier_blocked"),
        ("failed", "503", "failed"),
        ("failed", "", "failed"),
    ],
)
def test_a_call_status_has_its_outcome(status: str, code: str, expected: str) -> None:
    end = twilio(status, 2, 20, SipResponseCode=code)
    assert outcome("twilio-events", forms([*TWILIO[:2], end])) == (expected, None)
    assert outcome("twilio-events", forms([end])) == (expected, None)


def test_a_callback_of_another_leg_is_counted_once() -> None:
    child = [each | {"CallSid": "CA2", "ParentCallSid": TWILIO[0]["CallSid"]} for each in TWILIO]
    parents, children = (
        calls_of(read("twilio-events", forms([*TWILIO, *child]), legs=legs)) for legs in ("parents", "children")
    )
    assert [row.record.call_id for row in parents if row.record] == [TWILIO[0]["CallSid"]]
    assert [row.record.call_id for row in children if row.record] == ["CA2"]


@pytest.mark.parametrize(("rang", "expected"), [(True, "no_answer"), (False, "unreachable")])
def test_480_after_ringing_is_no_answer(rang: bool, expected: str) -> None:
    end = twilio("failed", 2, 20, SipResponseCode="480")
    assert outcome("twilio-events", forms([*TWILIO[: 2 if rang else 1], end])) == (expected, None)


@pytest.mark.parametrize(("trunk", "direction"), [("terminating", "outbound"), ("originating", "inbound")])
def test_a_call_of_a_trunk_has_the_direction_that_the_network_sees(trunk: str, direction: str) -> None:
    found = fields("twilio-events", forms([each | {"Direction": f"trunking-{trunk}"} for each in TWILIO]))
    assert found["direction"] == direction


def test_of_a_centre_of_softphones_the_legs_of_telephones_count() -> None:
    agent = {"CallSid": "CA1", "Direction": "inbound", "From": "client:alice"}
    customer = {"CallSid": "CA2", "Direction": "outbound-dial", "ParentCallSid": "CA1"}
    desk = {"CallSid": "CA3", "Direction": "inbound", "From": "sip:bob@acme.sip.twilio.com"}
    legs = [twilio("completed", 3, 13, CallDuration="5", **leg) for leg in (agent, customer, desk)]
    for settings, counted in (({"legs": "telephones"}, "CA2"), ({}, "CA3")):
        found = [row.record for row in read("twilio-events", forms(legs), **settings)]
        assert [record.call_id for record in found if isinstance(record, Cdr)] == [counted]
