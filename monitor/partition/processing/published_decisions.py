"""Decisions that were published before a state was lost. While the state is rebuilt, they are made again."""

from collections.abc import Mapping

from monitor.core.results import Output
from monitor.core.windows.window import HOUR_MS
from monitor.decoding.decode import NO_CLOCK_MS
from monitor.partition.processing.watermark import Watermark


class PublishedDecisions:
    """The published decisions, which are not written again.

    ``until_ms`` is the largest ``decided_ms`` of them. It is stored; the ids are read from the topics.
    """

    def __init__(self, watermark: Watermark) -> None:
        self._watermark = watermark
        self._ids: set[str] = set()
        self.until_ms = NO_CLOCK_MS

    def suppress(self, published: Mapping[str, int]) -> None:
        """Do not write these decisions (id and ``decided_ms``) when they are made again."""
        self._ids = set(published)
        self.until_ms = max(published.values(), default=NO_CLOCK_MS)

    @property
    def rebuilding(self) -> bool:
        """Whether published decisions may still be made again, so that `suppress` must have them."""
        return self.until_ms > NO_CLOCK_MS and self.until_ms >= self._watermark.decided_ms

    def left(self, output: Output) -> Output:
        """The output without the published decisions."""
        if self._ids:
            again = {one.id for one in output.enforcement if one.id in self._ids}
            ended = {
                before
                for one in output.enforcement
                if one.id in again
                for before in (one.data.reverses, one.data.supersedes)
                if before is not None
            }
            # A ban that was lifted since must not come as standing: partitions that forgot it would take it.
            output.owner_bans = [
                ban
                for ban in output.owner_bans
                if ban.enforcement_id not in (again if ban.lifted_ms is None else ended)
            ]
            output.enforcement = [one for one in output.enforcement if one.id not in self._ids]
            output.shadow = [one for one in output.shadow if one.id not in self._ids]
            output.measures = [hour for hour in output.measures if hour.hour_ms + HOUR_MS > self.until_ms]
        return output
