"""Handles the records of the followed topics."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from streams.console.telemetry import ConsoleMetrics
from streams.consumers.data_loss import RecordsLost
from streams.consumers.follower import FollowedRecord


class CaseIntake:
    """Handles records in the transaction that advances the position; for `streams.consumers.follower.Follower`."""

    def __init__(self, telemetry: ConsoleMetrics) -> None:
        self._telemetry = telemetry

    def handle(self, connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        """Handle records. Returns the callback to run after the commit."""
        return lambda: None

    def pass_over(self, connection: Connection, lost: RecordsLost) -> Callable[[], None]:
        """Records were deleted before they were handled: continue after them."""
        return self._telemetry.lost
