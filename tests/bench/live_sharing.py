"""Whether workers that started together shared the partitions."""

from collections.abc import Sequence
from typing import Protocol

from bench.live_contenders import OPENED, PARTITIONS
from bench.process import ProcessError


class EventLog(Protocol):
    """A source of reported lines."""

    def events(self, event: str) -> Sequence[object]:
        """The lines of that event so far."""


class NotSharedError(ProcessError):
    """Workers that should have started together did not: on a busy machine one may join too late."""


def assert_shared(processes: Sequence[EventLog]) -> None:
    """Each partition was opened once, and each process owns some; otherwise they did not share the work evenly."""
    opened = [len(process.events(OPENED)) for process in processes]
    if sum(opened) != PARTITIONS or not all(opened):
        raise NotSharedError(
            f"the workers opened {opened} partitions; expected {PARTITIONS} in all and some by each: they should have "
            "joined the group within its initial delay"
        )
