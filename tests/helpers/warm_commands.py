"""Runs `callwarden`, or a script, in a separate process that starts quickly: it is forked from one that has imported
everything.

Use it for a command's output and exit status. Tests about the start itself (encodings, signals, imports), and the first
and last command of a tested story, run `callwarden` itself.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from leftover_processes import MARK

from helpers.patience import PATIENCE_S

# Forks one process per request, prints its id, waits for it, and prints its exit status. It ends at the end of its
# input.
_MOTHER = """
import gc, importlib, json, os, random, socket, sys, warnings
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # as `main` does before anything of pydantic's is imported
import aiokafka, alembic.command, fastapi, psycopg, sqlalchemy, uvicorn
import monitor.adapters.shipped, monitor.policy.file.resolve, monitor.replay.files, schemas.codec
import streams.consumers.billing.main, streams.kafka.cluster, streams.runtime.logging
from monitor.policy.load import built_in_document, load
from streams.cli.app import COMMANDS, _module_of, main
for command in COMMANDS:
    importlib.import_module(_module_of(command))
load(None), built_in_document()
gc.collect()
gc.freeze()
link = socket.socket(fileno=int(sys.argv[1]))
while True:
    request, descriptors, _, _ = socket.recv_fds(link, 1 << 20, 3)
    if not request:
        sys.exit()
    pid = os.fork()
    if not pid:
        break
    for descriptor in descriptors:
        os.close(descriptor)
    link.send(b"%d" % pid)
    link.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
link.close()
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, number)
    os.close(descriptor)
command = json.loads(request)
os.environ.clear()
os.environ.update(command["environment"])
os.chdir(command["folder"])
random.seed()
for option in filter(None, os.environ.get("PYTHONWARNINGS", "").split(",")):
    warnings._setoption(option)
sys.argv = ["callwarden", *command["arguments"]]
if command["script"] is None:
    main()
else:
    exec(compile(command["script"], "<script>", "exec"), {"__name__": "__main__"})
"""


class _Mother:
    """The process from which commands are forked, one at a time."""

    def __init__(self) -> None:
        self._link, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_end:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MOTHER, str(its_end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its_end.fileno()],
                # Without the mark of this run, by which its end would search for leftover processes.
                env={name: value for name, value in os.environ.items() if name != MARK},
            )
        atexit.register(self._end)

    def run(self, request: bytes, descriptors: Sequence[int], timeout_s: float) -> int:
        """The exit status. Raises TimeoutError after killing a command that takes too long."""
        self._link.settimeout(PATIENCE_S)
        socket.send_fds(self._link, [request], descriptors)
        pid = int(self._link.recv(64))
        self._link.settimeout(timeout_s)
        try:
            return int(self._link.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._link.settimeout(PATIENCE_S)
            self._link.recv(64)
            raise

    def _end(self) -> None:
        self._link.close()
        self._process.wait(60)


@cache
def _mother() -> _Mother:
    return _Mother()


def callwarden(
    *arguments: str | bytes | Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = PATIENCE_S,
) -> subprocess.CompletedProcess[bytes]:
    """How the command ended, and its output. Its standard input is empty; ``environment`` is its whole environment."""
    return _forked(None, arguments, folder, environment, timeout_s)


def script(text: str, *arguments: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[bytes]:
    """How a script of Python with these arguments ended, and its output."""
    return _forked(text, arguments, None, None, timeout_s)


def _forked(
    script: str | None,
    arguments: Sequence[str | bytes | Path],
    folder: Path | None,
    environment: Mapping[str, str] | None,
    timeout_s: float,
) -> subprocess.CompletedProcess[bytes]:
    command = {
        "script": script,
        "arguments": [os.fsdecode(argument) for argument in arguments],
        "folder": str(folder or Path.cwd()),
        "environment": dict(os.environ if environment is None else environment),
    }
    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        files = [nothing.fileno(), out.fileno(), error.fileno()]
        status = _mother().run(json.dumps(command).encode(), files, timeout_s)
        for file in (out, error):
            file.seek(0)
        return subprocess.CompletedProcess(["callwarden", *arguments], status, out.read(), error.read())
