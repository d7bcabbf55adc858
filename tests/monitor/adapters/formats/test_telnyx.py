"""Webhooks of Telnyx make calls, field by field, on made-up samples of the real structure."""

import itertools
from typing import Any

import pytest
from adapter_rows import fields
from event_rows import lines, outcome


def telnyx(kind: str, time: str, **payload: Any) -> dict[str, Any]:
    given = {
        "call_leg_id": "leg-1",
        "connection_id": "7267",
        "from": "+15550001111",
        "to": "+15557654321",
        "start_time": "2026-03-02T01:30:00.050000Z",
    } | payload
    return {"data": {"event_type": f"call.{kind}", "occurred_at": f"2026-03-02T01:30:{time}0000Z", "payload": given}}


INITIATED = telnyx("initiated", "00.10", direction="outgoing")
HANGUP = {"end_time": "2026-03-02T01:30:13.950000Z", "hangup_source": "callee"}
TELNYX = [
    INITIATED,
    telnyx("answered", "08.40"),
    telnyx("machine.premium.detection.ended", "10.00", result="human_residence"),
    telnyx("hangup", "13.96", hangup_cause="normal_clearing", sip_hangup_cause="200", **HANGUP),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_webhooks_of_a_leg_are_a_call(order: tuple[int, ...]) -> None:
    assert fields("telnyx", lines([TELNYX[n] for n in order])) == {
        "call_id": "leg-1",
        "tenant_id": "7267",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 50,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "hangup_by": "callee",
        "answered_by": "human",
        "sip_code": 200,
        "source": "telnyx",
    }


@pytest.mark.parametrize(
    ("cause", "sip", "expected"),
    [
        ("user_busy", "486", "busy"),
        ("call_rejected", "603", "rejected"),
        ("call_rejected", "608", "carrier_blocked"),
        ("no_answer", "480", "no_answer"),
        ("timeout", "unspecified", "no_answer"),
        ("originator_cancel", "487", "cancelled"),
        ("normal_clearing", "200", "cancelled"),
        ("not_found", "404", "invalid_number"),
        ("unspecified", "404", "invalid_number"),
        ("unspecified", "503", "failed"),
        ("unspecified", "unspecified", "failed"),
        ("a cause of tomorrow", "200", "failed"),
    ],
)
def test_a_cause_of_telnyx_has_its_outcome(cause: str, sip: str, expected: str) -> None:
    end = telnyx("hangup", "13.96", hangup_cause=cause, sip_hangup_cause=sip, **HANGUP)
    assert outcome("telnyx", lines([INITIATED, end])) == (expected, "callee")


def test_the_tenant_of_telnyx_may_be_another_field() -> None:
    documents = [telnyx("initiated", "00.10", direction="incoming", client_state="YWNtZQ=="), TELNYX[3]]
    found = fields("telnyx", lines(documents), tenant="data.payload.client_state")
    assert (found["tenant_id"], found["direction"]) == ("YWNtZQ==", "inbound")
