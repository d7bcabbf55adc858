"""Limits log lines that untrusted clients can cause to one a minute of each kind, with a count of those left out."""

from collections.abc import Callable
from typing import Any, Final

import structlog

from streams.runtime.monotonic import steady_s

log = structlog.get_logger("callwarden")

_APART_S: Final = 60.0


class LogLimiter:
    """Logs at most one warning per event and minute; the next one says how many were left out."""

    def __init__(self, now_s: Callable[[], float] = steady_s) -> None:
        self._now_s = now_s
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, event: str, **fields: Any) -> None:
        """Log the event, or count it. ``event`` must be one of a few constants, never text from clients."""
        now_s = self._now_s()
        if now_s - self._last_s.get(event, -_APART_S) < _APART_S:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._last_s[event] = now_s
        log.warning(event, **fields, left_out=self._left_out.pop(event, 0))
