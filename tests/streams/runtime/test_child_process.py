"""Child processes: none is left behind, and each gets the time to shut down in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from helpers.patience import PATIENCE_S
from streams.runtime.child_process import ChildProcess

TERMED = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nprint('up', flush=True)\n"


def child(script: str, output: Path) -> ChildProcess:
    with output.open("wb") as out:
        return ChildProcess([sys.executable, "-c", script], out)


def until(true: object, what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():  # type: ignore[operator]
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Some process has to reap it; a zombie no longer runs.
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_stop_lets_it_end_in_good_order_even_when_it_was_paused(tmp_path: Path) -> None:
    # Short sleeps: a signal just before a sleep does not interrupt it.
    one = child(TERMED + "while True: time.sleep(0.05)", tmp_path / "out")
    until((tmp_path / "out").read_text, "it does not come up")
    one.signal(signal.SIGSTOP)
    assert one.running
    assert one.stop(PATIENCE_S) == 7
    assert not one.running
    assert one.stop(PATIENCE_S) == 7, "a second time is no fault"


def test_one_that_will_not_stop_is_ended_by_force(tmp_path: Path) -> None:
    script = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
    one = child(script + "time.sleep(600)", tmp_path / "out")
    until((tmp_path / "out").read_text, "it does not come up")
    assert one.stop(0.1) == -signal.SIGKILL


def test_its_end_by_itself_is_reported(tmp_path: Path) -> None:
    one = child("print('said'); raise SystemExit(3)", tmp_path / "out")
    assert one.wait(PATIENCE_S) == 3
    assert one.kill() == 3
    assert (tmp_path / "out").read_text() == "said\n"


def test_none_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom streams.runtime.child_process import ChildProcess\n"
        "one = ChildProcess([sys.executable, '-c', 'import time; time.sleep(600)'], 2)\n"
        "print(one.pid, flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    until(lambda: gone(pid), "it outlives its parent")
