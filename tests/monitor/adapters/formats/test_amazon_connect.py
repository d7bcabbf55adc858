"""The format of Amazon Connect, field by field, on made-up samples of the real structure."""

from typing import Any

import pytest
from adapter_rows import fields, read
from format_rows import reason
from platform_records import contact


def test_a_contact_of_connect_is_a_call() -> None:
    assert fields("amazon-connect", contact()) == {
        "call_id": "c-1",
        "tenant_id": "111122223333",
        "direction": "outbound",
        "caller": "+15550001111",
        "callee": "+15557654321",
        "start_ms": 0,
        "answer_ms": 7_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "hangup_by": "callee",
        "answered_by": "human",
        "agent_id": "ag1",
        "campaign_id": "camp-9",
        "consent_id": "c-77",
        "source": "amazon-connect",
    }
    assert [row.reason for row in read("amazon-connect", contact() + contact(ContactId="c-2"))] == [None, None]


def test_an_inbound_contact_has_the_customer_as_its_caller() -> None:
    found = fields("amazon-connect", contact(InitiationMethod="INBOUND"), tenant="InstanceARN")
    assert (found["caller"], found["callee"], found["hangup_by"]) == ("+15557654321", "+15550001111", "caller")
    assert found["tenant_id"].startswith("arn:aws:connect:")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"AnsweringMachineDetectionStatus": "SIT_TONE_INVALID_NUMBER"}, "invalid_number"),
        ({"AnsweringMachineDetectionStatus": "SIT_TONE_BUSY"}, "busy"),
        ({"AnsweringMachineDetectionStatus": "AMD_UNANSWERED"}, "no_answer"),
        ({"DisconnectReason": "TELECOM_BUSY"}, "busy"),
        ({"DisconnectReason": "TELECOM_NUMBER_INVALID"}, "invalid_number"),
        ({"DisconnectReason": "TELECOM_TIMEOUT"}, "no_answer"),
        ({"DisconnectReason": "TELECOM_UNANSWERED"}, "unreachable"),
        ({"DisconnectReason": "OUTBOUND_DESTINATION_ENDPOINT_ERROR"}, "failed"),
        ({"DisconnectReason": "AGENT_DISCONNECT"}, "cancelled"),
        ({"SegmentAttributes": {"connect:BlockReasonHeader": {"ValueString": "SIP;cause=603"}}}, "carrier_blocked"),
    ],
)
def test_a_contact_that_was_not_answered_has_its_outcome(changes: dict[str, Any], outcome: str) -> None:
    base = {"ConnectedToSystemTimestamp": None, "AnsweringMachineDetectionStatus": None}
    found = fields("amazon-connect", contact(**{**base, **changes}))
    assert (found["outcome"], found.get("answer_ms"), found.get("answered_by")) == (outcome, None, None)


def test_contacts_that_are_no_calls_are_left_out() -> None:
    assert reason("amazon-connect", contact(Channel="CHAT")) == "excluded: not a telephone call"
    assert reason("amazon-connect", contact(InitiationMethod="TRANSFER")).startswith("internal_leg: ")
    assert reason("amazon-connect", contact(DisconnectTimestamp=None)) == "excluded: the call has not ended"
    queued = contact(InitiationMethod="CALLBACK_CUSTOMER_FIRST_QUEUED")
    assert reason("amazon-connect", queued) == "internal_leg: the contact that is dialled is the call"
    discarded = contact(InitiationMethod="CAMPAIGN_PREVIEW", DisconnectReason="OUTBUND_PREVIEW_DISCARDED")
    assert reason("amazon-connect", discarded) == "excluded: the agent discarded the preview"


@pytest.mark.parametrize(
    "method", ["CALLBACK", "CALLBACK_CUSTOMER_FIRST_DIALED", "API", "CAMPAIGN", "CAMPAIGN_PREVIEW"]
)
def test_a_contact_that_the_centre_begins_is_outbound(method: str) -> None:
    found = fields("amazon-connect", contact(InitiationMethod=method))
    assert (found["direction"], found["callee"]) == ("outbound", "+15557654321")


def test_a_call_from_a_browser_is_inbound_and_has_no_numbers() -> None:
    browser = contact(InitiationMethod="WEBRTC_API", CustomerEndpoint=None, SystemEndpoint=None)
    found = fields("amazon-connect", browser)
    assert (found["direction"], found["caller"], found["callee"]) == ("inbound", "anonymous", "anonymous")


def test_a_caller_without_a_number_does_not_get_that_of_the_centre() -> None:
    assert fields("amazon-connect", contact(InitiationMethod="INBOUND", CustomerEndpoint=None))["caller"] == "anonymous"


WAITED = {
    "InitiationMethod": "INBOUND",
    "ConnectedToSystemTimestamp": "2026-03-02T01:30:00Z",
    "AnsweringMachineDetectionStatus": None,
    "Agent": None,
    "Queue": {"EnqueueTimestamp": "2026-03-02T01:30:02Z", "DequeueTimestamp": "2026-03-02T01:30:13Z"},
}


def test_a_caller_who_hangs_up_in_a_queue_has_abandoned_the_call() -> None:
    found = fields("amazon-connect", contact(**WAITED))
    assert (found["outcome"], found.get("answer_ms"), found["hangup_by"]) == ("cancelled", None, "caller")
    browser = contact(**{**WAITED, "InitiationMethod": "WEBRTC_API"})
    assert fields("amazon-connect", browser)["outcome"] == "cancelled"


@pytest.mark.parametrize(
    "changes",
    [
        {"Queue": None},
        {"Agent": {"Username": "ag1", "ConnectedToAgentTimestamp": "2026-03-02T01:30:09Z"}},
        {"NextContactId": "c-2"},
        {"TransferredToEndpoint": {"Address": "+15550002222"}},
        {"DisconnectReason": "CONTACT_FLOW_DISCONNECT"},
    ],
)
def test_a_caller_who_got_further_than_a_queue_has_not_abandoned_the_call(changes: dict[str, Any]) -> None:
    assert fields("amazon-connect", contact(**{**WAITED, **changes}))["outcome"] == "answered"


def test_a_callback_begins_when_it_is_dialled() -> None:
    asked = {"InitiationMethod": "CALLBACK", "InitiationTimestamp": "2026-03-01T22:30:00Z"}
    queue = {"EnqueueTimestamp": "2026-03-01T22:31:39Z", "DequeueTimestamp": "2026-03-02T01:30:00Z"}
    found = fields("amazon-connect", contact(**asked, Queue=queue))
    assert (found["start_ms"], found["answer_ms"], found["end_ms"]) == (0, 7_000, 13_000)
    assert fields("amazon-connect", contact(**asked))["start_ms"] == -3 * 3_600_000  # no queue: what there is
    assert fields("amazon-connect", contact(Queue={"DequeueTimestamp": "2026-03-02T01:30:09Z"}))["start_ms"] == 0
