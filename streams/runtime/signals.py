"""Stops a command that runs until a signal, or one that has files to delete first."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def until_stopped() -> Iterator[None]:
    """End the block silently on SIGINT and SIGTERM, through its own clean-up."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def through_clean_up() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process with their usual status, but through the clean-up of the block.

    A signal that is ignored, such as SIGHUP under `nohup`, stays ignored.
    """

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    former = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``; SIGINT and SIGTERM cancel it silently, through its own clean-up.

    An exception raised in a signal handler would end whichever task is running, perhaps one of Kafka's client. A second
    signal does not wait for the clean-up.
    """

    async def stoppable() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(stoppable())
