"""The child process of a preview with its real limits: what it computes, and each way in which it ends."""

import asyncio
import gzip
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.english_sentences import english_in
from helpers.patience import PATIENCE_S
from helpers.thorough import thorough
from monitor.policy.load import loads
from monitor.policy.serialize import canonical, to_plain
from monitor.text.bilingual import Bilingual
from streams.console.previews.process import PreviewLimits, failure_of, launch
from streams.console.previews.task import Done, Failed, PreviewTask, Progress, Report
from streams.settings.load import load

T0 = 1_772_409_600_000
BASE = loads("id: house\nversion: '1'\nextends: none\n", "base")
POLICY = b"""
id: house
version: "2"
extends: none
rules:
- {id: short, behaviour: blind_calling, metric: short_call_ratio, above: 0.5, window: 1h, step: 5m, min_denominator: 10}
"""
LIMITS = PreviewLimits(memory_bytes=1 << 30, time_s=PATIENCE_S, nice=0)


def call(number: int, tenant: str, talk_ms: int) -> bytes:
    start = T0 + number * 60_000
    record = {
        "type": "cdr",
        "call_id": f"{tenant}-{number}",
        "tenant_id": tenant,
        "direction": "outbound",
        "caller": "+8619000000001",
        "callee": f"+86138{number:08}",
        "start_ms": start,
        "answer_ms": start,
        "end_ms": start + talk_ms,
        "outcome": "answered",
    }
    return json.dumps(record).encode()


def review(tenant: str, verdict: str) -> bytes:
    record = {
        "type": "review",
        "review_id": f"r-{tenant}",
        "tenant_id": tenant,
        "enforcement_id": "cwe-1",
        "verdict": verdict,
        "reviewer": "li",
        "reason": "seen",
        "updated_ms": T0,
    }
    return json.dumps(record).encode()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[int]:
    """The records of a tenant of short calls and of one of long ones, compressed, as an open descriptor."""
    lines = [call(n, tenant, talk) for n in range(60) for tenant, talk in (("short", 2_000), ("long", 90_000))]
    path = tmp_path / "records"
    path.write_bytes(gzip.compress(b"\n".join([*lines, review("short", "uphold"), review("long", "overturn")])))
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


def task(file: int, policy: bytes = POLICY) -> PreviewTask:
    base = canonical(to_plain(BASE))
    return PreviewTask(policy, base, BASE.sha256, "file", load({}), T0 + 86_400_000, file=file)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[PreviewTask]:
    """A preview of a file and of a pipe without an end: it reports progress, and does not end of itself."""
    file, pipe = tmp_path / "records", tmp_path / "endless"
    file.write_bytes(call(0, "a", 2_000))
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    yield replace(task(0), source="replay", file=None, paths=(str(file), str(pipe)))
    os.close(held)


async def run(of: PreviewTask, limits: PreviewLimits = LIMITS) -> list[Report]:
    async with aclosing(launch(of, limits)) as reports:
        return [report async for report in reports]


async def test_a_file_is_judged_by_both_policies(records: int) -> None:
    *steps, done = await run(task(records))
    assert next(step.step for step in steps if isinstance(step, Progress)) == "scan"
    assert isinstance(done, Done)
    result = done.result
    assert (result.before.version, result.after.version) == ("1", "2")
    assert result.rule_names["short"] == Bilingual("1 小时内短呼占比", "Short-call ratio in 1h")
    assert (result.records.read, result.records.accepted, result.records.rejected) == (122, 120, 2)
    # The decisions that the reviews name are not among these records' own.
    assert result.records.rejected_by == [("unknown_enforcement", 2)]
    (tenant,) = result.changed
    assert (tenant.tenant_id, tenant.change) == ("short", "new")
    assert tenant.after == {"final": "minor", "pending": None, "shadow": None}
    (step,) = tenant.rules
    assert (step.rule_id, step.channel, step.appears) == ("short", "final", True)
    assert "short" in step.en or "6" in step.en
    assert [(row.rule_id, row.tenants, row.decisions) for row in result.rules] == [("short", (0, 1), (0, 1))]
    assert result.rules[0].alerts[1] >= 1
    overall = result.scores[0]
    assert (result.truth, result.truth_tenants, overall.selection, overall.bad) == ("file", 2, "final", 1)
    assert overall.before is not None
    assert overall.after is not None
    assert (overall.before.recall, overall.after.recall, overall.after.precision) == (0.0, 1.0, 1.0)


async def test_the_files_of_a_replay_are_judged_by_both_policies(tmp_path: Path) -> None:
    paths = tmp_path / "records", tmp_path / "reviews"
    paths[0].write_bytes(b"\n".join(call(n, tenant, 2_000) for n in range(60) for tenant in ("a", "b")))
    paths[1].write_bytes(b"")
    wanted = replace(task(0), source="replay", file=None, paths=tuple(map(str, paths)), upheld={"a": True})
    *steps, done = await run(wanted)
    assert {step.total for step in steps if isinstance(step, Progress) and step.step != "scan"} == {120}
    assert isinstance(done, Done), done
    assert [tenant.tenant_id for tenant in done.result.changed] == ["a", "b"]
    assert (done.result.truth, done.result.truth_tenants) == ("console", 1)
    # Decisions count from a time on: the calls before it only fill the windows.
    *_, later = await run(replace(wanted, since_ms=T0 + 86_400_000))
    assert isinstance(later, Done), later
    assert (later.result.changed, later.result.records.accepted) == ([], 120)
    paths[1].unlink()
    *_, failed = await run(wanted)
    assert isinstance(failed, Failed)
    assert failed.why == "file"


@pytest.mark.parametrize(
    ("policy", "why", "detail"),
    [(b"id: house\nversion: 2\n", "policy", "policy:2:10"), (b"\xff", "policy", "policy:1:1")],
)
async def test_a_faulty_policy_is_named_with_its_place(records: int, policy: bytes, why: str, detail: str) -> None:
    (failed,) = await run(task(records, policy))
    assert isinstance(failed, Failed)
    assert (failed.why, failed.detail[: len(detail)]) == (why, detail)
    assert failed.detail_zh.startswith(detail)
    assert re.search("[\u4e00-\u9fff]", failed.detail_zh)


async def test_a_file_without_records_or_damaged(tmp_path: Path) -> None:
    ends = []
    for content in (b"", b"{}\n" * 5, b"\x1f\x8b damaged"):
        path = tmp_path / "records"
        path.write_bytes(content)
        with path.open("rb") as file:
            *_, failed = await run(task(file.fileno()))
        assert isinstance(failed, Failed)
        ends.append(failed.why)
    assert ends == ["no_records", "no_records", "file"]


def asterisk_row(number: int, tenant: str, *, start: str = "") -> str:
    """A row of Asterisk's Master.csv: an answered call of two seconds."""
    minute = f"2026-03-02 {number // 60:02}:{number % 60:02}"
    cells = (
        *(tenant, "", f"138{number:08}", "out", "", "SIP/1000-1", f"SIP/carrier-{number}", "Dial", ""),
        *(start or f"{minute}:00", f"{minute}:01", f"{minute}:03", "3", "2", "ANSWERED", "DOCUMENTATION"),
        f"{tenant}-{number}.1",
    )
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[int]:
    """Rows of Asterisk's Master.csv, one of them without a time, compressed, as an open descriptor."""
    lines = [asterisk_row(n, "short", start="13812345678" if n == 6 else "") for n in range(60)]
    path = tmp_path / "Master.csv"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


async def test_a_file_of_another_format_is_judged_and_names_the_lines_that_are_rejected(rows: int) -> None:
    of = replace(task(rows), format="asterisk-csv", constants={"zone": "UTC", "outbound_contexts": "out"})
    *_, done = await run(of)
    assert isinstance(done, Done), done
    records = done.result.records
    assert (records.read, records.accepted) == (60, 59)
    (wrong,) = records.first_rejected
    assert (wrong.line, wrong.reason.partition(":")[0]) == (7, "unreadable_time")
    assert "12345678" not in wrong.reason
    assert [(each.tenant_id, each.change) for each in done.result.changed] == [("short", "new")]


@pytest.mark.parametrize(
    ("format_", "constants", "why", "says"),
    thorough(
        [
            ("", {}, "no_records", "1: malformed_json"),
            ("ftc-dnc", {}, "format", "the header"),
            ("asterisk-csv", {"zon": "UTC"}, "format", "has no field `zon`"),
            ("asterisk-csv", {"zone": "Moon"}, "format", "Moon"),
            ("twilio", {}, "no_records", "1: "),
        ],
        2,
    ),
)
async def test_a_format_that_does_not_fit_is_named_with_the_first_lines(
    rows: int, format_: str, constants: dict[str, str], why: str, says: str
) -> None:
    *_, failed = await run(replace(task(rows), format=format_, constants=constants))
    assert isinstance(failed, Failed)
    assert (failed.why, says in failed.detail) == (why, True), failed.detail
    assert len(failed.detail.splitlines()) <= 5
    assert "12345678" not in failed.detail + failed.detail_zh
    # What stands beside a rejected row is its recorded reason, whose code the page words.
    assert english_in(failed.detail_zh) == []
    assert bool(re.search("[\u4e00-\u9fff]", failed.detail_zh)) == (why == "format")


async def test_one_that_needs_more_memory_than_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "records"
    with path.open("wb") as out:
        for n in range(200):
            # Ids of their own, which must be kept: of each call, and of each tenant.
            out.write(b"".join(call(n, f"{'t' * 100}{n}-{m}", 1_000) + b"\n" for m in range(500)))
    with path.open("rb") as file:
        *_, failed = await run(task(file.fileno()), PreviewLimits(256 << 20, PATIENCE_S, 0))
    assert failed == Failed("memory", failed.detail if isinstance(failed, Failed) else "")


@pytest.mark.parametrize("memory", thorough([90 << 20, 150 << 20], 1))
async def test_one_that_cannot_even_begin(records: int, memory: int) -> None:
    (failed,) = await run(task(records), PreviewLimits(memory, PATIENCE_S, 0))
    assert isinstance(failed, Failed)
    assert failed.why == "memory"


async def test_one_that_takes_too_long(records: int) -> None:
    (failed,) = await run(task(records), PreviewLimits(1 << 30, 0.05, 0))
    assert failed == Failed("time")


async def test_cpu_time_is_limited_by_the_system(tmp_path: Path) -> None:
    program = "import sys; from streams.console.previews.child import limit; limit(1 << 30, 1, 0)\nwhile True: pass"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert failure_of(await child.wait()) == Failed("time")


async def test_one_that_is_killed(endless: PreviewTask) -> None:
    reports = launch(endless, LIMITS)
    first = await anext(reports)
    assert isinstance(first, Progress)
    (child,) = _children()
    os.kill(child, signal.SIGKILL)
    rest = [report async for report in reports]
    assert rest[-1] == Failed("killed", "exit status -9")


async def test_one_that_is_closed_leaves_no_process(endless: PreviewTask) -> None:
    reports = launch(endless, LIMITS)
    await anext(reports)
    assert len(_children()) == 1
    await reports.aclose()
    assert _children() == []


async def test_it_ends_with_the_console_that_is_killed(records: int, tmp_path: Path) -> None:
    # A console that starts a preview of a pipe without an end, and is killed.
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)
    program = f"""
import asyncio, os
from streams.console.previews.process import PreviewLimits, launch
from streams.console.previews.task import PreviewTask
from streams.settings.load import load

async def main():
    file = os.open({str(pipe)!r}, os.O_RDWR)
    task = PreviewTask({POLICY!r}, {canonical(to_plain(BASE))!r}, {BASE.sha256!r}, "file", load({{}}), 0, file=file)
    async for report in launch(task, PreviewLimits(1 << 30, 600, 0)):
        print(report, flush=True)

asyncio.run(main())
"""
    console = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    while not (found := _children(console.pid)):
        await asyncio.sleep(0.01)
    (child,) = found
    await asyncio.sleep(0.5)
    console.kill()
    await console.wait()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while _alive(child):
                await asyncio.sleep(0.01)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        raise AssertionError("the child has survived its console") from None


def _children(of: int | None = None) -> list[int]:
    """The processes of previews that this process, or another one, has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == (of or os.getpid()) and b"streams.console.previews.child" in command:
            found.append(int(folder.name))
    return found


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
