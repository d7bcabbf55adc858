"""Files of several formats are read in one run and lead to the same decisions as their records."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli.app import build

ROW = '"{n}","2026-03-02 09:30:{n:02d}","2026-03-02 09:31:00"\n'
MAPPING = """\
settings: {zone: UTC}
format: csv
header: [id, start, end]
zone: $zone
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: id}
  direction: {const: outbound}
  caller: {const: "+8675586013388"}
  callee: {const: "+8613800138000"}
  start_ms: {column: start, time: iso8601}
  end_ms: {column: end, time: iso8601}
  outcome: {const: busy}
"""
PLIVO = {
    "call_uuid": "p-1",
    "call_direction": "outbound",
    "from_number": "12125550111",
    "to_number": "13125550199",
    "initiation_time": "2026-03-02 01:30:00+00:00",
    "end_time": "2026-03-02 01:30:13+00:00",
    "hangup_cause_code": 3010,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("".join(ROW.format(n=n) for n in range(3)))
    (tmp_path / "own.yaml").write_text(MAPPING)
    (tmp_path / "b.json").write_text(json.dumps(PLIVO))
    (tmp_path / "policy.yaml").write_text('id: house\nversion: "1"\n')
    (tmp_path / "c.jsonl").write_text(
        run("map", "convert", "b.json", "--format", "plivo", "--set", "tenant_id=c").stdout
    )
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(build(words[0]), list(words))


def summary(*words: str) -> dict[str, int]:
    done = run("replay", *words, "--out", "out", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "files",
    [
        ("--format", "own.yaml=a.csv", "--format", "plivo=b.json", "c.jsonl"),
        ("--format", "own.yaml=a.csv", "plivo=b.json", "c.jsonl"),
        ("a.csv", "b.json", "c.jsonl", "--format", "own.yaml=a.csv", "--format", "plivo=b.json"),
    ],
)
def test_each_file_is_read_in_its_own_format(folder: Path, files: tuple[str, ...]) -> None:
    found = summary(*files, "--set", "tenant_id=t")
    assert (found["read"], found["accepted"]) == (5, 5), (folder / "out" / "rejected.jsonl").read_text()


def test_the_other_files_have_the_general_format(folder: Path) -> None:
    found = summary("a.csv", "--format", "own.yaml", "--format", "plivo=b.json", "--set", "tenant_id=t")
    assert (found["read"], found["accepted"]) == (4, 4)


def test_a_constant_goes_to_the_formats_that_know_it(folder: Path) -> None:
    words = ("--format", "own.yaml=a.csv", "--format", "plivo=b.json", "--set", "tenant_id=t")
    assert summary(*words, "--set", "zone=Asia/Shanghai", "--set", "legs=parents")["accepted"] == 4
    done = run("replay", *words, "--set", "zoen=UTC", "--out", "out")
    assert done.exit_code == 2
    assert "--set zoen=UTC: expected a field or a setting of one of the formats own.yaml, plivo" in done.output


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("a.csv", "--format", "own.yaml", "--format", "plivo"), "--format: expected one format for all files"),
        (("--format", "own.yaml=none.csv"), "none.csv: no such file"),
        (("--format", "twilo=b.json"), "did you mean `twilio`"),
        (("c.jsonl", "--set", "tenant_id=t"), "--set: expected only with --format"),
        ((), "no records: expected FILE"),
    ],
)
def test_wrong_formats_are_reported(folder: Path, words: tuple[str, ...], printed: str) -> None:
    done = run("replay", *words, "--out", "out")
    assert done.exit_code == 2, done.output
    assert printed.replace("`twilio`", "") in done.output.replace("`twilio`", "")


def test_backtest_and_preflight_read_files_of_several_formats(folder: Path) -> None:
    words = ("--format", "own.yaml=a.csv", "plivo=b.json", "c.jsonl", "--set", "tenant_id=t", "--json")
    done = run("policy", "preflight", *words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["records"] == 5
    done = run("backtest", *words, "--against", "policy.yaml")
    assert done.exit_code == 0, done.output


ACC = """\
id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user,tenant
{rows}105,INVITE,x,y,open@h,200,OK,2026-03-02 01:40:00,+8675500001111,+8613800138000,acme
"""
INVITE = "{n},INVITE,a,b,c{n}@h,200,OK,2026-03-02 01:3{n}:00,+8675500001111,+861380013800{n},acme\n"
BYE = "1{n},BYE,b,a,c{n}@h,200,OK,2026-03-02 01:4{n}:00,,,\n"


def test_events_decide_as_the_calls_that_are_assembled_of_them(folder: Path) -> None:
    rows = "".join(INVITE.format(n=n) + BYE.format(n=n) for n in range(5))
    (folder / "acc.csv").write_text(ACC.format(rows=rows))
    assert summary("acc.csv", "--format", "kamailio-acc")["accepted"] == 5
    decided = (folder / "out" / "enforcement.jsonl").read_bytes()
    (rejected,) = (folder / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected)["reason"].startswith("incomplete: ")
    assert json.loads(rejected)["line"] == 12
    (folder / "converted.jsonl").write_text(run("map", "convert", "acc.csv", "--format", "kamailio-acc").stdout)
    assert len((folder / "converted.jsonl").read_text().splitlines()) == 5
    assert summary("converted.jsonl")["accepted"] == 5
    assert (folder / "out" / "enforcement.jsonl").read_bytes() == decided
    assert summary("acc.csv", "--format", "kamailio-acc", "--jobs", "2")["accepted"] == 5
    assert (folder / "out" / "enforcement.jsonl").read_bytes() == decided
