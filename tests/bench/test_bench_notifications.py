"""The month of messages: every decision of a replay is sent or counted, and the figures agree."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.notifications import main, notify_month
from streams.cli.app import build
from streams.consumers.notify.rules.throttle import Throttle


def judged(folder: Path, tenants: int, days: int) -> Path:
    """The decisions on simulated traffic."""
    for words in (
        ["simulate", "--tenants", f"{tenants}", "--days", f"{days}", "--out", str(folder / "traffic")],
        ["replay", str(folder / "traffic" / "records.jsonl"), "--out", str(folder / "judged")],
    ):
        done = CliRunner().invoke(build(words[0]), words)
        assert done.exit_code == 0, done.output
    return folder / "judged"


@pytest.mark.thorough
def test_every_decision_is_reported_or_counted(tmp_path: Path) -> None:
    output = judged(tmp_path, 60, 4)
    month = notify_month(output, Throttle())
    lines = (output / "enforcement.jsonl").read_bytes().splitlines()
    decided = {line.partition(b'"id":"')[2][:36] for line in lines}
    sent = {ref.encode()[:36] for _, message in month.sent for ref in message.refs}
    assert len(decided) > 20
    assert len(decided & sent) + month.silent >= len(decided)
    loud = notify_month(output, Throttle(quiet_ms=0))
    alerted = {ref.encode()[:36] for _, message in loud.sent for ref in message.refs}
    lapses = sum(b'"kind":"lapse"' in line for line in lines)
    assert len(decided - alerted) == lapses, "without a quiet time everything but lapses is sent"
    assert len(month.sent) < len(loud.sent)
    assert month.threads


def test_the_figures_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["notifications", str(judged(tmp_path, 20, 1))])
    main()
    assert " threads of alerts, " in capsys.readouterr().out
