"""Channel events of Asterisk make calls, field by field, on made-up samples of the real structure."""

import json
from typing import Any

import msgspec
import pytest
from adapter_rows import START, read
from event_rows import calls_of, reasons

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


@pytest.mark.parametrize("span", ["i2", "DAHDI/i2"])
def test_a_trunk_of_a_pri_is_a_span(span: str) -> None:
    out = [row.replace(TRUNK, "DAHDI/i2/13800138000-2b") for row in ANSWERED]
    found = cel_fields(out, carrier_gateways=span)
    assert (found["direction"], found["hangup_by"]) == ("outbound", "callee")
    into = [row.replace(DESK, "DAHDI/i2/075500001111-2a") for row in ANSWERED]
    assert cel_fields(into, carrier_gateways=span)["direction"] == "inbound"
    assert "internal_leg" in reasons("asterisk-cel", log_of(out), carrier_gateways="i1")


LOCAL = "Local/13800138000@outbound-00000001"


def started(channel: str, number: int) -> str:
    """A channel that the call dials before the trunk's."""
    return cel("CHAN_START", f"30:00.15000{number}", far=True, channame=channel, uniqueid=f"1772415000.2{number}")


@pytest.mark.parametrize(
    "others",
    [[f"{LOCAL};1", f"{LOCAL};2"], ["PJSIP/desk2-00000013"], [f"{LOCAL};1", f"{LOCAL};2", "PJSIP/desk2-00000013"]],
)
@pytest.mark.parametrize("trunk", [TRUNK, "DAHDI/i2/13800138000-2b"])
def test_a_trunk_behind_local_channels_or_beside_a_telephone_is_the_far_channel(others: list[str], trunk: str) -> None:
    rows = [ANSWERED[0], *(started(channel, n) for n, channel in enumerate(others)), *ANSWERED[1:]]
    rows = [row.replace(TRUNK, trunk) for row in rows]
    assert cel_fields(rows, carrier_gateways="trunk,i2") == cel_fields(ANSWERED)
    assert "internal_leg" in reasons("asterisk-cel", log_of(rows), carrier_gateways="Local,other,DAHDI")


def test_local_channels_are_no_far_channel() -> None:
    rows = [ANSWERED[0], started(f"{LOCAL};1", 1), started(f"{LOCAL};2", 2), *ANSWERED[1:]]
    assert cel_fields(rows) == cel_fields(ANSWERED)
    menu = [ANSWERED[0], started(f"{LOCAL};1", 1), cel("ANSWER", "30:01.000000"), *ANSWERED[6:]]
    assert cel_fields(menu)["outcome"] != "answered"


def test_a_call_from_a_carrier_to_a_telephone_and_a_mobile_is_inbound() -> None:
    mobile = started("PJSIP/trunk-00000014", 1)
    into = [row.replace(DESK, "PJSIP/carrier-00000011").replace(TRUNK, "PJSIP/desk2-00000013") for row in ANSWERED]
    gateways = "carrier,trunk"
    assert cel_fields([into[0], mobile, *into[1:]], carrier_gateways=gateways)["direction"] == "inbound"
    passed_on = [row.replace(DESK, "PJSIP/carrier-00000011") for row in ANSWERED]
    assert cel_fields(passed_on, carrier_gateways=gateways)["direction"] == "outbound"
