"""The shard: takes calls and records of its tenants and a watermark, and decides. No clock, no I/O.

What it keeps, and what an active tenant costs. In brackets bytes a tenant as ``tests/bench`` counts them where 10,000
tenants make a million calls a day; a tenant costs what it calls (docs/explanation/benchmarks.md).

- running sums, 8 a window length and field that rules ask for, and the panes inside the windows, 8 a field and pane in
  which the tenant called (5,800);
- keys of callees and callers: 17 for each distinct one a pane, and 34 to 136 in the tally of each window length that
  counts them, at most 65,536 a tenant and window (9,600);
- evidence: at most 40 calls of 24 bytes and an id for each ruled field (1,100);
- an open call 190 until it is summed up, at the most 32,768 of them a pane; then only what it adds to the above;
- what is not a call: complaints and findings for ``retention``, decisions on record, standing (2,200);
- with ``keep_state`` the keys of the stored panes (next to nothing).

Each is bounded by the length of a window, by a number of entries, or by ``retention``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.alerts.early_alerts import EarlyAlerts
from monitor.core.calls.columns import Calls
from monitor.core.calls.dedup import Deduplicator
from monitor.core.codec import check_format
from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.record_handlers import PendingRecord, Place, RecordHandlers
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
    """Some tenants' calls, complaints and standing, judged by one policy.

    ``apply`` and ``wait`` take what was read, ``advance`` decides what the watermark allows, ``finish`` ends the
    input; what they bring about lies in ``sink`` until ``take`` fetches it. With ``keep_state``, `changes` and `head`
    give what is to be stored, from which `restore` goes on. Where another policy follows at some time, `close` ends
    what is before it, and a shard of that policy, whose ``history`` names the former ones, goes on from what is stored.
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
        self._tenants.on_new = self._judge.know
        self._seen = Deduplicator()
        self._unsealed = OpenPanes(self.pane_ms, self.layout, counting.ruled, counting.parties)
        self._sealed_ms = 0  # what ended before is sealed
        self._at_ms = 0  # the last window end that was judged
        self._beyond_ms: int | None = None
        self._beyond: list[Calls] = []  # that ended then or later: for the shard that follows
        self._early: EarlyAlerts | None = None  # made when it is first asked for, which replay never does

    def enforce_from(self, from_ms: int) -> None:
        """What was before ``from_ms`` is known and counted, and decides nothing; to be called before all else."""
        self._judge.from_ms = self._records.from_ms = from_ms

    # Taking in --------------------------------------------------------------------------------------------------

    def apply(
        self, names: Sequence[str], calls: Calls, watermark_ms: int, known_duplicate: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Take valid calls that are not late, in reading order; which of them are duplicates.

        ``names`` is the table that ``calls.tenant`` indexes. ``watermark_ms`` is that before these calls: no late
        line is below it. ``known_duplicate`` marks those that were duplicates before a restart.
        """
        if not len(calls):
            return np.zeros(0, np.bool_)
        used = np.zeros(len(names), np.bool_)  # the table also names those whose calls were late or rejected
        used[calls.tenant] = True
        calls.tenant = self._tenants.of_used(names, used)[calls.tenant]
        duplicate = self._seen.admit(calls.id_key, calls.end_ms, calls.line_ms, watermark_ms, known_duplicate)
        # After a restart calls come again whose pane is sealed already.
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
        """Take a record that is not a call; it is decided at its event time."""
        # Numbered as it is read: an early look then changes no order.
        tenant = self._tenants.of(waiting.record.tenant_id)
        self._records.wait(waiting)
        if self._early is not None:
            self._early.complained(tenant, waiting)

    # Deciding ---------------------------------------------------------------------------------------------------

    def advance(self, watermark_ms: int) -> None:
        """Decide all that the watermark allows: windows ending at or before it, records before it."""
        self._advance(watermark_ms, (watermark_ms,))

    def advance_by(self, most: int, watermark_ms: int) -> int | None:
        """Decide the first of what the watermark allows: records of about the weight ``most``, and as many lapses.

        None when that is all that is due, and nothing was decided: `advance` decides it. Else the event time up to
        which all is decided: what is due after that, and at that instant, may be decided by the next call.
        """
        place = self._records.beyond(most, (watermark_ms,))
        stop_ms = watermark_ms if place is None else place[0]
        lapse_ms = self._decisions.reviews.lapses_beyond(most, stop_ms)
        if lapse_ms is not None:
            self._advance(lapse_ms - 1, (lapse_ms,))
            self._decisions.lapse(lapse_ms, most)
            return lapse_ms - 1  # the windows that end with these lapses are still to be judged
        if place is not None:
            self._advance(stop_ms, place)
            return stop_ms
        return None

    def _advance(self, watermark_ms: int, before: Place) -> None:
        self._seal(watermark_ms // self.pane_ms * self.pane_ms)
        self._run(before, dict.fromkeys(self._steps, watermark_ms), watermark_ms)

    def work_due(self, watermark_ms: int, most: int) -> int:
        """How many records and lapses are due, at most ``most`` of each, and complaints that an early look counts."""
        due = self._records.due((watermark_ms,), most) + self._decisions.reviews.lapses_due(watermark_ms, most)
        return due + self.complaints_ahead

    @property
    def complaints_ahead(self) -> int:
        """How many complaints have come since the last early look."""
        return 0 if self._early is None else self._early.arrived

    def tenants_due(self, watermark_ms: int) -> int:
        """How many tenants `advance` may decide or alert on, all at once: everybody, where a window ends."""
        ends = self.due_calls(watermark_ms) > 0 or self._next_end(dict.fromkeys(self._steps, watermark_ms)) is not None
        return len(self._tenants) if ends else 0

    @property
    def early_work(self) -> int:
        """How many complaints `early` would count, and tenants it would look at."""
        return len(self._records) + len(self._tenants) if self._early is None else self._early.work

    @property
    def waiting_records(self) -> int:
        """How many records wait."""
        return len(self._records)

    def due(self, watermark_ms: int) -> bool:
        """Whether `advance` would seal or decide anything; cheap enough to be asked at every turn."""
        due_ms = self._unsealed.due_at_ms
        if due_ms is not None and due_ms <= watermark_ms:
            return True
        if self._records.next_at((watermark_ms,)) is not None:
            return True
        bounds = dict.fromkeys(self._steps, watermark_ms)
        if self._next_end(bounds) is not None:
            return True
        return self._decisions.reviews.next_lapse(watermark_ms) is not None

    def early(self) -> None:
        """Fire alerts, and take them back, by what has been read and cannot be decided yet
        (`monitor.core.alerts.early_alerts`).

        It changes nothing but alerts; a host calls it, or not, whenever it has taken in what there was to read.
        """
        if self._early is None:
            self._early = EarlyAlerts(
                self.policy, self._judge, self._records, self._standings, self._tenants, self._unsealed
            )
        self._early.look(self._sealed_ms)

    def finish(self, last_ms: int, until_ms: int | None = None) -> None:
        """The input has ended at the largest event time ``last_ms``: decide all that waits.

        Each rule is judged up to the first multiple of its step after ``last_ms``, pending decisions lapse up to
        it; or both up to ``until_ms`` (not before ``last_ms``).
        """
        self._seal((last_ms // self.pane_ms + 1) * self.pane_ms)
        if until_ms is None:
            self._run((last_ms + 1,), self._last_ends(last_ms), last_ms)
        else:
            self._run((last_ms + 1,), dict.fromkeys(self._steps, until_ms), until_ms)

    def close(self, at_ms: int, successor: Policy, last_ms: int | None = None) -> None:
        """Decide all that comes before ``at_ms``, from when on the successor decides; nothing later may be decided yet.

        The alerts of rules that it does not have are over then. ``last_ms``: the input has ended there, as in `finish`.
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
        # The last pane ends when the successor judges: it is stored, and enters that one's windows.
        self._windows.sealed.clear()
        self._at_ms = at_ms - 1

    def _last_ends(self, last_ms: int) -> dict[int, int]:
        """The last end at which rules of each step are judged where the input has ended."""
        return {step_ms: (last_ms // step_ms + 1) * step_ms for step_ms in self._steps}

    def take(self) -> Output:
        """What was brought about since the last call."""
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
        """Everything in event-time order; at one instant first lapses, then windows, then records."""
        if self._early is not None:
            self._early.catch_up()
        end_ms = self._next_end(bounds)
        while True:
            lapse_ms = self._decisions.reviews.next_lapse(lapses_until_ms)
            record_ms = self._records.next_at(records_before)
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
                if self._records.decide_next():
                    end_ms = self._next_end(bounds)

    def _next_end(self, bounds: Mapping[int, int]) -> int | None:
        """The next instant at which a pane is over, panes enter the windows or a rule has something to judge."""
        ends = self._windows.next_end(bounds), self._judge.due(self._at_ms, bounds)
        return min((end_ms for end_ms in ends if end_ms is not None), default=None)

    def _end(self, end_ms: int, bounds: Mapping[int, int]) -> None:
        """Panes up to ``end_ms`` enter the windows, and the rules that are due are judged."""
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
        """Windows that end up to here have been judged."""
        return self._at_ms

    @property
    def tenants(self) -> int:
        """How many tenants it has seen."""
        return len(self._tenants)

    @property
    def names(self) -> Sequence[str]:
        """The tenants' ids, by number."""
        return self._tenants.names

    @property
    def rule_states(self) -> Sequence[RuleState]:
        """The rules with what was judged last, to be read and not changed."""
        return self._judge.rule_states

    def pending(self) -> dict[str, tuple[int, int]]:
        """Decisions that wait for a review, by rule: how many, and the first instant at which one lapses."""
        return self._decisions.reviews.by_rule()

    @property
    def open_calls(self) -> int:
        """How many calls lie in open panes."""
        return len(self._unsealed)

    def due_calls(self, watermark_ms: int) -> int:
        """How many of them `advance` would seal."""
        return self._unsealed.due_calls(watermark_ms // self.pane_ms * self.pane_ms)

    # State ------------------------------------------------------------------------------------------------------

    def open_since(self) -> dict[int, tuple[int, int]]:
        """For each source with calls in open panes or waiting records, of the first of them: its offset, the clock.

        Neither is stored: from there on the source is to be read again, with the clock that it had before that row.
        """
        first = self._records.waiting_since()
        for source, place in self._unsealed.since().items():
            first[source] = min(first.get(source, place), place)
        return first

    def head(self) -> ShardCheckpoint:
        """What is stored every time; to be encoded before the shard goes on.

        Like `changes` to be called when all that the watermark allows has been decided.
        """
        return ShardCheckpoint(
            at_ms=self._at_ms,
            sealed_ms=self._sealed_ms,
            newest_ms=self._unsealed.sealed_newest_ms,
            tenants=len(self._tenants),
            spans=self._windows.heads(self._at_ms),
            decided=self._records.decided or None,
        )

    def changes(self) -> dict[str, bytes | None]:
        """The entries that are to be stored since the last call, None where one is to be deleted."""
        changes = self._windows.changes(self._at_ms)
        changes |= encode_names(self._tenants.names, self._stored_names)
        self._stored_names = len(self._tenants)
        changes |= encode_standings(self._standings.changed())
        changes |= self._judge.alert_changes()
        return changes

    def restore(self, head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Become what `head` and all `changes` so far were taken of; the shard must be new, its policy the same.

        Or the one that follows, when the former shard was closed.

        StateFormatError when their format is not known, or something is missing.
        """
        check_format(head.format, "the stored head")
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
        self._records.decided = head.decided or ()
        self._judge.restore(entries)
        self._windows.restore(known, entries, self._at_ms, len(self._tenants))

    def handover(self, watermark_ms: int) -> Handover | None:
        """What was read and is not in `changes`, for `take_over`; None where it is too much.

        Ids of calls that ended before the watermark are remembered no longer.
        """
        if self.open_calls > MOST_CALLS:
            return None
        unsealed = self._unsealed
        return Handover(
            unsealed.newest_ms, unsealed.panes(), self._seen.remembered(watermark_ms), self._records.waiting()
        )

    def take_over(self, handover: Handover) -> None:
        """Go on where the handover was made, after `restore` of what was stored with it."""
        self._unsealed.restore(handover.panes, handover.newest_ms)
        self._seen.restore(*handover.seen)
        for waiting in handover.waiting:
            self.wait(waiting)

    def succeed(self, former: "Shard", head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Go on from a shard in memory that was closed: from what it stored, and with what it had read beyond.

        The calls that it kept aside have been laid out for this shard.
        """
        self.restore(head, entries)
        self._seen = former._seen
        self._unsealed.newest_ms = self._unsealed.sealed_newest_ms
        for waiting in former._records.waiting():
            self.wait(waiting)
        for calls in former._beyond:
            self._add(calls)

    def keep_aside(self, from_ms: int) -> None:
        """Calls that end at ``from_ms`` or later are for the shard that will follow."""
        self._beyond_ms = from_ms
