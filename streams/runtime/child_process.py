"""A process that does not outlive its parent, however the parent ends."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO


class ChildProcess:
    """A running command, in its own session: Ctrl-C in the terminal does not reach it.

    Its standard output and error go to ``output``. ``environment`` is its whole environment; None: that of the parent.
    """

    def __init__(
        self, command: Sequence[str], output: IO[bytes] | int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        # Our end of this pipe closes when this process ends, even by kill -9.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'cat; kill -9 "$0" 2>/dev/null', str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs, paused or not."""
        if self._process.poll() is None:
            return True
        # Another process may get its id now.
        self._disarm()
        return False

    def stop(self, timeout_s: float) -> int:
        """Terminate it, by force after ``timeout_s``; returns its exit status."""
        self.terminate()
        return self.end_within(timeout_s)

    def terminate(self) -> None:
        """Ask it to end, also if it is paused."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def end_within(self, timeout_s: float) -> int:
        """Wait until it ends, and kill it after ``timeout_s``; returns its exit status."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.kill()

    def kill(self) -> int:
        """Kill it if it still runs; returns its exit status."""
        self._disarm()
        self._process.kill()
        return self._process.wait()

    def signal(self, number: int) -> None:
        """Send it the signal if it still runs."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it ends by itself; returns its exit status. Raises `subprocess.TimeoutExpired`."""
        self._process.wait(timeout_s)
        return self.kill()

    def _disarm(self) -> None:
        self._guard.kill()
        self._guard.communicate()
