"""The pool's handle of one of its processes: starts it, sends messages, ends it."""

import multiprocessing.context
import pickle
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from monitor.replay.parallel_worker import work


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
    """A process of the pool. A thread sends messages, so that neither side blocks until the other reads."""

    def __init__(self, context: multiprocessing.context.SpawnContext, settings: tuple[Any, ...]) -> None:
        self.connection, theirs = context.Pipe()
        # Send the settings as a message. As arguments larger than a pipe buffer, they would block forever if the
        # process ended before it read them.
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        with without_interrupt():
            self._process.start()
        theirs.close()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outbox.put(pickle.dumps(settings, protocol=5))
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()
        self.pieces = 0  # pieces that it has not decoded yet
        self.outputs = 0  # answers with output that have not come yet

    def send(self, what: str, *arguments: Any) -> None:
        """Queue a message for the process."""
        self._outbox.put(pickle.dumps((what, arguments), protocol=5))

    def ask_output(self, what: str, *arguments: Any) -> None:
        """Queue a message that the process answers with output."""
        self.outputs += 1
        self.send(what, *arguments)

    def close(self) -> None:
        """End the process."""
        self._outbox.put(None)
        self._process.terminate()
        self._process.join()
        self._sender.join()  # remaining messages fail, because the process has ended
        self.connection.close()

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self.connection.send_bytes(message)
            except (BrokenPipeError, OSError):
                return  # the process ended; the reader will detect that
