"""The shipped formats of switches and platforms, field by field, on made-up samples of the real structure."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from adapter_rows import fields, read

from monitor.adapters import open_adapter
from monitor.adapters.mapped import MappedAdapter


def reason(name: str, content: str, **settings: str) -> str:
    (row,) = read(name, content, **settings)
    assert row.reason is not None
    return row.reason


# --- FreeSWITCH -------------------------------------------------------------------------------------------------
def leg(profile: dict[str, Any] | None = None, **variables: Any) -> str:
    """A leg of mod_json_cdr with encoded values: answered after 8.4 s, ended by the far end after 13.95 s."""
    values = {
        "direction": "outbound",
        "uuid": "6d0a7e6e-0001",
        "accountcode": "acme",
        "hangup_cause": "NORMAL_CLEARING",
        "hangup_cause_q850": "16",
        "sip_term_status": "200",
        "sip_hangup_disposition": "recv_bye",
        "sip_gateway_name": "carrier1",
        "start_uepoch": "1772415000123456",
        "progress_uepoch": "1772415002001000",
        "answer_uepoch": "1772415008400000",
        "end_uepoch": "1772415013950000",
    } | variables
    encoded = {key: quote(str(value), safe="") for key, value in values.items() if value is not None}
    first = {"caller_id_number": "+8675500001111", "destination_number": "+8613800138000"} | (profile or {})
    callflow = [{"caller_profile": {"destination_number": "transferred"}}, {"caller_profile": first}]
    return json.dumps({"core-uuid": "c", "channel_data": {}, "variables": encoded, "callflow": callflow})


FAILED = {
    "answer_uepoch": "0",
    "sip_term_status": None,
    "progress_uepoch": "0",
    "sip_hangup_disposition": "recv_refuse",
}


def test_a_leg_of_freeswitch_has_its_times_to_the_millisecond() -> None:
    assert fields("freeswitch-json", leg(sip_h_X_Tenant="no", **{"sip_h_X-Tenant": "a b"})) == {
        "call_id": "6d0a7e6e-0001",
        "tenant_id": "a b",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 123,
        "ring_ms": 2_001,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "hangup_by": "callee",
        "sip_code": 200,
        "q850": 16,
        "source": "freeswitch",
    }


@pytest.mark.parametrize(
    ("variables", "outcome", "hangup_by"),
    [
        ({"hangup_cause": "UNALLOCATED_NUMBER", "sip_term_status": "404"}, "invalid_number", "callee"),
        ({"hangup_cause": "USER_BUSY", "sip_term_status": "486"}, "busy", "callee"),
        ({"hangup_cause": "NO_ANSWER", "sip_hangup_disposition": "send_cancel"}, "no_answer", "caller"),
        ({"hangup_cause": "ORIGINATOR_CANCEL", "sip_hangup_disposition": "send_cancel"}, "cancelled", "caller"),
        (
            {"hangup_cause": "CALL_REJECTED", "sip_term_status": "603", "sip_hangup_phrase": "Decline"},
            "rejected",
            "callee",
        ),
        (
            {"hangup_cause": "CALL_REJECTED", "sip_term_status": "603", "sip_hangup_phrase": "Network Blocked"},
            "carrier_blocked",
            "callee",
        ),
        ({"hangup_cause": "CALL_REJECTED", "sip_term_status": "608"}, "carrier_blocked", "callee"),
        ({"hangup_cause": "NO_USER_RESPONSE", "sip_term_status": "408"}, "unreachable", "callee"),
        ({"hangup_cause": "OUTGOING_CALL_BARRED"}, "policy_blocked", "callee"),
        ({"hangup_cause": "OUTGOING_CALL_BARRED", "sip_term_status": "403"}, "failed", "callee"),
        ({"hangup_cause": "NORMAL_TEMPORARY_FAILURE", "sip_term_status": "503"}, "failed", "callee"),
        ({"hangup_cause": "A_CAUSE_OF_TOMORROW"}, "failed", "callee"),
    ],
)
def test_a_cause_of_freeswitch_has_its_outcome(variables: dict[str, str], outcome: str, hangup_by: str) -> None:
    found = fields("freeswitch-json", leg(**{**FAILED, **variables}))
    assert (found["outcome"], found.get("hangup_by"), found.get("answer_ms")) == (outcome, hangup_by, None)


@pytest.mark.parametrize("how", ["json", "url", "base64", "plain"])
@pytest.mark.parametrize("values", [True, False])
def test_each_encoding_of_mod_json_cdr_gives_the_same_record(how: str, values: bool) -> None:
    document = leg({"caller_id_number": "%2B8675500001111" if values else "+8675500001111"})
    body = {
        "json": document,
        "url": f"cdr={quote(document, safe='')}",
        "base64": f"cdr={base64.b64encode(document.encode()).decode()}",
        "plain": f"cdr={document}",
    }[how]
    assert fields("freeswitch-json", body) == fields("freeswitch-json", leg())
    adapter = open_adapter("freeswitch-json", {})
    assert isinstance(adapter, MappedAdapter)
    assert [row.record for row in adapter.read(body.encode())] == [row.record for row in read("freeswitch-json", leg())]


PHONE = {"direction": "inbound", "sip_gateway_name": None, "sip_authorized": "true", "uuid": "phone"}


def test_of_the_legs_of_a_call_only_that_through_a_carrier_counts() -> None:
    outbound = [leg(**PHONE), leg()]
    inbound = [
        leg(direction="inbound", sip_gateway_name=None, sip_gateway="carrier1", sip_hangup_disposition="recv_bye"),
        leg(
            sip_gateway_name=None,
            originating_leg_uuid="6d0a",
            channel_name="sofia/internal/1001@192.0.2.9",
            uuid="agent",
        ),
    ]
    for settings in ({}, {"carrier_gateways": "carrier0, carrier1"}):
        for legs, direction in ((outbound, "outbound"), (inbound, "inbound")):
            rows = read("freeswitch-json", "\n".join(legs), **settings)
            (record,) = [row.record for row in rows if row.record]
            assert (record.call_id, record.direction) == ("6d0a7e6e-0001", direction)
            assert [str(row.reason).partition(":")[0] for row in rows if row.reason] == ["internal_leg"]
    found = fields("freeswitch-json", inbound[0], carrier_gateways="carrier1")
    assert found["hangup_by"] == "caller"
    assert reason("freeswitch-json", leg(), carrier_gateways="carrier2").startswith("internal_leg: ")


def test_a_carrier_may_be_named_by_its_address() -> None:
    inbound = leg(direction="inbound", sip_gateway_name=None, sip_network_ip="203.0.113.5")
    assert fields("freeswitch-json", inbound, carrier_gateways="203.0.113.5")["direction"] == "inbound"
    outbound = leg(sip_gateway_name=None, sip_to_host="203.0.113.5")
    assert fields("freeswitch-json", outbound, carrier_gateways="203.0.113.5")["direction"] == "outbound"


def test_without_b_legs_the_telephones_leg_is_the_outbound_call() -> None:
    phone = leg(**PHONE, current_application_data="{x=1}sofia/gateway/carrier1/+8613800138000")
    assert reason("freeswitch-json", phone, carrier_gateways="carrier1").startswith("internal_leg")
    found = fields("freeswitch-json", phone, carrier_gateways="carrier1", log_b_leg="false")
    assert (found["call_id"], found["direction"], found["hangup_by"]) == ("phone", "outbound", "caller")
    busy = {**PHONE, **FAILED, "last_bridge_hangup_cause": "USER_BUSY", "hangup_cause": "NORMAL_CLEARING"}
    busy |= {"current_application_data": "sofia/gateway/carrier1/1"}
    assert fields("freeswitch-json", leg(**busy), carrier_gateways="carrier1", log_b_leg="false")["outcome"] == "busy"


def test_a_losing_branch_of_a_fork_is_not_a_call() -> None:
    assert reason("freeswitch-json", leg(hangup_cause="LOSE_RACE")).startswith("internal_leg: another branch")


CDR_CSV = (
    '"Desk","075500001111","13800138000","default","2026-03-02 09:30:00","2026-03-02 09:30:08","2026-03-02 09:30:13",'
    '"13","5","NORMAL_CLEARING","u-1","b-1","acme","PCMA","PCMA"'
)


def test_a_row_of_mod_cdr_csv_is_a_call() -> None:
    assert fields("freeswitch-csv", CDR_CSV) == {
        "call_id": "u-1",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 0,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "source": "freeswitch",
    }


def test_a_row_of_mod_cdr_csv_may_have_the_recommended_columns() -> None:
    row = CDR_CSV.replace("2026-03-02 09:30:08", "").replace("NORMAL_CLEARING", "CALL_REJECTED")
    row += ',"outbound","carrier1","","603","21","recv_refuse","Network Blocked"'
    found = fields("freeswitch-csv", row, carrier_gateways="carrier1", zone="UTC")
    assert (found["outcome"], found["sip_code"], found["q850"], found["hangup_by"]) == (
        "carrier_blocked",
        603,
        21,
        "callee",
    )
    assert found["start_ms"] == 8 * 3_600_000
    assert reason("freeswitch-csv", row, carrier_gateways="carrier2").startswith("internal_leg: ")


# --- Asterisk ---------------------------------------------------------------------------------------------------
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


# --- Kamailio and OpenSIPS --------------------------------------------------------------------------------------
CDRS = (
    "callid,start_time,end_time,duration,direction,tenant,src_user,dst_user,"
    "sip_code,sip_reason,ring_time,answer_time,hangup_by\n"
)


def test_a_row_of_acc_cdrs_is_a_call() -> None:
    row = (
        "4e1a@192.0.2.7,2026-03-02 01:30:00,2026-03-02 01:30:13.950,13.950,outbound,acme,+8675500001111,13800138000,"
        "200,OK,2026-03-02 01:30:02.001,1772415008.4,callee\n"
    )
    assert fields("kamailio-cdrs", CDRS + row) == {
        "call_id": "4e1a@192.0.2.7",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 0,
        "ring_ms": 2_001,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "hangup_by": "callee",
        "sip_code": 200,
        "source": "kamailio",
    }


@pytest.mark.parametrize(
    ("code", "phrase", "rang", "outcome"),
    [
        ("404", "Not Found", "", "invalid_number"),
        ("480", "Temporarily Unavailable", "", "unreachable"),
        ("480", "Temporarily Unavailable", "2026-03-02 01:30:02", "no_answer"),
        ("603", "Decline", "", "rejected"),
        ("603", "Network Blocked", "", "carrier_blocked"),
        ("487", "Request Terminated", "", "cancelled"),
    ],
)
def test_a_failed_dialog_of_kamailio_has_its_outcome(code: str, phrase: str, rang: str, outcome: str) -> None:
    row = f"c,2026-03-02 01:30:00,2026-03-02 01:30:05,5,outbound,t,1,2,{code},{phrase},{rang},,\n"
    found = fields("kamailio-cdrs", CDRS + row)
    assert (found["outcome"], found.get("answer_ms"), found["sip_code"]) == (outcome, None, int(code))


def test_a_failed_dialog_ends_at_its_finish_or_when_it_rang_for_kamailio_ends_it_where_it_began() -> None:
    head = CDRS.rstrip("\n") + ",finish_time\n"
    row = "c,2026-03-02 01:30:00,2026-03-02 01:30:00,0,outbound,t,1,2,480,Temporarily Unavailable,1772415003.25,,,"
    finished = fields("kamailio-cdrs", head + row + "1772415021.5\n")
    assert [finished[name] for name in ("start_ms", "ring_ms", "end_ms")] == [0, 3_250, 21_500]
    rang = fields("kamailio-cdrs", CDRS + row.removesuffix(",") + "\n")
    assert [rang[name] for name in ("start_ms", "ring_ms", "end_ms")] == [0, 3_250, 3_250]


def test_an_answered_dialog_ends_at_its_finish() -> None:
    head = CDRS.rstrip("\n") + ",finish_time\n"
    row = "c,2026-03-02 01:30:00,2026-03-02 01:30:08,8.9,outbound,t,1,2,200,OK,,1772415008.1,caller,1772415008.9\n"
    found = fields("kamailio-cdrs", head + row)
    assert [found[name] for name in ("answer_ms", "end_ms")] == [8_100, 8_900]


def test_without_the_time_of_the_answer_the_whole_dialog_is_talk() -> None:
    row = "c,2026-03-02 01:30:00,2026-03-02 01:30:05,5,outbound,t,1,2,200,OK,,,\n"
    assert fields("kamailio-cdrs", CDRS + row)["answer_ms"] == 0


ACC = "method,callid,sip_code,sip_reason,time,duration,ms_duration,setuptime,created,tenant,src_user,dst_user\n"


def test_a_row_of_opensips_acc_is_a_call() -> None:
    row = (
        "INVITE,4e1a,200,OK,2026-03-02 01:30:08,5,5550,8,2026-03-02 01:30:00,acme,+8675500001111,+8613800138000\n"
        "INVITE,4e1b,404,Not Found,2026-03-02 01:30:01,,,,2026-03-02 01:30:00,acme,1,2\n"
        "BYE,4e1c,200,OK,2026-03-02 01:30:13,,,,,acme,1,2\n"
        "INVITE,4e1d,200,OK,2026-03-02 01:30:08,,,,,acme,1,2\n"
    )
    lines = row.splitlines(keepends=True)
    assert fields("opensips-acc", ACC + lines[0]) == {
        "call_id": "4e1a",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 0,
        "answer_ms": 8_000,
        "end_ms": 13_550,
        "outcome": "answered",
        "sip_code": 200,
        "source": "opensips",
    }
    found = fields("opensips-acc", ACC + lines[1])
    assert (found["outcome"], found["start_ms"], found["end_ms"]) == ("invalid_number", 0, 1_000)
    assert reason("opensips-acc", ACC + lines[2]).startswith("internal_leg: ")
    assert reason("opensips-acc", ACC + lines[3]).startswith("excluded: an answered call without its duration")


def test_the_rows_of_a_proxy_may_be_json_with_columns_of_other_names() -> None:
    row = {"method": "INVITE", "callid": "c", "sip_code": 486, "time": 1772415000, "who": "acme", "a": "1", "b": "2"}
    settings = {"form": "json", "tenant": "who", "from": "a", "to": "b"}
    found = fields("opensips-acc", json.dumps(row), **settings)
    assert (found["tenant_id"], found["caller"], found["callee"], found["outcome"]) == ("acme", "1", "2", "busy")


# --- Twilio and Plivo -------------------------------------------------------------------------------------------
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


def test_a_call_of_plivo_is_read_with_its_account() -> None:
    assert fields("plivo", f'{{"api_id": "x", "objects": [{plivo()}]}}') == {
        "call_id": "p-1",
        "tenant_id": "MAXXXXXXXXXXXXXXXXXX",
        "direction": "outbound",
        "caller": "+12125550111",
        "callee": "+13125550199",
        "start_ms": 0,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "hangup_by": "callee",
        "source": "plivo",
    }


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (3000, "no_answer"),
        (3010, "busy"),
        (3020, "rejected"),
        (2000, "invalid_number"),
        (5010, "failed"),
        (None, "failed"),
    ],
)
def test_a_hangup_cause_of_plivo_has_its_outcome(code: int | None, outcome: str) -> None:
    assert fields("plivo", plivo(answer_time=None, hangup_cause_code=code))["outcome"] == outcome
    assert reason("plivo", plivo(parent_call_uuid="p-0")).startswith("internal_leg: ")


# --- Amazon Connect and Genesys ---------------------------------------------------------------------------------
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


# --- all --------------------------------------------------------------------------------------------------------
def test_a_body_of_a_push_is_read_like_a_file() -> None:
    for name, content in [("amazon-connect", contact()), ("genesys", json.dumps(conversation())), ("plivo", plivo())]:
        adapter = open_adapter(name)
        assert isinstance(adapter, MappedAdapter)
        assert [row.record for row in adapter.read(content.encode())] == [row.record for row in read(name, content)]
