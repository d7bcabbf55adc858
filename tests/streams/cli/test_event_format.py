"""Scrolling lines: the important parts in one line, without effect on the terminal and without a number."""

from schemas.outputs import Alert, Reason
from streams.cli.event_format import alert


def sign(tenant: str, state: str, zh: str, en: str) -> Alert:
    return Alert("a", tenant, "short-calls", "critical", state, None, 0, 1_767_225_600_999, None, Reason(zh, en))  # type: ignore[arg-type]


def test_a_line_ends_where_the_clause_would_begin() -> None:
    line = alert(sign("acme", "firing", "占比 50%；接入规范第 6 条：盲呼", "50 %; clause 6: blind calling"))
    assert line.plain == "01-01 00:00:00  acme  预警·严重 Alert · Critical  [short-calls]  占比 50% / 50 %"


def test_no_record_can_break_the_line_control_the_terminal_or_show_a_number() -> None:
    hostile = "\x1b[2J\r\n\u202e+8613812345678[bold]"
    for tenant in ("\x1b[2J\r\n\u202e1400000000[bold]", "+8613812345678"):
        line = alert(sign(tenant, "resolved", hostile, hostile)).plain
        assert not set(line) & set("\x1b\r\n\u202e")
        assert "1381234" not in line
        assert ("1400000000[bold]" in line) is ("1400000000" in tenant), "an id is shown as it is"
    assert "预警解除 Alert resolved" in line
