"""Pane merging: closed panes wait for the end of a step, and enter windows merged into one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.core.windows.pane import Pane, merge
from monitor.core.windows.window import SlidingWindow


class PaneMerger:
    """The panes of the current step of some windows, which are evaluated only at multiples of ``step_ms``.

    Entering and leaving windows has a cost per pane: three merged panes cost little more than one.
    """

    def __init__(self, step_ms: int, windows: Sequence[SlidingWindow]) -> None:
        self.step_ms = step_ms
        self.panes: list[Pane] = []
        self._windows = windows
        self._key_sets = {keys for window in windows for keys in window.distinct}
        self._talk = any(window.talk for window in windows)
        self._steps = {step_ms for window in windows for step_ms in window.steps}
        for window in windows:
            window.coming = self.panes

    @property
    def start_ms(self) -> int:
        """The start of the current step, which must have a pane."""
        return self.panes[0].start_ms // self.step_ms * self.step_ms

    def due(self, bounds: Mapping[int, int]) -> int | None:
        """The end of the current step if it has panes and a rule of its windows may be evaluated then, else None.

        ``bounds`` is the last end for each step of the rules.
        """
        if not self.panes:
            return None
        end_ms = self.start_ms + self.step_ms
        return end_ms if end_ms <= max(bounds[step_ms] for step_ms in self._steps) else None

    def ended(self, at_ms: int) -> bool:
        """Whether there are panes, and their step ends at or before ``at_ms``."""
        return bool(self.panes) and self.start_ms + self.step_ms <= at_ms

    def enter_ended(self, at_ms: int, tenants: int) -> None:
        """Merge and enter the panes if their step has ended. ``tenants`` is the number of tenants in the shard."""
        if self.ended(at_ms):
            start_ms, joined = self.start_ms, self.panes[0]
            if len(self.panes) > 1:
                joined = merge(self.panes, start_ms, self._key_sets, talk=self._talk)
            elif joined.start_ms != start_ms:
                joined = replace(joined, start_ms=start_ms)
            self.enter(joined, tenants)

    def enter(self, joined: Pane, tenants: int) -> None:
        """Replace the waiting panes by ``joined``, which enters the windows."""
        self.panes.clear()
        for window in self._windows:
            window.enter(joined, tenants)
