"""The shipped formats in which several records make a call, field by field, on made-up samples of the
real structure.
"""

import itertools
import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from adapter_rows import START, fields, read

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import open_adapter


def reasons(name: str, content: str, **settings: str) -> list[str]:
    return [row.reason.partition(":")[0] for row in read(name, content, **settings) if row.reason is not None]


def outcome(name: str, content: str, **settings: str) -> tuple[str, str | None]:
    found = fields(name, content, **settings)
    assert ("answer_ms" in found) == (found["outcome"] == "answered")
    return found["outcome"], found.get("hangup_by")


# --- Kamailio acc -----------------------------------------------------------------------------------------------
ACC = "id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user,tenant"
EXTRA = "+8675500001111,+8613800138000,acme"
INVITE = f"101,INVITE,as1f,gK09,4e1a@192.0.2.7,200,OK,2026-03-02 01:30:08,{EXTRA}"
BYE = "102,BYE,as1f,gK09,4e1a@192.0.2.7,200,OK,2026-03-02 01:30:13,,,"


def acc(*rows: str) -> str:
    return "\n".join((ACC, *rows)) + "\n"


def test_an_invite_and_a_bye_make_a_call_whose_numbers_are_those_of_the_invite() -> None:
    assert fields("kamailio-acc", acc(INVITE, BYE)) == {
        "call_id": "4e1a@192.0.2.7",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 8_000,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "hangup_by": "caller",
        "sip_code": 200,
        "source": "kamailio",
    }


@pytest.mark.parametrize("rows", list(itertools.permutations([INVITE, BYE])))
def test_a_bye_with_swapped_tags_is_the_callees(rows: tuple[str, ...]) -> None:
    swapped = [row.replace("BYE,as1f,gK09", "BYE,gK09,as1f") for row in rows]
    assert outcome("kamailio-acc", acc(*swapped)) == ("answered", "callee")


def test_a_bye_in_the_second_of_the_invite_comes_behind_it() -> None:
    assert fields("kamailio-acc", acc(INVITE, BYE.replace("30:13", "30:08")))["end_ms"] == 8_000


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("404", "Not Found", ("invalid_number", None)),
        ("484", "Address Incomplete", ("invalid_number", None)),
        ("486", "Busy Here", ("busy", None)),
        ("480", "Temporarily Unavailable", ("unreachable", None)),
        ("487", "Request Terminated", ("cancelled", "caller")),
        ("603", "Decline", ("rejected", None)),
        ("603", "Network Blocked", ("carrier_blocked", None)),
        ("608", "Rejected", ("carrier_blocked", None)),
        ("403", "Forbidden", ("failed", None)),
        ("503", "Service Unavailable", ("failed", None)),
    ],
)
def test_a_failed_invite_is_a_call_with_its_outcome(code: str, reason: str, expected: tuple[str, str | None]) -> None:
    assert outcome("kamailio-acc", acc(INVITE.replace("200,OK", f"{code},{reason}"))) == expected


def test_requests_within_a_call_do_not_change_it() -> None:
    again = INVITE.replace("101,", "105,").replace("30:08", "30:10").replace("+8613800138000", "nobody")
    rejected = again.replace("200,OK", "488,Not Acceptable Here").replace("105,", "106,")
    held = INVITE.replace("101,INVITE,as1f,gK09", "107,INVITE,gK09,as1f").replace("30:08", "30:11")
    assert fields("kamailio-acc", acc(INVITE, again, rejected, held, BYE)) == fields("kamailio-acc", acc(INVITE, BYE))


def test_a_re_invite_whose_row_was_written_first_does_not_hide_the_call() -> None:
    again = "100,INVITE,as1f,gK09,4e1a@192.0.2.7,200,OK,2026-03-02 01:30:09,,,"
    rejected = again.replace("100,", "99,").replace("200,OK", "488,Not Acceptable Here")
    of_callee = again.replace("as1f,gK09", "gK09,as1f")
    expected = fields("kamailio-acc", acc(INVITE, BYE))
    for rows in itertools.permutations([INVITE, again, rejected, BYE]):
        assert fields("kamailio-acc", acc(*rows)) == expected
    assert fields("kamailio-acc", acc(of_callee, INVITE, BYE)) == expected


def test_the_exact_time_of_a_row_comes_before_its_seconds() -> None:
    head, *rows = acc(INVITE, BYE).splitlines()
    # The seconds are local times of the host, which is not in UTC.
    content = "\n".join((f"{head},exact_time", f"{rows[0]},1772415008.253718", f"{rows[1]},1772415008.6"))
    found = fields("kamailio-acc", content.replace("01:30", "09:30"))
    assert [found[name] for name in ("start_ms", "answer_ms", "end_ms")] == [8_253, 8_253, 8_600]


def test_challenges_and_other_methods_are_not_calls() -> None:
    challenge = INVITE.replace("200,OK", "407,Proxy Authentication Required").replace("gK09", "other")
    found = read("kamailio-acc", acc(challenge, INVITE, INVITE.replace("INVITE", "INFO"), BYE))
    assert sorted("" if row.reason is None else row.reason.partition(":")[0] for row in found) == [
        "",
        "excluded",
        "excluded",
    ]


def test_an_answered_call_without_a_bye_and_a_bye_alone_are_incomplete() -> None:
    other = BYE.replace("4e1a", "4e1b")
    (alone, open_) = read("kamailio-acc", acc(INVITE, other))
    assert (alone.line, open_.line) in {(2, 3), (3, 2)}
    assert reasons("kamailio-acc", acc(INVITE, other)) == ["incomplete", "incomplete"]


@pytest.mark.parametrize("column", ["tenant", "customer"])
def test_a_table_without_the_column_of_the_tenant_names_the_option_that_sets_it(column: str) -> None:
    match = rf"no column `{column}`.*; if all records are of one tenant: `--set tenant_id=ID`"
    content = acc(INVITE, BYE).replace(",tenant", ",other").replace(",acme", ",x")
    with pytest.raises(MappingError, match=match):
        read("kamailio-acc", content, tenant=column)
    adapter = open_adapter("kamailio-acc", {"tenant": column})
    assert isinstance(adapter, AssembledAdapter)
    [rejected] = adapter.events(content.encode())
    assert rejected.event is None
    assert rejected.reason is not None
    assert rejected.reason.startswith(f"malformed_row: the file has no column `{column}`")


def test_the_columns_of_the_extra_fields_have_names_of_their_own() -> None:
    content = acc(INVITE, BYE).replace("tenant", "account").replace("src_user", "a").replace("dst_user", "b")
    found = fields("kamailio-acc", content, tenant="account", **{"from": "a"}, to="b")
    assert found == fields("kamailio-acc", acc(INVITE, BYE))
    lines = [dict(zip(ACC.split(","), row.split(","), strict=True)) for row in (INVITE, BYE)]
    rows = [{key: value for key, value in line.items() if value} for line in lines]
    found = fields("kamailio-acc", "\n".join(map(json.dumps, rows)), form="json")
    assert found == fields("kamailio-acc", acc(INVITE, BYE))


def test_the_time_of_the_attempt_and_the_direction_may_be_extra_columns() -> None:
    head, *rows = acc(INVITE, BYE).splitlines()
    content = "\n".join((f"{head},attempt_time,direction", f"{rows[0]},1772415002.250,inbound", f"{rows[1]},,"))
    found = fields("kamailio-acc", content)
    assert (found["start_ms"], found["answer_ms"], found["direction"]) == (2_250, 8_000, "inbound")
    assert reasons("kamailio-acc", content.replace("inbound", "internal")) == ["internal_leg"]


# --- Asterisk CEL -----------------------------------------------------------------------------------------------
CEL = "eventtype,eventtime,cid_name,cid_num,cid_ani,cid_rdnis,cid_dnid,exten,context,channame,appname,appdata,amaflags"
CEL += ",accountcode,uniqueid,linkedid,peer,userfield,extra"
DESK, TRUNK = "PJSIP/desk1-00000011", "PJSIP/trunk-00000012"


def cel(kind: str, time: str, far: bool = False, extra: dict[str, Any] | None = None, **changes: str) -> str:
    row = {
        "eventtype": kind,
        "eventtime": f"2026-03-02 09:{time}",
        "cid_num": "13800138000" if far else "075500001111",
        "exten": "s" if far else "13800138000",
        "context": "from-internal",
        "channame": TRUNK if far else DESK,
        "accountcode": "acme",
        "uniqueid": "1772415000.18" if far else "1772415000.17",
        "linkedid": "1772415000.17",
        "extra": json.dumps(extra).replace('"', '""') if extra else "",
    } | changes
    return ",".join(f'"{row.get(name, "")}"' for name in CEL.split(","))


ANSWERED = [
    cel("CHAN_START", "30:00.100000"),
    cel("CHAN_START", "30:00.200000", far=True),
    cel("ANSWER", "30:08.400000", far=True),
    cel("ANSWER", "30:08.410000"),
    cel("BRIDGE_ENTER", "30:08.420000"),
    cel("HANGUP", "30:13.940000", far=True, extra={"hangupcause": 16, "hangupsource": TRUNK, "dialstatus": ""}),
    cel("HANGUP", "30:13.950000", extra={"hangupcause": 16, "hangupsource": TRUNK, "dialstatus": "ANSWER"}),
    cel("LINKEDID_END", "30:13.960000"),
]


def unanswered(cause: int, dialstatus: str) -> list[str]:
    return [
        *ANSWERED[:2],
        cel("HANGUP", "30:31.000000", far=True, extra={"hangupcause": cause, "hangupsource": "", "dialstatus": ""}),
        cel("HANGUP", "30:31.100000", extra={"hangupcause": cause, "hangupsource": "", "dialstatus": dialstatus}),
        cel("LINKEDID_END", "30:31.200000"),
    ]


def log_of(rows: list[str]) -> str:
    return "\n".join((CEL, *rows)) + "\n"


def calls_of(rows: list[InputRow]) -> list[InputRow]:
    return [row for row in rows if row.record is not None]


def cel_fields(rows: list[str], **settings: str) -> dict[str, Any]:
    (row,) = calls_of(read("asterisk-cel", log_of(rows), **settings))
    found = {key: value for key, value in msgspec.structs.asdict(row.record).items() if value not in (None, "")}
    return {key: value - START if key.endswith("_ms") else value for key, value in found.items()}


def test_the_rows_of_a_linkedid_are_a_call() -> None:
    assert cel_fields(ANSWERED) == {
        "call_id": "1772415000.17",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8675500001111",
        "callee": "+8613800138000",
        "start_ms": 100,
        "answer_ms": 8_400,
        "end_ms": 13_960,
        "outcome": "answered",
        "hangup_by": "callee",
        "q850": 16,
        "source": "asterisk",
    }
    assert cel_fields([row.replace(f'""{TRUNK}""', f'""{DESK}""') for row in ANSWERED])["hangup_by"] == "caller"


@pytest.mark.parametrize(
    ("cause", "dialstatus", "expected"),
    [
        (1, "CHANUNAVAIL", "invalid_number"),
        (17, "BUSY", "busy"),
        (0, "BUSY", "busy"),
        (19, "NOANSWER", "no_answer"),
        (0, "NOANSWER", "no_answer"),
        (16, "CANCEL", "cancelled"),
        (20, "CHANUNAVAIL", "unreachable"),
        (21, "CONGESTION", "rejected"),
        (34, "CONGESTION", "failed"),
        (0, "CONGESTION", "failed"),
    ],
)
def test_a_cause_of_asterisk_has_its_outcome(cause: int, dialstatus: str, expected: str) -> None:
    found = cel_fields(unanswered(cause, dialstatus))
    assert (found["outcome"], found.get("answer_ms"), found["end_ms"]) == (expected, None, 31_200)


def test_a_branch_that_another_one_won_has_no_cause() -> None:
    lost = cel(
        "HANGUP",
        "30:20.000000",
        far=True,
        uniqueid="1772415000.19",
        extra={"hangupcause": 26, "hangupsource": "", "dialstatus": ""},
    )
    assert cel_fields([*ANSWERED, lost]) == cel_fields(ANSWERED)


def test_a_call_that_a_voice_menu_answers_is_answered_and_one_that_it_passes_on_is_not() -> None:
    menu = [ANSWERED[0], cel("ANSWER", "30:01.000000"), *ANSWERED[6:]]
    assert (cel_fields(menu)["outcome"], cel_fields(menu)["answer_ms"]) == ("answered", 1_000)
    passed = [cel("ANSWER", "30:00.150000"), *unanswered(19, "NOANSWER")]
    assert cel_fields(passed)["outcome"] == "no_answer"


def test_the_gateway_says_the_direction_and_what_is_inside() -> None:
    assert cel_fields(ANSWERED, carrier_gateways="trunk")["direction"] == "outbound"
    assert cel_fields(ANSWERED, carrier_gateways="desk1")["direction"] == "inbound"
    assert cel_fields(ANSWERED, outbound_contexts="other")["direction"] == "inbound"
    assert "internal_leg" in reasons("asterisk-cel", log_of(ANSWERED), carrier_gateways="other")


# --- Telnyx -----------------------------------------------------------------------------------------------------
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


def lines(documents: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, documents))


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


# --- Vonage -----------------------------------------------------------------------------------------------------
def vonage(status: str, time: str, **changes: Any) -> dict[str, Any]:
    return {
        "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
        "conversation_uuid": "CON-f972836a",
        "application_id": "acme",
        "status": status,
        "direction": "outbound",
        "from": "12025550111",
        "to": "447700900000",
        "timestamp": f"2026-03-02T01:30:{time}Z",
    } | changes


COMPLETED = vonage(
    "completed",
    "13.950",
    start_time="2026-03-02T01:30:08.000Z",
    end_time="2026-03-02T01:30:13.000Z",
    duration="5",
    price="0.01",
    disconnected_by="user",
)
VONAGE = [
    vonage("started", "00.050"),
    vonage("ringing", "02.100"),
    vonage("answered", "08.400", start_time=None),
    vonage("machine", "10.000"),
    COMPLETED,
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_the_webhooks_of_a_uuid_are_a_call(order: tuple[int, ...]) -> None:
    assert fields("vonage", lines([VONAGE[n] for n in order])) == {
        "call_id": "63f61863-4a51-4f6b-86e1-46edebcf9356",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+12025550111",
        "callee": "+447700900000",
        "start_ms": 50,
        "ring_ms": 2_100,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "answered_by": "machine",
        "source": "vonage",
    }


def test_the_last_webhook_alone_is_a_call() -> None:
    found = fields("vonage", lines([COMPLETED | {"disconnected_by": "platform"}]))
    assert (found["start_ms"], found["answer_ms"], found["end_ms"]) == (8_000, 8_000, 13_950)
    assert (found["outcome"], found["hangup_by"]) == ("answered", "system")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("busy", "busy"),
        ("cancelled", "cancelled"),
        ("unanswered", "no_answer"),
        ("timeout", "no_answer"),
        ("rejected", "rejected"),
        ("failed", "failed"),
    ],
)
def test_a_status_of_vonage_has_its_outcome(status: str, expected: str) -> None:
    found = fields("vonage", lines([*VONAGE[:2], vonage(status, "31.000")]))
    assert (found["outcome"], found["end_ms"], found.get("answer_ms")) == (expected, 31_000, None)
    empty = vonage("completed", "31.500", start_time=None)
    assert fields("vonage", lines([*VONAGE[:2], vonage(status, "31.000"), empty]))["outcome"] == expected


def test_a_call_of_vonage_without_an_end_was_not_answered() -> None:
    assert fields("vonage", lines(VONAGE[:2]))["outcome"] == "no_answer"
    assert fields("vonage", lines(VONAGE[:1]))["outcome"] == "failed"


# --- Twilio -----------------------------------------------------------------------------------------------------
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


# --- Bandwidth --------------------------------------------------------------------------------------------------
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
    ],
)
def test_a_cause_of_bandwidth_has_its_outcome(cause: str, expected: str) -> None:
    assert outcome("bandwidth", lines([DISCONNECT | {"answerTime": None, "cause": cause}])) == (expected, None)
