"""Finds processes that tests started and did not end, by a mark in their environment."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "PYTEST_RUN_ID"  # settings refuse unknown names that begin with CALLWARDEN_
_PROC = Path("/proc")
_GRACE_S = 5.0  # a killed process takes a moment to disappear
_ENDED_S = 60.0  # then something is wrong with the machine
_STARTED_S = 10.0  # `Popen` returns before the kernel has given the new process its environment
_ENDS_WITH_US = b"multiprocessing.resource_tracker"


@dataclass(frozen=True)
class Leftover:
    """A running process, with its command and its folder, which often names the test."""

    pid: int
    command: str
    folder: str

    def __str__(self) -> str:
        return f"{self.pid}: {self.command} (in {self.folder})"


def mark_this_run() -> None:
    """Give this process a mark that its child processes inherit. Does nothing without /proc."""
    os.environ[MARK] = uuid.uuid4().hex


def leftovers(grace_s: float = _GRACE_S) -> list[Leftover]:
    """Processes with this run's mark that still run after ``grace_s``, without this one."""
    until = time.monotonic() + grace_s
    while (found := list(_marked())) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def kill(found: list[Leftover]) -> None:
    """Kill them, and wait until they have ended, which takes a moment on a busy machine."""
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    killed, until = {process.pid for process in found}, time.monotonic() + _ENDED_S
    while killed & {process.pid for process in _marked()} and time.monotonic() < until:
        time.sleep(0.05)


def _marked() -> Iterator[Leftover]:
    wanted = f"{MARK}={os.environ[MARK]}".encode()
    for folder in _PROC.glob("[0-9]*"):
        pid = int(folder.name)
        try:
            marked = pid != os.getpid() and wanted in _environment(folder).split(b"\0")
            command = (folder / "cmdline").read_bytes() if marked else b""
            if command and _ENDS_WITH_US not in command:  # a process without a command has ended
                yield Leftover(pid, command.replace(b"\0", b" ").decode(errors="replace").strip(), _cwd(folder))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def _environment(folder: Path) -> bytes:
    """The environment of a process; waits for it while a child of this process is being started."""
    until = time.monotonic() + _STARTED_S
    while not (found := (folder / "environ").read_bytes()) and _is_child(folder) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _is_child(folder: Path) -> bool:
    """Whether it is a child of this process that has not ended."""
    state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
    return int(parent) == os.getpid() and state != b"Z"


def _cwd(folder: Path) -> str:
    try:
        return os.readlink(folder / "cwd")
    except OSError:
        return "?"
