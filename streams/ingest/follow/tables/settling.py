"""Which keys are settled: no row with such a key is committed any more."""

from collections.abc import Callable, Collection
from typing import Final

SETTLED_S: Final = 60.0


class Settling:
    """What was handed out up to a time is settled `SETTLED_S` later, and not before each transaction has ended that
    wrote to the table at that time, as far as the database names them.

    The time in which the database does not answer is not counted: it may stand still with all of its transactions.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._answered_s, self._away_s = now_s(), 0.0
        self._is_away = False
        self._since: dict[str, float] = {}

    def time_s(self) -> float:
        """The time that counts here."""
        return self._now_s() - self._away_s

    def away(self) -> None:
        """The database did not answer: the time since its last answer does not count."""
        self._is_away = True

    def answered(self) -> None:
        """The database has answered."""
        now_s = self._now_s()
        if self._is_away:
            self._away_s += now_s - self._answered_s
        self._answered_s, self._is_away = now_s, False

    def see(self, writers: Collection[str]) -> float:
        """Note the transactions that write to the table; returns the time."""
        time_s = self.time_s()
        self._since = {writer: self._since.get(writer, time_s) for writer in writers}
        return time_s

    def has_passed(self, time_s: float) -> bool:
        """Whether that time was long enough ago."""
        return time_s <= self.time_s() - SETTLED_S

    def held_by(self, time_s: float) -> str | None:
        """A transaction that wrote to the table at that time and has not ended."""
        return next((writer for writer, since_s in self._since.items() if since_s <= time_s), None)
