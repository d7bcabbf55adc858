"""`callwarden map`: the dry run reports what a mapping makes of a file, and shows no number."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from adapter_rows import SMALL
from typer.testing import CliRunner, Result

from monitor.adapters.shipped import NAMES
from monitor.replay.files import DamagedFileError
from streams.cli.judge.map import app

T = 1_700_000_000
CONTENT = (
    f"id,to,end,code,spare\n1,+8613800138000,{T},1,x\n2,+8613800138001,{T - 60},7,x\n3,2,soon,1,x\n4,2\n5,2,{T},1,x\n"
)
TABLE = SMALL.replace("{const: busy}", '{column: code, table: {"1": busy, "2": failed}}')


def run(*words: str, data: bytes = b"") -> Result:
    if words[0] != "list" and any(word.endswith(("acme.yaml", "m.yaml")) for word in words):
        words = (*words, *(() if "--set" in words else ("--set", "tenant_id=acme")))
    return CliRunner().invoke(app, list(words), input=data)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "calls.csv").write_text(CONTENT)
    (tmp_path / "acme.yaml").write_text(TABLE)
    return str(tmp_path / "calls.csv"), str(tmp_path / "acme.yaml")


def test_the_dry_run_reports_the_results_of_the_rows(files: tuple[str, str]) -> None:
    result = run("check", files[0], "--format", files[1])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].endswith("5 rows by " + files[1] + ": 2 become records, 3 do not")
    assert "  columns not read: spare" in lines
    assert "  columns read: id, to, end, code" in lines
    assert "  event time: 2023-11-14T22:13:20Z to 2023-11-14T22:13:20Z" in lines
    assert "  order: by event time" in lines
    assert any(line.startswith("  fields never filled: ring_ms, answer_ms") for line in lines)
    assert "    entries never met: '2'" in lines
    assert "    values without an entry (rejected): '7' (1 rows)" in lines
    assert any("1 rows, first at line 3: unknown_value: outcome" in line for line in lines)
    assert any("1 rows, first at line 4: unreadable_time: start_ms" in line for line in lines)
    assert any("1 rows, first at line 5: malformed_row: 2 cells" in line for line in lines)


def test_a_table_counts_the_rows_that_reach_it(files: tuple[str, str]) -> None:
    cases = """
    cases:
    - {when: {column: spare, equals: x}, const: busy}
    - {column: code, table: {"1": failed}, otherwise: empty}
    - {when: {column: spare, equals: y}, cases: [{column: code, table: {"2": busy}}]}
    - {const: failed}
"""
    Path(files[1]).write_text(SMALL.replace("{const: busy}", cases.rstrip()))
    rows = [("1", "7", "x"), ("2", "1", "z"), ("3", "8", "z"), ("4", "2", "y"), ("5", "9", "y")]
    header, first = CONTENT.splitlines()[:2]
    names, cells = header.split(","), first.split(",")
    for call_id, code, spare in rows:
        made = dict(zip(names, cells, strict=True)) | {names[0]: call_id, "code": code, "spare": spare}
        header += "\n" + ",".join(made.values())
    Path(files[0]).write_text(header + "\n")
    tables = json.loads(run("check", files[0], "--format", files[1], "--json").output)["tables"]
    # Not '7', which the first case takes; '1', '2' and '8' reach the second, and '2' and '9' of spare y the third.
    assert tables["outcome.2"]["without_entry"] == {"8": 1, "2": 1, "9": 1}
    assert tables["outcome.3.1"]["without_entry"] == {"9": 1}


def test_the_dry_run_shows_no_number(files: tuple[str, str]) -> None:
    Path(files[0]).write_text(CONTENT + "6,2,13800138000x,1,x\n7,2,1700000000,13800138002,x\n")
    for words in ((), ("--json",)):
        output = run("check", files[0], "--format", files[1], *words).output
        assert '"call_id"' in output
        for n in range(3):
            assert f"1380013800{n}" not in output


def test_the_dry_run_reports_the_order(files: tuple[str, str]) -> None:
    Path(files[0]).write_text(f"id,to,end,code\n1,2,{T},1\n2,2,{T - 60},1\n3,2,{T - 50},1\n4,2,{T + 5},1\n")
    expected = "1 steps back in time; 2 records lie before an earlier row's, the furthest by 60 s; replay sorts them"
    assert f"  order: {expected}" in run("check", files[0], "--format", files[1]).output.splitlines()
    Path(files[1]).write_text("sort: false\n" + TABLE)
    assert "leaves them so, and the oldest will be late" in run("check", files[0], "--format", files[1]).output


def test_the_dry_run_can_read_the_first_rows_only(files: tuple[str, str]) -> None:
    found = json.loads(run("check", files[0], "--format", files[1], "--rows", "2", "--json").output)
    assert (found["rows"], found["records"]) == (2, 1)
    assert found["reasons"][0]["line"] == 3


def test_reasons_that_differ_only_in_values_are_one_kind(files: tuple[str, str]) -> None:
    body = "".join(f"{n},2,{T},{n % 50 + 3},x\n" for n in range(500))
    Path(files[0]).write_text("id,to,end,code,spare\n" + body)
    found = json.loads(run("check", files[0], "--format", files[1], "--json").output)
    assert [(reason["rows"], reason["line"]) for reason in found["reasons"]] == [(500, 2)]
    assert sum(found["tables"]["outcome"]["without_entry"].values()) == 500


def test_rejections_are_shown_first_the_most_frequent_reason_before_others(files: tuple[str, str]) -> None:
    Path(files[0]).write_text(f"id,to,end,code,spare\n1,,{T},200,x\n" + 3 * f"2,3,{T},9,x\n")
    lines = run("check", files[0], "--format", files[1]).output.splitlines()
    assert [line.partition(":")[0].strip() for line in lines[1:4]] == ["not a record", "not a record", "columns read"]
    assert (lines[1].split()[3], lines[2].split()[3]) == ("3", "1")


@pytest.mark.parametrize("how", ["gz", "zst", "stdin"])
def test_compressed_files_and_standard_input_are_read(files: tuple[str, str], how: str) -> None:
    data = CONTENT.encode()
    if how == "gz":
        Path(files[0] + ".gz").write_bytes(gzip.compress(data))
    elif how == "zst":
        # Two frames, as from appending to a compressed file.
        parts = (zstandard.compress(data[:40]), zstandard.compress(data[40:]))
        Path(files[0] + ".zst").write_bytes(b"".join(parts))
    name = "-" if how == "stdin" else f"{files[0]}.{how}"
    result = run("check", name, "--format", files[1], data=data)
    assert "5 rows by" in result.output


def test_constants_are_given_on_the_command_line(files: tuple[str, str]) -> None:
    output = run("check", files[0], "--format", files[1], "--set", "tenant_id=b=c").output
    assert '"tenant_id":"b=c"' in output
    assert run("check", files[0], "--format", files[1], "--set", "tenant_id").exit_code == 2


def test_a_fault_of_the_mapping_ends_with_2(files: tuple[str, str]) -> None:
    Path(files[1]).write_text(TABLE.replace("column: to", "column: too"))
    result = run("check", files[0], "--format", files[1])
    assert result.exit_code == 2
    assert f"{files[1]}:8:20: the file has no column `too`; did you mean `to`?" in result.output


def test_a_file_that_is_missing_ends_with_2(files: tuple[str, str]) -> None:
    result = run("check", files[0] + "x", "--format", files[1])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert f"{files[0]}x: no such file" in result.output


def test_a_damaged_file_is_not_mistaken_for_a_shorter_one(files: tuple[str, str]) -> None:
    cut_off = zstandard.compress(CONTENT.encode())[:-9]
    damaged = ((".gz", gzip.compress(b"x" * 9999)[:-12]), (".gz", b"no gzip"), (".zst", b"no frame"), (".zst", cut_off))
    for suffix, data in damaged:
        Path(files[0] + suffix).write_bytes(data)
        result = run("check", files[0] + suffix, "--format", files[1])
        assert isinstance(result.exception, DamagedFileError), (suffix, data, result.output)
        assert result.output == ""


def test_json_columns_are_found_by_looking(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(SMALL.replace("format: csv", "format: jsonl").replace("column: to", "column: a.b"))
    (tmp_path / "f").write_text(f'{{"id": 1, "a": {{"b": "x", "c": [1]}}, "end": {T}}}\n{{"new": 1}}\n[\n')
    found = json.loads(run("check", str(tmp_path / "f"), "--format", str(tmp_path / "m.yaml"), "--json").output)
    assert found["columns"] == ["id", "a.b", "a.c", "end", "new"]
    assert (found["rows"], found["records"]) == (3, 1)


def test_shipped_adapters_are_listed_and_shown() -> None:
    listed = run("list").output.splitlines()
    assert [line.split()[0] for line in listed] == list(NAMES)
    assert "限" not in run("show", "ftc-dnc").output
    assert "外呼时段拦截" in run("show", "tccc").output
    assert "PHANTOM" in run("show", "bank-calls").output
    result = run("show", "tcc")
    assert result.exit_code == 2
    assert ", ".join(NAMES) in result.output


def test_a_shown_mapping_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(run("show", "tccc").stdout_bytes)
    assert run("check", "-", "--format", str(path), data=b"").exit_code == 0


CALLS = SMALL.replace("{column: to}", "{column: to, number: CN}")


def test_the_dry_run_reports_what_makes_decisions_wrong(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(
        f"tenant,id,to,end\na,1,13800138000,{T}\na,1,13800138001,{T}\na,2,1001,{T}\n,3,13800138000,{T}\n"
    )
    (tmp_path / "own.yaml").write_text(CALLS)
    words = ("check", str(tmp_path / "f"), "--format", str(tmp_path / "own.yaml"))
    lines = run(*words).output.splitlines()
    assert "  without a tenant: 1 rows, which are rejected" in lines
    assert "  one tenant in all records: 'a'; check that its column names the tenant" in lines
    assert (
        "  repeated ids: 1 records have the id of an earlier one, the first at line 3; replay drops them as duplicates"
    ) in lines
    assert "  numbers of callee that are not in E.164: 1 rows, such as '1001'" in lines
    found = json.loads(run(*words, "--json").output)
    assert (found["repeated"]["rows"], found["kept_numbers"]["callee"]["rows"], found["tenants"]["missing"]) == (
        1,
        1,
        1,
    )
    assert "  tenants: 1, by --set or the format" in run(*words, "--set", "tenant_id=b").output.splitlines()


def test_the_dry_run_finds_no_fault_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(f"tenant,id,to,end\na,1,13800138000,{T}\nb,1,13800138001,{T}\n")
    (tmp_path / "own.yaml").write_text(CALLS)
    output = run("check", str(tmp_path / "f"), "--format", str(tmp_path / "own.yaml")).output
    assert "  tenants: 2\n" in output
    for reported in ("repeated", "E.164", "without a tenant", "one tenant"):
        assert reported not in output


def test_the_dry_run_reports_the_results_of_versions(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(f"id,to,end,n\n1,2,{T},1\n1,3,{T},2\n")
    versions = SMALL.replace(
        "record: cdr", "settings: {settle: 5m}\nrecord: cdr\nversion: {column: n}\nsettle: $settle"
    )
    (tmp_path / "acme.yaml").write_text(versions)
    printed = run("check", str(tmp_path / "calls.csv"), "--format", str(tmp_path / "acme.yaml")).output
    assert "versions: a call is held 5m; another version counts in place of 1 rows" in printed
    assert "not a record: 1 rows, first at line 2: superseded: another version of the call counts" in printed
    words = ("check", str(tmp_path / "calls.csv"), "--format", str(tmp_path / "acme.yaml"), "--set", "tenant_id=acme")
    printed = run(*words, "--set", "settle=0s").output
    assert "versions: not held, as `settle` is 0s; the first record of a call counts" in printed
    assert "repeated ids: 1 records have the id of an earlier one" in printed


def test_conversion_writes_records_by_event_time_and_gives_reasons_for_the_others(files: tuple[str, str]) -> None:
    result = run("convert", files[0], "--format", files[1])
    assert result.exit_code == 0
    assert [json.loads(line)["call_id"] for line in result.stdout.splitlines()] == ["1", "5"]
    reported = result.stderr.splitlines()
    assert len(reported) == 3
    assert reported[0].startswith(f"{files[0]}:4: unreadable_time: ")
    assert "138001380" not in result.stderr


def test_converted_records_are_what_replay_reads(files: tuple[str, str]) -> None:
    from schemas import codec

    for line in run("convert", files[0], "--format", files[1]).stdout_bytes.splitlines():
        assert codec.read(line).tenant_id == "acme"


def test_rejected_rows_go_to_a_file_of_their_own(files: tuple[str, str], tmp_path: Path) -> None:
    Path(files[0]).write_bytes(CONTENT.encode() + b"6,\xff\n")
    result = run("convert", files[0], "--format", files[1], "--rejects", str(tmp_path / "rejects"))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "rejects").read_text().splitlines()]
    assert sorted(line["line"] for line in lines) == [3, 4, 5, 7]
    assert {line["file"] for line in lines} == {files[0]}
    assert [line["raw"] for line in lines if line.get("raw_encoding") == "base64"] == ["Niz/"]
    assert (tmp_path / "rejects").stat().st_mode & 0o077 == 0


def test_a_file_that_yields_no_record_ends_with_1(files: tuple[str, str]) -> None:
    Path(files[0]).write_text("id,to,end,code\n1,2,soon,1\n")
    assert run("convert", files[0], "--format", files[1]).exit_code == 1
    Path(files[0]).write_text("id,to,end,code\n")
    assert run("convert", files[0], "--format", files[1]).exit_code == 0
    assert run("convert", files[0] + "x", "--format", files[1]).exit_code == 2


EVENTS = """\
id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user,tenant
101,INVITE,a,b,c1@h,200,OK,2026-03-02 01:30:08,+8675500001111,+8613800138000,acme
102,INVITE,c,d,c2@h,404,Not Found,2026-03-02 01:30:09,+8675500001111,+8613800138001,other
103,INVITE,e,f,c3@h,200,OK,2026-03-02 01:30:10,+8675500001111,+8613800138002,acme
104,BYE,b,a,c1@h,200,OK,2026-03-02 01:30:13,,,
105,ACK,b,a,c1@h,200,OK,2026-03-02 01:30:14,,,
"""


def test_the_dry_run_counts_the_events_and_the_calls_of_them(tmp_path: Path) -> None:
    (tmp_path / "acc.csv").write_text(EVENTS)
    result = run("check", str(tmp_path / "acc.csv"), "--format", "kamailio-acc")
    assert result.exit_code == 0, result.output
    first, *others = result.output.splitlines()
    assert first.endswith("acc.csv: 5 events by kamailio-acc: 2 calls become records, 2 calls and events do not")
    assert "  tenants: 2" in others
    assert any(line.startswith("  not a record: 1 rows, first at line 4: incomplete: ") for line in others)
    assert any(line.startswith("  not a record: 1 rows, first at line 6: excluded: ") for line in others)
    assert "13800138" not in result.output
    found = json.loads(run("check", str(tmp_path / "acc.csv"), "--format", "kamailio-acc", "--json").output)
    assert (found["events"], found["rows"], found["records"]) == (5, 4, 2)
    assert found["tables"]["hangup_by.1"]["never_met"] == ["false"]


def test_calls_are_assembled_when_a_file_is_converted(tmp_path: Path) -> None:
    (tmp_path / "acc.csv").write_text(EVENTS)
    result = run("convert", str(tmp_path / "acc.csv"), "--format", "kamailio-acc")
    assert result.exit_code == 0
    calls = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(call["call_id"], call["tenant_id"], call["outcome"]) for call in calls] == [
        ("c2@h", "other", "invalid_number"),
        ("c1@h", "acme", "answered"),
    ]
    assert sorted(line.split(": ")[1] for line in result.stderr.splitlines()) == ["excluded", "incomplete"]
