"""The pool's handle of one of its processes: starts it, and ends it."""

import multiprocessing.context
import pickle
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from monitor.replay.parallel_sources import JobSource
from monitor.replay.parallel_worker import work


class WorkerError(RuntimeError):
    """A process of the pool failed. The message is its traceback, or that it ended early."""


@contextmanager
def without_interrupt() -> Iterator[None]:
    """Start child processes that Ctrl-C does not reach. A terminal sends it to all processes; this one ends its
    children.

    Children inherit the blocked signal. It is not ignored here, because a Ctrl-C in the meantime would be lost.
    """
    resource_tracker.ensure_running()  # otherwise the first start does that, and unblocks the signal
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class Process:
    """A process of the pool."""

    def __init__(
        self, context: multiprocessing.context.SpawnContext, number: int, sources: Sequence[JobSource]
    ) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, number, sources), daemon=True)
        with without_interrupt():
            self._process.start()
        theirs.close()

    def send(self, content: Any) -> None:
        """Send the settings, or an answer for which the process waits. So neither side blocks until the other reads."""
        try:
            self.connection.send_bytes(pickle.dumps(content, protocol=5))
        except (BrokenPipeError, ConnectionResetError):
            raise ended() from None

    def receive(self) -> tuple[str, Any]:
        """The next message: its type and content."""
        try:
            what, content = pickle.loads(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            raise ended() from None
        return what, content

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
        self.connection.close()


def ended() -> WorkerError:
    """The error that a process has ended early."""
    return WorkerError("a process of the replay ended before its work was done")
