"""Retry with backoff: the one rule for how long to wait before something is tried again.

A retry library (tenacity, stamina) would not replace it: most loops here do not call one function until it succeeds.
They follow a log and start over, wait for an event at the same time, or store the time of the next try in a database.
They share only the delays, so this module has the delays, and `retry` for the loops that do call one function.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

FIRST_S, LONGEST_S = 0.5, 15.0
"""The usual delays before the second try and between later ones, in seconds."""

_MOST_DOUBLINGS = 32  # more would overflow a float in the end

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
N = TypeVar("N", int, float)


def delay(failures: int, first: N, longest: N) -> N:
    """How long to wait after that many failures: ``first``, then twice as long each time, at most ``longest``."""
    doubled: N = first * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest)


class Backoff:
    """The delays between the tries of one thing, in seconds. `reset` it once a try succeeds."""

    def __init__(self, first_s: float | None = None, longest_s: float | None = None) -> None:
        self._first_s = FIRST_S if first_s is None else first_s
        self._longest_s = LONGEST_S if longest_s is None else longest_s
        self.failures = 0

    def next_s(self) -> float:
        """Count a failure. Returns the delay before the next try."""
        self.failures += 1
        return delay(self.failures, self._first_s, self._longest_s)

    def reset(self) -> None:
        """The next failure is a first one."""
        self.failures = 0


async def retry(
    work: Callable[[], Awaitable[T]],
    on: type[E],
    failed: Callable[[E, float], None],
    backoff: Backoff | None = None,
) -> T:
    """The result of ``work``, which is tried again while it raises ``on``.

    ``failed`` is called with each error and the seconds until the next try, to log them.
    """
    backoff = backoff or Backoff()
    while True:
        try:
            return await work()
        except on as error:
            delay_s = backoff.next_s()
            failed(error, delay_s)
        await asyncio.sleep(delay_s)
