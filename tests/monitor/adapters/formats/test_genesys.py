"""The format of Genesys, field by field, on made-up samples of the real structure."""

import json
from typing import Any

import pytest
from adapter_rows import fields
from platform_records import conversation


def test_a_conversation_of_genesys_is_a_call() -> None:
    expected = {
        "call_id": "g-1",
        "tenant_id": "div-1",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 0,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "hangup_by": "callee",
        "agent_id": "u-1",
        "campaign_id": "camp",
        "source": "genesys",
    }
    call = conversation()
    assert fields("genesys", json.dumps(call)) == expected
    assert fields("genesys", json.dumps({"conversations": [call], "cursor": "x"})) == expected
    assert fields("genesys", json.dumps({"detail": {"eventBody": call}})) == expected
    assert fields("genesys", json.dumps(conversation("inbound", "peer")))["hangup_by"] == "callee"


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ({"sipResponseCodes": [404]}, "invalid_number"),
        ({"sipResponseCodes": [200], "q850ResponseCodes": [17]}, "busy"),
        ({"disconnectType": "peer"}, "cancelled"),
        ({"disconnectType": "error"}, "failed"),
    ],
)
def test_a_conversation_that_was_not_answered_has_its_outcome(last: dict[str, Any], outcome: str) -> None:
    segment = {"segmentType": "dialing", "segmentStart": "2026-03-02T01:30:00Z", "segmentEnd": "2026-03-02T01:30:05Z"}
    found = fields("genesys", json.dumps(conversation("outbound", "", {**segment, **last})))
    assert (found["outcome"], found.get("answer_ms"), found["end_ms"]) == (outcome, None, 5_000)
