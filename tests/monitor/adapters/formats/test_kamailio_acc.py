"""Rows of Kamailio's acc make calls, field by field, on made-up samples of the real structure."""

import itertools
import json

import pytest
from adapter_rows import fields, read
from event_rows import outcome, reasons
from format_rows import reason

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import open_adapter

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


@pytest.mark.parametrize(
    "answer", ["401,Unauthorized", "407,Proxy Authentication Required", "422,Session Interval Too Small"]
)
def test_challenges_and_other_methods_are_not_calls(answer: str) -> None:
    challenge = INVITE.replace("200,OK", answer).replace("gK09", "other")
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


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("13800138000", "out_of_range: time: expected a time in the years 1990 to 2099, got ••••••••••••00"),
        (r"\N", r"unreadable_time: time: '\\N' is no time of the form iso8601 or epoch_s"),
        ("13800138000x", "unreadable_time: time: '•••••••••00x' is no time of the form iso8601 or epoch_s"),
        (
            "0000-00-00 00:00:00",
            "unreadable_time: time: '0000-00-00 00:00:00' is no time of the form iso8601 or epoch_s",
        ),
    ],
)
def test_the_reason_of_a_wrong_time_names_the_time_and_masks_a_number(time: str, expected: str) -> None:
    assert reason("kamailio-acc", acc(INVITE.replace("2026-03-02 01:30:08", time))) == expected


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
