"""A test run must not depend on how it was started, and must not leave processes behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import leftover_processes
import pytest

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s"]
INTERRUPTED = """
import pytest, signal, subprocess, sys

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_command_ends(number):
    # In short sleeps: Python does not see a signal that comes just before a sleep until that ends.
    command = [sys.executable, "-c", "import time; print('up', flush=True)\\nwhile True: time.sleep(0.1)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        try:
            started.stdout.readline()
            started.send_signal(number)
            assert started.wait(600) != 0
        finally:
            started.kill()
"""
LEAVING = """
import subprocess, sys
from pathlib import Path

def test_that_forgets_its_process(tmp_path):
    forgotten = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=tmp_path)
    forgotten.returncode = 0  # or Python itself would warn of it
    (Path(__file__).parent / "started").write_text(str(forgotten.pid))
"""


def run(folder: Path, suite: str, *options: str) -> tuple[int, str]:
    """The exit status and the output of a run of this suite, started with SIGINT ignored as by `nohup ... &`."""
    shared = {name: (Path(__file__).parents[1] / name).read_text() for name in ("conftest.py", "leftover_processes.py")}
    waits = "_GRACE_S = 5.0"
    assert waits in shared["leftover_processes.py"]
    for name, text in shared.items():  # the process that is left behind here stays for any time
        (folder / name).write_text(text.replace(waits, "_GRACE_S = 0.0"))
    (folder / "test_suite.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:schemathesis -p no:anyio\n")
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        done = subprocess.run(
            # In a folder of its own: it would remove those of former runs, which takes minutes on a busy machine.
            [*PYTEST, "--basetemp", str(folder / "temporary"), *options, str(folder)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return done.returncode, done.stdout


def test_a_child_that_is_just_starting_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no environment for a moment: `Popen` returns before."""
    starting = {"0": "S", "1": "Z"}
    for pid, state in starting.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "environ").write_bytes(b"")
        (tmp_path / pid / "cmdline").write_bytes(b"sleep\x00600\x00")
        (tmp_path / pid / "stat").write_text(f"{pid} (a b) c) {state} {os.getpid()} 1 1")

    def started(_: float) -> None:
        (tmp_path / "0" / "environ").write_text(f"{leftover_processes.MARK}={os.environ[leftover_processes.MARK]}\0")

    monkeypatch.setattr(leftover_processes, "_PROC", tmp_path)
    monkeypatch.setattr(leftover_processes.time, "sleep", started)
    assert [found.pid for found in leftover_processes.leftovers(0.0)] == [0]


def test_a_run_in_the_background_can_interrupt_what_it_starts(tmp_path: Path) -> None:
    status, output = run(tmp_path, INTERRUPTED)
    assert status == 0, output


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="it looks at processes through /proc, which macOS lacks"
)
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "side by side"])
def test_a_run_that_leaves_a_process_behind_fails_names_it_and_ends_it(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    status, output = run(tmp_path, LEAVING, *options)
    pid = int((tmp_path / "started").read_text())
    assert status == 1
    assert f"left running by a test: {pid}: " in output
    assert "test_that_forgets_its_proces" in output
    status_file = Path(f"/proc/{pid}/status")
    assert not status_file.exists() or "State:\tZ" in status_file.read_text()  # possibly nothing reaps it here
