"""A program that receives a stop signal shuts down in order, or is cut off in time, whatever hangs."""

import json
import signal
import subprocess
import sys
import time

import pytest

from helpers.patience import PATIENCE_S

# A program that works until a stop signal, and then acts as its argument says.
PROGRAM = """
import asyncio, sys, threading, time
from streams.runtime.shutdown import stop_requested
from streams.runtime.logging import set_up_logs

async def main():
    with stop_requested(float(sys.argv[1])) as stopping:
        print("up", flush=True)
        await stopping.wait()
        print("stopping", flush=True)
        exec(sys.argv[2])

async def never():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

set_up_logs("json")
asyncio.run(main())
"""
# A program whose loop has nothing to do, and that receives its signal in a thread.
IDLE = """
import asyncio, signal, sys, threading, time
from streams.runtime.shutdown import stop_requested

def receive():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(1000)

async def main():
    with stop_requested(1000) as stopping:
        threading.Thread(target=receive, daemon=True).start()
        await stopping.wait()

asyncio.run(main())
"""
HANGING = {
    "a task that cannot be cancelled": "asyncio.create_task(never(), name='stubborn')",
    "a thread of the pool": "asyncio.get_running_loop().run_in_executor(None, time.sleep, 1000)",
    "a thread of its own": "threading.Thread(target=time.sleep, args=(1000,), name='asleep').start()",
    "the loop itself": "time.sleep(1000)",
}


def started(within_s: float, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(within_s), then]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """The exit status, and the logged lines."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    return process.returncode, said.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_shutdown_ends_with_0(number: signal.Signals) -> None:
    process = started(1000, "pass")
    process.send_signal(number)
    assert ended(process) == (0, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_another_thread_receives_wakes_an_idle_loop(number: signal.Signals) -> None:
    # The kernel may give a signal to any thread; and right before the loop waits, the main thread does not notice one.
    process = subprocess.Popen([sys.executable, "-c", IDLE, str(int(number))], stderr=subprocess.PIPE, text=True)
    assert ended(process) == (0, [])


@pytest.mark.parametrize("hanging", HANGING)
def test_a_hanging_program_is_cut_off_and_says_where(hanging: str) -> None:
    process = started(1, HANGING[hanging])
    process.send_signal(signal.SIGTERM)
    status, said = ended(process)
    [line] = map(json.loads, said)
    assert (status, line["level"], line["event"]) == (1, "critical", "not ended in time after TERM, cut off")
    if hanging == "a task that cannot be cancelled":
        assert "stubborn" in line["tasks"]
    if hanging == "a thread of its own":
        assert "asleep" in line["threads"]


def test_who_takes_the_log_may_hang_too() -> None:
    process = started(1, "import os; os.set_blocking(2, True); os.write(2, b'x' * 65536); time.sleep(1000)")
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(PATIENCE_S) == 1
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("hanging", HANGING)
def test_a_later_signal_ends_at_once(hanging: str) -> None:
    process = started(1000, HANGING[hanging])
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    while process.poll() is None:  # within the first second they are one request
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert ended(process) == (1, [])


def test_signals_at_once_are_one_request() -> None:
    process = started(1000, "time.sleep(0.3)")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    assert ended(process) == (0, [])
