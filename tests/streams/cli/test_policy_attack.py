"""`callwarden policy attack`: its exit status, and the table of the built-in policy in the documents."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.patience import PATIENCE_S
from streams.cli.app import build

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs" / "reference" / "policy.md", ROOT / "docs" / "zh" / "policy.md"]
RULE = "- {{id: calls, behaviour: blind_calling, metric: attempts, above: {}, window: 24h, step: 1h, mode: {}}}\n"


@pytest.mark.parametrize(
    ("above", "mode", "status", "printed"),
    [
        (0, "enforce", 1, "wronged: 26 of 26 honest tenants"),
        (0, "shadow", 0, "decided: 0 of 34 dishonest tenants; 0 are not even"),
        (10_000_000, "shadow", 1, "34 are not even in the shadow output"),
    ],
)
def test_the_exit_status_says_whether_someone_is_wronged_or_unseen(
    above: int, mode: str, status: int, printed: str, tmp_path: Path
) -> None:
    file = tmp_path / "tried.yaml"
    file.write_text(f'id: tried\nversion: "1"\nextends: none\nrules:\n{RULE.format(above, mode)}', "utf-8")
    done = CliRunner().invoke(
        build("policy"), ["policy", "attack", "--policy", str(file), "--seeds", "1", "--days", "2"]
    )
    assert done.exit_code == status, done.output
    assert printed in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_stopped_leaves_no_calls_behind(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "streams.cli", "policy", "attack", "--seeds", "10000"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            while not any(tmp_path.glob("*/*")) and running.poll() is None:
                time.sleep(0.01)
            running.send_signal(number)
            assert running.wait(PATIENCE_S) == 128 + number
        finally:
            running.kill()
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_the_table_in_the_documents_is_what_the_command_prints() -> None:
    done = CliRunner().invoke(build("policy"), ["policy", "attack"])
    for page in PAGES:
        shown = re.search(r"--no-optional.*?^```text\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        assert shown, page
        assert shown[1] == done.stdout, f"{page.name}: put the output of `callwarden policy attack` here"
