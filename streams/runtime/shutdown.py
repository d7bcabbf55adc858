"""Stops a long-running program in order, but within a time limit, whatever hangs."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog

log = structlog.get_logger("callwarden")

CUT_OFF = 1
"""The exit status of a program that did not stop in order."""
_SAY_S = 1.0
_ONE_REQUEST_S = 1.0


@contextmanager
def stop_requested(within_s: float) -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set. The process ends within ``within_s`` then, or at once at a later signal.

    Signals within a second are one request: a supervisor may signal a process and its group. A cut-off leaves stored
    data as consistent as after a kill. The limit also covers what follows the block: closing
    files and databases, and waiting for threads.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    begun_s: float | None = None

    def on_signal(*_: object) -> None:
        nonlocal begun_s
        now_s = time.monotonic()
        if begun_s is not None:
            if now_s - begun_s >= _ONE_REQUEST_S:
                os._exit(CUT_OFF)  # without logging: the interrupted code may hold the log's lock
            return
        begun_s = now_s
        loop.call_soon_threadsafe(stopping.set)
        _end_within(within_s, loop)

    with _signals_wake(loop):
        former = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stopping
        finally:
            if begun_s is None:
                for number, handler in former.items():
                    signal.signal(number, handler)


@contextmanager
def _signals_wake(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have each signal end the loop's wait, so that its handler runs.

    Else a signal that another thread receives, or that comes right before the loop waits, would be handled only when
    something else wakes the loop.
    """
    receiving, sending = socket.socketpair()
    with receiving, sending:
        receiving.setblocking(False)
        sending.setblocking(False)
        loop.add_reader(receiving, receiving.recv, 4096)
        former = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(former)
            loop.remove_reader(receiving)


def _end_within(within_s: float, loop: asyncio.AbstractEventLoop) -> None:
    # Both now: Python 3.12 starts no thread once the program is past its end and waits for other threads.
    threading.Thread(target=_say, args=(within_s, loop), name="cut-off-log", daemon=True).start()
    threading.Thread(target=_cut_off, args=(within_s,), name="cut-off", daemon=True).start()


def _say(within_s: float, loop: asyncio.AbstractEventLoop) -> NoReturn:
    time.sleep(within_s)
    tasks = sorted(task.get_name() for task in asyncio.all_tasks(loop))
    threads = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
    log.critical("not ended in time after TERM, cut off", within_s=within_s, tasks=tasks, threads=threads)
    os._exit(CUT_OFF)


def _cut_off(within_s: float) -> NoReturn:
    time.sleep(within_s + _SAY_S)  # writing the log may hang, too
    os._exit(CUT_OFF)
