"""The shipped adapters on the real files, against the facts in their descriptions."""

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from adapter_rows import DATA

from helpers.thorough import thorough
from monitor.adapters.base import InputRow
from monitor.adapters.shipped import open_adapter, shipped_text
from monitor.adapters.surveying.survey import survey
from schemas.inputs import Cdr, Complaint

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the sample files (shared/data) are beside the repository, not in it"
)

BANK = DATA / "bank-calls" / "data_anonymous_bank_february.txt"
FULL = DATA / "ftc-complaints" / "dnc_complaint_numbers_2021-07-08.csv"
DAYS = DATA / "ftc-complaints" / "dnc_2020-02_2021-04.csv.gz"
ANSWER = DATA / "tccc" / "DescribeTelCdr_response_1.json"
TYPES = DATA / "tccc" / "types_subset.json"
DOUBLED = (
    *("2020-05-25", "2020-06-25", "2020-07-27", "2020-07-28"),
    *("2020-11-05", "2020-12-03", "2021-01-24", "2021-04-06"),
)
# Of https://cloud.tencent.com/document/product/679/123938, which has voice agents; the types of the API do not.
STATUSES_OF_ANOTHER_PAGE = {
    "17": "seatGiveUp",
    "225": "asrError",
    "226": "llmasrError",
    "227": "ttsError",
    "228": "functionCallHangup",
    "229": "maxCallDurationReached",
    "230": "userInactivity",
    "231": "callTerminatedByAPI",
    "232": "userHangupDuringAiCall",
    "233": "aiAgentEndCall",
}
NO_NUMBER = "excluded: no number, so it counts against no tenant"


def read(name: str, path: Path, constants: dict[str, str] | None = None) -> list[InputRow]:
    with path.open("rb") as stream:
        return list(open_adapter(name, constants).rows(stream))


@pytest.fixture(scope="module")
def bank() -> list[InputRow]:
    return read("bank-calls", BANK)


def test_every_call_of_the_bank_is_a_record_once(bank: list[InputRow]) -> None:
    assert sorted(row.line for row in bank) == list(range(2, 33_346))
    calls = [row.record for row in bank if isinstance(row.record, Cdr)]
    assert len(calls) == len({call.call_id for call in calls}) == 33_344
    outcomes = Counter(call.outcome for call in calls)
    assert outcomes == {"answered": 27_162, "cancelled": 5_904, "failed": 278}
    assert {(call.tenant_id, call.direction) for call in calls} == {("bank", "inbound")}
    assert [call.end_ms for call in calls] == sorted(call.end_ms for call in calls)


def test_the_banks_daily_abandonment_is_the_published_one(bank: list[InputRow]) -> None:
    inbound: Counter[str] = Counter()
    abandoned: Counter[str] = Counter()
    for row in bank:
        assert isinstance(row.record, Cdr)
        day = datetime.fromtimestamp(row.record.end_ms / 1000, ZoneInfo("Asia/Jerusalem")).strftime("%m-%d")
        inbound[day] += 1
        abandoned[day] += row.record.outcome == "cancelled"
    ratio = {day: abandoned[day] / inbound[day] for day in inbound}
    assert round(ratio["02-03"], 3) == 0.318
    assert round(ratio["02-21"], 3) == 0.360
    assert 0.155 < median(ratio.values()) < 0.17


def test_the_banks_short_calls_are_all_there(bank: list[InputRow]) -> None:
    talk = [row.record.end_ms - row.record.answer_ms for row in bank if row.record.answer_ms]
    assert sum(ms <= 5_000 for ms in talk) == 1_230
    # The longest of those over midnight is a call of 1,597 s; a day more would be an error of the date.
    assert max(talk) < 10_000_000
    assert min(talk) == 0


def test_the_whole_answer_of_the_contact_centre_is_read() -> None:
    (row,) = read("tccc", ANSWER, {"tenant_id": "1400000000"})  # the answer does not repeat the tenant of the request
    record = row.record
    assert isinstance(record, Cdr)
    assert row.line == 5
    assert json.loads(row.raw) == json.loads(ANSWER.read_bytes())["Response"]["TelCdrList"][0]
    assert (record.outcome, record.direction, record.hangup_by) == ("answered", "inbound", "callee")
    assert record.end_ms - record.answer_ms == 8_000
    assert record.caller.startswith("+86")
    assert record.callee.startswith("+86")


def test_every_status_of_the_provider_has_an_outcome_and_no_other_has() -> None:
    members = json.loads(TYPES.read_text(encoding="utf-8"))["TelCdrInfo"]["members"]
    (document,) = [member["document"] for member in members if member["name"] == "EndStatus"]
    theirs = dict(re.findall(r"\s(\d{1,3})\s+([a-zA-Z]+)\s*<strong>", document))
    ours = dict(re.findall(r'^ {6}"(\d+)": \w+ +# (\w+)', shipped_text("tccc.yaml"), re.MULTILINE))
    assert len(theirs) == 35
    assert ours == theirs | STATUSES_OF_ANOTHER_PAGE


def test_the_complaint_file_with_eight_columns_is_accounted_for() -> None:
    found = read("ftc-dnc", FULL)
    assert sorted(row.line for row in found) == list(range(2, 14_036))
    reasons = Counter(row.reason for row in found if row.reason)
    assert reasons == {NO_NUMBER: 669}
    complaints = [row.record for row in found if isinstance(row.record, Complaint)]
    assert len({complaint.complaint_id for complaint in complaints}) == 13_365
    assert [c.updated_ms for c in complaints] == sorted(c.updated_ms for c in complaints)
    days = {datetime.fromtimestamp(c.updated_ms / 1000, ZoneInfo("America/New_York")).date() for c in complaints}
    assert [str(day) for day in days] == ["2021-07-07"]
    # Two rows of the file are equal: the same complainant.
    assert len({complaint.complainant for complaint in complaints}) in (13_364, 13_365)


def test_the_dry_run_finds_the_complaint_file_out_of_order() -> None:
    with FULL.open("rb") as stream:
        found = survey(open_adapter("ftc-dnc"), iter(stream))
    assert (found.rows, found.records) == (14_034, 13_365)
    assert found.steps_back > 400
    assert found.unused == []
    assert found.never_filled == ["call_id"]
    assert [(reason.rows, reason.line) for reason in found.reasons] == [(669, 33)]


@pytest.mark.thorough
def test_the_beginning_of_the_file_by_day_is_accounted_for() -> None:
    with gzip.open(DAYS) as stream:
        content = b"".join(islice(stream, 100_001))
    rows = open_adapter("ftc-dnc").rows(io.BytesIO(content))
    lines, accepted, clock, offset = [], 0, 0, 0
    for row in rows:
        lines.append(row.line)
        if isinstance(row.record, Complaint):
            accepted += 1
            now = int(row.record.complaint_id.partition("#")[2])
            assert (row.record.updated_ms, -now) > (clock, -offset)
            clock, offset = row.record.updated_ms, now
        else:
            assert row.reason == NO_NUMBER
    assert sorted(lines) == list(range(2, 100_002))
    cells = [line.split(b",") for line in content.splitlines()[1:]]
    assert accepted == sum(bool(number) for _, _, number, _ in cells)


@pytest.mark.parametrize("doubled", thorough([[*DOUBLED[:1]], [*DOUBLED[1:]]], 1), ids=" ".join)
def test_doubled_days_double_no_complainant(doubled: Sequence[str]) -> None:
    days: dict[str, list[bytes]] = {day: [] for day in doubled}
    with gzip.open(DAYS) as stream:
        header = next(stream)
        for line in stream:
            day = line[:10].decode()
            if day in days:
                days[day].append(line)
            elif day > max(days):
                break  # the file is in order of days
    assert all(days.values())
    for day, lines in days.items():
        once: dict[tuple[bytes, bytes], list[bytes]] = {}
        for line in lines:
            _, _, number, area = line.rstrip().split(b",")
            once.setdefault((number, area), []).append(line)
        # Each complaint occurs an even number of times: the first half of the copies equals the original day.
        assert all(len(copies) % 2 == 0 for copies in once.values()), day
        half = [line for copies in once.values() for line in copies[: len(copies) // 2]]
        whole, single = (_complainants(header + b"".join(part)) for part in (lines, half))
        assert whole[1] == single[1], day
        assert whole[0] == 2 * single[0], day


def _complainants(content: bytes) -> tuple[int, set[tuple[str, str | None]]]:
    found = [row.record for row in open_adapter("ftc-dnc").rows(io.BytesIO(content))]
    complaints = [record for record in found if isinstance(record, Complaint)]
    return len(complaints), {(record.tenant_id, record.complainant) for record in complaints}


@pytest.mark.soak
def test_the_whole_file_by_day_is_accounted_for() -> None:
    reasons: Counter[str | None] = Counter()
    tenants: Counter[str] = Counter()
    not_ten, clock, lines = 0, 0, bytearray(2_256_272)
    with gzip.open(DAYS) as stream:
        for row in open_adapter("ftc-dnc").rows(stream):
            lines[row.line] += 1
            if not isinstance(row.record, Complaint):
                reasons[row.reason] += 1
                not_ten += 1
                continue
            assert row.record.updated_ms >= clock
            clock = row.record.updated_ms
            number = row.raw.split(b",")[2].decode()
            tenants[row.record.tenant_id] += 1
            if len(number) != 10 or not number.isdigit():
                not_ten += 1
                # Ten digits and a space count as ten digits.
                assert row.record.tenant_id == number.strip() or len(number) > len(number.strip()) == 10
    assert lines[2:2_256_271].count(1) == 2_256_269
    assert reasons == {NO_NUMBER: 128_196}
    assert not_ten == 197_734
    assert sum(tenants.values()) == 2_128_073
    assert tenants.most_common(1)[0][0] == "+13152328257"
    assert tenants["+13152328257"] == 6_003
