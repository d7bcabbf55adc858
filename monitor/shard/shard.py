"""The shard: takes calls and records of its tenants and a watermark, and decides. No clock, no I/O.

What it keeps, and what an active tenant costs (bytes, measured by ``tests/bench``):

- running sums: 8 for each window length and field that rules ask for (built-in policy: about 0.3 KB);
- sealed panes: 8 for each field and pane in which the tenant called, for the longest window up to 48 h, and an hour
  pane of the same size for each hour in which it called, for the longest window;
- keys of callees and callers: 17 for each distinct one a pane, and 34 to 136 in the tally of each window length that
  counts them, at most 32,768 a tenant and window;
- evidence: at most 40 calls of 24 bytes and an id for each ruled field;
- what is not a call: about 0.5 KB a complaint or finding for ``retention``, 1 KB a decision on record.

Each is bounded by the length of a window, by a number of entries, or by ``retention``.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from monitor.policy.catalogue import Catalogue
from monitor.policy.model import Policy
from monitor.shard.columns import Calls
from monitor.shard.decisions import Decisions
from monitor.shard.evidence import Evidence
from monitor.shard.fields import Layout
from monitor.shard.gates import Gates
from monitor.shard.judge import Judge, ruled_field
from monitor.shard.pane import Pane, merge, seal
from monitor.shard.records import Records, Waiting
from monitor.shard.seen import Seen
from monitor.shard.sink import Sink
from monitor.shard.span import FINE_MS, HOUR_MS, Span
from monitor.shard.standing import Standing

_FIVE_MINUTES_MS = 300_000


class Shard:
    """Some tenants' calls, complaints and standing, judged by one policy.

    ``apply`` and ``wait`` take what was read, ``advance`` decides what the watermark allows, ``finish`` ends the
    input; what they bring about lies in ``sink`` until ``take`` fetches it.
    """

    def __init__(self, policy: Policy, keep_windows: bool = False) -> None:
        self.policy = policy
        every_rule = (*policy.rules, *(override.rule for override in policy.overrides))
        self.layout = Layout.of(policy.params, every_rule)
        self.pane_ms = int(np.gcd.reduce([_FIVE_MINUTES_MS, *(rule.step_ms for rule in policy.rules)]))
        self.sink = Sink()
        self._index: dict[str, int] = {}
        self._names: list[str] = []
        self._standings: dict[int, Standing] = {}
        lengths = sorted({rule.window_ms for rule in policy.rules})
        self._spans = {
            length: Span(length, bit, [r for r in every_rule if r.window_ms == length], self.layout)
            for bit, length in enumerate(lengths)
        }
        ruled = {ruled_field(rule, self.layout) for rule in every_rule}
        self._ruled = sorted(field for field in ruled if field[0] >= 0)
        self._parties = any(span.callees or span.callers for span in self._spans.values())
        self._coarse = [span for span in self._spans.values() if not span.fine]
        self._fine = [span for span in self._spans.values() if span.fine]
        self._evidence = Evidence(len(self._ruled), max(lengths, default=0))
        gates = Gates()
        self._decisions = Decisions(policy, gates, self.sink)
        self._records = Records(
            policy,
            Catalogue(policy.catalogue),
            self._decisions,
            [span.complaints for span in self._spans.values()],
            lambda tenant_id: self._standing(self._tenant(tenant_id)),
            self.sink,
        )
        self._judge = Judge(
            policy,
            self.layout,
            self._spans,
            gates,
            self._decisions,
            self._evidence,
            self._ruled,
            self._standing,
            self.sink,
            keep_windows,
        )
        self._seen = Seen()
        self._open: list[Calls] = []
        self._sealed: deque[Pane] = deque()  # sealed panes that have not entered the windows yet
        self._hour: list[Pane] = []  # panes of the running hour, which will make up its hour pane
        self._sealed_ms = 0  # what ended before is sealed
        self._at_ms = 0  # the last window end that was judged

    # Taking in --------------------------------------------------------------------------------------------------

    def apply(self, names: Sequence[str], calls: Calls, watermark_ms: int) -> None:
        """Take valid calls that are not late, in reading order. ``names`` is the table that ``calls.tenant`` indexes.

        ``watermark_ms`` is that before these calls: no late line is below it.
        """
        if not len(calls):
            return
        place = np.fromiter((self._tenant(name) for name in names), np.int32, len(names))
        calls.tenant = place[calls.tenant]
        duplicate = self._seen.admit(calls.id_key, calls.end_ms, calls.line_ms, watermark_ms)
        if duplicate.any():
            self.sink.duplicates += int(duplicate.sum())
            calls = calls.take(~duplicate)
        if len(calls):
            self._open.append(calls)

    def wait(self, waiting: Waiting) -> None:
        """Take a record that is not a call; it is decided at its event time."""
        self._records.wait(waiting)

    # Deciding ---------------------------------------------------------------------------------------------------

    def advance(self, watermark_ms: int) -> None:
        """Decide all that the watermark allows: windows ending at or before it, records before it."""
        self._seal(watermark_ms // self.pane_ms * self.pane_ms)
        self._run(watermark_ms, [watermark_ms] * len(self.policy.rules), watermark_ms)

    def finish(self, last_ms: int, until_ms: int | None = None) -> None:
        """The input has ended at the largest event time ``last_ms``: decide all that waits.

        Each rule is judged up to the first multiple of its step after ``last_ms``, pending decisions lapse up to
        it; or both up to ``until_ms`` (not before ``last_ms``).
        """
        self._seal((last_ms // self.pane_ms + 1) * self.pane_ms)
        if until_ms is None:
            bounds = [(last_ms // rule.step_ms + 1) * rule.step_ms for rule in self.policy.rules]
            self._run(last_ms + 1, bounds, last_ms)
        else:
            self._run(last_ms + 1, [until_ms] * len(self.policy.rules), until_ms)

    def take(self) -> Sink:
        """What was brought about since the last call."""
        taken = Sink(
            self.sink.enforcement,
            self.sink.shadow,
            self.sink.alerts,
            self.sink.windows,
            self.sink.refused,
            self.sink.duplicates,
        )
        self.sink.enforcement, self.sink.shadow, self.sink.alerts = [], [], []
        self.sink.windows, self.sink.refused, self.sink.duplicates = [], [], 0
        return taken

    def _run(self, records_before_ms: int, bounds: Sequence[int], lapses_until_ms: int) -> None:
        """Everything in event-time order; at one instant first lapses, then windows, then records."""
        coarse = [bound for bound, rule in zip(bounds, self.policy.rules, strict=True) if rule.window_ms > FINE_MS]
        last_hour_ms = max(coarse, default=0)
        while True:
            lapse_ms = self._decisions.next_lapse(lapses_until_ms)
            end_ms = self._next_end(bounds, last_hour_ms)
            record_ms = self._records.next_at()
            if record_ms is not None and record_ms >= records_before_ms:
                record_ms = None
            instants = [ms for ms in (lapse_ms, end_ms, record_ms) if ms is not None]
            if not instants:
                return
            now_ms = min(instants)
            if lapse_ms == now_ms:
                self._decisions.lapse(now_ms)
            elif end_ms == now_ms:
                self._end(now_ms, bounds)
            else:
                self._at_ms = max(self._at_ms, now_ms // self.pane_ms * self.pane_ms)
                self._records.decide_next()

    def _next_end(self, bounds: Sequence[int], last_hour_ms: int) -> int | None:
        """The next instant at which a pane enters the windows or a rule has something to judge."""
        ends = []
        if self._sealed:
            ends.append(self._sealed[0].start_ms + self.pane_ms)
        if self._hour:
            hour_ends = self._hour[0].start_ms // HOUR_MS * HOUR_MS + HOUR_MS
            if hour_ends <= last_hour_ms:
                ends.append(hour_ends)
        due = self._judge.due(self._at_ms, bounds)
        if due is not None:
            ends.append(due)
        return min(ends, default=None)

    def _end(self, end_ms: int, bounds: Sequence[int]) -> None:
        """Panes up to ``end_ms`` enter the windows, and the rules that are due are judged."""
        tenants = len(self._names)
        while self._sealed and self._sealed[0].start_ms < end_ms:
            pane = self._sealed.popleft()
            self._evidence.add(pane.evidence, end_ms)
            for span in self._fine:
                span.enter(pane, tenants)
            if self._coarse:
                self._hour.append(pane)
        if self._hour and self._hour[0].start_ms // HOUR_MS * HOUR_MS + HOUR_MS <= end_ms:
            self._end_hour(tenants)
        self._judge.judge(end_ms, tenants, bounds)
        self._at_ms = end_ms

    def _end_hour(self, tenants: int) -> None:
        start_ms = self._hour[0].start_ms // HOUR_MS * HOUR_MS
        tenant, sums = merge(self._hour, self.layout.width)
        for span in self._coarse:
            span.level.enter(start_ms, tenant, sums, tenants)
        self._hour = []

    def _seal(self, before_ms: int) -> None:
        """Seal the panes that end at or before ``before_ms``."""
        if before_ms <= self._sealed_ms:
            return
        self._sealed_ms = before_ms
        ripe: list[Calls] = []
        still_open: list[Calls] = []
        for calls in self._open:
            inside = calls.end_ms < before_ms
            if inside.all():
                ripe.append(calls)
            elif inside.any():
                ripe.append(calls.take(inside))
                still_open.append(calls.take(~inside))
            else:
                still_open.append(calls)
        self._open = still_open
        if ripe:
            panes = seal(Calls.concat(ripe), self.pane_ms, self.layout, self._ruled, self._parties)
            self._sealed.extend(panes)

    @property
    def tenants(self) -> int:
        """How many tenants it has seen."""
        return len(self._names)

    # Tenants ----------------------------------------------------------------------------------------------------

    def _tenant(self, tenant_id: str) -> int:
        index = self._index.get(tenant_id)
        if index is None:
            index = self._index[tenant_id] = len(self._names)
            self._names.append(tenant_id)
            self._judge.know(tenant_id, index)
        return index

    def _standing(self, tenant: int) -> Standing:
        standing = self._standings.get(tenant)
        if standing is None:
            standing = self._standings[tenant] = Standing(self._names[tenant], tenant)
        return standing
