"""How far an assembler is in its log: the clock, the numbers that it has given, and the delay of ticks."""

from typing import Final

import msgspec

from monitor.adapters.assembly.stored_call import StateEntry
from monitor.adapters.errors import RowErrorCode
from monitor.text.durations import format_duration

Progress = tuple[int, int, int]
"""The clock, the greatest serial number, and the delay of ticks, as they are stored."""

_NEVER_MS: Final = 1 << 62
_KEY: Final = msgspec.json.encode(())
_PROGRESS: Final = msgspec.json.Decoder(Progress)


class LogProgress:
    """The clock is the greatest event time so far, of each event at most its Kafka timestamp.

    A tick moves it to the tick's Kafka timestamp less the smallest delay of an event so far.
    """

    def __init__(self, max_ahead_ms: int) -> None:
        self.clock_ms = 0
        self._max_ahead_ms = max_ahead_ms
        self._serial = 0
        # The smallest delay of an event between its time and its Kafka timestamp.
        self._delay_ms = _NEVER_MS
        self._stored: Progress = (0, 0, _NEVER_MS)

    def refusal(self, name: str, at_ms: int, timestamp_ms: int | None) -> str | None:
        """The reason to refuse an event that is dated too far ahead of its Kafka timestamp; ``name`` is its time's."""
        if timestamp_ms is None or at_ms <= timestamp_ms + self._max_ahead_ms:
            return None
        ahead = format_duration(self._max_ahead_ms)
        message = f"expected at most {ahead} after its timestamp {timestamp_ms}, got {at_ms}"
        return f"{RowErrorCode.FUTURE_EVENT}: {name}: {message}"

    def move(self, at_ms: int, timestamp_ms: int | None) -> None:
        """Move the clock by an event that is not refused."""
        if timestamp_ms is not None:
            self._delay_ms = min(self._delay_ms, max(timestamp_ms - at_ms, 0))
            at_ms = min(at_ms, timestamp_ms)
        self.advance(at_ms)

    def tick(self, timestamp_ms: int) -> None:
        """Move the clock by a tick."""
        self.advance(self.clock_at(timestamp_ms))

    def clock_at(self, timestamp_ms: int) -> int:
        """The clock after a tick with that timestamp, if it is not ahead already."""
        return timestamp_ms - self._delay_ms

    def advance(self, clock_ms: int) -> None:
        """Move the clock, if it is behind."""
        self.clock_ms = max(self.clock_ms, clock_ms)

    def next_serial(self) -> int:
        """The next number, by which calls are ordered."""
        self._serial += 1
        return self._serial

    def changes(self) -> list[StateEntry]:
        """The entry of the progress if it is another one than at the last call."""
        progress = (self.clock_ms, self._serial, self._delay_ms)
        if progress == self._stored:
            return []
        self._stored = progress
        return [(_KEY, msgspec.json.encode(progress))]

    def restore(self, entry: StateEntry) -> bool:
        """Continue from an entry of `changes`; False if it is of a call. Raises ValueError if it cannot be read."""
        key, value = entry
        if key != _KEY:
            return False
        if value is not None:
            self._stored = self.clock_ms, self._serial, self._delay_ms = _PROGRESS.decode(value)
        return True
