"""Starting the processes of a replay: an interrupt is neither lost nor seen by them."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from monitor.replay.parallel_process import without_interrupt


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """The tests may run in the background, where SIGINT is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_an_interrupt_while_a_process_is_started_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), without_interrupt():
        # To this thread: another one, such as a test runner's, does not block it, and would receive it at any time.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def _tell_mask(connection: Connection) -> None:
    connection.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set()))


def test_a_process_that_is_started_does_not_see_interrupts() -> None:
    ours, theirs = multiprocessing.Pipe()
    with without_interrupt():
        process = multiprocessing.get_context("spawn").Process(target=_tell_mask, args=(theirs,))
        process.start()
    theirs.close()
    assert ours.recv()
    process.join()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
