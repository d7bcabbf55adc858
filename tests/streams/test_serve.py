"""A worker process without any broker: it waits with a readable line, and ends in order when it is told to."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_for_its_broker_ends_in_order(told: signal.Signals) -> None:
    command = [sys.executable, "-m", "monitor.cli", "worker", "--bootstrap", "127.0.0.1:1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        first = worker.stderr.readline()
        worker.send_signal(told)
        rest = worker.stderr.read()
    assert "the broker is away; waiting for it" in first
    assert "Traceback" not in rest
    assert worker.returncode == 0
