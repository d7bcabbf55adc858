"""The pages of previews: start, progress, result in both languages, export, and what is refused."""

import asyncio
import csv
import dataclasses
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_identity import recorded
from helpers.console_pages import HOSTILE, HOSTILE_ID, NUMBER, pages_of
from helpers.english_sentences import english_on
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT
from streams.console.identity.users import Role, User
from streams.console.pages.formats import Formats
from streams.console.pages.policies.preview_export import as_csv
from streams.console.policies import drafts
from streams.console.previews.process import PreviewLimits
from streams.console.previews.result import (
    ChangedTenant,
    ComparedPolicy,
    PreviewResult,
    RecordCounts,
    RejectedLine,
    RuleCount,
    RuleStep,
    ScoreRow,
    SideScore,
    TierCount,
)
from streams.console.previews.runner import PreviewRunner
from streams.console.previews.task import Done, Failed, PreviewTask, Progress, Report

LI = User("local:li", "Li", frozenset({Role.POLICY_OWNER}))
NONE = {"final": None, "pending": None, "shadow": None}
STEP = RuleStep(
    rule_id=HOSTILE_ID,
    channel="final",
    appears=True,
    tier="minor",
    decided_ms=0,
    zh=f"中 {HOSTILE}",
    en=f"en {HOSTILE}",
)
RESULT = PreviewResult(
    before=ComparedPolicy("a", "1", "a" * 64),
    after=ComparedPolicy("b", "1", "b" * 64),
    records=RecordCounts(12_000, 11_000, 900, 60, 40, 120, 0, [("bad_field", 900)]),
    tiers=[TierCount("final", "minor", (3, 9), (4, 11)), TierCount("pending", "admission", (1, 1), (1, 1))],
    changed=[
        ChangedTenant(HOSTILE_ID, NONE, NONE | {"final": "minor"}, [STEP]),
        ChangedTenant("=cmd()", NONE | {"final": "severe"}, NONE, [STEP], 3),
        *(ChangedTenant(f"t{n}", NONE | {"final": "minor"}, NONE | {"final": "major"}, []) for n in range(60)),
    ],
    changed_total=70,
    new_total=1,
    gone_total=1,
    rules=[RuleCount(HOSTILE_ID, (1, 2), (3, 4), (5, 6))],
    scores=[
        ScoreRow("final", "", 4, SideScore(2, 1, 0, 2 / 3, 0.5), SideScore(4, 0, 0, 1.0, 1.0)),
        ScoreRow("shown", "short-calls", 4, None, SideScore(4, 0, 0, 1.0, 1.0)),
    ],
    truth="console",
    truth_tenants=7,
    since_ms=1_795_579_200_000,
    rule_names={"short-calls": Bilingual("4 小时内短呼占比", "Short-call ratio in 4h")},
)


class Launcher:
    """Reports what the test says, then waits for ever; keeps what it was given."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.contents: list[bytes] = []
        self.tasks: list[PreviewTask] = []

    async def __call__(self, task: PreviewTask, limits: PreviewLimits) -> AsyncGenerator[Report, None]:
        self.tasks.append(task)
        if task.file is not None:
            self.contents.append(Path(f"/dev/fd/{task.file}").read_bytes())
        for report in self.reports:
            yield report
        await asyncio.Event().wait()


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
async def console(tmp_path: Path, launcher: Launcher) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as console:
        runner = PreviewRunner(console.settings, console.database, console.clock, console.telemetry, launcher)
        console.context = dataclasses.replace(console.context, previews=runner)
        yield console


@pytest.fixture
async def owner(console: ConsoleHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with pages_of(console, Role.POLICY_OWNER) as client:
        yield client


async def draft(console: ConsoleHarness) -> str:
    made = await console.database.run(
        lambda connection: drafts.create(connection, LI, "id: x", f"stricter {HOSTILE}", console.clock())
    )
    return made.id


async def started(console: ConsoleHarness, owner: httpx.AsyncClient, **fields: str) -> str:
    answer = await owner.post("/policy/previews", data={"draft": await draft(console), **fields})
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"]
    job = console.context.previews._jobs[path.rpartition("/")[2]]  # type: ignore[union-attr]
    await job.run
    return str(path)


def assert_harmless(page: str) -> None:
    assert "<img src=x" not in page
    assert "13812345678" not in page


async def test_a_preview_of_the_topics_is_started_and_its_result_is_shown(
    console: ConsoleHarness, owner: httpx.AsyncClient, launcher: Launcher
) -> None:
    launcher.reports = [Progress("before", 1, 2), Done(RESULT)]
    path = await started(console, owner, source="topics", days="3")
    (task,) = launcher.tasks
    assert (task.policy, task.source, task.since_ms) == (b"id: x", "topics", console.now_ms - 3 * 86_400_000)
    for lang, words in (
        ("en", ("Newly decided", "66.7 %", "100.0 %", "another tier", "Next page", "Short-call ratio in 4h <")),
        ("zh", ("精确率", "新增决定", "4 小时内短呼占比 <")),
    ):
        owner.cookies.set("lang", lang)
        page = (await owner.get(path)).text
        assert_harmless(page)
        for word in words:
            assert word in page, word
        assert "•78" in page
        assert 'href="/tenants/t40"' in page
        assert 'href="/tenants/t50"' not in page
        second = (await owner.get(path, params={"page": 2})).text
        assert 'href="/tenants/t50"' in second
        for address in ("/policy/previews", f"/policy/drafts/{launcher.tasks[0] and await draft(console)}/preview"):
            assert_harmless((await owner.get(address)).text)


async def test_an_uploaded_file_reaches_the_child_and_leaves_no_file(
    console: ConsoleHarness,
    owner: httpx.AsyncClient,
    launcher: Launcher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    launcher.reports = [Failed("memory")]
    for size in (10, 3 << 20):  # in memory, and beyond what is kept there
        body = b"x" * size
        data = {"draft": await draft(console), "source": "file"}
        files = {"file": (f"{NUMBER}.jsonl", io.BytesIO(body))}
        answer = await owner.post("/policy/previews", data=data, files=files, headers={"HX-Request": "true"})
        path = answer.headers["hx-redirect"]
        await console.context.previews._jobs[path.rpartition("/")[2]].run  # type: ignore[union-attr]
        assert launcher.contents.pop() == body
        assert list(tmp_path.glob("tmp*")) == []
        page = (await owner.get(path)).text
        assert "Out of memory" in page
        assert_harmless(page)


async def test_the_format_of_a_file_and_its_settings_reach_the_child(
    console: ConsoleHarness, owner: httpx.AsyncClient, launcher: Launcher
) -> None:
    rejected = RejectedLine(1_007, f"unreadable_time: {HOSTILE}")
    launcher.reports = [Done(replace(RESULT, records=replace(RESULT.records, first_rejected=[rejected])))]
    data = {"draft": await draft(console), "source": "file", "format": "asterisk-csv"}
    data["set"] = "zone = Asia/Tokyo\r\n\r\noutbound_contexts=a=b"
    answer = await owner.post("/policy/previews", data=data, files={"file": ("Master.csv.gz", b"x")})
    await console.context.previews._jobs[answer.headers["location"].rpartition("/")[2]].run  # type: ignore[union-attr]
    (task,) = launcher.tasks
    assert (task.format, task.constants) == ("asterisk-csv", {"zone": "Asia/Tokyo", "outbound_contexts": "a=b"})
    page = (await owner.get(answer.headers["location"])).text
    assert_harmless(page)
    assert "File Master.csv.gz (asterisk-csv)" in page
    assert "1,007" in page
    form = (await owner.get("/policy/previews")).text
    assert [name in form for name in ("<option>asterisk-csv<", "<option>twilio<", "<option>bank-calls<")] == [True] * 3


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"draft": "own", "source": "file", "file": "small", "format": "/etc/passwd"}, "no such format"),
        ({"draft": "own", "source": "file", "file": "small", "set": "zone=UTC"}, "choose another format"),
        (
            {"draft": "own", "source": "file", "file": "small", "format": "twilio", "set": "zone"},
            "one NAME=TEXT a line",
        ),
        (
            {"draft": "own", "source": "file", "file": "small", "format": "twilio", "set": "a=b\n" * 21},
            "at most 20 lines",
        ),
        ({"draft": "no"}, "does not exist"),
        ({"draft": "own", "source": "file"}, "Choose a file"),
        ({"draft": "own", "source": "file", "file": "large"}, "larger than 1 MiB"),
    ],
)
async def test_what_is_refused_is_said_in_the_form_and_on_the_page(
    tmp_path: Path, fields: dict[str, str], says: str, launcher: Launcher
) -> None:
    async with console_at(tmp_path, console_preview_upload=1) as console:
        runner = PreviewRunner(console.settings, console.database, console.clock, console.telemetry, launcher)
        console.context = dataclasses.replace(console.context, previews=runner)
        async with pages_of(console, Role.POLICY_OWNER) as owner:
            own = await draft(console)
            size = {"large": 1 << 21, "small": 10}.get(fields.get("file", ""))
            files = {"file": ("f", b"x" * size)} if size else None
            given = {name: value for name, value in fields.items() if name != "file"}
            data = given | {"draft": own if fields["draft"] == "own" else "no"}
            page = await owner.post("/policy/previews", data=data, files=files)
            assert (page.status_code, says in page.text) == (409, True)
            fragment = await owner.post("/policy/previews", data=data, files=files, headers={"HX-Request": "true"})
            assert (fragment.status_code, says in fragment.text, "<html" in fragment.text) == (200, True, False)
    assert launcher.tasks == []


@pytest.mark.parametrize(
    ("failed", "zh", "en"),
    [
        (Failed("format", "m --set:1:1: has no field `x`", "m --set:1:1: 没有字段 `x`"), "没有字段", "has no field"),
        (Failed("no_records", "7: malformed_row: expected 5 cells, got 4"), "7:</span> 行", "expected 5 cells, got 4"),
        (Failed("kafka", "asking broker: no answer in time"), "无法连接 Kafka", "asking broker: no answer in time"),
    ],
    ids=lambda value: value.why if isinstance(value, Failed) else "",
)
async def test_why_a_preview_failed_is_said_in_the_language_of_the_reader(
    console: ConsoleHarness, owner: httpx.AsyncClient, launcher: Launcher, failed: Failed, zh: str, en: str
) -> None:
    launcher.reports = [failed]
    path = await started(console, owner)
    assert en in (await owner.get(path)).text
    owner.cookies.set("lang", "zh")
    shown = (await owner.get(path)).text
    assert zh in shown
    assert set(english_on(shown)) == {"img src"}, "the title of the draft"


async def test_progress_is_followed_and_cancelled(
    console: ConsoleHarness, owner: httpx.AsyncClient, launcher: Launcher
) -> None:
    launcher.reports = [Failed("time")]
    path = await started(console, owner)
    assert (await owner.get(f"{path}/progress")).headers["hx-refresh"] == "true"
    await owner.post(f"{path}/cancel")
    assert "Out of time" in (await owner.get(path)).text  # it had ended
    launcher.reports = []
    answer = await owner.post("/policy/previews", data={"draft": await draft(console)})
    path = answer.headers["location"]
    fragment = await owner.get(f"{path}/progress")
    assert "hx-refresh" not in fragment.headers
    assert 'hx-trigger="every 1s"' in fragment.text
    assert "<progress" in fragment.text
    again = await owner.post("/policy/previews", data={"draft": await draft(console)})
    assert "You already have a preview" in again.text
    assert (await owner.post(f"{path}/cancel")).headers["location"] == path
    assert "This preview was cancelled" in (await owner.get(path)).text


async def test_a_result_is_exported_and_that_is_recorded(
    console: ConsoleHarness, owner: httpx.AsyncClient, launcher: Launcher
) -> None:
    launcher.reports = [Done(RESULT)]
    path = await started(console, owner)
    answer = await owner.post(f"{path}/export", data={"format": "json"})
    exported = json.loads(answer.content)
    assert (exported["result"]["changed_total"], exported["asked_by"]) == (70, "local:li")
    answer = await owner.post(f"{path}/export", data={"format": "csv"})
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert "attachment" in answer.headers["content-disposition"]
    assert lines[0].startswith("tenant_id,change,final_before,final_after")
    assert "'=cmd(),gone,severe,," in answer.text  # no formula
    assert "t59,other,minor,major,,,,,,,,,," in lines
    assert "13812345678" not in answer.text
    assert [each["details"]["step"] for each in recorded(console.database) if each["action"] == "policy_previewed"] == [
        "started", "exported", "exported",
    ]  # fmt: skip


async def test_an_unknown_preview_is_not_found(owner: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/progress"), ("POST", "/export")):
        assert (await owner.request(method, f"/policy/previews/cwv-no{path}")).status_code == 404


@pytest.mark.parametrize("first", [*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_text_is_a_formula_of_a_spreadsheet(first: str) -> None:
    result = replace(RESULT, changed=[ChangedTenant(f"{first}1+1", NONE, NONE | {"final": "minor"}, [])])
    written = as_csv(result, Formats("en", "UTC", DEFAULT, 0)).decode("utf-8-sig")
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert row[0] == f"'{first}1+1"
