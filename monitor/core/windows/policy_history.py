"""Policy history: which fields the existing panes have counted under successive policies, and since when.

A closed pane never changes: it holds what the policy of its time counted. The next policy reads it by its own layout.
A rule that needs a field that old panes lack is evaluated only when its window has no such pane. All of this follows
from the policies and the times of their changes, so it does not depend on when a worker was stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from monitor.core.windows.aggregation_plan import AggregationPlan, Ruled, all_rules, meanings, placed_field, ruled_field
from monitor.core.windows.pane import Pane
from monitor.core.windows.window import FINE_MS, HOUR_MS
from monitor.policy.metrics import METRICS, KeySet, key_sets
from monitor.policy.model import Policy, Rule
from monitor.policy.timeline import PolicyVersion, version_at

_Since = dict[object, int]


class FieldAvailability:
    """The policies up to the one in force, the last of ``versions``, and the earlier data that it can use."""

    def __init__(self, versions: Sequence[PolicyVersion]) -> None:
        self.versions = tuple(versions)
        self._countings = [AggregationPlan.of(version.policy) for version in versions]
        first = self._countings[0]
        # The time since which each kind of data is available, by its meaning; 0 if always.
        self._fine = self._coarse = self._complaints = self._talk = 0
        self._keys: dict[KeySet, int] = dict.fromkeys(first.layout.key_sets, 0)
        self._counted: _Since = dict.fromkeys(first.layout.names, 0)
        self._fine_calls: _Since = dict.fromkeys(meanings(first.layout, first.ruled[: first.named]), 0)
        self._fine_placed: _Since = dict.fromkeys(meanings(first.layout, first.ruled), 0)
        self._long_calls: _Since = dict.fromkeys(_long(first), 0)
        for number in range(1, len(versions)):
            self._follow(
                versions[number].from_ms, versions[number - 1].policy, *self._countings[number - 1 : number + 1]
            )

    def _follow(self, from_ms: int, policy: Policy, before: AggregationPlan, after: AggregationPlan) -> None:
        fine_ms, coarse_ms = from_ms - before.fine_ms, from_ms - before.coarse_ms
        self._fine, self._coarse = max(self._fine, fine_ms), max(self._coarse, coarse_ms)
        self._complaints = max(self._complaints, from_ms - policy.retention_ms)
        self._keys = {keys: self._keys.get(keys, from_ms) for keys in after.layout.key_sets}
        self._talk = self._talk if before.layout.talk else from_ms
        self._counted = {name: self._counted.get(name, from_ms) for name in after.layout.names}
        ruled = meanings(after.layout, after.ruled)
        self._fine_calls = {one: max(self._fine_calls.get(one, from_ms), fine_ms) for one in ruled[: after.named]}
        self._fine_placed = {one: max(self._fine_placed.get(one, from_ms), fine_ms) for one in ruled}
        self._long_calls = {one: max(self._long_calls.get(one, from_ms), coarse_ms) for one in _long(after)}

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.versions[-1].policy

    @property
    def counting(self) -> AggregationPlan:
        """The aggregation plan of the policy in force."""
        return self._countings[-1]

    def judged_from(self, rule: Rule) -> int:
        """The first end at which the rule has a complete window; 0 if there was no earlier policy."""
        if len(self.versions) == 1:
            return 0
        since = max(self._fine if rule.window_ms <= FINE_MS else self._coarse, self._complaints)
        for name in rule.metrics:
            metric = METRICS[name]
            since = max([since, *(self._keys[keys] for keys in key_sets([name]))])
            if metric.family == "talk":
                since = max(since, self._talk)
            elif metric.family == "calls":
                layout = self.counting.layout
                since = max(since, self._counted[layout.names[layout.field(metric.numerator, rule.params)]])
        for counting, after in zip(self._countings, self.versions[1:], strict=False):
            if rule.step_ms % counting.pane_ms:
                since = max(since, after.from_ms)  # its windows would begin inside panes of the earlier policy
        return max(self.versions[-1].from_ms, since + rule.window_ms)

    def evidence_from(self, rule: Rule) -> int:
        """The time since which calls are kept as evidence for the rule."""
        return self._kept_from(rule, ruled_field(rule, self.counting.layout), self._fine_calls)

    def places_from(self, rule: Rule) -> int:
        """The time since which calls are kept whose places its decisions name."""
        return self._kept_from(rule, placed_field(rule, self.counting.layout), self._fine_placed)

    def _kept_from(self, rule: Rule, field: Ruled, fine: _Since) -> int:
        if len(self.versions) == 1 or field[0] < 0:
            return 0
        [meaning] = meanings(self.counting.layout, [field])
        return (fine if rule.window_ms <= FINE_MS else self._long_calls)[meaning]

    @property
    def counted_since(self) -> dict[str, int]:
        """The fields of a pane in the order of its sums, each with the event time from which it is counted; 0 if
        always.
        """
        return {_written(name): self._counted[name] for name in self.counting.layout.names}

    @property
    def settled_ms(self) -> int:
        """The time from which earlier policies have no effect: all windows are complete, with all their evidence."""
        if len(self.versions) == 1:
            return 0
        rules = all_rules(self.policy)
        whole = [max(self.judged_from(rule), self.evidence_from(rule) + rule.window_ms) for rule in rules]
        return max([self.versions[-1].from_ms, *whole])

    def read(self, pane: Pane) -> Pane:
        """Convert a fine pane to the layout of the policy in force."""
        return self._read(pane, version_at(self.versions, pane.start_ms))

    def read_hour(self, hour: Pane) -> Pane:
        """Convert an hour pane in the same way. It was built when the hour ended, under the policy in force then."""
        return self._read(hour, version_at(self.versions, hour.start_ms + HOUR_MS))

    def _read(self, pane: Pane, version: int) -> Pane:
        before, after = self._countings[version], self.counting
        if before is after or (before.layout == after.layout and before.ruled == after.ruled):
            return pane
        return recast(pane, before, after)


def _written(name: object) -> str:
    return ":".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _long(counting: AggregationPlan) -> Iterator[object]:
    every = meanings(counting.layout, counting.ruled)
    yield from (every[place] for place in counting.ruled_long)


def recast(pane: Pane, before: AggregationPlan, after: AggregationPlan) -> Pane:
    """Convert a pane to another plan. Sums that were not counted are zero; evidence that was not kept is missing."""
    known = {name: place for place, name in enumerate(before.layout.names)}
    sums = np.zeros((len(pane.tenant), after.layout.width), np.int64)
    for place, name in enumerate(after.layout.names):
        if name in known:
            sums[:, place] = pane.sums[:, known[name]]
    kept = {one: place for place, one in enumerate(meanings(before.layout, before.ruled))}
    rows = pane.evidence
    mask = np.zeros(len(rows), np.uint64)
    for place, one in enumerate(meanings(after.layout, after.ruled)):
        if one in kept:
            mask |= (rows.mask >> np.uint64(kept[one]) & np.uint64(1)) << np.uint64(place)
    some = np.flatnonzero(mask)
    evidence = replace(rows.take(some), mask=mask[some])
    return replace(pane, sums=sums, evidence=evidence)


def judged_later(history: FieldAvailability) -> dict[str, int]:
    """The rules that are not evaluated directly after the last policy change, with their first end.

    The name of an overridden rule includes the tenant.
    """
    found = {rule.id: history.judged_from(rule) for rule in history.policy.rules}
    for override in history.policy.overrides:
        from_ms = history.judged_from(override.rule)
        if from_ms > found[override.rule.id]:
            found[f"{override.rule.id} of {override.tenant}"] = from_ms
    return {name: from_ms for name, from_ms in found.items() if from_ms > history.versions[-1].from_ms}
