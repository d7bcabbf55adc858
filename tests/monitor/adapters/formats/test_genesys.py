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


def participant(purpose: str, kind: str, disconnect: str, media: str = "voice") -> dict[str, Any]:
    segment = {"segmentType": kind, "segmentStart": "2026-03-02T01:30:09Z", "disconnectType": disconnect}
    return {"purpose": purpose, "sessions": [{"mediaType": media, "segments": [segment]}]}


QUEUED = participant("acd", "interact", "peer")


def waited(*others: dict[str, Any]) -> dict[str, Any]:
    call = conversation("inbound", "endpoint")
    return {**call, "participants": [call["participants"][1], *others]}


@pytest.mark.parametrize("others", [[QUEUED], [QUEUED, participant("agent", "alert", "client")]])
def test_a_caller_who_hangs_up_in_a_queue_has_abandoned_the_call(others: list[dict[str, Any]]) -> None:
    found = fields("genesys", json.dumps(waited(*others)))
    assert (found["outcome"], found.get("answer_ms"), found["end_ms"]) == ("cancelled", None, 13_950)


AGENT = participant("agent", "interact", "transfer")


@pytest.mark.parametrize(
    "others",
    [
        [],
        [participant("ivr", "ivr", "peer")],
        [participant("acd", "interact", "transfer"), AGENT],
        [participant("acd", "interact", "transfer"), participant("voicemail", "interact", "peer")],
        [participant("agent", "alert", "timeout"), AGENT, QUEUED, participant("agent", "alert", "timeout")],
        [*[participant("agent", "alert", "timeout")] * 3, AGENT, QUEUED],
        [QUEUED, participant("customer", "interact", "peer")],
    ],
)
def test_a_caller_who_got_further_than_a_queue_has_not_abandoned_the_call(others: list[dict[str, Any]]) -> None:
    found = fields("genesys", json.dumps(waited(*others)))
    assert (found["outcome"], found["answer_ms"]) == ("answered", 8_400)


def test_a_callback_begins_when_it_is_dialled() -> None:
    call = {**conversation(), "conversationStart": "2026-03-01T22:30:00.000Z"}
    found = fields("genesys", json.dumps(call))
    assert (found["start_ms"], found["answer_ms"]) == (0, 8_400)
    talk = {"segmentType": "interact", "segmentStart": "2026-03-02T01:30:00Z", "segmentEnd": "2026-03-02T01:30:05Z"}
    call = {**conversation("inbound", "", talk), "conversationStart": "2026-03-02T01:29:59.000Z"}
    assert fields("genesys", json.dumps(call))["start_ms"] == -1_000
