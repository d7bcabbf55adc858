"""How a program that runs until it is told to stop ends: in order, but within a time, whatever hangs."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog

log = structlog.get_logger("callwarden")

CUT_OFF = 1
"""The exit status of a program that did not end in order."""
_SAY_S = 1.0


@contextmanager
def stop_requested(within_s: float) -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and TERM set. ``within_s`` later the process has ended; at a second of them at once.

    What is cut off is as after a kill: all that is stored is whole. The limit holds beyond the end of the block, for
    what closes files and databases, and for threads that are waited for.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    begun = False

    def told(*_: object) -> None:
        nonlocal begun
        if begun:
            os._exit(CUT_OFF)  # without a word: what was interrupted may hold the log
        begun = True
        loop.call_soon_threadsafe(stopping.set)
        threading.Thread(target=_cut_off, args=(within_s, loop), name="cut-off", daemon=True).start()

    former = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        if not begun:
            for number, handler in former.items():
                signal.signal(number, handler)


def _cut_off(within_s: float, loop: asyncio.AbstractEventLoop) -> NoReturn:
    time.sleep(within_s)
    threading.Thread(target=_say, args=(within_s, loop), daemon=True).start()
    time.sleep(_SAY_S)  # whoever takes the log may hang, too
    os._exit(CUT_OFF)


def _say(within_s: float, loop: asyncio.AbstractEventLoop) -> NoReturn:
    tasks = sorted(task.get_name() for task in asyncio.all_tasks(loop))
    threads = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
    log.critical("not ended in time after TERM, cut off", within_s=within_s, tasks=tasks, threads=threads)
    os._exit(CUT_OFF)
