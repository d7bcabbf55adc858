"""`callwarden bridge` refuses what is not right before it does anything, each with what would be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], "Missing option '--source-topic'"),
        (["--source-topic", "t", "--format", "freeswitch-jsn"], "freeswitch-json"),
        (["--source-topic", "t", "--format", "bank-calls"], "--format bank-calls: it reads files only"),
        (["--source-topic", "t", "--format", "tccc", "--start-at", "middle"], "'middle' is not one of"),
        (["--source-topic", "callwarden.cdr", "--format", "tccc"], "it is one of Callwarden's own topics"),
        (["--source-topic", "t", "--format", "tccc", "--port", "0"], "--port: `0` is not allowed"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(tmp_path: Path, options: list[str], wanted: str) -> None:
    command = [Path(sys.executable).parent / "callwarden", "bridge", *options]
    mine = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, cwd=tmp_path, env=mine, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert wanted in done.stderr
    assert list(tmp_path.iterdir()) == []
