"""The early windows of all window lengths: which future ends are evaluated, and what was read for them so far."""

from collections.abc import Iterator, Mapping, Sequence

from monitor.core.alerts.early_complaints import EarlyComplaints
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import Pane
from monitor.core.windows.window import SlidingWindow


class EarlyWindows:
    """The early windows of each sliding window, whose rules step by ``steps``.

    Ends before ``from_ms`` are not evaluated. ``sealed_ms`` is the time up to which panes were sealed at the last
    evaluation.
    """

    def __init__(
        self,
        steps: Mapping[SlidingWindow, set[int]],
        unsealed: OpenPanes,
        complaints: EarlyComplaints,
        lateness_ms: int,
        from_ms: int,
    ) -> None:
        self._steps = steps
        self._unsealed = unsealed
        self._complaints = complaints
        self._lateness_ms = lateness_ms
        self._from_ms = from_ms
        self._windows: dict[SlidingWindow, dict[int, EarlyWindow]] = {window: {} for window in steps}
        self.sealed_ms = -1

    def __iter__(self) -> Iterator[EarlyWindow]:
        for early_windows in self._windows.values():
            yield from early_windows.values()

    def of(self, window: SlidingWindow) -> Mapping[int, EarlyWindow]:
        """The early windows of a sliding window, by end."""
        return self._windows[window]

    def range_ms(self, window: SlidingWindow) -> tuple[int, int]:
        """The range of ends to evaluate: after the first time, up to the first end after the second."""
        newest_ms = self._unsealed.newest_ms
        if window.complaints.counting:
            newest_ms = max(newest_ms, self._complaints.newest_ms)
        return max(self.sealed_ms, newest_ms - self._lateness_ms, self._from_ms - 1), newest_ms

    def ends(self, window: SlidingWindow, step_ms: int) -> range:
        """The ends to evaluate for rules with that window and step."""
        after_ms, newest_ms = self.range_ms(window)
        return range((after_ms // step_ms + 1) * step_ms, (newest_ms // step_ms + 1) * step_ms + 1, step_ms)

    @property
    def behind(self) -> bool:
        """Whether there are ends to evaluate for the first time."""
        return any(
            end_ms not in self._windows[window]
            for window, steps in self._steps.items()
            for step_ms in steps
            for end_ms in self.ends(window, step_ms)
        )

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants."""
        for early_window in self:
            early_window.reach(tenants)

    def enter(self, pieces: Sequence[Pane]) -> None:
        """Add open calls to the existing early windows."""
        for piece in pieces:
            for window, early_windows in self._windows.items():
                picked = piece.sums[:, window.running_sums.fields]
                for early_window in early_windows.values():
                    early_window.enter(piece, picked)

    def move(self, tenants: int) -> None:
        """Drop the ends that were finally evaluated or cannot be reached any more, and add new ones."""
        for window, steps in self._steps.items():
            before, wanted = self._windows[window], {end for step in steps for end in self.ends(window, step)}
            early_windows = self._windows[window] = {end: before[end] for end in before if end in wanted}
            for end_ms in sorted(wanted - before.keys()):
                early_window = early_windows[end_ms] = EarlyWindow(window, end_ms, self._unsealed, tenants)
                self._complaints.count_waiting(early_window)
