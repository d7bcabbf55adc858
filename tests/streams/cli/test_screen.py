"""Scrolling output: words stay whole at the terminal's edge, event times are in order or marked, the
status line stays.
"""

import io
import random
import re

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from schemas.outputs import Alert, Reason
from streams.cli.develop.live_status import LiveStatus, live_status, status_of
from streams.cli.develop.screen import EARLIER_NOTE, Screen, wrapped
from streams.cli.event_format import alert

LINE = (
    "11-28 16:24:24  my-tenant  预警·提示 Alert · Info  [out-of-hours-without-consent]  预警：最近 24 小时内，120 次"
    "外呼尝试中 120 次在 08:00 至 21:00（Asia/Shanghai）之外拨出，占比 100%，有 99% 的把握高于 30% / Alert: 120 of 120 "
    "outbound attempts began outside 08:00 to 21:00 (Asia/Shanghai) in the last 24 h: 100 %, surely above 30 %"
)
WORD = re.compile(r"[\w/-]+", re.ASCII)
PAGE = """\
# HELP callwarden_records_total Records read
callwarden_records_total 1.234e+03
callwarden_late_total 3.0
callwarden_watermark_timestamp_seconds{partition="0"} 1.772452860e+09
callwarden_watermark_timestamp_seconds{partition="1"} 1.7724528e+09
callwarden_lag_records{partition="0",topic="cdr"} 2.0
callwarden_lag_records{partition="1",topic="cdr"} 5.0
callwarden_partition{partition="0",phase="running"} 1.0
callwarden_partition{partition="0",phase="opening"} 0.0
callwarden_partition{partition="1",phase="running"} 0.0
callwarden_partition{partition="1",phase="opening"} 1.0
"""


def screen_of(terminal: bool, width: int = 60) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, force_terminal=terminal, width=width, color_system=None, highlight=False)), out


@pytest.mark.parametrize("width", [40, 41, 60, 79, 80, 120, 500])
def test_no_word_is_broken_at_the_edge_of_a_terminal(width: int) -> None:
    parts = [line.plain for line in wrapped(Text(LINE), width)]
    assert [word for part in parts for word in WORD.findall(part)] == WORD.findall(LINE)
    assert "".join(parts).replace(" ", "") == LINE.replace(" ", "")
    for part in parts:
        assert cell_len(part) <= width
        assert not part.startswith(tuple("，。；：、）"))


def test_a_word_that_is_wider_than_the_terminal_is_split_and_complete() -> None:
    name = "x" * 100
    assert [line.plain for line in wrapped(Text(f"a {name} b"), 40)] == ["a", "x" * 40, "x" * 40, "x" * 20 + " b"]


def test_any_text_is_wrapped_without_a_loss() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(300):
        text = "".join(rng.choice("ab  c，。（）“”中文字·é/x") for _ in range(rng.randrange(200)))
        width = rng.randrange(4, 40)
        lines = [line.plain for line in wrapped(Text(text), width)]
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(cell_len(line) <= width for line in lines)


def test_without_a_terminal_a_record_is_one_line() -> None:
    screen, out = screen_of(terminal=False)
    screen.line(Text(LINE))
    assert out.getvalue() == f"{LINE}\n"


def sign(at_ms: int) -> Alert:
    return Alert("a", "t1", "r", "info", "firing", None, at_ms, at_ms, None, Reason("因", "why"))


def test_an_event_time_before_that_of_a_line_above_is_marked_and_the_mark_is_explained_once() -> None:
    screen, out = screen_of(terminal=False)
    for at_ms in (60_000, 120_000, 90_000, 120_000, 60_000):
        earlier = screen.is_earlier(at_ms)
        screen.line(alert(sign(at_ms), earlier=earlier))
    said = out.getvalue().splitlines()
    assert said.count(EARLIER_NOTE) == 1
    assert said.index(EARLIER_NOTE) == 2
    said.remove(EARLIER_NOTE)
    assert [line[9:16] for line in said] == ["01:00  ", "02:00  ", "01:30< ", "02:00  ", "01:00< "]


def test_the_status_has_the_event_time_the_records_the_partitions_and_the_lag() -> None:
    status = status_of(PAGE)
    assert status == LiveStatus(1_772_452_800_000, 1_234, 1, 2, 7, late=3)
    assert str(status) == (
        "状态 Status  已判定至 decided to 03-02 12:00:00 UTC · 已判记录 records judged 1,234 · 迟到 late 3 · "
        "分区 partitions 1/2 · 未读 lag 7"
    )


def test_rejected_records_of_all_topics_and_reasons_are_in_the_status() -> None:
    rejected = ('topic="cdr",reason="missing_field"} 2.0', 'topic="complaints",reason="too_long"} 1000.0')
    page = PAGE + "".join(f"callwarden_rejected_total{{{each}\n" for each in rejected)
    assert status_of(page).rejected == 1_002
    assert " · 迟到 late 3 · 拒收 rejected 1,002 · 分区 " in str(status_of(page))


def test_a_partition_without_a_watermark_leaves_the_event_time_open() -> None:
    page = "\n".join(line for line in PAGE.splitlines() if 'timestamp_seconds{partition="1"}' not in line)
    assert status_of(page).watermark_ms is None
    assert "decided to —" in str(status_of(page))


def test_a_worker_that_does_not_answer_has_no_status() -> None:
    assert live_status("http://127.0.0.1:1") is None


def test_a_terminal_keeps_the_status_below_the_lines_and_removes_it_at_the_end() -> None:
    screen, out = screen_of(terminal=True)
    with screen:
        screen.status("status one")
        screen.line("a line")
    shown = out.getvalue()
    assert shown.rindex("status one") > shown.index("a line")
    assert shown.rindex("\x1b[2K") > shown.rindex("status one")


def test_without_a_terminal_the_status_is_printed_on_change_at_a_readable_rate() -> None:
    out, now = io.StringIO(), [0.0]
    screen = Screen(Console(file=out, width=60), lambda: now[0])
    for said in ("one", "two", "two", "two", "two", "three"):
        screen.status(said)
        now[0] += 20.0
    assert out.getvalue().split() == ["one", "two", "three"]


def test_a_status_of_which_only_the_time_changes_is_printed_every_five_minutes() -> None:
    out, now = io.StringIO(), [0.0]
    screen = Screen(Console(file=out, width=60), lambda: now[0])
    for second in range(700):
        now[0] = float(second)
        screen.status(f"at-{second}", 2 if second >= 650 else 1)
    assert out.getvalue().split() == ["at-0", "at-300", "at-600", "at-650"]
