"""The adapters shipped by name, on small files made up for these tests."""

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.shipped import NAMES, ByHeader, about, constant_names, described, open_adapter, shipped_text
from schemas.inputs import Cdr, Complaint

FULL = (
    "Company_Phone_Number,Created_Date,Violation_Date,Consumer_City,Consumer_State,Consumer_Area_Code,"
    "Subject,Recorded_Message_Or_Robocall\r\n"
)
DAY = "created_date,api_offset,company_phone_number,consumer_area_code\r\n"
BANK = (
    "vru+line\tcall_id\tcustomer_id\tpriority\ttype\tdate\tvru_entry\tvru_exit\tvru_time\tq_start\tq_exit\tq_time\t"
    "outcome\tser_start\tser_exit\tser_time\tserver\r\n"
)


def read(name: str, content: str, constants: dict[str, str] | None = None) -> list[InputRow]:
    return list(open_adapter(name, constants).rows(io.BytesIO(content.encode())))


def complaints(content: str) -> list[Complaint]:
    return [row.record for row in read("ftc-dnc", content) if isinstance(row.record, Complaint)]


def calls(rows: list[InputRow]) -> Iterator[Cdr]:
    for row in rows:
        assert isinstance(row.record, Cdr), row.reason
        yield row.record


def local(text: str, hours: int) -> int:
    """Epoch ms of a local time that many hours east of Greenwich."""
    return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - timedelta(hours=hours)).timestamp() * 1000)


# --- ftc-dnc ----------------------------------------------------------------------------------------------------
def test_the_two_forms_of_the_complaint_file_are_distinguished_by_their_headers() -> None:
    (full,) = complaints(f"{FULL}2125550123,2021-07-07 00:01:15,2021-07-06 11:48:00,,Ohio,216,Other,Y\r\n")
    (day,) = complaints(f"{DAY}2021-07-07,5,2125550123,216\r\n")
    assert full.complaint_id == "2021-07-07 00:01:15#1"
    assert day.complaint_id == "2021-07-07#5"
    assert full.reported_ms == full.updated_ms == local("2021-07-07T00:01:15", -4)
    assert full.occurred_ms == local("2021-07-06T11:48:00", -4)
    assert day.reported_ms == day.updated_ms == local("2021-07-07T00:00:00", -4)
    for complaint in (full, day):
        assert (complaint.tenant_id, complaint.caller) == ("+12125550123", "+12125550123")
        assert (complaint.category, complaint.status, complaint.channel) == ("harassment", "received", "ftc-dnc")


def test_a_winter_day_begins_an_hour_later_in_utc() -> None:
    (day,) = complaints(f"{DAY}2021-01-24,5,2125550123,216\r\n")
    assert day.updated_ms == local("2021-01-24T00:00:00", -5)


def test_a_day_that_was_collected_twice_doubles_complaints_and_no_complainant() -> None:
    found = complaints(f"{DAY}2021-01-24,5,2125550123,216\r\n2021-01-24,6,2125550123,216\r\n")
    assert len({complaint.complaint_id for complaint in found}) == 2
    assert len({complaint.complainant for complaint in found}) == 1
    row = "2125550123,2021-07-07 00:01:15,2021-07-06 11:48:00,,Ohio,216,Other,Y\r\n"
    found = complaints(f"{FULL}{row}{row}")
    assert len({complaint.complaint_id for complaint in found}) == 2
    assert len({complaint.complainant for complaint in found}) == 1


@pytest.mark.parametrize(
    "other", ["2021-01-25,5,2125550123,216", "2021-01-24,5,2125550124,216", "2021-01-24,5,2125550123,"]
)
def test_rows_with_different_content_have_different_complainants(other: str) -> None:
    found = complaints(f"{DAY}2021-01-24,5,2125550123,216\r\n{other}\r\n")
    assert len({complaint.complainant for complaint in found}) == 2


def test_a_complainants_name_gives_nothing_away_without_the_key() -> None:
    content = io.BytesIO(f"{DAY}2021-01-24,5,2125550123,216\r\n".encode())
    (other,) = open_adapter("ftc-dnc", key=b"another").rows(content)
    (public,) = complaints(f"{DAY}2021-01-24,5,2125550123,216\r\n")
    assert other.record.complainant != public.complainant


def test_complaints_of_a_day_arrive_against_their_offsets() -> None:
    content = f"{DAY}2021-01-25,0,2125550123,1\r\n" + "".join(f"2021-01-24,{n},2125550123,1\r\n" for n in (0, 1, 2, 10))
    ids = [complaint.complaint_id for complaint in complaints(content)]
    assert ids == ["2021-01-24#10", "2021-01-24#2", "2021-01-24#1", "2021-01-24#0", "2021-01-25#0"]


def test_rows_without_a_number_are_rejected_with_their_reason() -> None:
    (row,) = read("ftc-dnc", f"{DAY}2021-01-24,5,,216\r\n")
    assert (row.line, row.reason) == (2, "excluded: no number, so it counts against no tenant")


@pytest.mark.parametrize(
    "number", ["+12125550123", "12125550123", "2370290", "8005078317;222", "__________", "0123456789"]
)
def test_numbers_that_are_not_ten_digits_stay_as_they_came(number: str) -> None:
    (complaint,) = complaints(f"{DAY}2021-01-24,5,{number},216\r\n")
    assert complaint.tenant_id == complaint.caller == number


def test_another_file_is_refused_with_both_headers() -> None:
    with pytest.raises(MappingError, match=r"none of its own: Company_Phone_Number.*created_date,api_offset"):
        read("ftc-dnc", "a,b\n1,2\n")
    assert read("ftc-dnc", "") == []


# --- tccc -------------------------------------------------------------------------------------------------------
TELCDR = """{"SdkAppId": 1400000000, "SessionId": "s%d", "Caller": "0086075586013388", "Callee": "008613800138000",
 "Direction": %d, "EndStatus": %s, "HungUpSide": "%s", "Time": 1700000000, "StartTimestamp": 1700000001,
 "RingTimestamp": 0, "AcceptTimestamp": %d, "EndedTimestamp": %d, "RecordId": "", "SeatUser": %s}"""


def telcdr(
    n: int = 1, direction: int = 1, status: object = 1, side: str = "user", accept: int = 0, end: int = 0
) -> str:
    """One TelCdr, on one line."""
    return (TELCDR % (n, direction, status, side, accept, end, '{"StaffNumber": "20012"}')).replace("\n", "")


def test_an_answer_and_lines_give_the_same_records() -> None:
    records = [telcdr(n, accept=1700000005, end=1700000010) for n in range(3)]
    answer = f'{{"Response": {{"TotalCount": 3,\n"TelCdrList": [\n{",".join(records)}\n]}}}}'
    expected = list(calls(read("tccc", "\n".join(records))))
    assert list(calls(read("tccc", answer))) == expected
    assert list(calls(read("tccc", answer.replace("\n", "") + "\n"))) == expected
    assert [call.call_id for call in expected] == ["s0", "s1", "s2"]


def test_an_answered_call_has_its_times_and_who_hung_up() -> None:
    (call,) = calls(read("tccc", telcdr(accept=1700000005, end=1700000010)))
    assert (call.start_ms, call.ring_ms, call.answer_ms, call.end_ms) == (
        1700000000000,
        None,
        1700000005000,
        1700000010000,
    )
    assert (call.direction, call.outcome, call.hangup_by) == ("outbound", "answered", "callee")
    assert (call.caller, call.callee) == ("+8675586013388", "+8613800138000")
    assert (call.agent_id, call.recording_id, call.source) == ("20012", None, "tccc")


@pytest.mark.parametrize(
    ("direction", "side", "expected"),
    [
        (0, "user", "caller"),
        (0, "seat", "callee"),
        (1, "user", "callee"),
        (1, "seat", "caller"),
        (1, "system", "system"),
    ],
)
def test_who_hung_up_depends_on_the_direction(direction: int, side: str, expected: str) -> None:
    (call,) = calls(read("tccc", telcdr(direction=direction, side=side, accept=1700000005, end=1700000010)))
    assert call.hangup_by == expected


@pytest.mark.parametrize("status", [100, 108, 109, 110, 111])
def test_calls_that_the_platform_blocked_did_not_reach_the_network(status: int) -> None:
    (call,) = calls(read("tccc", telcdr(status=status, side="")))
    assert (call.outcome, call.answer_ms, call.hangup_by) == ("policy_blocked", None, None)
    assert call.end_ms == 1700000001000


def test_every_status_makes_a_valid_record_answered_or_not() -> None:
    statuses = re.findall(r'^ {6}"(\d+)": (\w+) +# (\w+)', shipped_text("tccc.yaml"), re.MULTILINE)
    assert len(statuses) == 45
    for status, outcome, text in statuses:
        record = telcdr(status=int(status), accept=1700000005, end=1700000010)
        (call,) = calls(read("tccc", record))
        assert call.outcome == outcome
        assert (call.answer_ms is not None) == (outcome == "answered")
        # A push has the text in place of the number.
        (pushed,) = calls(read("tccc", record.replace(f'"EndStatus": {status}', f'"EndStatusString": "{text}"')))
        assert pushed == call


@pytest.mark.parametrize("status", [107, 232, 233])
def test_a_call_that_a_machine_served_is_answered_by_it(status: int) -> None:
    (call,) = calls(read("tccc", telcdr(direction=0, status=status, end=1700000010)))
    assert (call.outcome, call.answered_by, call.answer_ms) == ("answered", "machine", 1700000001000)


def test_an_unknown_status_is_rejected_with_its_value() -> None:
    (row,) = read("tccc", telcdr(status=999))
    assert row.reason == "unknown_value: outcome: '999' has no entry in the table"


def test_an_internal_call_is_rejected() -> None:
    (row,) = read("tccc", telcdr().replace("{", '{"CallType": 6, ', 1))
    assert str(row.reason).startswith("excluded: an internal call")


def test_a_protected_number_stands_in_for_the_hidden_one() -> None:
    record = telcdr(accept=1700000005, end=1700000010).replace("008613800138000", "")
    record = record.replace("{", '{"ProtectedCallee": "0086130xxxxxxxx", ', 1)
    (call,) = calls(read("tccc", record))
    assert call.callee == "0086130xxxxxxxx"


def test_the_tenant_is_the_application_of_each_record() -> None:
    other = telcdr(accept=1700000005, end=1700000010).replace("1400000000", "1400000001")
    content = f"{telcdr(accept=1700000005, end=1700000010)}\n{other}"
    assert [call.tenant_id for call in calls(read("tccc", content))] == ["1400000000", "1400000001"]
    assert [call.tenant_id for call in calls(read("tccc", content, {"tenant_id": "a"}))] == ["a", "a"]


def test_a_record_that_does_not_name_its_application_is_rejected_and_not_mixed_with_others() -> None:
    record = telcdr(accept=1700000005, end=1700000010).replace('"SdkAppId": 1400000000, ', "")
    (row,) = read("tccc", record)
    assert row.reason == "missing_field: tenant_id: column SdkAppId is empty"
    assert next(calls(read("tccc", record, {"tenant_id": "1400000000"}))).tenant_id == "1400000000"


# --- bank-calls -------------------------------------------------------------------------------------------------
def bank(outcome: str, *times: str, customer: str = "0", date: str = "990203", server: str = "TOVA") -> str:
    """A row: entry, VRU exit, queue start and exit, service start and exit."""
    entry, vru, q_start, q_exit, start, end = times
    cells = ["AA0101", "34536", customer, "0", "PS", date, entry, vru, "0", q_start, q_exit, "0", outcome, start, end]
    return "\t".join([*cells, "0", server]) + "\r\n"


NONE = "0:00:00"


def test_a_served_call_is_answered_when_service_starts() -> None:
    (call,) = calls(read("bank-calls", BANK + bank("AGENT", "7:02:47", "7:02:56", NONE, NONE, "7:02:55", "7:05:41")))
    assert (call.call_id, call.tenant_id, call.direction) == ("AA0101-34536", "bank", "inbound")
    assert call.start_ms == local("1999-02-03T07:02:47", 2)
    assert call.answer_ms == local("1999-02-03T07:02:55", 2)
    assert call.end_ms == local("1999-02-03T07:05:41", 2)
    assert (call.caller, call.callee, call.agent_id) == ("unidentified", "AA0101", "TOVA")


def test_a_hang_up_is_abandoned_when_the_queue_was_left() -> None:
    queued = bank("HANG", "8:09:16", "8:09:22", "8:09:22", "8:09:27", NONE, NONE, server="NO_SERVER")
    (call,) = calls(read("bank-calls", BANK + queued))
    assert (call.outcome, call.answer_ms, call.hangup_by, call.agent_id) == ("cancelled", None, "caller", None)
    assert call.end_ms == local("1999-02-03T08:09:27", 2)


def test_a_hang_up_in_the_voice_menu_ends_there() -> None:
    (call,) = calls(read("bank-calls", BANK + bank("HANG", "8:09:16", "8:09:22", NONE, NONE, NONE, NONE)))
    assert call.end_ms == local("1999-02-03T08:09:22", 2)


def test_a_service_over_midnight_ends_the_next_day() -> None:
    (call,) = calls(read("bank-calls", BANK + bank("AGENT", "23:59:32", "23:59:44", NONE, NONE, "23:59:43", "0:01:28")))
    assert call.end_ms == local("1999-02-04T00:01:28", 2)
    assert call.end_ms - call.answer_ms == 105_000
    (call,) = calls(read("bank-calls", BANK + bank("HANG", "23:59:19", "23:59:19", "23:59:29", "0:00:26", NONE, NONE)))
    assert call.end_ms == local("1999-02-04T00:00:26", 2)
    (call,) = calls(read("bank-calls", BANK + bank("AGENT", "23:59:55", "23:59:55", NONE, NONE, "0:00:07", "0:02:13")))
    assert call.answer_ms == local("1999-02-04T00:00:07", 2)
    (call,) = calls(read("bank-calls", BANK + bank("HANG", "23:59:19", "23:59:19", "23:59:29", NONE, NONE, NONE)))
    assert call.end_ms == local("1999-02-04T00:00:00", 2)


def test_hours_past_24_are_the_next_day() -> None:
    (call,) = calls(
        read("bank-calls", BANK + bank("AGENT", "23:59:32", "23:59:44", NONE, NONE, "23:59:43", "24:01:28"))
    )
    assert call.end_ms == local("1999-02-04T00:01:28", 2)


def test_a_service_that_ends_before_it_starts_on_the_same_day_is_impossible() -> None:
    (row,) = read("bank-calls", BANK + bank("AGENT", "10:00:00", "10:00:05", NONE, NONE, "10:00:05", "10:00:01"))
    assert str(row.reason).startswith("impossible_times: ")


def test_a_negative_voice_menu_time_is_the_menus_clock_and_not_midnight() -> None:
    skewed = bank("AGENT", "9:48:14", "9:47:17", "9:47:17", "9:50:11", "9:50:11", "9:51:28")
    (call,) = calls(read("bank-calls", BANK + skewed))
    assert call.end_ms - call.start_ms == 194_000
    (call,) = calls(read("bank-calls", BANK + bank("HANG", "9:48:14", "9:47:17", NONE, NONE, NONE, NONE)))
    assert call.end_ms == call.start_ms


def test_a_served_call_without_service_times_is_answered_for_zero_seconds() -> None:
    blank = bank("AGENT", "13:44:47", "13:44:53", "13:44:53", "13:45:06", NONE, NONE)
    (call,) = calls(read("bank-calls", BANK + blank))
    assert call.answer_ms == call.end_ms == local("1999-02-03T13:45:06", 2)


def test_a_phantom_call_is_inbound_and_nothing_else() -> None:
    phantom = bank(
        "PHANTOM", "13:13:33", "13:13:42", "13:13:42", "13:14:12", "13:13:40", "13:14:18", server="NO_SERVER"
    )
    (call,) = calls(read("bank-calls", BANK + phantom))
    assert (call.direction, call.outcome, call.answer_ms) == ("inbound", "failed", None)


def test_a_customer_is_a_pseudonym() -> None:
    row = bank("AGENT", "7:02:47", "7:02:56", NONE, NONE, "7:02:55", "7:05:41", customer="23317894")
    (call,) = calls(read("bank-calls", BANK + row))
    assert re.fullmatch("[0-9a-f]{32}", call.caller)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (("outcome", "GONE"), "unknown_value"),
        (("date", "990230"), "unreadable_time"),
        (("date", ""), "unreadable_time"),
        (("entry", "7:02"), "unreadable_time"),
        (("entry", "7:60:00"), "unreadable_time"),
        (("entry", "-7:00:00"), "unreadable_time"),
        (("entry", "٧:00:00"), "not_text"),
        (("end", "99:00:00"), "unreadable_time"),
        (("end", "x" * 1000), "unreadable_time"),
    ],
)
def test_a_broken_row_is_rejected_and_its_neighbours_stay(wrong: tuple[str, str], word: str) -> None:
    good = {"outcome": "AGENT", "date": "990203", "entry": "7:02:47", "end": "7:05:41"}
    bad = good | dict([wrong])
    content = BANK
    for cells in (good, bad, good):
        times = (cells["entry"], "7:02:56", NONE, NONE, "7:02:55", cells["end"])
        content += bank(cells["outcome"], *times, date=cells["date"])
    found = read("bank-calls", content)
    assert sorted(row.line for row in found) == [2, 3, 4]
    (row,) = [row for row in found if row.reason]
    assert row.line == 3
    assert str(row.reason).startswith(f"{word}: ")
    assert len(str(row.reason)) < 200


def test_blocks_of_lines_are_put_in_order() -> None:
    late = bank("HANG", "8:09:16", "8:09:22", NONE, NONE, NONE, NONE, date="990204")
    early = bank("HANG", "8:09:16", "8:09:22", NONE, NONE, NONE, NONE, date="990201")
    assert [row.line for row in read("bank-calls", BANK + late + early + late + "\r\n" + "x\r\n")] == [6, 3, 2, 4]


def test_another_file_is_no_bank_file() -> None:
    with pytest.raises(MappingError, match=r"the file has no column vru\+line, call_id"):
        read("bank-calls", "a\tb\n1\t2\n")
    with pytest.raises(MappingError, match="a cdr has no field `tenant`"):
        open_adapter("bank-calls", {"tenant": "x"})
    assert read("bank-calls", "") == []


# --- all --------------------------------------------------------------------------------------------------------
def test_every_shipped_name_opens_and_describes_itself() -> None:
    assert (
        *("3cx", "amazon-connect", "asterisk-cel", "asterisk-csv", "bandwidth", "bank-calls", "freeswitch-csv"),
        *("freeswitch-json", "ftc-dnc", "genesys", "kamailio-acc", "kamailio-cdrs", "opensips-acc", "plivo", "tccc"),
        *("telnyx", "twilio", "twilio-events", "vonage"),
    ) == NAMES
    for name in NAMES:
        open_adapter(name)
        assert about(name)
        assert len(described(name).splitlines()) > 5


def test_a_mapping_that_is_not_there_is_a_fault_with_its_neighbours_named() -> None:
    with pytest.raises(MappingError, match=r"ftc:1:1: no mapping file.*`ftc-dnc`"):
        open_adapter("ftc")
    with pytest.raises(MappingError, match=r"nowhere/acme.yaml:1:1: no mapping file: .*`callwarden map list`"):
        open_adapter("nowhere/acme.yaml")


def test_a_mapping_file_is_opened_by_its_path(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("\ufeff" + shipped_text("tccc.yaml"), encoding="utf-8")
    found = list(open_adapter(str(path), {"tenant_id": "a"}).rows(io.BytesIO(telcdr(status=202).encode())))
    assert [call.tenant_id for call in calls(found)] == ["a"]
    path.write_bytes(b"format: csv\n# \xff\n")
    with pytest.raises(MappingError, match="a mapping is UTF-8; byte 15 is not"):
        open_adapter(str(path))


@pytest.mark.parametrize("name", sorted({*NAMES} - {"bank-calls"}))
def test_an_adapter_is_opened_alike_whatever_it_was_opened_with_before(name: str) -> None:
    """The data of its file are kept, and read again each time."""
    for constants in ({}, *({setting: "a,b"} for setting in sorted(constant_names(name))), {}):
        with suppress(MappingError):  # some take one of a few words
            opened = open_adapter(name, constants)
            mappings = opened.mappings if isinstance(opened, ByHeader) else [opened.mapping]  # type: ignore[attr-defined]
            assert mappings == [read_mapping(shipped_text(each.file), each.file, constants) for each in mappings]


@pytest.mark.parametrize(
    ("name", "setting"),
    [("twilio", "legs"), ("twilio-events", "legs"), ("plivo", "legs"), ("freeswitch-json", "log_b_leg")],
)
def test_a_misspelled_choice_starts_no_format(name: str, setting: str) -> None:
    with pytest.raises(MappingError, match=f"{name}.yaml --set:1:1: expected `{setting}` to be one of "):
        open_adapter(name, {setting: "misspelled"})
