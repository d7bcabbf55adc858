"""TERM ends `callwarden` when it is the first process of a container, which has no default action for it."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.patience import PATIENCE_S

NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
WAITING = "mkfifo {fifo}; {environment} exec {python} -m streams.cli replay {fifo} --out {out}"


@pytest.mark.parametrize("loading", [False, True], ids=["running", "loading its modules"])
def test_term_ends_a_command_that_is_the_first_process(tmp_path: Path, loading: bool) -> None:
    """Such as `replay` in a container, or a service that has just started."""
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare, and the right to make a namespace of processes")
    fifo = tmp_path / "calls.jsonl"
    environment = ""
    if loading:  # its first large import takes as long as nobody writes to the pipe
        (tmp_path / "typer.py").write_text(f"open({str(fifo)!r}).read()", "utf-8")
        environment = f"PYTHONPATH={tmp_path}:$PYTHONPATH"
    script = WAITING.format(fifo=fifo, python=sys.executable, environment=environment, out=tmp_path / "out")
    with subprocess.Popen([*NAMESPACE, "sh", "-c", script], stderr=subprocess.PIPE, text=True) as running:
        try:
            while not fifo.exists() and running.poll() is None:
                time.sleep(0.05)
            with fifo.open("w"):  # opens when the command reads: it runs, or loads
                subprocess.run(["pkill", "-TERM", "-P", str(running.pid)], check=True)
                assert running.wait(PATIENCE_S) == 143
        finally:
            running.kill()
        assert running.stderr is not None
        assert running.stderr.read() == ""
