"""The format of 3CX's call log, field by field, on made-up rows of the real structure."""

import pytest
from adapter_rows import fields
from format_rows import reason

_FIELDS = (
    *("historyid", "callid", "duration", "start", "answered", "end", "reason", "from_no", "to_no", "from_dn", "to_dn"),
    *(
        "dial_no",
        "changed",
        "final_number",
        "final_dn",
        "code",
        "rate",
        "cost",
        "name",
        "chain",
        "from_type",
        "to_type",
    ),
)


def row(**changes: str) -> str:
    """A row of an outbound call without the last columns, or with two more if they have types."""
    cells = dict.fromkeys(_FIELDS[:20], "") | {
        "historyid": "Call 612504",
        "callid": "00000C21DE5C2470_6531",
        "duration": "00:00:11",
        "start": "2026/03/02 01:30:00",
        "answered": "2026/03/02 01:30:09",
        "end": "2026/03/02 01:30:20",
        "reason": "dst_participant_terminated",
        "from_no": "Ext.504",
        "to_no": "13900139000",
        "from_dn": "504",
        "to_dn": "10021",
        "chain": "Chain: Ext.504;13900139000;",
    }
    return ",".join((cells | changes).values()) + "\n"


def call(**changes: str) -> dict[str, object]:
    """The record of a row."""
    return fields("3cx", row(**changes), tenant_id="acme")


def test_an_outbound_call_of_3cx_is_read() -> None:
    assert call() == {
        "call_id": "00000C21DE5C2470_6531",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "Ext.504",
        "callee": "+8613900139000",
        "start_ms": 0,
        "answer_ms": 9_000,
        "end_ms": 20_000,
        "outcome": "answered",
        "hangup_by": "callee",
        "agent_id": "504",
        "source": "3cx",
    }


def test_times_may_also_be_iso8601() -> None:
    times = {"start": "2026-03-02T01:30:00Z", "answered": "2026-03-02T02:30:09+01:00", "end": "2026-03-02T01:30:20.5Z"}
    read = call(**times)
    assert (read["start_ms"], read["answer_ms"], read["end_ms"]) == (0, 9_000, 20_500)


def test_an_inbound_call_of_3cx_has_the_agent_that_it_reached() -> None:
    inbound = call(from_no="+8613800138000", to_no="Ext.960", final_dn="505", reason="TerminatedBySrc")
    assert (inbound["direction"], inbound["caller"], inbound["callee"]) == ("inbound", "+8613800138000", "Ext.960")
    assert (inbound["agent_id"], inbound["hangup_by"]) == ("505", "caller")
    hidden = call(from_no="anonymous", to_no="Ext.960")
    assert (hidden["direction"], hidden["caller"], hidden["agent_id"]) == ("inbound", "anonymous", "10021")


@pytest.mark.parametrize("to_no", ["Ext.505", "VMail.505", "Park.0"])
def test_a_call_inside_the_switch_is_an_internal_leg(to_no: str) -> None:
    assert reason("3cx", row(to_no=to_no), tenant_id="acme").startswith("internal_leg: ")


def test_the_types_tell_what_is_inside_where_the_names_do_not() -> None:
    assert call(from_no="504", from_type="Extension", to_type="external_line")["direction"] == "outbound"
    assert call(from_no="504", from_type="line", to_type="queue")["direction"] == "inbound"
    assert reason(
        "3cx", row(from_no="504", to_no="505", from_type="extension", to_type="Queue"), tenant_id="acme"
    ).startswith("internal_leg: ")


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        ("busy", "busy"),
        ("TargetBusy", "busy"),
        ("RouteBusy", "failed"),
        ("declined", "rejected"),
        ("timeout", "no_answer"),
        ("NoAnswerTimeout", "no_answer"),
        ("src_participant_terminated", "cancelled"),
        ("Failed_Cancelled", "cancelled"),
        ("dst_participant_terminated", "failed"),
        ("not_found", "failed"),
        ("no_route", "failed"),
        ("Failed", "failed"),
        ("", "failed"),
    ],
)
def test_a_reason_without_an_answer_has_its_outcome(ended: str, outcome: str) -> None:
    assert call(answered="", reason=ended)["outcome"] == outcome


def test_the_tenant_is_set_or_stands_in_the_last_column() -> None:
    assert reason("3cx", row()) == "missing_field: tenant_id: column tenant is empty"
    assert fields("3cx", row().rstrip("\n") + ",,,,,,,,acme")["tenant_id"] == "acme"
