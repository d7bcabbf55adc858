"""The month of messages: every decision of a replay is sent or counted, and the figures agree."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.notifications import main, notify_month
from streams.cli.app import build
from streams.consumers.notify.rules.throttle import Throttle


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("month")
    for words in (
        ["simulate", "--tenants", "60", "--days", "4", "--out", str(folder / "traffic")],
        ["replay", str(folder / "traffic" / "records.jsonl"), "--out", str(folder / "judged")],
    ):
        done = CliRunner().invoke(build(words[0]), words)
        assert done.exit_code == 0, done.output
    return folder / "judged"


@pytest.mark.thorough
def test_every_decision_is_reported_or_counted(judged: Path) -> None:
    month = notify_month(judged, Throttle())
    decided = {line.partition(b'"id":"')[2][:36] for line in (judged / "enforcement.jsonl").read_bytes().splitlines()}
    sent = {ref.encode()[:36] for _, message in month.sent for ref in message.refs}
    assert len(decided) > 20
    assert len(decided & sent) + month.silent >= len(decided)
    loud = notify_month(judged, Throttle(quiet_ms=0))
    alerted = {ref.encode()[:36] for _, message in loud.sent for ref in message.refs}
    lapses = sum(b'"kind":"lapse"' in line for line in (judged / "enforcement.jsonl").read_bytes().splitlines())
    assert len(decided - alerted) == lapses, "without a quiet time everything but lapses is sent"
    assert len(month.sent) < len(loud.sent)
    assert month.threads


def test_the_figures_are_printed(judged: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["notifications", str(judged)])
    main()
    assert " threads of alerts, " in capsys.readouterr().out
