"""Early alerts: what windows will hold at the ends to come is looked at as calls are read, before they are judged.

An end to come is looked at from when a record lies in the step before it until it is judged; but not once it lies more
than ``lateness`` behind the newest record, as no call can reach it any more. What a rule sees there is all that was
read by then, waiting complaints as if they were decided. A count that is too low may still grow, so a rule that judges
a count ``below`` fires when its window is judged, not before.

One alert a crossing, however the value swings around the threshold:

- an early alert names the end at which it saw the breach, and stands at least until an end after that is looked at;
- it is taken back when at that end and all later ones the value is not beyond ``recover``;
- else the judging of that end confirms it (it is then like any other alert) or resolves it; the judging of an end
  before it may confirm it, and leaves it alone otherwise;
- who had an alert taken back, or resolved before the end that it had named, gets no other early one for that end;
  should the judging of that end find a breach after all, the alert names the end after it: no alert is opened twice.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from monitor.core.alerts.early_complaints import EarlyComplaintCounts, EarlyComplaints
from monitor.core.alerts.early_window import EarlyWindow
from monitor.core.decisions.record_handlers import PendingRecord, RecordHandlers
from monitor.core.rules.conditions import Rows, find, last_measure, measure, rule_view
from monitor.core.rules.evaluator import RuleEvaluator
from monitor.core.rules.prefilter import Prefilter
from monitor.core.rules.rule_state import RuleState
from monitor.core.tenants.active_alert import ActiveAlert
from monitor.core.tenants.complaints import ComplaintEntry
from monitor.core.tenants.tenant_numbers import TenantNumbers
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.windows.open_panes import OpenPanes
from monitor.core.windows.pane import Pane
from monitor.core.windows.window import SlidingWindow
from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from schemas.inputs import Complaint


class EarlyAlerts:
    """Looks ahead of the judge. It knows the shard's spans, dockets, records and standings, and changes alerts alone.

    ``unsealed`` has what is open. `complained` tells it of complaints. Ends before
    ``from_ms`` are not looked at.
    """

    def __init__(
        self,
        policy: Policy,
        evaluator: RuleEvaluator,
        records: RecordHandlers,
        standings: TenantRecords,
        tenants: TenantNumbers,
        unsealed: OpenPanes,
    ) -> None:
        self._policy = policy
        self._from_ms = evaluator.from_ms
        self._unsealed = unsealed
        self._alerts = evaluator.alerts
        self._records = records
        self._standings = standings
        self._index: Mapping[str, int] = tenants.by_name
        self._dockets_of: dict[SlidingWindow, list[RuleState]] = defaultdict(list)
        for docket in evaluator.dockets:
            if not _may_still_grow(docket.rule):
                self._dockets_of[docket.span].append(docket)
        self._steps = {span: {d.rule.step_ms for d in some} for span, some in self._dockets_of.items()}
        self._sieves = {
            span: Prefilter([docket.rule for docket in some], evaluator.layout, span.level.fields)
            for span, some in self._dockets_of.items()
        }
        self._begun = False
        self._ahead = EarlyComplaints(policy.retention_ms)
        self._arrived: list[
            tuple[int, EarlyComplaintCounts]
        ] = []  # complaints, with their tenants, that are not in `_ahead` yet
        self._complained = False  # since the last look

    def _begin(self) -> None:
        """Look at all that is open."""
        self._begun = True
        self._ahead, self._arrived = EarlyComplaints(self._policy.retention_ms), []
        self._newest_complaint_ms = -1
        self._outlooks: dict[SlidingWindow, dict[int, EarlyWindow]] = {span: {} for span in self._steps}
        self._last_end_ms: dict[str, int] = {}  # the last end that each rule looks at
        self._early: dict[str, set[int]] = {}  # whose early alerts stand, by rule; some may be no longer so
        self._sealed_ms = -1
        for waiting in self._records.complaints():
            self.complained(self._index[waiting.record.tenant_id], waiting)
        for dockets in self._dockets_of.values():
            for docket in dockets:
                self._early[docket.rule.id] = {t for t, firing in docket.firing.items() if firing.early}

    def complained(self, tenant: int, waiting: PendingRecord) -> None:
        """A complaint was taken."""
        if self._begun and isinstance(waiting.record, Complaint):
            self._arrived.append((tenant, EarlyComplaintCounts(waiting.place, waiting.record)))
            self._newest_complaint_ms = max(self._newest_complaint_ms, waiting.at_ms)

    @property
    def arrived(self) -> int:
        """How many complaints `catch_up` would count."""
        return len(self._arrived)

    @property
    def work(self) -> int:
        """How many complaints a look would count, and tenants it would look at, all of whom may be alerted on.

        Those that have come since the last look; at an end that is new all complaints that wait, and all tenants.
        """
        tenants = len(self._index)
        if not self._begun:
            return len(self._records) + tenants
        if self._behind():
            return len(self._arrived) + len(self._ahead) + tenants
        return len(self._arrived) + min(self._unsealed.news_calls + len(self._arrived), tenants)

    def catch_up(self) -> None:
        """Count the complaints that have come; to be called before any of them is decided."""
        if not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        self._complained = True
        every = list(self._every())
        for outlook in every:
            outlook.reach(len(self._index))
        for tenant, ahead in arrived:
            name = tenant, ahead.complaint.complaint_id
            decided = self._decided(name)
            outlooks = [outlook for outlook in every if ahead.at_ms < outlook.end_ms]
            before = [self._ahead.stands(name, decided, outlook.end_ms) for outlook in outlooks]
            self._ahead.add(tenant, ahead)
            for outlook, stood in zip(outlooks, before, strict=True):
                after = self._ahead.stands(name, decided, outlook.end_ms)
                if after is not None:
                    outlook.complaints.change(stood, after)
                outlook.touch(tenant)

    def _decided(self, name: tuple[int, str]) -> ComplaintEntry | None:
        standing = self._standings.known(name[0])
        return None if standing is None else standing.complaints.get(name[1])

    def look(self, sealed_ms: int) -> None:
        """Fire and take back what has become due by what was read since the last look."""
        news = self._unsealed.news()
        if news is None:
            self._begin()
        self.catch_up()
        complained, self._complained = self._complained, False
        self._ahead.forget(self._records.decided)
        again = any(docket.reopened for dockets in self._dockets_of.values() for docket in dockets)
        if not news and not complained and sealed_ms == self._sealed_ms and not again:
            return
        tenants = len(self._index)
        self._sealed_ms = sealed_ms
        for outlook in self._every():
            outlook.reach(tenants)
        self._take(news or ())
        self._move(tenants)
        for span in self._outlooks:
            self._look(span, tenants)
        for outlook in self._every():
            outlook.looked_at()

    def _every(self) -> Iterator[EarlyWindow]:
        for outlooks in self._outlooks.values():
            yield from outlooks.values()

    # Keeping up -------------------------------------------------------------------------------------------------

    def _take(self, news: Sequence[Pane]) -> None:
        """Open calls enter the windows that are looked at already."""
        for piece in news:
            for span, outlooks in self._outlooks.items():
                picked = piece.sums[:, span.level.fields]
                for outlook in outlooks.values():
                    outlook.enter(piece, picked)

    def _reach(self, span: SlidingWindow) -> tuple[int, int]:
        """Ends of the span are looked at after the first of these times, up to the first one after the second."""
        newest_ms = self._unsealed.newest_ms
        if span.complaints.counting:
            newest_ms = max(newest_ms, self._newest_complaint_ms)
        return max(self._sealed_ms, newest_ms - self._policy.lateness_ms, self._from_ms - 1), newest_ms

    def _ends(self, span: SlidingWindow, step_ms: int) -> range:
        """The ends that a rule of that span and step looks at."""
        after_ms, newest_ms = self._reach(span)
        return range((after_ms // step_ms + 1) * step_ms, (newest_ms // step_ms + 1) * step_ms + 1, step_ms)

    def _behind(self) -> bool:
        """Whether there are ends to be looked at for the first time."""
        return any(
            end_ms not in self._outlooks[span]
            for span, steps in self._steps.items()
            for step_ms in steps
            for end_ms in self._ends(span, step_ms)
        )

    def _move(self, tenants: int) -> None:
        """Let go of the ends that have been judged or cannot be reached any more, and go on to new ones."""
        for span, steps in self._steps.items():
            before, wanted = self._outlooks[span], {end for step in steps for end in self._ends(span, step)}
            outlooks = self._outlooks[span] = {end: before[end] for end in before if end in wanted}
            for end_ms in sorted(wanted - before.keys()):
                outlook = outlooks[end_ms] = EarlyWindow(span, end_ms, self._unsealed, tenants)
                self._foresee(outlook)

    def _foresee(self, outlook: EarlyWindow) -> None:
        """Count the complaints that wait at an end that is new."""
        for name in self._ahead.names():
            if self._ahead.first_ms(name) < outlook.end_ms:
                decided = self._decided(name)
                after = self._ahead.stands(name, decided, outlook.end_ms)
                assert after is not None
                outlook.complaints.change(decided, after)

    # Looking ----------------------------------------------------------------------------------------------------

    def _look(self, span: SlidingWindow, tenants: int) -> None:
        dockets, outlooks = self._dockets_of[span], self._outlooks[span]
        ends = {step_ms: self._ends(span, step_ms) for step_ms in self._steps[span]}
        for end_ms in sorted(outlooks):
            looking = [docket.from_ms <= end_ms and end_ms in ends[docket.rule.step_ms] for docket in dockets]
            self._look_at(span, outlooks[end_ms], looking, tenants)
        touched = {tenant for outlook in outlooks.values() for tenant in outlook.news().tolist()}
        for docket in dockets:
            docket.reopened.clear()
            some = self._early[docket.rule.id]
            mine = ends[docket.rule.step_ms]
            if not mine:
                continue
            if self._last_end_ms.get(docket.rule.id) == mine[-1]:
                some = some & touched
            self._last_end_ms[docket.rule.id] = mine[-1]
            if some:
                self._take_back(docket, some, [outlooks[end_ms] for end_ms in mine], tenants)

    def _look_at(self, span: SlidingWindow, outlook: EarlyWindow, looking: Sequence[bool], tenants: int) -> None:
        """Fire the alerts of the rules that look at that end."""
        suspects: list[tuple[RuleState, Rule, Rows]] = []
        for docket, some in self._touched(span, outlook, looking, tenants):
            who = np.array([tenant for tenant in some.tolist() if tenant not in docket.firing], np.intp)
            for rule, mine in docket.ruled(who, outlook.end_ms, tenants):
                candidates = outlook.candidates(rule, mine, tenants)
                if len(candidates):
                    suspects.append((docket, rule, candidates))
        outlook.count([(rule, who) for _, rule, who in suspects], tenants)
        for docket, rule, who in suspects:
            found = find(outlook, rule, rule_view(outlook, rule, tenants, who), tenants)
            for row, tenant in enumerate(found.breach.tenants.tolist()):
                if docket.taken_back.get(tenant, -1) >= outlook.end_ms:
                    continue
                measured = measure(rule, found.breach, row, found.bound[row])
                updated_ms = min(outlook.end_ms, self._reach(span)[1])
                self._alerts.fire(docket, rule, tenant, ActiveAlert(outlook.end_ms, early=True), measured, updated_ms)
                self._early[docket.rule.id].add(tenant)
                docket.settled = None  # it is to be confirmed or resolved, though nothing should enter or leave

    def _touched(
        self, span: SlidingWindow, outlook: EarlyWindow, looking: Sequence[bool], tenants: int
    ) -> Iterator[tuple[RuleState, Rows]]:
        """For each rule that looks at that end the tenants of whom something has changed, if their sums allow a breach.

        A rule that looks there for the first time looks at everybody.
        """
        who = outlook.news() if outlook.looked else np.arange(tenants)
        passed = self._sieves[span].sift(outlook.level, who) if len(who) else None
        for row, docket in enumerate(self._dockets_of[span]):
            if not looking[row]:
                continue
            rule, some = docket.rule, who
            if rule.id not in outlook.looked and len(who) < tenants:
                some = np.arange(tenants)
                some = some[self._sieves[span].sift(outlook.level, some)[:, row]]
            elif passed is not None:
                some = who[passed[:, row]]
            outlook.looked.add(rule.id)
            # Overrides ask for something else than the rule; those whose alert is over are to be looked at again.
            more = docket.reopened.union(
                np.intersect1d(who, list(docket.overrides)).tolist() if docket.overrides else ()
            )
            if more:
                some = np.union1d(some, list(more)).astype(np.intp)
            if len(some):
                yield docket, some

    def _take_back(self, docket: RuleState, some: set[int], outlooks: Sequence[EarlyWindow], tenants: int) -> None:
        """Resolve those early alerts whose value is beyond ``recover`` neither at the end they name nor at a later."""
        standing = {tenant: docket.firing[tenant] for tenant in some if tenant in docket.firing}
        since = {tenant: firing.since_ms for tenant, firing in standing.items() if firing.early}
        self._early[docket.rule.id] -= some - since.keys()
        named = {outlook.end_ms for outlook in outlooks[:-1]}
        gone = {tenant for tenant in since if since[tenant] in named}
        for outlook in outlooks:
            who = np.array(sorted(tenant for tenant in gone if since[tenant] <= outlook.end_ms), np.intp)
            for rule, mine in docket.ruled(who, outlook.end_ms, tenants):
                outlook.count([(rule, mine)], tenants)
                found = find(outlook, rule, rule_view(outlook, rule, tenants, mine), tenants)
                gone.difference_update(mine[found.standing].tolist())
        for tenant in sorted(gone):
            newest, who = outlooks[-1], np.array([tenant])
            rule = next((rule for rule, _ in docket.ruled(who, newest.end_ms, tenants)), docket.rule)
            measured = last_measure(rule, rule_view(newest, rule, tenants, who), 0)
            self._alerts.resolve(docket, rule, tenant, measured, self._reach(docket.span)[1])
            self._early[docket.rule.id].discard(tenant)
            docket.taken_back[tenant] = since[tenant]


def _may_still_grow(rule: Rule) -> bool:
    """Whether the rule judges a count that is too low."""
    return rule.direction == "below" and METRICS[rule.metric].denominator is None
