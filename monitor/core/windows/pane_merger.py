"""Gatherings: sealed panes that wait for the end of a step, and enter windows joined to one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.core.windows.pane import Pane, merge
from monitor.core.windows.window import SlidingWindow


class PaneMerger:
    """The panes of the running step of some spans, which are judged at multiples of ``step_ms`` alone.

    What enters and leaves windows costs by the pane: three that enter as one cost little more than one.
    """

    def __init__(self, step_ms: int, spans: Sequence[SlidingWindow]) -> None:
        self.step_ms = step_ms
        self.panes: list[Pane] = []
        self._spans = spans
        self._parties = any(span.callees or span.callers for span in spans)
        self._steps = {step_ms for span in spans for step_ms in span.steps}
        for span in spans:
            span.coming = self.panes

    @property
    def start_ms(self) -> int:
        """When the running step began; there must be a pane of it."""
        return self.panes[0].start_ms // self.step_ms * self.step_ms

    def due(self, bounds: Mapping[int, int]) -> int | None:
        """When the running step ends, if it has panes, and a rule of its spans may be judged then.

        ``bounds`` has the last end for each step of the rules.
        """
        if not self.panes:
            return None
        end_ms = self.start_ms + self.step_ms
        return end_ms if end_ms <= max(bounds[step_ms] for step_ms in self._steps) else None

    def ended(self, at_ms: int) -> bool:
        """Whether there are panes whose step has ended by then."""
        return bool(self.panes) and self.start_ms + self.step_ms <= at_ms

    def enter_ended(self, at_ms: int, tenants: int) -> None:
        """If the step of the panes has ended by then, they enter; ``tenants`` is how many the shard knows by now."""
        if self.ended(at_ms):
            one = len(self.panes) == 1
            joined = (
                replace(self.panes[0], start_ms=self.start_ms)
                if one
                else merge(self.panes, self.start_ms, self._parties)
            )
            self.enter(joined, tenants)

    def enter(self, joined: Pane, tenants: int) -> None:
        """The panes enter as this one."""
        self.panes.clear()
        for span in self._spans:
            span.enter(joined, tenants)
