"""The shard: takes calls, records and a watermark for its tenants, and decides. No clock, no I/O.

Memory, in bytes. The figures in brackets are bytes per tenant as ``tests/bench`` measures them with 10,000 tenants and
a million calls a day. The cost of a tenant depends on its calls (docs/explanation/benchmarks.md).

- running sums: 8 per window length and field that rules use; panes inside the windows: 8 per field and pane in which
  the tenant called (5,800);
- keys of callees and callers: 17 per distinct key and pane, and 34 to 136 in the counts of each window length that
  counts them, at most 65,536 keys per tenant and window (9,600). Rules may count further sets of keys: callees by
  block and of answered calls, and pairs of consent and callee, which take 25 per pane. Blocks and consents take 32 to
  128 each besides, and so does each distinct number of calls per key of a tenant;
- evidence: at most 40 calls of 24 bytes and an id per ruled field (1,100);
- open calls: 190 per call until it is summed up, at most 32,768 per pane; then only what it adds to the above;
- everything else: complaints and findings for ``retention``, decisions on record, the tenant record (2,200);
- owners: 100 per owner that a tenant has named, and 400 per ban, of all shards;
- with ``keep_state``, the keys of the stored panes (negligible).

Each item is bounded by the length of a window, by a number of entries, or by ``retention``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.early_alerts import EarlyAlerts
from monitor.core.calls.columns import Calls
from monitor.core.calls.dedup import Deduplicator
from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.owner_effects import OwnerEffects
from monitor.core.decisions.pending_record import PendingRecord, Place
from monitor.core.decisions.pending_records import PendingRecords
from monitor.core.decisions.record_handlers import RecordHandlers
from monitor.core.measures.hourly_measures import HourlyMeasures
from monitor.core.owners.owner_bans import OwnerBans
from monitor.core.results import DECISIONS_ONLY, Output, WantedOutput
from monitor.core.rules.evaluator import RuleEvaluator
from monitor.core.rules.window_end import OutputRoom
from monitor.core.tenants.tenant_numbers import TenantNumbers
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window import HOUR_MS
from monitor.core.windows.window_set import WindowSet
from monitor.policy.catalogue import Catalogue
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion


class Shard:
    """The calls, complaints and records of some tenants, evaluated by one policy.

    ``apply`` and ``wait`` take input, ``advance`` decides what the watermark allows, and ``finish`` ends the input.
    Output collects in ``output``. With ``keep_state``, `monitor.core.shard_state` stores its state and restores it. To
    change the policy at some time, `close` decides everything before it. A shard of the next policy, whose ``history``
    names the earlier ones, then starts from the stored state.

    ``owner_bans`` holds the bans of owners. The shard takes its own bans itself, and reports them in ``output``.

    Calls go through ``dedup`` and ``open_panes`` to ``windows``, which ``evaluator`` judges; ``early_alerts`` evaluates
    ahead. Other records go through ``pending_records`` to ``record_handlers``. Both ask ``decisions``, which change
    ``tenant_records``. Panes that end at or before ``closed_ms`` are closed, and windows that end at or before
    ``at_ms`` are evaluated.
    """

    def __init__(
        self,
        policy: Policy,
        wanted: WantedOutput = DECISIONS_ONLY,
        keep_state: bool = False,
        history: FieldAvailability | None = None,
        output: Output | None = None,
    ) -> None:
        self.policy = policy
        history = history or FieldAvailability([PolicyVersion(0, policy)])
        counting = history.counting
        self.layout = counting.layout
        self._steps = sorted({HOUR_MS, *(rule.step_ms for rule in policy.rules)})
        self.pane_ms = counting.pane_ms
        self.output = output or Output()
        self.tenant_numbers = TenantNumbers()
        self.tenant_records = TenantRecords(self.tenant_numbers.names)
        self.windows = WindowSet(policy, history, keep_state)
        cooldowns = Cooldowns()
        self.owner_bans = OwnerBans(policy.retention_ms)
        self.decisions = DecisionLifecycle(policy, self.tenant_records, cooldowns, self.owner_bans, self.output)
        self.owner_effects = OwnerEffects(policy, self.decisions, self.tenant_records, self.tenant_numbers.by_name)
        self.pending_records = PendingRecords()
        self.record_handlers = RecordHandlers(
            policy,
            Catalogue(policy.catalogue),
            self.decisions,
            [window.complaints for window in self.windows.sliding],
            self.tenant_records,
            self.tenant_numbers.of,
            self.output,
        )
        self.evaluator = RuleEvaluator(
            policy, history, self.windows, cooldowns, self.decisions, self.tenant_records, self.output
        )
        self.evaluator.keep_windows = wanted.windows
        self.hourly = HourlyMeasures(self.evaluator, self.tenant_numbers.names, self.output)
        self.windows.called = self.hourly.called if wanted.measures else None
        self.tenant_numbers.on_new = self.evaluator.exceptions.know
        self.dedup = Deduplicator()
        self.open_panes = OpenPanes(self.pane_ms, self.layout, counting.ruled)
        self.closed_ms = self.at_ms = 0
        self._aside_ms: int | None = None
        self.aside: list[Calls] = []  # calls that end at `_aside_ms` or later, for the next shard
        self.early_alerts: EarlyAlerts | None = None  # created on first use; replay never uses it

    def enforce_from(self, from_ms: int) -> None:
        """Count events before ``from_ms`` without deciding anything on them. Call this before any other method."""
        self.evaluator.from_ms = self.record_handlers.from_ms = self.owner_effects.from_ms = from_ms

    # Input ------------------------------------------------------------------------------------------------------

    def apply(
        self, names: Sequence[str], calls: Calls, watermark_ms: int, known_duplicate: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Take valid calls that are not late, in reading order. Returns which of them are duplicates, ``[calls]``.

        ``names`` is the table that ``calls.tenant`` indexes. ``watermark_ms`` is the watermark before these calls; no
        late line is below it. ``known_duplicate`` marks the calls that were duplicates before a restart.
        """
        if not len(calls):
            return np.zeros(0, np.bool_)
        calls.tenant = self.tenant_numbers.of_calls(names, calls.tenant)
        duplicate = self.dedup.admit(calls.id_key, calls.end_ms, calls.line_ms, watermark_ms, known_duplicate)
        taken = ~duplicate
        every = bool(taken.all())
        self.evaluator.called(*((calls.tenant, calls.end_ms) if every else (calls.tenant[taken], calls.end_ms[taken])))
        # After a restart, calls whose pane is already closed are read again.
        if not every or int(calls.end_ms.min()) < self.closed_ms:
            calls = calls.take(taken & (calls.end_ms >= self.closed_ms))
        if len(calls):
            self.add(calls)
        return duplicate

    def add(self, calls: Calls) -> None:
        """Add calls that are known to be no duplicates, with the numbers of their tenants, to the open panes."""
        if self._aside_ms is not None:
            beyond = calls.end_ms >= self._aside_ms
            if beyond.any():
                self.aside.append(calls.take(beyond))
                calls = calls.take(~beyond)
        if len(calls):
            self.open_panes.add(calls)

    def wait(self, waiting: PendingRecord) -> None:
        """Take a record that is not a call. It is decided at its event time."""
        # Tenants are numbered in reading order, so that early evaluation does not change the order.
        tenant = self.tenant_numbers.of(waiting.record.tenant_id)
        self.pending_records.add(waiting)
        if self.early_alerts is not None:
            self.early_alerts.complained(tenant, waiting)

    def keep_aside(self, from_ms: int) -> None:
        """Keep calls that end at ``from_ms`` or later aside for the next shard."""
        self._aside_ms = from_ms

    # Deciding ---------------------------------------------------------------------------------------------------

    def advance(self, watermark_ms: int, owners_until_ms: int | None = None) -> None:
        """Decide everything that the watermark allows: windows that end at or before it, and records before it.

        Bans of owners take effect up to ``owners_until_ms``, which is the watermark unless given.
        """
        self.decide_before((watermark_ms,), watermark_ms, owners_until_ms)

    def decide_before(self, place: Place, watermark_ms: int, owners_until_ms: int | None = None) -> None:
        """Decide a part of that: records before ``place``, the rest as `advance`."""
        self._close_panes(watermark_ms // self.pane_ms * self.pane_ms)
        self._run(place, dict.fromkeys(self._steps, watermark_ms), watermark_ms, owners_until_ms)

    @property
    def partial(self) -> bool:
        """Whether only some of what is due at ``at_ms`` is evaluated or written (`end_windows`)."""
        return (self.evaluator.partial, self.hourly.partial) != (None, None)

    def next_window_end(self, watermark_ms: int) -> int | None:
        """The first instant by then at which a pane is to be closed, or a window ends that has anything to evaluate."""
        if self.partial:
            return self.at_ms if self.at_ms <= watermark_ms else None
        ends = self._next_end(dict.fromkeys(self._steps, watermark_ms)), self.open_panes.due_at_ms
        return min((end_ms for end_ms in ends if end_ms is not None and end_ms <= watermark_ms), default=None)

    def early(self) -> bool:
        """Evaluate rules early: fire and resolve alerts on input that cannot be decided yet
        (`monitor.core.alerts.early_alerts`). Returns whether alerts are left to the next call.
        Only alerts change. Calling it is optional; call it when all available input has been taken."""
        if self.early_alerts is None:
            self.early_alerts = EarlyAlerts(
                self.policy,
                self.evaluator,
                self.pending_records,
                self.tenant_records,
                self.tenant_numbers,
                self.open_panes,
            )
        self.early_alerts.evaluate(self.closed_ms)
        return self.early_alerts.postponed > 0

    def finish(self, last_ms: int, until_ms: int | None = None) -> None:
        """End the input at the largest event time ``last_ms``, and decide everything that waits.

        Rules are evaluated up to the first multiple of their step after ``last_ms``, and decisions lapse up to
        ``last_ms``. With ``until_ms``, which must not be before ``last_ms``, both run up to ``until_ms``."""
        self._close_panes((last_ms // self.pane_ms + 1) * self.pane_ms)
        if until_ms is None:
            self._run((last_ms + 1,), self._last_ends(last_ms), last_ms)
        else:
            self._run((last_ms + 1,), dict.fromkeys(self._steps, until_ms), until_ms)

    def close(self, at_ms: int, successor: Policy, last_ms: int | None = None) -> None:
        """Decide everything before ``at_ms``, where the successor takes over. Nothing later may be decided yet.

        Alerts of rules that the successor does not have are resolved. ``last_ms``: the input ended there, as in
        `finish`.
        """
        assert at_ms > self.at_ms, "what is to be decided otherwise is decided already"
        self._close_panes(at_ms - self.pane_ms)
        bounds = dict.fromkeys(self._steps, at_ms - 1)
        if last_ms is not None:
            bounds = {step_ms: min(end_ms, at_ms - 1) for step_ms, end_ms in self._last_ends(last_ms).items()}
        self._run((at_ms,), bounds, at_ms - 1 if last_ms is None else min(at_ms - 1, last_ms))
        self._close_panes(at_ms)
        self.record_handlers.retention.forget(at_ms)
        self.evaluator.dismiss(successor, at_ms)
        # The last pane ends when the successor takes over. It is stored, and enters the windows of the successor.
        self.windows.closed.clear()
        self.at_ms = at_ms - 1

    def _last_ends(self, last_ms: int) -> dict[int, int]:
        """The last window end to evaluate for each step if the input ends at ``last_ms``."""
        return {step_ms: (last_ms // step_ms + 1) * step_ms for step_ms in self._steps}

    def _run(
        self, records_before: Place, bounds: Mapping[int, int], lapses_until_ms: int, owners_until_ms: int | None = None
    ) -> None:
        """Decide everything in event-time order; at one instant first lapses, then windows, then owners, then records.

        ``owners_until_ms`` is ``lapses_until_ms`` unless given.
        """
        owners_until_ms = lapses_until_ms if owners_until_ms is None else owners_until_ms
        if self.early_alerts is not None:
            self.early_alerts.catch_up()
        if self.partial and self.at_ms <= lapses_until_ms:
            self.end_windows(self.at_ms)
        end_ms = self._next_end(bounds)
        while True:
            lapse_ms = self.decisions.reviews.next_lapse(lapses_until_ms)
            owner_ms = self.owner_bans.next_at(owners_until_ms)
            record_ms = self.pending_records.next_at(records_before)
            instants = [ms for ms in (lapse_ms, end_ms, owner_ms, record_ms) if ms is not None]
            if not instants:
                return
            now_ms = min(instants)
            if lapse_ms == now_ms:
                self.decisions.lapse(now_ms)
            elif end_ms == now_ms:
                self.end_windows(now_ms, bounds)
                end_ms = self._next_end(bounds)
            else:
                start_ms = now_ms // self.pane_ms * self.pane_ms
                self.at_ms = max(self.at_ms, start_ms)
                if owner_ms == now_ms:
                    self.owner_effects.apply()
                elif self.record_handlers.decide(self.pending_records.pop()) and end_ms != start_ms + self.pane_ms:
                    end_ms = self._next_end(bounds)  # else none is before the end of the pane

    def _next_end(self, bounds: Mapping[int, int]) -> int | None:
        """The next instant at which a pane ends, panes enter the windows, or a rule has something to evaluate."""
        ends = self.windows.next_end(bounds), self.evaluator.due(self.at_ms, bounds), self.hourly.due(bounds)
        return min((end_ms for end_ms in ends if end_ms is not None), default=None)

    def end_windows(self, end_ms: int, bounds: Mapping[int, int] | None = None, room: OutputRoom | None = None) -> None:
        """Evaluate the rules that are due at ``end_ms``, before which everything must be decided, and write measures.
        ``bounds`` is the last end for each step. With ``room``, the shard is ``partial`` if not all output fits."""
        self._close_panes(end_ms)
        self.windows.enter(end_ms, self.tenants)
        if self.hourly.partial is None:
            self.evaluator.evaluate(end_ms, self.tenants, bounds or dict.fromkeys(self._steps, end_ms), room)
        self.at_ms = end_ms
        if self.evaluator.partial is None and (bounds is None or end_ms <= bounds[HOUR_MS]):
            self.hourly.write(end_ms, self.tenants, room)

    def _close_panes(self, before_ms: int) -> None:
        """Close the panes that end at or before ``before_ms``."""
        if before_ms <= self.closed_ms:
            return
        self.closed_ms = before_ms
        self.windows.add(self.open_panes.due(before_ms))

    @property
    def tenants(self) -> int:
        """The number of tenants seen."""
        return len(self.tenant_numbers)
