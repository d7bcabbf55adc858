"""The formats of FreeSWITCH, field by field, on made-up samples of the real structure."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from adapter_rows import fields, read
from format_rows import reason

from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.shipped import open_adapter


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
        (
            {
                "hangup_cause": "CALL_REJECTED",
                "sip_term_status": "603",
                "sip_hangup_phrase": "Decline",
                "sip_reason": 'SIP;cause=603;text="Network Blocked"',
            },
            "carrier_blocked",
            "callee",
        ),
        (
            {
                "hangup_cause": "CALL_REJECTED",
                "sip_term_status": "603",
                "sip_hangup_phrase": "Decline",
                "sip_reason": "Q.850;cause=21",
                "sip_rh_Reason": 'SIP;cause=603;text="NETWORK BLOCKED"',
            },
            "carrier_blocked",
            "callee",
        ),
        ({"hangup_cause": "CALL_REJECTED", "sip_term_status": "608"}, "carrier_blocked", "callee"),
        ({"hangup_cause": "NO_USER_RESPONSE", "sip_term_status": "480"}, "unreachable", "callee"),
        (
            {"hangup_cause": "NO_USER_RESPONSE", "sip_term_status": "480", "progress_uepoch": "1772415002001000"},
            "no_answer",
            "callee",
        ),
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


def applications(*data: tuple[str, str], **variables: str) -> str:
    """A telephone's leg that ran these applications, by name and data, answered or with the `variables` given."""
    name, last = data[-1]
    last_one = {"current_application": name, "current_application_data": last, "last_app": name, "last_arg": last}
    document = json.loads(leg(**{**PHONE, **last_one, **variables}))
    document["app_log"] = {"applications": [{"app_name": name, "app_data": text} for name, text in data]}
    return json.dumps(document)


CARRIER = ("bridge", "{ignore_early_media=true}sofia/gateway/carrier1/13800138000")
BY_ADDRESS = ("bridge", "sofia/external/sip:13800138000@203.0.113.5:5080;transport=udp")
LIMIT = ("sched_hangup", "+3048 alloted_timeout")
BUSY = ("playback", "ivr/busy.wav")


@pytest.mark.parametrize(
    "phone",
    [
        applications(CARRIER, LIMIT),
        applications(CARRIER, BUSY),
        applications(CARRIER, ("bridge", "user/1002@example.com"), BUSY),
        applications(("bridge", "sofia/gateway/other/138|sofia/gateway/carrier1/138"), BUSY),
        applications(BY_ADDRESS),
        applications(BY_ADDRESS, LIMIT),
        applications(("lua", "dial.lua"), bridge_channel="sofia/external/13800138000@203.0.113.5"),
    ],
)
def test_without_b_legs_any_bridge_to_a_carrier_is_the_outbound_call(phone: str) -> None:
    found = fields("freeswitch-json", phone, carrier_gateways="carrier1,203.0.113.5", log_b_leg="false")
    assert (found["call_id"], found["direction"], found["callee"]) == ("phone", "outbound", "+8613800138000")
    for settings in (
        {"carrier_gateways": "carrier1,203.0.113.5"},
        {"carrier_gateways": "carrier2", "log_b_leg": "false"},
    ):
        assert reason("freeswitch-json", phone, **settings).startswith("internal_leg")


def test_without_b_legs_a_leg_to_a_telephone_is_internal() -> None:
    inside = applications(("bridge", "user/1002@example.com"), LIMIT, bridge_channel="sofia/internal/1002@192.0.2.7")
    assert reason("freeswitch-json", inside, carrier_gateways="carrier1", log_b_leg="false").startswith("internal_leg")


def test_without_b_legs_a_call_that_is_forwarded_to_a_carrier_stays_inbound() -> None:
    forwarded = applications(CARRIER, sip_gateway="carrier1")
    found = fields("freeswitch-json", forwarded, carrier_gateways="carrier1", log_b_leg="false")
    assert (found["direction"], found["hangup_by"]) == ("inbound", "caller")


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


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        (',"outbound","carrier1","","","52","",""', "policy_blocked"),
        (',"outbound","carrier1","","403","52","",""', "failed"),
        ("", "failed"),
    ],
)
def test_what_the_switch_itself_bars_is_told_by_the_recommended_columns(more: str, outcome: str) -> None:
    row = CDR_CSV.replace("2026-03-02 09:30:08", "").replace("NORMAL_CLEARING", "OUTGOING_CALL_BARRED")
    assert fields("freeswitch-csv", row + more)["outcome"] == outcome


def test_an_inbound_call_that_the_switch_refuses_is_released_by_the_callee() -> None:
    row = CDR_CSV.replace("2026-03-02 09:30:08", "").replace("NORMAL_CLEARING", "CALL_REJECTED")
    found = fields("freeswitch-csv", row + ',"inbound","","carrier1","603","21","send_refuse",""')
    assert (found["direction"], found["hangup_by"]) == ("inbound", "callee")
