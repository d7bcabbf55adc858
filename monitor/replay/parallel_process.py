"""A process of the pool, as the pool has it: started, told, ended."""

import multiprocessing.context
import pickle
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monitor.replay.parallel_worker import work


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """What is started in it leaves Ctrl-C, which a terminal sends to all, to us, who end it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class Process:
    """A process of the pool. A thread sends, so that neither side ever waits for the other to read."""

    def __init__(self, context: multiprocessing.context.SpawnContext, settings: tuple[Any, ...]) -> None:
        self.connection, theirs = context.Pipe()
        # The settings go as a message: as arguments, more than a pipe holds, they would be waited for in vain where
        # the process ends before it has read them.
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        with _without_interrupt():
            self._process.start()
        theirs.close()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outbox.put(pickle.dumps(settings, protocol=5))
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()
        self.pieces = 0  # that it has not decoded yet

    def send(self, what: str, *arguments: Any) -> None:
        """Put a message into its queue."""
        self._outbox.put(pickle.dumps((what, arguments), protocol=5))

    def close(self) -> None:
        """End the process."""
        self._outbox.put(None)
        self._process.terminate()
        self._process.join()
        self._sender.join()  # what it still wanted to send finds nobody there
        self.connection.close()

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self.connection.send_bytes(message)
            except (BrokenPipeError, OSError):
                return  # it ended; whoever reads from it will see that
