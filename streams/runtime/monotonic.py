"""Clocks that are never set: this machine's steady clock, and the broker's time, extrapolated by it between ticks."""

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

if sys.platform == "linux":

    def steady_s() -> float:
        """Seconds since this machine started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)  # time.monotonic stops while the machine sleeps

else:

    def steady_s() -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()


_SETTLED_MS = 1_000  # two ticks that differ by no more than this agree
_DRIFT = 1_000  # a steady clock is fast by less than one part in 1,000: NTP slews by half of that at most


class Moment(NamedTuple):
    """A moment by the host's clock and by its steady clock, in ms."""

    host_ms: int
    steady_ms: int


class BrokerClock:
    """The broker's time, from the timestamps of acknowledged ticks; it is never ahead of the broker's own clock.

    It uses the lesser of the last two ticks: a tick that is ahead of the expected time counts once the next confirms
    it. ``skew_ms``: the host's clock is ahead of the broker's by at least that (negative: behind); None before the
    first tick.
    """

    def __init__(self, steady_ms: Callable[[], int] = lambda: round(steady_s() * 1000)) -> None:
        self.steady_ms = steady_ms
        self.skew_ms: int | None = None
        self._ticks: deque[tuple[int, int]] = deque(maxlen=2)  # steady and broker's time of each

    def tick(self, sent: Moment, acknowledged: Moment, broker_ms: int) -> None:
        """Record that a record ``sent`` got the broker's timestamp ``broker_ms`` before it was ``acknowledged``."""
        # Counted from the acknowledgement: the broker's clock had reached the timestamp by then.
        self._ticks.append((acknowledged.steady_ms, broker_ms))
        ahead_ms, behind_ms = sent.host_ms - broker_ms, broker_ms - acknowledged.host_ms
        self.skew_ms = max(ahead_ms, 0) - max(behind_ms, 0)

    def forget(self) -> None:
        """Discard the last ticks: they are too old."""
        self._ticks.clear()

    def at_ms(self, steady_ms: int) -> int | None:
        """The broker's time at a moment of the steady clock; None before the second tick."""
        return self._least_ms(steady_ms) if len(self._ticks) == 2 else None

    @property
    def rough_ms(self) -> int | None:
        """The broker's time now by one or two ticks; not for decisions. None before the first tick."""
        return self._least_ms(self.steady_ms()) if self._ticks else None

    @property
    def settled(self) -> bool:
        """Whether the last two ticks agree."""
        if len(self._ticks) < 2:
            return False
        (_, first), (at_ms, second) = self._by(self._ticks[0], self._ticks[1][0]), self._ticks[1]
        return abs(first - second) <= _SETTLED_MS + (at_ms - self._ticks[0][0]) // _DRIFT

    def _least_ms(self, steady_ms: int) -> int:
        return min(self._by(tick, steady_ms)[1] for tick in self._ticks)

    @staticmethod
    def _by(tick: tuple[int, int], steady_ms: int) -> tuple[int, int]:
        since_ms = steady_ms - tick[0]
        return steady_ms, tick[1] + since_ms - max(since_ms, 0) // _DRIFT
