"""The formats of Kamailio's dialogs and of OpenSIPS, field by field, on made-up samples of the real structure."""

import json

import pytest
from adapter_rows import fields, read
from format_rows import reason

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


@pytest.mark.parametrize(
    ("code", "phrase"),
    [("401", "Unauthorized"), ("407", "Proxy Authentication Required"), ("422", "Session Interval Too Small")],
)
def test_an_invite_that_is_asked_for_again_is_no_call_of_a_proxy(code: str, phrase: str) -> None:
    expected = "excluded: the INVITE that follows is the call"
    row = "4e1a,2026-03-02 01:30:00,2026-03-02 01:30:0{end},0,outbound,t,1,2,{code},{phrase},,,\n"
    call = row.format(end=5, code=200, phrase="OK")
    found = read("kamailio-cdrs", CDRS + row.format(end=0, code=code, phrase=phrase) + call)
    assert [(each.reason, each.record is None) for each in found] == [(expected, True), (None, False)]
    row = "INVITE,4e1a,{code},{phrase},2026-03-02 01:30:0{end},5,5550,1,2026-03-02 01:30:00,acme,1,2\n"
    call = row.format(end=1, code=200, phrase="OK")
    found = read("opensips-acc", ACC + row.format(end=0, code=code, phrase=phrase) + call)
    assert [(each.reason, each.record is None) for each in found] == [(expected, True), (None, False)]


@pytest.mark.parametrize("durations", ["0,0,0,", "0,,0,", ",0,0,"])
def test_an_answered_row_with_the_defaults_of_the_table_is_no_call_of_zero_seconds(durations: str) -> None:
    row = f"INVITE,4e1a,200,OK,2026-03-02 01:30:08,{durations},acme,1,2\n"
    assert reason("opensips-acc", ACC + row).startswith("excluded: an answered call without its duration")


def test_a_call_of_zero_seconds_has_its_creation() -> None:
    found = fields("opensips-acc", ACC + "INVITE,c,200,OK,2026-03-02 01:30:08,0,0,8,2026-03-02 01:30:00,acme,1,2\n")
    assert [found[name] for name in ("start_ms", "answer_ms", "end_ms")] == [0, 8_000, 8_000]
    failed = fields("opensips-acc", ACC + "INVITE,c,486,Busy,2026-03-02 01:30:08,0,0,0,,acme,1,2\n")
    assert (failed["outcome"], failed["start_ms"], failed["end_ms"]) == ("busy", 8_000, 8_000)
