"""The early windows of all window lengths: which future ends are evaluated, and what was read for them so far."""

from collections.abc import Iterator, Mapping, Sequence, Set
from math import gcd

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts import native_recent
from monitor.core.alerts.early_complaints import EarlyComplaints
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.alerts.native_recent import PaneTargets, Target
from monitor.core.alerts.recent_calls import RecentCalls
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct.key_uses import KeyUses
from monitor.core.windows.distinct.running_counts import MOST_KEYS
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.tenant_columns import TenantColumns
from monitor.core.windows.window import SlidingWindow

_MOST_RUNNING_KEYS = 2 * MOST_KEYS  # of all running counts


class EarlyWindows:
    """The early windows of each sliding window, whose rules step by ``steps``.

    Ends before ``from_ms`` are not evaluated. ``closed_ms`` is the time up to which panes were closed at the last
    evaluation. The counts of all windows are in ``table``; those of a tenant are up to date after `enter_calls_of` it.
    While ``place`` does not change, neither do the ends that `move` found.
    """

    def __init__(
        self,
        steps: Mapping[SlidingWindow, set[int]],
        open_panes: OpenPanes,
        complaints: EarlyComplaints,
        lateness_ms: int,
        from_ms: int,
    ) -> None:
        self._steps = steps
        self._open_panes = open_panes
        self._complaints = complaints
        self._lateness_ms = lateness_ms
        self._from_ms = from_ms
        self._windows: dict[SlidingWindow, dict[int, EarlyWindow]] = {window: {} for window in steps}
        self._recent = RecentCalls(open_panes)
        self._targets: dict[int, Target] = {}
        self._pane_targets = self._packed()
        self.table = TenantColumns()
        self.uses = KeyUses()
        self.closed_ms = -1
        self._tenants = 0
        self._unit_ms = gcd(*(step_ms for some in steps.values() for step_ms in some)) or 1
        self.place: tuple[tuple[int, int], ...] = ()
        self._ends: dict[tuple[SlidingWindow, int], range] = {}
        self._summed: tuple[object, ...] = ()

    def __iter__(self) -> Iterator[EarlyWindow]:
        for early_windows in self._windows.values():
            yield from early_windows.values()

    def of(self, window: SlidingWindow) -> Mapping[int, EarlyWindow]:
        """The early windows of a sliding window, by end."""
        return self._windows[window]

    def range_ms(self, window: SlidingWindow) -> tuple[int, int]:
        """The range of ends to evaluate: after the first time, up to the first end after the second."""
        return self._range_ms(window.complaints.counting)

    def _range_ms(self, with_complaints: bool) -> tuple[int, int]:
        newest_ms = self._open_panes.newest_ms
        if with_complaints:
            newest_ms = max(newest_ms, self._complaints.newest_ms)
        return max(self.closed_ms, newest_ms - self._lateness_ms, self._from_ms - 1), newest_ms

    def _place(self) -> tuple[tuple[int, int], ...]:
        """The multiples of all steps between which the ends lie, without and with complaints."""
        ranges = (self._range_ms(with_complaints) for with_complaints in (False, True))
        return tuple((after_ms // self._unit_ms, newest_ms // self._unit_ms) for after_ms, newest_ms in ranges)

    def ends(self, window: SlidingWindow, step_ms: int) -> range:
        """The ends to evaluate for rules with that window and step, as of the last `move`."""
        return self._ends[window, step_ms]

    def _ends_now(self, window: SlidingWindow, step_ms: int) -> range:
        after_ms, newest_ms = self.range_ms(window)
        return range((after_ms // step_ms + 1) * step_ms, (newest_ms // step_ms + 1) * step_ms + 1, step_ms)

    @property
    def behind(self) -> bool:
        """Whether there are ends to evaluate for the first time."""
        return self._place() != self.place and any(
            end_ms not in self._windows[window]
            for window, steps in self._steps.items()
            for step_ms in steps
            for end_ms in self._ends_now(window, step_ms)
        )

    def reach(self, tenants: int) -> None:
        """Grow to ``tenants`` tenants."""
        if tenants == self._tenants:
            return
        self._tenants = tenants
        self.table.reach(tenants)
        self.uses.reach(tenants)
        for early_window in self:
            early_window.reach(tenants)

    # Calls ----------------------------------------------------------------------------------------------------------

    def take(self, calls: Sequence[NewCalls]) -> None:
        """Take new open calls of known tenants."""
        for some in calls:
            self.uses.add(some)
            for early_window in self:
                early_window.take(some)
            self._bound_running_counts()
        for _ in self._recent.add(calls):
            self.enter_all()
            self._open_panes.sum_up()  # what is not summed up is among the recent calls

    def _bound_running_counts(self) -> None:
        """Remove some if they have too many keys: there may be many ends, of many windows."""
        every = [distinct for early_window in self for distinct in early_window.distinct.values()]
        while sum(distinct.running_keys for distinct in every) > _MOST_RUNNING_KEYS:
            max(every, key=lambda distinct: distinct.running_keys).halve_running()

    def sample(self) -> set[int]:
        """Record which tenants have sampled keys. Returns the tenants that changed since the last time."""
        summed = (self._open_panes.summed, *(window.running_sums.version for window in self._windows))
        if summed == self._summed:
            return set()
        self._summed = summed
        return set().union(*(early_window.sample(self._open_panes) for early_window in self))

    def enter_calls_of(self, who: NDArray[np.intp]) -> None:
        """Count all calls of these tenants in the early windows."""
        mine = np.zeros(len(self.table.values), np.bool_)
        mine[who] = True
        self._enter(mine)

    def look_up(self, who: Set[int]) -> None:
        """Look up the newest calls of these tenants together, before their keys are counted."""
        if who:
            mine = np.zeros(len(self.table.values), np.bool_)
            mine[list(who)] = True
            self._recent.ask(mine)

    def enter_all(self) -> None:
        """Count all calls in the early windows."""
        self._enter(None)

    def _enter(self, who: NDArray[np.bool_] | None) -> None:
        """Count the calls that wait, of the marked tenants or of all."""
        if native_recent.enabled:
            if not self._recent.enter(self.table.values, self._pane_targets, who):
                for start_ms in self._recent.starts_ms():  # of all panes at once: a backlog has hundreds
                    if start_ms not in self._targets:
                        self._targets[start_ms] = self._target(start_ms)
                self._pane_targets = self._packed()
                entered = self._recent.enter(self.table.values, self._pane_targets, who)
                assert entered, "every pane has targets"
            return
        for some in self._recent.take(who):
            if some.start_ms not in self._targets:
                self._targets[some.start_ms] = self._target(some.start_ms)
            columns, fields = self._targets[some.start_ms]
            if len(columns):
                self.table.values[some.tenant[:, None], columns] += some.sums[:, fields]

    def _packed(self) -> PaneTargets:
        """The targets, for the extension."""
        opened = self._open_panes
        return PaneTargets.of(
            {at // opened.pane_ms: target for at, target in self._targets.items()}, opened.layout.bits
        )

    def _target(self, start_ms: int) -> Target:
        """The columns in which a pane that begins then is counted, and the field that each of them adds up."""
        reached = [window.running_sums for window in self if window.start_ms <= start_ms < window.end_ms]
        fields = [field for sums in reached for field in sums.fields]
        columns = [sums.column(field) for sums in reached for field in sums.fields]
        return np.array(columns, np.intp), np.array(fields, np.intp)

    # Ends -----------------------------------------------------------------------------------------------------------

    def move(self, tenants: int) -> None:
        """Drop the ends that were finally evaluated or cannot be reached any more, and add new ones."""
        place = self._place()
        if place == self.place:
            return
        self.place = place
        self._ends = {
            (window, step): self._ends_now(window, step) for window, steps in self._steps.items() for step in steps
        }
        wanted = {
            window: {end for step in steps for end in self._ends[window, step]} for window, steps in self._steps.items()
        }
        if all(ends == self._windows[window].keys() for window, ends in wanted.items()):
            return
        self.enter_all()
        self._open_panes.sum_up()
        self._targets, self._summed = {}, ()
        self._pane_targets = self._packed()
        for window, ends in wanted.items():
            for end_ms in self._windows[window].keys() - ends:
                early_window = self._windows[window].pop(end_ms)
                self.table.release(early_window.first, EarlyWindow.width(window))
        if not self.table.values.shape[1]:
            self.table.expect(sum(EarlyWindow.width(window) * len(ends) for window, ends in wanted.items()))
        for window, ends in wanted.items():
            early_windows = self._windows[window]
            for end_ms in sorted(ends - early_windows.keys()):
                early_window = early_windows[end_ms] = EarlyWindow(
                    window, end_ms, self._open_panes, self._recent, self.table, self.uses, tenants
                )
                self._complaints.count_waiting(early_window)
