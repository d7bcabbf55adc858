"""Limits how many dead letters a token may cause: its rejected records are answered, and need not fill the topic."""

from collections.abc import Callable
from typing import Final

from streams.runtime.monotonic import steady_s

_PER_S: Final = 50.0
_AT_ONCE: Final = 2_000.0


class LetterLimits:
    """A token bucket for each token."""

    def __init__(self, now_s: Callable[[], float] = steady_s) -> None:
        self._now_s = now_s
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> bool:
        """Whether one more dead letter may be written for this token."""
        now_s = self._now_s()
        left, since_s = self._left.get(name, (_AT_ONCE, now_s))
        left = min(_AT_ONCE, left + (now_s - since_s) * _PER_S)
        self._left[name] = (left - 1, now_s) if left >= 1 else (left, now_s)
        return left >= 1
