"""How a command that runs until it is told to stop is stopped."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def until_stopped() -> Iterator[None]:
    """Ctrl-C and TERM end what stands in it, through its own clean-up, and nothing is said of them."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, former)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``; Ctrl-C and TERM cancel it, through its own clean-up, and nothing is said of them.

    An exception out of a signal's handler would end whichever task runs at that moment, be it one of Kafka's client.
    A second signal is not waited for.
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
