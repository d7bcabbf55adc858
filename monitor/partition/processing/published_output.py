"""Output that was published before a state was lost. While the state is rebuilt, it is made again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from monitor.core.results import HourMeasures, Output
from monitor.core.windows.window import HOUR_MS
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.processing.watermark import Watermark


class MeasuredPlace(NamedTuple):
    """The place of the last written measures: hours are written in order, and the tenants of an hour by id."""

    hour_ms: int
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Published:
    """What a partition has published: the ``decided_ms`` of each decision, by id, and the last measures."""

    decisions: Mapping[str, int] = field(default_factory=dict)
    measured: MeasuredPlace | None = None

    @property
    def until_ms(self) -> int:
        """The instant up to which decisions or measures are published."""
        measured_ms = NO_CLOCK_MS if self.measured is None else self.measured.hour_ms + HOUR_MS
        return max(measured_ms, max(self.decisions.values(), default=NO_CLOCK_MS))


class PublishedOutput:
    """The published decisions and measures, which are not written again.

    ``until_ms`` is `Published.until_ms`. It is stored; the rest is read from the topics.
    """

    def __init__(self, watermark: Watermark) -> None:
        self._watermark = watermark
        self._published = Published()
        self.until_ms = NO_CLOCK_MS

    def suppress(self, published: Published) -> None:
        """Do not write this output when it is made again."""
        self._published, self.until_ms = published, published.until_ms

    @property
    def rebuilding(self) -> bool:
        """Whether published output may still be made again, so that `suppress` must have it."""
        return self.until_ms > NO_CLOCK_MS and self.until_ms >= self._watermark.decided_ms

    def left(self, output: Output) -> Output:
        """The output without what is published."""
        if output.measures and self.until_ms > NO_CLOCK_MS:
            output.measures = [left for hour in output.measures if (left := self._left_of(hour)) is not None]
        ids = self._published.decisions
        if ids:
            again = {one.id for one in output.enforcement if one.id in ids}
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
            output.enforcement = [one for one in output.enforcement if one.id not in ids]
            output.shadow = [one for one in output.shadow if one.id not in ids]
        return output

    def _left_of(self, hour: HourMeasures) -> HourMeasures | None:
        """The measures that are not published.

        Rebuilt from fewer records than the state was, they may have other values than the published ones.
        """
        last, end_ms = self._published.measured, hour.hour_ms + HOUR_MS
        if end_ms < self.until_ms:
            return None
        if last is None or hour.hour_ms > last.hour_ms:
            return hour
        after = last.tenant_id.encode()  # sorts as the id does
        kept = np.array([name is not None and name > after for name in hour.tenant_ids], np.bool_)
        if not kept.any():
            return None
        return HourMeasures(hour.hour_ms, hour.tenant_ids.take(kept), hour.values.take(kept))
