"""The format of Bandwidth, field by field, on made-up samples of the real structure."""

import pytest
from adapter_rows import fields
from event_rows import lines, outcome, reasons

DISCONNECT = {
    "eventType": "disconnect",
    "eventTime": "2026-03-02T01:30:14.000Z",
    "accountId": "920012",
    "applicationId": "04e88489",
    "from": "+15550001111",
    "to": "+15557654321",
    "direction": "outbound",
    "callId": "c-95ac8d6e",
    "startTime": "2026-03-02T01:30:00.050Z",
    "answerTime": "2026-03-02T01:30:08.400Z",
    "endTime": "2026-03-02T01:30:13.950Z",
    "cause": "hangup",
}


def test_a_disconnect_of_bandwidth_is_a_call() -> None:
    assert fields("bandwidth", lines([DISCONNECT])) == {
        "call_id": "c-95ac8d6e",
        "tenant_id": "920012",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 50,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "source": "bandwidth",
    }
    assert reasons("bandwidth", lines([DISCONNECT | {"eventType": "answer"}])) == ["excluded"]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("hangup", "cancelled"),
        ("cancel", "cancelled"),
        ("busy", "busy"),
        ("timeout", "no_answer"),
        ("rejected", "rejected"),
        ("account-limit", "policy_blocked"),
        ("node-capacity-exceeded", "failed"),
        ("unknown", "failed"),
        (None, "failed"),
    ],
)
def test_a_cause_of_bandwidth_has_its_outcome(cause: str | None, expected: str) -> None:
    assert outcome("bandwidth", lines([DISCONNECT | {"answerTime": None, "cause": cause}])) == (expected, None)
