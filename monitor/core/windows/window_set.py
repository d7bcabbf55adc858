"""The windows of all lengths: how closed panes enter them, and how their state is stored."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from monitor.core.calls.evidence import NewestCalls
from monitor.core.windows.aggregation_plan import all_rules
from monitor.core.windows.called_tenants import CalledTenants
from monitor.core.windows.pane import Pane, merge
from monitor.core.windows.pane_merger import PaneMerger
from monitor.core.windows.pane_store import PaneStore, WindowCheckpoint
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.rule_groups import rule_groups
from monitor.core.windows.window import HOUR_MS, SlidingWindow, count_complaints
from monitor.policy.metrics import KeySet
from monitor.policy.model import Policy


class WindowSet:
    """The sliding windows of the policy (``sliding``), at least one for each window length, and the evidence.

    Panes wait in ``closed`` until decision time reaches their end. Then they are collected until a step of the rules
    ends, and enter merged into one. ``history`` converts panes of earlier policies.
    """

    def __init__(self, policy: Policy, history: FieldAvailability, keep_state: bool) -> None:
        counting = history.counting
        every_rule = all_rules(policy)
        self._history = history
        self._pane_ms = counting.pane_ms
        self._ruled_long = counting.ruled_long if keep_state else []  # hour panes are only stored with their evidence
        self._talk = counting.layout.talk
        self.sliding: list[SlidingWindow] = []
        self._of_rule: dict[str, SlidingWindow] = {}
        for length in sorted({rule.window_ms for rule in policy.rules}):
            rules = [rule for rule in every_rule if rule.window_ms == length]
            complaints = count_complaints(rules)
            for group in rule_groups(rules):
                window = SlidingWindow(
                    length, self._pane_ms, len(self.sliding), group, counting.layout, counting_complaints=complaints
                )
                self.sliding.append(window)
                self._of_rule |= dict.fromkeys((rule.id for rule in group), window)
        coarse = [window for window in self.sliding if not window.fine]
        fine = [window for window in self.sliding if window.fine]
        self._fine = [
            PaneMerger(step_ms, [window for window in fine if window.step_ms == step_ms])
            for step_ms in sorted({window.step_ms for window in fine})
        ]
        self._hour = PaneMerger(HOUR_MS, coarse) if coarse else None
        self._mergers = [*self._fine, *([self._hour] if self._hour else [])]
        self.evidence = NewestCalls(counting.ruled_ms)
        self.called: CalledTenants | None = None  # None: nobody asks
        self.closed: deque[Pane] = deque()
        # At the end of an hour its fine panes say who called, however short the fine windows are.
        self._store = PaneStore(max(counting.fine_ms, 1), counting.coarse_ms) if keep_state else None

    def of_rule(self, rule_id: str) -> SlidingWindow:
        """The window that a rule is evaluated on."""
        return self._of_rule[rule_id]

    def add(self, panes: Iterable[Pane]) -> None:
        """Add closed panes, which must follow the earlier ones."""
        panes = list(panes)
        self.closed.extend(panes)
        if self._store is not None:
            self._store.add(panes)

    def next_end(self, bounds: Mapping[int, int]) -> int | None:
        """The next instant at which a pane ends or panes enter the windows.

        ``bounds`` is the last end for each step of the rules.
        """
        ends = [self.closed[0].start_ms + self._pane_ms] if self.closed else []
        ends += [end_ms for merger in self._mergers if (end_ms := merger.due(bounds)) is not None]
        return min(ends, default=None)

    def enter(self, end_ms: int, tenants: int) -> None:
        """Collect panes up to ``end_ms``, and enter those whose step has ended. The shard has ``tenants`` tenants."""
        while self.closed and self.closed[0].start_ms < end_ms:
            pane = self.closed.popleft()
            if self.called is not None:
                self.called.add(pane.start_ms, pane.tenant)
            self.evidence.add(pane.evidence, end_ms)
            for merger in self._mergers:
                merger.panes.append(pane)
        for merger in self._fine:
            merger.enter_ended(end_ms, tenants)
        if self._hour is not None and self._hour.ended(end_ms):
            hour = merge(self._hour.panes, self._hour.start_ms, ruled=self._ruled_long, talk=self._talk)
            self._hour.enter(hour, tenants)
            if self._store is not None:
                self._store.add_hour(hour)

    # State ------------------------------------------------------------------------------------------------------

    @property
    def counted_since(self) -> dict[str, int]:
        """The fields of the panes in the order of their sums, each with the event time from which it is counted."""
        return self._history.counted_since

    def heads(self, at_ms: int) -> dict[int, WindowCheckpoint]:
        """The stored heads of the windows, after all windows up to ``at_ms`` were evaluated."""
        assert not self.closed
        levels: dict[int, dict[KeySet, dict[int, int]]] = {}
        for window in self.sliding:
            window.leave(at_ms - window.window_ms)  # no future window begins before that
            of_keys = levels.setdefault(window.window_ms, {})
            of_keys |= {keys: distinct.levels for keys, distinct in window.distinct.items()}
        left_ms = {window.window_ms: window.left_ms for window in self.sliding}
        return {length: WindowCheckpoint.of(left_ms[length], levels[length]) for length in left_ms}

    def changes(self, at_ms: int) -> dict[str, bytes | None]:
        """The pane entries to store since the last call. None marks an entry to delete."""
        assert self._store is not None, "keep_state is off"
        return self._store.changes(at_ms)

    def known(self, heads: Mapping[int, WindowCheckpoint], at_ms: int) -> list[WindowCheckpoint]:
        """The head of each window, in the order of ``sliding``.

        A length that is new in this policy gets a head from which everything has left.
        """
        lengths = (window.window_ms for window in self.sliding)
        return [heads.get(length) or WindowCheckpoint.of(at_ms - length, {}) for length in lengths]

    def restore(
        self, known: Sequence[WindowCheckpoint], entries: Mapping[str, bytes], at_ms: int, tenants: int, hour_ms: int
    ) -> None:
        """Restore the windows from the ``known`` heads and the pane entries, as of ``at_ms``.

        ``hour_ms`` is the start of the hour whose measures come next.
        """
        for window, head in zip(self.sliding, known, strict=True):
            for keys, distinct in window.distinct.items():
                distinct.levels = dict(head.levels(keys))
            window.leave(head.left_ms)
        store = self._store or PaneStore(0, 0)
        fine, hours = store.load(entries)
        fine_since_ms = store.fine_since_ms
        evidence = []
        for hour in map(self._history.read_hour, hours):
            if fine_since_ms is None or hour.start_ms + HOUR_MS <= fine_since_ms:
                evidence.append(hour.evidence)
            if self._hour is not None:
                self._hour.enter(hour, tenants)
        for pane in map(self._history.read, fine):
            evidence.append(pane.evidence)
            if self.called is not None and pane.start_ms >= hour_ms:
                self.called.add(pane.start_ms, pane.tenant)
            for merger in self._fine:
                merger.enter_ended(pane.start_ms, tenants)
                merger.panes.append(pane)
            if self._hour is not None and pane.start_ms // HOUR_MS * HOUR_MS + HOUR_MS > at_ms:
                self._hour.panes.append(pane)
        for merger in self._fine:
            merger.enter_ended(at_ms, tenants)
        self.evidence.restore(evidence, at_ms)
