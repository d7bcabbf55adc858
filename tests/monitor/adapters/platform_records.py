"""Made-up records of Plivo, Amazon Connect and Genesys, in their real structure."""

import json
from typing import Any


def plivo(**changes: Any) -> str:
    return json.dumps(
        {
            "call_uuid": "p-1",
            "resource_uri": "/v1/Account/MAXXXXXXXXXXXXXXXXXX/Call/p-1/",
            "parent_call_uuid": None,
            "call_direction": "outbound",
            "from_number": "12125550111",
            "to_number": "13125550199",
            "initiation_time": "2026-03-02 01:30:00+00:00",
            "answer_time": "2026-03-02 09:30:08+08:00",
            "end_time": "2026-03-02 01:30:13+00:00",
            "hangup_cause_code": 4000,
            "hangup_source": "Callee",
        }
        | changes
    )


def contact(**changes: Any) -> str:
    return json.dumps(
        {
            "AWSAccountId": "111122223333",
            "InstanceARN": "arn:aws:connect:us-east-1:111122223333:instance/aaaa",
            "ContactId": "c-1",
            "Channel": "VOICE",
            "InitiationMethod": "OUTBOUND",
            "InitiationTimestamp": "2026-03-02T01:30:00Z",
            "ConnectedToSystemTimestamp": "2026-03-02T01:30:07Z",
            "DisconnectTimestamp": "2026-03-02T01:30:13Z",
            "DisconnectReason": "CUSTOMER_DISCONNECT",
            "AnsweringMachineDetectionStatus": "HUMAN_ANSWERED",
            "Campaign": {"CampaignId": "camp-9"},
            "CustomerEndpoint": {"Address": "+15557654321"},
            "SystemEndpoint": {"Address": "+15550001111"},
            "Agent": {"Username": "ag1"},
            "Attributes": {"consent": "c-77"},
        }
        | changes
    )


def conversation(direction: str = "outbound", disconnect: str = "client", *segments: dict[str, Any]) -> dict[str, Any]:
    last = {"segmentStart": "2026-03-02T01:30:08.400Z", "segmentEnd": "2026-03-02T01:30:13.950Z"}
    made = segments or (
        {"segmentType": "dialing", "segmentStart": "2026-03-02T01:30:00Z", "segmentEnd": "2026-03-02T01:30:08.400Z"},
        {"segmentType": "interact", "disconnectType": disconnect, **last},
    )
    voice = {"mediaType": "voice", "ani": "tel:+15550001111", "dnis": "tel:+15557654321", "segments": list(made)}
    return {
        "conversationId": "g-1",
        "conversationStart": "2026-03-02T01:30:00.000Z",
        "conversationEnd": "2026-03-02T01:31:00.000Z",
        "originatingDirection": direction,
        "divisionIds": ["div-1"],
        "participants": [
            {"purpose": "agent", "userId": "u-1", "sessions": [{"mediaType": "voice"}]},
            {
                "purpose": "customer",
                "sessions": [{"mediaType": "screenshare"}, {**voice, "outboundCampaignId": "camp"}],
            },
        ],
    }
