"""A worker process without a broker: its pages work, it waits and shuts down in order, and reports once
why it ended.
"""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from helpers.patience import PATIENCE_S
from helpers.warm_commands import script
from streams.dev.kafka_node import free_ports

NUMBER = "+86 138 1234 5678"
# A worker whose topics exist, and whose consumer loop ends as the first argument says.
ENDS = """
import sys
import streams.worker.app, streams.worker.main
from streams.cli.app import main
from streams.kafka.api import PermanentError

how, sys.argv = sys.argv[1], ["callwarden", "worker", *sys.argv[2:]]

class Engine:
    not_ready, notices, stuck_s = ["partition 3: refused: no state"], ["partition 4: waits"], 60.5
    def __init__(self, *setup): pass
    async def run(self): exec(how)
    def stop(self): pass

async def one(*asked): return 1

streams.worker.app.ConsumerLoop = Engine
streams.worker.main.partition_count = streams.worker.main.check_identity = streams.worker.main.check_inputs = one
main()
"""
# The log output of our code and of a library about an error.
LOGS = """
import logging, sys, structlog
from streams.runtime.logging import set_up_logs

set_up_logs(sys.argv[1])
quoted = sys.argv[2]
try:
    try:
        int(quoted)
    except ValueError as error:
        error.add_note(f"noted {quoted}")
        raise KeyError(quoted) from ExceptionGroup("several", [RuntimeError(quoted), error])
except KeyError as error:
    structlog.get_logger("callwarden").error("stopped", exc_info=error)
    logging.getLogger("asyncio").error("never retrieved: %r", error, exc_info=True)
"""
# Whether an allocation of a thread comes from the shared memory arena.
SHARES = """
import sys, threading
import numpy as np
from streams.worker.main import use_one_malloc_arena

if sys.argv[1] == "share":
    use_one_malloc_arena()
given = []
thread = threading.Thread(target=lambda: given.append(np.empty(50_000, np.uint8)))
thread.start()
thread.join()
with open("/proc/self/maps") as maps:
    heap = next(line.split()[0] for line in maps if line.rstrip().endswith("[heap]"))
low, high = (int(end, 16) for end in heap.split("-"))
sys.exit(0 if low <= given[0].ctypes.data < high else 3)
"""


@pytest.fixture(autouse=True)
def salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret salt: without one each worker logs a line more."""
    (tmp_path / "salt").write_text("a secret")
    monkeypatch.setenv("CALLWARDEN_KEY_FILE", str(tmp_path / "salt"))


def run(text: str, *arguments: str) -> tuple[int, str]:
    """The exit status of that script, and its standard error."""
    done = script(text, *arguments)
    return done.returncode, done.stderr.decode()


@pytest.fixture
def port() -> str:
    return str(free_ports(1)[0])


def get(port: str, page: str) -> tuple[int, str]:
    """Status and body of a page, once something answers."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()
        except OSError:
            assert time.monotonic() < until, "nothing answers"
            time.sleep(0.1)


@pytest.mark.parametrize("printed", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_for_its_broker_is_alive_not_ready_and_ends_in_order(
    printed: signal.Signals, port: str
) -> None:
    command = [sys.executable, "-m", "streams.cli", "worker", "--bootstrap", "127.0.0.1:1", "--port", port]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stderr is not None
            first = worker.stderr.readline()
            assert get(port, "/healthz") == (200, "ok\n")
            assert get(port, "/readyz") == (503, "the broker is away\n")
            metrics = get(port, "/metrics")[1]
            assert "callwarden_broker_away 1.0" in metrics
            assert "callwarden_build_info{" in metrics
            assert "process_resident_memory_bytes" in metrics
            worker.send_signal(printed)
            rest = worker.stderr.read()
        except BaseException:
            worker.kill()
            raise
    assert "the broker is away; waiting for it" in first
    assert "Traceback" not in rest
    assert worker.returncode == 0


def test_a_worker_whose_loop_hangs_is_not_healthy_and_one_whose_engine_is_not_ready_says_why(port: str) -> None:
    hangs = ENDS.replace("exec(how)", "import asyncio; await asyncio.Event().wait()")
    program = [sys.executable, "-c", hangs, "", "--port", port]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as worker:
        try:
            while get(port, "/readyz") == (503, "the broker is away\n"):  # until the consumer loop exists
                time.sleep(0.1)
            assert get(port, "/readyz") == (503, "partition 3: refused: no state\npartition 4: waits\n")
            assert get(port, "/healthz") == (503, "the consumer loop has not completed a round for 60 s\n")
        finally:
            worker.kill()


def test_what_the_cluster_does_not_allow_is_one_sentence_and_status_2(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLWARDEN_LOG_FORMAT", "text")
    said = run(ENDS, "raise PermanentError('joining the group: not allowed')", "--port", port)
    assert said == (2, "callwarden worker: joining the group: not allowed\n")


def test_an_unforeseen_end_is_reported_once_as_json_where_that_is_wanted(port: str) -> None:
    status, said = run(ENDS, f"raise ValueError({NUMBER!r})", "--port", port, "--json-logs")
    [line] = [json.loads(line) for line in said.splitlines()]
    assert (status, line["level"], line["event"]) == (1, "critical", "ended by an unexpected error")
    assert line["exception"].endswith("ValueError: (not shown: it may quote a record)")
    status, said = run(ENDS, "raise ValueError", "--port", port)
    assert (status, said.count("Traceback")) == (1, 1)


def test_a_port_that_is_taken_is_reported_with_the_setting_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = run(ENDS, "pass", "--port", port)
    assert (status, len(said.splitlines())) == (2, 1)
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "CALLWARDEN_WEB_PORT" in said


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("quoted", [f"{NUMBER}x", "canary-complainant"])
def test_nothing_that_an_error_quotes_of_a_record_reaches_the_log(form: str, quoted: str) -> None:
    status, said = run(LOGS, form, quoted)
    assert status == 0, said
    if form == "json":
        lines = [json.loads(line) for line in said.splitlines()]
        assert [(line["level"], line.get("logger")) for line in lines] == [("error", None), ("error", "asyncio")]
        said = "\n".join(line[what] for line in lines for what in ("event", "exception"))
    assert quoted not in said
    for name in ("KeyError", "RuntimeError", "ValueError"):
        assert said.count(f"{name}: (not shown: it may quote a record)") == 2
    assert "never retrieved: KeyError" in said


def test_what_an_error_says_of_the_code_or_of_the_broker_is_shown() -> None:
    text = LOGS.replace("import logging", "from streams.kafka.api import PermanentError\nimport logging")
    text = text.replace("RuntimeError(quoted), ", "")
    for a, b in (("int(quoted)", "quoted.method"), ("ValueError", "AttributeError"), ("KeyError", "PermanentError")):
        text = text.replace(a, b)
    status, said = run(text, "text", "as it is")
    assert status == 0, said
    assert said.count("PermanentError: as it is") == 2
    assert said.count("object has no attribute 'method'") == 2


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_log_whose_disk_is_full_or_whose_reader_has_gone_ends_no_program(form: str) -> None:
    read, gone = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full, open(gone, "wb") as nobody:
        for log in (full, nobody):
            program = [sys.executable, "-c", LOGS + "print('went on', flush=True)", form, "quoted"]
            ended = subprocess.run(program, stdout=subprocess.PIPE, stderr=log, timeout=PATIENCE_S, check=False)
            assert ended.stdout == b"went on\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting (M_ARENA_MAX)")
def test_a_thread_has_no_memory_of_its_own_that_it_would_keep() -> None:
    # In processes of their own: a forked one has the arenas of the one that it was forked from.
    shares = [sys.executable, "-c", SHARES]
    assert subprocess.run([*shares, "share"], timeout=PATIENCE_S).returncode == 0
    assert subprocess.run([*shares, "leave"], timeout=PATIENCE_S).returncode == 3, "as it is by default"
