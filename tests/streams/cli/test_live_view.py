"""The live view: its counts and output with and without a terminal; no record can control the terminal."""

import io
from typing import Any

from rich.console import Console

from schemas.outputs import Enforcement, EnforcementData, Evidence, PolicyRef, Reason
from streams.cli.judge.live_view import LiveView

ACTIVE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \r\u202e"
HOSTILE = f"{ACTIVE} +8613812345678"


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def decision(n: int, tier: Any = "minor", kind: Any = "warning", status: Any = "final", text: str = "") -> Enforcement:
    data = EnforcementData(
        tenant_id=f"t{n}", kind=kind, status=status, behaviour="blind_calling", clause=6, tier=tier, actions=(),
        proposed_actions=(), refunds="unaffected", rule_id="r", policy=PolicyRef("p", "1", ""),
        decided_ms=1_767_225_600_000 + n * 60_000, review_by_ms=None, window=None, measure=None, evidence=Evidence(),
        violations_on_record=1, reverses=None, supersedes=None,
        reason=Reason(f"理由{n}。{text}", f"Reason {n}. {text}"),
    )  # fmt: skip
    return Enforcement(id=str(n), subject=f"t{n}{ACTIVE if text else ''}", time="", data=data)


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=140, height=50, highlight=False), out


def test_a_terminal_shows_progress_tiers_and_the_last_decisions_with_both_reasons() -> None:
    screen, out = console(True)
    clock = Clock()
    with LiveView(screen, 1_000, clock=clock) as view:
        clock.now = 2.0
        view.update(500, 1_767_225_600_000, [decision(n) for n in range(10)] + [decision(10, "severe", "ban")])
        view.update(
            1_000, None, [decision(11, "severe", "reversal"), decision(12, "major", "termination", "pending_review")]
        )
    shown = out.getvalue()
    last = shown[shown.rindex("Callwarden") :]
    assert "1,000 (100 %)" in last
    assert "500/s" in last
    assert "2026-01-01 00:00 UTC" in last
    for counted in (
        "严重违规 Severe 1",
        "较重违规 Major 1",
        "违规 Minor 10",
        "待复核 Pending review 1",
        "撤销 Reversal 1",
    ):
        assert counted in last, counted
    assert "Reason 12." in last
    assert "理由5。" in last
    assert "Reason 4." not in last


def test_a_low_terminal_shows_the_newest_decisions_instead_of_cutting_them_off() -> None:
    out = io.StringIO()
    with LiveView(Console(file=out, force_terminal=True, width=140, height=20)) as view:
        view.update(1, None, [decision(n) for n in range(10)])
    last = out.getvalue()[out.getvalue().rindex("Callwarden") :]
    assert "Reason 9." in last
    assert "Reason 6." not in last
    assert last.count("\n") < 20


def test_without_a_terminal_plain_lines_are_printed_at_a_readable_rate() -> None:
    page, out = console(False)
    clock = Clock()
    with LiveView(page, plain_decisions=3, clock=clock) as view:
        for n in range(100):
            clock.now += 1.0
            view.update(n * 10, 1_767_225_600_000, [decision(n)])
    lines = out.getvalue().splitlines()
    assert "\x1b" not in out.getvalue()
    assert sum("Reason" in line for line in lines) == 3
    assert sum("further decisions" in line for line in lines) == 1
    assert sum("已读 read" in line for line in lines) == 20 + 1
    assert "Minor" not in lines[-1]
    assert "最终 Final 100" in lines[-1]


def test_a_record_can_neither_control_the_terminal_nor_show_a_number() -> None:
    for terminal in (True, False):
        screen, out = console(terminal)
        with LiveView(screen) as view:
            view.update(1, None, [decision(1, text=HOSTILE)])
        shown = out.getvalue()
        for forbidden in ("\x1b[2J", "\x1b]", "\x07", "\u202e", "13812345678", "12345678"):
            assert forbidden not in shown
        assert "\\u001b" in shown
        assert "[bold red]x[/]" in shown


def test_a_failing_replay_leaves_the_terminal_usable() -> None:
    screen, out = console(True)
    try:
        with LiveView(screen) as view:
            view.update(1, None, [])
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
