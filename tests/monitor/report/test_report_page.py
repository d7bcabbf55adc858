"""The page without a browser: its content, no effect of any record, no visible number, its size."""

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import report_samples as samples
from typer.testing import CliRunner

from monitor import report
from monitor.policy.load import to_plain
from monitor.report.page import BUDGETS, make
from monitor.report.read import NotAReplayError, reason_code
from monitor.text.masking import mask_text
from schemas.outputs import Evidence, JudgedWindow, Reason, Rejected
from streams.cli.app import build

OURS = set(
    re.findall(r"<([a-z0-9]+)", (Path(report.__file__).parent / "templates" / "page.html.j2").read_text("utf-8"))
)
OURS |= set(
    re.findall(r"<([a-z0-9]+)", (Path(report.__file__).parent / "templates" / "rows.html.j2").read_text("utf-8"))
)
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """The page as a browser's parser sees it: elements with attributes, text by element, balance."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(samples.lifelike(tmp_path_factory.mktemp("life")), tmp_path_factory.mktemp("out") / "r.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(samples.hostile(tmp_path_factory.mktemp("hostile")), tmp_path_factory.mktemp("out") / "r.html")


def parsed(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def archived(page: Page, part: str) -> list[Any]:
    """The entries of the archive in the page."""
    packed = json.loads(page.scripts[1])[part]
    entries: list[Any] = json.loads(zlib.decompress(base64.b64decode(packed))) if packed else []
    return entries


def test_every_section_and_count_is_on_the_page(life: Path) -> None:
    page = parsed(life)
    ids = {attrs.get("id") for _, attrs in page.elements}
    assert {"summary", "tenants", "pending", "decisions", "charts", "alerts", "shadow", "rejected", "late"} <= ids
    for reported in (
        "48,241 读入 read = 48,211 接受 accepted + 4 拒收 rejected + 17 重复 duplicates + 9 迟到 late",
        "200 of 1,031 answered calls in 24 h lasted at most 6 s",
        "过去 24 小时 1,031 个接通中有 200 个通话不超过 6 秒",
        "Complaint complaint-77 (fraud) was verified",
        "较重违规",
        "保留追究法律责任的权利",
        "6 天 13 小时 6 d 13 h",
        "not_json 2",
        "future_event 事件时间过于超前 event time is too far ahead 1",
        "14 tenants and 6,664 windows were judged; 14 tenants are drawn",
        "alert records (alerts.jsonl)",  # an alert has several
        "仍在预警 Alerts still firing",
    ):
        assert reported in page.text, reported


def test_each_text_stands_in_both_languages(life: Path) -> None:
    page = parsed(life)
    classes = [str(attrs.get("class") or "").split() for _, attrs in page.elements]
    assert sum("zh" in c for c in classes) == sum("en" in c for c in classes) > 200


@pytest.mark.parametrize("name", ["life", "hostile"])
def test_the_page_needs_no_network_and_only_its_own_scripts_may_run(name: str, request: pytest.FixtureRequest) -> None:
    page = parsed(request.getfixturevalue(name))
    assert page.unbalanced == []
    assert page.open == []
    for tag, attrs in page.elements:
        assert not [a for a in attrs if a.startswith("on")], (tag, attrs)
        assert tag not in ("iframe", "object", "embed", "base", "img")
        for link in ("src", "href", "srcset", "action"):
            assert str(attrs.get(link, "#")).startswith(("#", "data:,")), (tag, attrs)
    data, rest, plotly, own = page.scripts
    assert json.loads(data)["rules"]
    assert json.loads(rest)["codes"]["tier"]["severe"] == ["严重违规", "Severe"]
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    allowed = re.findall(r"'sha256-([^']+)'", str(policy))
    assert allowed == [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in (plotly, own)]
    assert "default-src 'none'" in str(policy)


@pytest.mark.parametrize("name", ["life", "hostile"])
def test_no_number_and_no_party_is_in_the_file_in_clear(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    page = parsed(path)
    attributes = [
        str(v) for _, attrs in page.elements for k, v in attrs.items() if k not in ("content", "style", "title", "d")
    ]
    for text in (*page.texts, *attributes):
        if not re.fullmatch(r"(cwe-)?[0-9a-f]{24,64}|sha256 [0-9a-f]{12}", text.strip()):
            assert mask_text(text) == text
    everything = path.read_text(encoding="utf-8")
    for secret in ("13812345678", "8613900005678", "75583765566", "12345678", "95588", "alice-the-pseudonym"):
        assert secret not in everything.replace(page.scripts[2], ""), secret


@pytest.mark.parametrize(
    "payload",
    [
        "</script><script>window.hacked=1</script>",
        '"><svg onload=x>',
        "{{ 7*7 }}{% for %}",
        "\u2028\u202e\x00\x1b[0m",
        "]]>-->",
    ],
)
def test_hostile_text_is_shown_and_does_nothing(payload: str, tmp_path: Path) -> None:
    page = parsed(make(samples.hostile(tmp_path, payload * 3), tmp_path / "r.html"))
    assert len(page.scripts) == 4
    assert {tag for tag, _ in page.elements} <= OURS
    visible = payload.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e").replace("\x00", "\\u0000")
    assert visible.replace("\x1b", "\\u001b") in page.text
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]",
        (tmp_path / "r.html").read_text("utf-8").replace(page.scripts[2], ""),
    )


def test_tenants_whose_masked_names_are_alike_stay_apart(tmp_path: Path) -> None:
    events = [samples.decision(n, f"+86138123400{n}78", "minor", samples.START) for n in range(3)]
    page = parsed(make(samples.write(tmp_path, events), tmp_path / "r.html"))
    shown = {attrs["data-tenant"] for tag, attrs in page.elements if tag == "tr" and "data-tenant" in attrs}
    assert shown == {f"+••••••••••••78 #{n}" for n in (1, 2, 3)}


def test_the_same_directory_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    first = make(samples.lifelike(tmp_path / "a"), tmp_path / "a.html").read_bytes()
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "b")
    assert make(tmp_path / "elsewhere" / "b", tmp_path / "deep" / "b.html").read_bytes() == first
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["b.html"]


@pytest.mark.thorough
def test_a_page_of_a_huge_replay_stays_small_and_says_what_it_left_out(tmp_path: Path) -> None:
    text = "<&\"'>" * 819
    reason = Reason(zh="违" * 4096, en=text)
    names = tuple(f"{text[:110]}{n}" for n in range(20))
    first = (
        samples.decision(0, "t", "minor", samples.START).id,
        samples.decision(2_499, "t", "minor", samples.START).id,
    )
    evidence = Evidence(call_ids=names, complaint_ids=names, finding_ids=names, enforcement_ids=first)
    events = [
        samples.decision(n, f"{text[:100]}{n % 700}", "severe", samples.START + n * 1000, reason=reason,
                         evidence=evidence, status="pending_review" if n % 3 else "final")
        for n in range(2_500)
    ]  # fmt: skip
    alerts = [
        samples.alert(f"{text[:100]}{n % 900}", text[:128], samples.START + n, None, None, reason) for n in range(2_500)
    ]
    late = [samples.call(f"{n}{text[:99]}", text[:128], samples.START) for n in range(2_000)]
    rejected = [Rejected(text, n, f"{text}{n}", text * 3) for n in range(2_000)]
    windows = [
        JudgedWindow(f"{text[:100]}{n}", rule["id"], rule["metric"], samples.DAY, samples.START + h * samples.HOUR,
                     10_000_000 + h, 99_999_999, (10_000_000 + h) / 99_999_999)
        for h in range(60) for n in range(100) for rule in samples.RULES
    ]  # fmt: skip
    samples.write(tmp_path, events, alerts, list(events), late, rejected, windows)
    made = make(tmp_path, tmp_path / "r.html")
    page = parsed(made)
    assert made.stat().st_size < 10_000_000
    assert page.unbalanced == []
    reported = re.findall(
        r"The page has ([\d,]+) of them; ([\d,]+) are left out to keep it small\. All of them are in (\S+)", page.text
    )
    rows = [attrs for tag, attrs in page.elements if tag == "tr" and "data-kind" in attrs]
    shown = sum("id" in attrs for attrs in rows)
    assert shown > 15
    found = shown + len(archived(page, "decisions"))
    assert found == 2_500
    assert "alerts.jsonl" in {file for _, _, file in reported}
    targets = {str(attrs["href"])[1:] for tag, attrs in page.elements if tag == "a"}
    assert targets <= {attrs.get("id") for _, attrs in page.elements}
    assert any(target.startswith("d") for target in targets)


def test_what_has_no_room_as_a_row_is_in_the_archive(tmp_path: Path) -> None:
    events = [samples.decision(n, f"tenant-{n:04}", "minor", samples.START + n * 1000) for n in range(2_000)]
    page = parsed(make(samples.write(tmp_path, events), tmp_path / "r.html"))
    rows = [attrs for tag, attrs in page.elements if tag == "tr" and "data-kind" in attrs]
    rest = archived(page, "decisions")
    assert len(rows) + len(rest) == 2_000
    assert rest[-1][2:5] == ["tenant-0000", "minor", "warning"]
    assert "left out" not in page.text
    listed = [attrs for tag, attrs in page.elements if tag == "tr" and "data-standing" in attrs]
    assert len(listed) + len(archived(page, "tenants")) == 2_000


def test_the_page_says_what_its_archive_has_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUDGETS, "decisions", 100_000)
    monkeypatch.setitem(BUDGETS, "archive", 10_000)
    events = [samples.decision(n, f"tenant-{n:04}", "minor", samples.START + n * 1000) for n in range(2_000)]
    page = parsed(make(samples.write(tmp_path, events), tmp_path / "r.html"))
    rows = [attrs for tag, attrs in page.elements if tag == "tr" and "data-kind" in attrs]
    found = len(rows) + len(archived(page, "decisions"))
    assert len(rows) + 100 < found < 1_900
    assert len(json.loads(page.scripts[1])["decisions"]) <= 7_500
    assert f"The page has {found:,} of them; {2_000 - found:,} are left out" in page.text


def test_a_header_cell_has_a_text(life: Path) -> None:
    html = life.read_text("utf-8").split("<script")[0]
    assert re.findall(r"<th[^>]*>\s*</th>", html) == []


def test_the_times_of_a_row_are_in_one_zone(tmp_path: Path) -> None:
    reason = Reason(zh="截至 2026-01-01 00:00 UTC 的 24 小时内，过高", en="in the 24 h to 2026-01-01 00:00 UTC, high")
    events = [samples.decision(0, "t", "minor", samples.START, reason=reason)]
    samples.write(tmp_path, events)
    (tmp_path / "policy.json").write_bytes(
        msgspec.json.encode(to_plain(samples.policy(defaults={"timezone": "Asia/Shanghai"})))
    )
    text = parsed(make(tmp_path, tmp_path / "r.html")).text
    assert "2026-01-01 08:00:00" in text
    assert "in the 24 h to 2026-01-01 08:00, high" in text
    assert "截至 2026-01-01 08:00 的" in text
    assert "2026-01-01 00:00 UTC" not in text


def test_a_reversed_decision_does_not_look_active(life: Path) -> None:
    page = parsed(life)
    rows = {
        (a["data-tenant"], a["data-kind"]): "data-undone" in a
        for tag, a in page.elements
        if tag == "tr" and "data-kind" in a
    }
    assert rows["harasser", "termination"]
    assert not rows["harasser", "reversal"]
    assert not rows["fraud-slow", "ban"]
    assert "已撤销 Reversed" in page.text


def test_a_bare_directory_gives_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "enforcement.jsonl").touch()
    page = parsed(make(tmp_path, tmp_path / "r.html"))
    for reported in ("Nothing was decided", "There is no windows.jsonl", "Nothing was rejected", "None was late"):
        assert reported in page.text


def test_a_folder_that_is_not_a_replay_is_refused_with_the_position(tmp_path: Path) -> None:
    with pytest.raises(NotAReplayError, match="holds no enforcement"):
        make(tmp_path, tmp_path / "r.html")
    samples.lifelike(tmp_path / "x", windows=False)
    with (tmp_path / "x" / "alerts.jsonl").open("ab") as file:
        file.write(b'{"type":"alert"\n')
    with pytest.raises(NotAReplayError, match=r"alerts\.jsonl:14: "):
        make(tmp_path / "x", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_the_command_writes_beside_the_replay_and_refuses_with_2(tmp_path: Path) -> None:
    samples.lifelike(tmp_path, windows=False)
    done = CliRunner().invoke(build("report"), ["report", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report.html").is_file()
    assert CliRunner().invoke(build("report"), ["report", str(tmp_path / "none")]).exit_code == 2


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("future_event", "future_event"),
        ("not_json: line is truncated", "not_json"),
        ("field `end_ms`: expected int, got 7", "field"),
        ("Expected `int`, got `str` - at 17", "Expected …, got … - at …"),
        ("Ungültig 1", "Ungültig …"),
    ],
)
def test_lines_with_one_fault_fall_into_one_group(reason: str, code: str) -> None:
    assert reason_code(reason) == code
