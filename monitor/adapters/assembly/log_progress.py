"""How far an assembler is in its log: the clock, the numbers that it has given, and the delay of ticks."""

from typing import Final

import msgspec

from monitor.adapters.assembly.stored_call import StateEntry
from monitor.adapters.errors import RowErrorCode
from monitor.text.durations import HOUR, SECOND, format_duration
from monitor.text.timestamps import any_time

JUMP_MS: Final = HOUR
"""A timestamp that is further ahead of all before it is a jump: it counts once later timestamps confirm it."""

CONFIRMED_MS: Final = 5 * SECOND
"""A jump is confirmed by a timestamp that is this much greater, if there is no smaller one in between."""

_NEVER_MS: Final = 1 << 62
_KEY: Final = msgspec.json.encode(())


class _Progress(msgspec.Struct, array_like=True, frozen=True):
    """As it is stored.

    ``seen_ms`` is the greatest timestamp that counts. ``jump_ms`` is the first timestamp of a jump that does not count
    yet (0: there is none), ``jump_serial`` the greatest serial number before it, and ``held_ms`` the clock that the
    records since would have made. ``step_serial`` is that of the last jump that was confirmed, and ``step_ms`` the
    clock after it.
    """

    clock_ms: int
    serial: int
    delay_ms: int
    seen_ms: int
    jump_ms: int
    jump_serial: int
    held_ms: int
    step_serial: int
    step_ms: int


_PROGRESS: Final = msgspec.json.Decoder(_Progress)


class LogProgress:
    """The clock is the greatest event time so far, of each event at most its Kafka timestamp.

    A tick moves it to the tick's Kafka timestamp less the smallest delay of an event so far.

    The broker's clock may be wrong for a moment, and the clock never goes back. So a record whose timestamp jumps ahead
    by more than `JUMP_MS` moves the clock only when the jump is confirmed. That is so after an idle time: the record
    that confirms it has a timestamp at least `CONFIRMED_MS` greater, and those in between are none smaller. A smaller
    timestamp begins another jump, or ends it, if it is no jump. The first timestamp of all counts at once.
    """

    def __init__(self, max_ahead_ms: int) -> None:
        self.clock_ms = 0
        self._max_ahead_ms = max_ahead_ms
        self._serial = 0
        # The smallest delay of an event between its time and its Kafka timestamp.
        self._delay_ms = _NEVER_MS
        self._seen_ms = 0
        self._jump_ms = self._jump_serial = self._held_ms = 0
        self._step_serial = self._step_ms = 0
        self._stored = self._now()

    def rejection(self, name: str, at_ms: int, timestamp_ms: int | None) -> str | None:
        """The reason to reject an event that is dated too far ahead of its Kafka timestamp; ``name`` is its time's."""
        if timestamp_ms is None or at_ms <= timestamp_ms + self._max_ahead_ms:
            return None
        ahead = format_duration(self._max_ahead_ms)
        message = f"expected at most {ahead} after its timestamp {any_time(timestamp_ms)}, got {any_time(at_ms)}"
        return f"{RowErrorCode.FUTURE_EVENT}: {name}: {message}"

    def move(self, at_ms: int, timestamp_ms: int | None) -> None:
        """Move the clock by an event that is not rejected."""
        if timestamp_ms is None:
            self.advance(at_ms)
            return
        self._delay_ms = min(self._delay_ms, max(timestamp_ms - at_ms, 0))
        self._move_at(timestamp_ms, min(at_ms, timestamp_ms))

    def tick(self, timestamp_ms: int) -> None:
        """Move the clock by a tick; before the first event it moves nothing."""
        if self._delay_ms < _NEVER_MS:
            self._move_at(timestamp_ms, self.clock_at(timestamp_ms))

    def clock_at(self, timestamp_ms: int) -> int:
        """The clock after a tick with that timestamp, if it is not ahead already and the timestamp is no jump."""
        return timestamp_ms - self._delay_ms

    def advance(self, clock_ms: int) -> None:
        """Move the clock, if it is behind."""
        self.clock_ms = max(self.clock_ms, clock_ms)

    def since(self, serial: int, clock_ms: int) -> int:
        """From when a call counts that got ``serial`` at ``clock_ms``.

        If that was in a jump that was confirmed later, the clock had not moved yet: the call counts from the jump.
        """
        return max(clock_ms, self._step_ms) if serial > self._step_serial else clock_ms

    def _move_at(self, timestamp_ms: int, clock_ms: int) -> None:
        """Move the clock to ``clock_ms``, as soon as the timestamp counts."""
        if self._jump_ms and timestamp_ms >= self._jump_ms + CONFIRMED_MS:
            self._seen_ms = max(self._seen_ms, self._jump_ms)
            self.advance(self._held_ms)
            self._step_serial, self._step_ms, self._jump_ms = self._jump_serial, self.clock_ms, 0
        if self._seen_ms and timestamp_ms > self._seen_ms + JUMP_MS:
            if not self._jump_ms or timestamp_ms < self._jump_ms:
                if not self._jump_ms:
                    self._jump_serial = self._serial
                self._jump_ms, self._held_ms = timestamp_ms, 0
            self._held_ms = max(self._held_ms, clock_ms)
            return
        self._jump_ms = self._jump_serial = self._held_ms = 0
        self._seen_ms = max(self._seen_ms, timestamp_ms)
        self.advance(clock_ms)

    def next_serial(self) -> int:
        """The next number, by which calls are ordered."""
        self._serial += 1
        return self._serial

    def _now(self) -> _Progress:
        jump = (self._jump_ms, self._jump_serial, self._held_ms)
        return _Progress(
            self.clock_ms, self._serial, self._delay_ms, self._seen_ms, *jump, self._step_serial, self._step_ms
        )

    def changes(self) -> list[StateEntry]:
        """The entry of the progress if it is another one than at the last call."""
        progress = self._now()
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
            stored = self._stored = _PROGRESS.decode(value)
            self.clock_ms, self._serial, self._delay_ms = stored.clock_ms, stored.serial, stored.delay_ms
            self._seen_ms = stored.seen_ms
            self._jump_ms, self._jump_serial, self._held_ms = stored.jump_ms, stored.jump_serial, stored.held_ms
            self._step_serial, self._step_ms = stored.step_serial, stored.step_ms
        return True
