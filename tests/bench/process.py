"""A process that is measured from outside while it works: its reported lines, CPU time and memory."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import usage
from bench.workload import ROOT
from streams.runtime.child_process import ChildProcess

_POLL_S = 0.02
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Program:
    """The code that a process runs: a checkout, with its interpreter, or with ``runner`` instead."""

    checkout: Path
    runner: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """What runs a module of it: ``runner``, this interpreter, or that of the other checkout's .venv.

        Only `path` is searched: with the current folder before it, another checkout would import modules of this one.
        """
        if self.runner:
            return [*self.runner]
        python = sys.executable if self.checkout == ROOT else str(self.checkout / ".venv" / "bin" / "python")
        return [python, "-P", "-m"]

    @property
    def path(self) -> str:
        """``PYTHONPATH`` of its processes."""
        return os.pathsep.join([str(self.checkout / "tests"), str(self.checkout)])


THIS = Program(ROOT)


class ProcessError(Exception):
    """A process ended early or missed a deadline. The message contains its last output."""


class MeasuredProcess:
    """``python -m MODULE ...`` with its output in ``log``; it ends with the parent, and with the context.

    It reports lines of JSON with an ``event``.
    """

    def __init__(
        self, module: Sequence[str], log: Path, environment: Mapping[str, str], program: Program = THIS
    ) -> None:
        self._log = log
        self.began_s = time.monotonic()
        with log.open("wb") as output:
            self._child = ChildProcess(
                [*program.command, *module], output, {**os.environ, **environment, "PYTHONPATH": program.path}
            )

    def __enter__(self) -> "MeasuredProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def cpu_s(self) -> float:
        """Its CPU time so far, user and system."""
        return usage.cpu_s_of(self._child.pid)

    @property
    def peak_bytes(self) -> int:
        """Its peak memory so far."""
        return usage.peak_bytes_of(self._child.pid)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The reported lines of that event so far."""
        lines = self._log.read_bytes().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
        return [line for line in events if line.get("event") == event]

    def await_event(self, event: str, times: int = 1, within_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Wait until it has reported that event ``times`` times; return the last one."""
        self.wait_until(lambda: len(self.events(event)) >= times, f'"{event}", {times} times', within_s)
        return self.events(event)[-1]

    def wait_until(self, holds: Callable[[], object], what: str, within_s: float = TIMEOUT_S) -> None:
        """Wait until the condition holds. Raises ProcessError when the process ends before, or it takes too long."""
        began_s = time.monotonic()
        while True:
            running = self._child.running
            if holds():
                return
            waited_s = time.monotonic() - began_s
            if not running or waited_s > within_s:
                how = "it still runs" if running else "it has ended"
                tail = self._log.read_text("utf-8", errors="replace")[-2_000:]
                raise ProcessError(f"waited {waited_s:.0f} s for {what}; {how}. End of {self._log}:\n{tail}")
            time.sleep(_POLL_S)

    def stop(self, within_s: float = 60.0) -> int:
        """Send TERM, and wait; return its exit status."""
        return self._child.stop(within_s)
