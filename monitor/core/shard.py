"""The shard: takes calls, records and a watermark for its tenants, and decides. No clock, no I/O.

Memory, in bytes. The figures in brackets are bytes per tenant as ``tests/bench`` measures them with 10,000 tenants and
a million calls a day. The cost of a tenant depends on its calls (docs/explanation/benchmarks.md).

- running sums: 8 per window length and field that rules use; panes inside the windows: 8 per field and pane in which
  the tenant called (5,800);
- keys of callees and callers: 17 per distinct key and pane, and 34 to 136 in the counts of each window length that
  counts them, at most 65,536 keys per tenant and window (9,600);
- evidence: at most 40 calls of 24 bytes and an id per ruled field (1,100);
- open calls: 190 per call until it is summed up, at most 32,768 per pane; then only what it adds to the above;
- everything else: complaints and findings for ``retention``, decisions on record, the tenant record (2,200);
- with ``keep_state``, the keys of the stored panes (negligible).

Each item is bounded by the length of a window, by a number of entries, or by ``retention``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.early_alerts import EarlyAlerts
from monitor.core.calls.columns import Calls
from monitor.core.calls.dedup import Deduplicator
from monitor.core.calls.fields import COUNTED
from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.pending_record import PendingRecord, Place
from monitor.core.decisions.pending_records import PendingRecords
from monitor.core.decisions.record_handlers import RecordHandlers
from monitor.core.handover import MOST_CALLS, Handover
from monitor.core.results import Output
from monitor.core.rules.evaluator import RuleEvaluator
from monitor.core.rules.rule_state import RuleState
from monitor.core.snapshot import ShardCheckpoint, decode_names, encode_names
from monitor.core.tenants.tenant_numbers import TenantNumbers
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.tenants.tenant_store import decode_standings, encode_standings
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window_set import WindowSet
from monitor.policy.catalogue import Catalogue
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion


class Shard:
    """The calls, complaints and records of some tenants, evaluated by one policy.

    ``apply`` and ``wait`` take input, ``advance`` decides what the watermark allows, and ``finish`` ends the input.
    Output collects in ``sink`` until ``take`` returns it. With ``keep_state``, `changes` and `head` return the state to
    store, and `restore` loads it. To change the policy at some time, `close` decides everything before it. A shard of
    the next policy, whose ``history`` names the earlier ones, then starts from the stored state.
    """

    def __init__(
        self,
        policy: Policy,
        keep_windows: bool = False,
        keep_state: bool = False,
        history: FieldAvailability | None = None,
        sink: Output | None = None,
    ) -> None:
        self.policy = policy
        history = history or FieldAvailability([PolicyVersion(0, policy)])
        counting = history.counting
        self.layout = counting.layout
        self._steps = sorted({rule.step_ms for rule in policy.rules})
        self.pane_ms = counting.pane_ms
        self.sink = sink or Output()
        self._tenants = TenantNumbers()
        self._stored_names = 0
        self._standings = TenantRecords(self._tenants.names)
        self._windows = WindowSet(policy, history, keep_state)
        cooldowns = Cooldowns()
        self._decisions = DecisionLifecycle(policy, self._standings, cooldowns, self.sink)
        self._waiting = PendingRecords()
        self._records = RecordHandlers(
            policy,
            Catalogue(policy.catalogue),
            self._decisions,
            [span.complaints for span in self._windows.spans.values()],
            self._standings,
            self._tenants.of,
            self.sink,
        )
        self._judge = RuleEvaluator(
            policy, history, self._windows, cooldowns, self._decisions, self._standings, self.sink
        )
        self._judge.keep_windows = keep_windows
        self._tenants.on_new = self._judge.exceptions.know
        self._seen = Deduplicator()
        self._unsealed = OpenPanes(self.pane_ms, self.layout, counting.ruled, counting.parties)
        self._sealed_ms = 0  # panes that end at or before this are sealed
        self._at_ms = 0  # the last window end that was evaluated
        self._beyond_ms: int | None = None
        self._beyond: list[Calls] = []  # calls that end at `_beyond_ms` or later, for the next shard
        self._early: EarlyAlerts | None = None  # created on first use; replay never uses it

    def enforce_from(self, from_ms: int) -> None:
        """Count events before ``from_ms`` without deciding anything on them. Call this before any other method."""
        self._judge.from_ms = self._records.from_ms = from_ms

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
        used = np.zeros(len(names), np.bool_)  # the table also names tenants whose calls were late or rejected
        used[calls.tenant] = True
        calls.tenant = self._tenants.of_used(names, used)[calls.tenant]
        duplicate = self._seen.admit(calls.id_key, calls.end_ms, calls.line_ms, watermark_ms, known_duplicate)
        # After a restart, calls whose pane is already sealed are read again.
        taken = ~duplicate & (calls.end_ms >= self._sealed_ms)
        if not taken.all():
            calls = calls.take(taken)
        if len(calls):
            self._add(calls)
        return duplicate

    def _add(self, calls: Calls) -> None:
        if self._beyond_ms is not None:
            beyond = calls.end_ms >= self._beyond_ms
            if beyond.any():
                self._beyond.append(calls.take(beyond))
                calls = calls.take(~beyond)
        if len(calls):
            self._unsealed.add(calls)

    def wait(self, waiting: PendingRecord) -> None:
        """Take a record that is not a call. It is decided at its event time."""
        # Tenants are numbered in reading order, so that early evaluation does not change the order.
        tenant = self._tenants.of(waiting.record.tenant_id)
        self._waiting.add(waiting)
        if self._early is not None:
            self._early.complained(tenant, waiting)

    # Deciding ---------------------------------------------------------------------------------------------------

    def advance(self, watermark_ms: int) -> None:
        """Decide everything that the watermark allows: windows that end at or before it, and records before it."""
        self._advance(watermark_ms, (watermark_ms,))

    def advance_by(self, most: int, watermark_ms: int) -> int | None:
        """Decide a part of what the watermark allows: records of about the weight ``most``, and as many lapses.

        Returns None, with nothing decided, if no more than that is due: call `advance`. Otherwise returns the event
        time up to which everything is decided; the next call decides what is due at that instant and after it.
        """
        place = self._waiting.beyond(most, (watermark_ms,))
        stop_ms = watermark_ms if place is None else place[0]
        lapse_ms = self._decisions.reviews.lapses_beyond(most, stop_ms)
        if lapse_ms is not None:
            self._advance(lapse_ms - 1, (lapse_ms,))
            self._decisions.lapse(lapse_ms, most)
            return lapse_ms - 1  # windows that end at the instant of these lapses are not evaluated yet
        if place is not None:
            self._advance(stop_ms, place)
            return stop_ms
        return None

    def _advance(self, watermark_ms: int, before: Place) -> None:
        self._seal(watermark_ms // self.pane_ms * self.pane_ms)
        self._run(before, dict.fromkeys(self._steps, watermark_ms), watermark_ms)

    def work_due(self, watermark_ms: int, most: int) -> int:
        """The records and lapses that are due, at most ``most`` of each, plus `complaints_ahead`."""
        due = self._waiting.due((watermark_ms,), most) + self._decisions.reviews.lapses_due(watermark_ms, most)
        return due + self.complaints_ahead

    @property
    def complaints_ahead(self) -> int:
        """The number of complaints since the last early evaluation."""
        return 0 if self._early is None else self._early.arrived

    def tenants_due(self, watermark_ms: int) -> int:
        """The number of tenants that `advance` may decide or alert on at once: all of them if a window ends."""
        ends = self.due_calls(watermark_ms) > 0 or self._next_end(dict.fromkeys(self._steps, watermark_ms)) is not None
        return len(self._tenants) if ends else 0

    @property
    def early_work(self) -> int:
        """The number of complaints that `early` would count, plus the tenants that it would evaluate."""
        return len(self._waiting) + len(self._tenants) if self._early is None else self._early.work

    @property
    def waiting_records(self) -> int:
        """The number of waiting records."""
        return len(self._waiting)

    def due(self, watermark_ms: int) -> bool:
        """Whether `advance` would seal or decide anything. Cheap enough to call in every loop."""
        due_ms = self._unsealed.due_at_ms
        if due_ms is not None and due_ms <= watermark_ms:
            return True
        if self._waiting.next_at((watermark_ms,)) is not None:
            return True
        bounds = dict.fromkeys(self._steps, watermark_ms)
        if self._next_end(bounds) is not None:
            return True
        return self._decisions.reviews.next_lapse(watermark_ms) is not None

    def early(self) -> None:
        """Evaluate rules early: fire and resolve alerts on input that cannot be decided yet
        (`monitor.core.alerts.early_alerts`).

        Only alerts change. Calling it is optional; call it when all available input has been taken.
        """
        if self._early is None:
            self._early = EarlyAlerts(
                self.policy, self._judge, self._waiting, self._standings, self._tenants, self._unsealed
            )
        self._early.look(self._sealed_ms)

    def finish(self, last_ms: int, until_ms: int | None = None) -> None:
        """End the input at the largest event time ``last_ms``, and decide everything that waits.

        Each rule is evaluated up to the first multiple of its step after ``last_ms``, and pending decisions lapse up to
        ``last_ms``. With ``until_ms``, which must not be before ``last_ms``, both run up to ``until_ms``.
        """
        self._seal((last_ms // self.pane_ms + 1) * self.pane_ms)
        if until_ms is None:
            self._run((last_ms + 1,), self._last_ends(last_ms), last_ms)
        else:
            self._run((last_ms + 1,), dict.fromkeys(self._steps, until_ms), until_ms)

    def close(self, at_ms: int, successor: Policy, last_ms: int | None = None) -> None:
        """Decide everything before ``at_ms``, where the successor takes over. Nothing later may be decided yet.

        Alerts of rules that the successor does not have are resolved. ``last_ms``: the input ended there, as in
        `finish`.
        """
        assert at_ms > self._at_ms, "what is to be decided otherwise is decided already"
        self._seal(at_ms - self.pane_ms)
        bounds = dict.fromkeys(self._steps, at_ms - 1)
        if last_ms is not None:
            bounds = {step_ms: min(end_ms, at_ms - 1) for step_ms, end_ms in self._last_ends(last_ms).items()}
        self._run((at_ms,), bounds, at_ms - 1 if last_ms is None else min(at_ms - 1, last_ms))
        self._seal(at_ms)
        self._records.forget(at_ms)
        self._judge.dismiss({rule.id for rule in successor.rules}, at_ms)
        # The last pane ends when the successor takes over. It is stored, and enters the windows of the successor.
        self._windows.sealed.clear()
        self._at_ms = at_ms - 1

    def _last_ends(self, last_ms: int) -> dict[int, int]:
        """The last window end to evaluate for each step if the input ends at ``last_ms``."""
        return {step_ms: (last_ms // step_ms + 1) * step_ms for step_ms in self._steps}

    def take(self) -> Output:
        """Return the output since the last call, and empty the buffer."""
        taken = Output(
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

    def _run(self, records_before: Place, bounds: Mapping[int, int], lapses_until_ms: int) -> None:
        """Decide everything in event-time order; at one instant first lapses, then windows, then records."""
        if self._early is not None:
            self._early.catch_up()
        end_ms = self._next_end(bounds)
        while True:
            lapse_ms = self._decisions.reviews.next_lapse(lapses_until_ms)
            record_ms = self._waiting.next_at(records_before)
            instants = [ms for ms in (lapse_ms, end_ms, record_ms) if ms is not None]
            if not instants:
                return
            now_ms = min(instants)
            if lapse_ms == now_ms:
                self._decisions.lapse(now_ms)
            elif end_ms == now_ms:
                self._end(now_ms, bounds)
                end_ms = self._next_end(bounds)
            else:
                self._at_ms = max(self._at_ms, now_ms // self.pane_ms * self.pane_ms)
                if self._records.decide(self._waiting.pop()):
                    end_ms = self._next_end(bounds)

    def _next_end(self, bounds: Mapping[int, int]) -> int | None:
        """The next instant at which a pane ends, panes enter the windows, or a rule has something to evaluate."""
        ends = self._windows.next_end(bounds), self._judge.due(self._at_ms, bounds)
        return min((end_ms for end_ms in ends if end_ms is not None), default=None)

    def _end(self, end_ms: int, bounds: Mapping[int, int]) -> None:
        """Add the panes up to ``end_ms`` to the windows, and evaluate the rules that are due."""
        tenants = len(self._tenants)
        self._windows.enter(end_ms, tenants)
        self._judge.judge(end_ms, tenants, bounds)
        self._at_ms = end_ms

    def _seal(self, before_ms: int) -> None:
        """Seal the panes that end at or before ``before_ms``."""
        if before_ms <= self._sealed_ms:
            return
        self._sealed_ms = before_ms
        self._windows.seal(self._unsealed.due(before_ms))

    @property
    def at_ms(self) -> int:
        """The time up to which windows that end have been evaluated."""
        return self._at_ms

    @property
    def tenants(self) -> int:
        """The number of tenants seen."""
        return len(self._tenants)

    @property
    def names(self) -> Sequence[str]:
        """The tenant ids, by number."""
        return self._tenants.names

    @property
    def rule_states(self) -> Sequence[RuleState]:
        """The rules with their last evaluation. Read-only."""
        return self._judge.rule_states

    def pending(self) -> dict[str, tuple[int, int]]:
        """The pending decisions by rule: their number, and the time of the first lapse."""
        return self._decisions.reviews.by_rule()

    @property
    def open_calls(self) -> int:
        """The number of calls in open panes."""
        return len(self._unsealed)

    def due_calls(self, watermark_ms: int) -> int:
        """The number of open calls that `advance` would seal."""
        return self._unsealed.due_calls(watermark_ms // self.pane_ms * self.pane_ms)

    # State ------------------------------------------------------------------------------------------------------

    def open_since(self) -> dict[int, tuple[int, int]]:
        """For each source with open calls or waiting records: the offset of the first of them and the clock before it.

        Open calls and waiting records are not stored. After a restart the source must be read again from that offset,
        with that clock.
        """
        first = self._waiting.waiting_since()
        for source, place in self._unsealed.since().items():
            first[source] = min(first.get(source, place), place)
        return first

    def head(self) -> ShardCheckpoint:
        """The head, which is stored every time. Encode it before the shard takes more input.

        Call this and `changes` only when everything that the watermark allows has been decided.
        """
        return ShardCheckpoint(
            at_ms=self._at_ms,
            sealed_ms=self._sealed_ms,
            newest_ms=self._unsealed.sealed_newest_ms,
            tenants=len(self._tenants),
            spans=self._windows.heads(self._at_ms),
            decided=self._waiting.decided or None,
            fields=COUNTED,
        )

    def changes(self) -> dict[str, bytes | None]:
        """The entries to store since the last call. None marks an entry to delete."""
        changes = self._windows.changes(self._at_ms)
        changes |= encode_names(self._tenants.names, self._stored_names)
        self._stored_names = len(self._tenants)
        changes |= encode_standings(self._standings.changed())
        changes |= self._judge.alert_states.changes()
        return changes

    def restore(self, head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Restore the state from `head` and all `changes` so far.

        The shard must be new. Its policy must be the same, or, if the earlier shard was closed, the next one.
        Raises StateFormatError if the format or a field is unknown, or part of the state is missing.
        """
        head.must_match()
        for name in decode_names(entries, head.tenants):
            self._tenants.of(name)
        self._stored_names = len(self._tenants)
        self._at_ms, self._sealed_ms = head.at_ms, head.sealed_ms
        self._unsealed.newest_ms = self._unsealed.sealed_newest_ms = head.newest_ms
        standings = decode_standings(entries)
        self._standings.restore(standings)
        self._decisions.restore(standings)
        known = self._windows.known(head.spans, head.at_ms)
        self._records.restore(standings, [span.left_ms for span in known.values()])
        self._waiting.decided = head.decided or ()
        self._judge.alert_states.restore(entries)
        self._windows.restore(known, entries, self._at_ms, len(self._tenants))

    def handover(self, watermark_ms: int) -> Handover | None:
        """What was read and is not in `changes`, for `take_over`. None if there are more than `MOST_CALLS` open calls.

        Ids of calls that ended before the watermark are left out.
        """
        if self.open_calls > MOST_CALLS:
            return None
        unsealed = self._unsealed
        return Handover(
            unsealed.newest_ms, unsealed.panes(), self._seen.remembered(watermark_ms), self._waiting.by_offset()
        )

    def take_over(self, handover: Handover) -> None:
        """Resume from a handover, after `restore` of the state that was stored with it."""
        self._unsealed.restore(handover.panes, handover.newest_ms)
        self._seen.restore(*handover.seen)
        for waiting in handover.waiting:
            self.wait(waiting)

    def succeed(self, former: "Shard", head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Resume from a closed shard in memory: from the state that it stored, and with the input that it read ahead.

        The calls that it kept aside must be laid out for this shard.
        """
        self.restore(head, entries)
        self._seen = former._seen
        self._unsealed.newest_ms = self._unsealed.sealed_newest_ms
        for waiting in former._waiting.by_offset():
            self.wait(waiting)
        for calls in former._beyond:
            self._add(calls)

    def keep_aside(self, from_ms: int) -> None:
        """Keep calls that end at ``from_ms`` or later aside for the next shard."""
        self._beyond_ms = from_ms
