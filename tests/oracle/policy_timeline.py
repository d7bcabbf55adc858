"""Policies over time: which one applies to an instant, and what it can know of the time before it.

Written from docs/reference/policy.md, "Changing it": an instant of event time belongs to the last policy that applies
from then or earlier. A later policy sees of a call only what the policy of the call's time counted and kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from oracle.measures import IN_SECONDS, OF_COMPLAINTS, OF_PARTIES
from oracle.rulebook import Rule, Rulebook

MINUTE = 60_000
# What a policy counts only for a rule with that metric. The others of callees and callers are counted together.
COUNTED_APART = {"block_ratio", "top_callee_share", "consent_peak", "median_talk_s"}
TWO_DAYS = 48 * 60 * MINUTE


@dataclass
class Reign:
    """A rulebook and the time from which it applies; the first applies from the beginning."""

    start: int
    rules: Rulebook

    @property
    def every_rule(self) -> list[Rule]:
        """All rules, including those of overrides."""
        return [*self.rules.rules, *(rule for rule, _ in self.rules.overrides.values())]

    @property
    def pane(self) -> int:
        """The shortest time that it distinguishes."""
        return gcd(5 * MINUTE, *(rule.step for rule in self.rules.rules))

    def kept(self, long: bool) -> int:
        """How long it keeps its counts, for long windows or for others."""
        return max((r.window for r in self.rules.rules if (r.window > TWO_DAYS) == long), default=0)

    def counts(self, rule: Rule) -> bool:
        """Whether it counts everything that the rule measures, in panes that fit the rule's step."""
        wanted = {rule.metric, *(name for name, _, _ in rule.also)}
        params = [self.rules.defaults, *(one.params for one in self.every_rule)]
        asked = {name for one in self.every_rule for name in (one.metric, *(m for m, _, _ in one.also))}
        attempted = OF_PARTIES - COUNTED_APART
        if wanted & attempted and not asked & attempted:
            return False
        used = [(one, {one.metric, *(m for m, _, _ in one.also)}) for one in self.every_rule]
        if "short_cancel_ratio" in wanted and rule.params.short_ring_ms not in {
            one.params.short_ring_ms for one, names in used if "short_cancel_ratio" in names
        }:
            return False
        if "out_of_hours_reject_ratio" in wanted and rule.params.timezone not in {
            one.params.timezone for one, names in used if "out_of_hours_reject_ratio" in names
        }:
            return False
        if wanted & COUNTED_APART - asked:
            return False
        if "short_call_ratio" in wanted and rule.params.short_call_ms not in {p.short_call_ms for p in params}:
            return False
        if "out_of_hours_ratio" in wanted and rule.params.timezone not in {p.timezone for p in params}:
            return False
        return rule.step % self.pane == 0

    def keeps_evidence(self, rule: Rule, long: bool) -> bool:
        """Whether it has a rule with the same calls as evidence, with a long window if ``long``."""
        kind = evidence_kind(rule)
        return any(evidence_kind(one) == kind and (one.window > TWO_DAYS or not long) for one in self.every_rule)

    def keeps_places(self, answered: bool) -> bool:
        """Whether it has a rule that keeps the places of all attempts, or of all answered calls."""
        kinds = {evidence_kind(one)[0] for one in self.every_rule if one.metric not in OF_PARTIES}
        if answered:
            return "answered" in kinds or any(one.metric == "consent_peak" for one in self.every_rule)
        return "attempts" in kinds or any(one.metric in OF_PARTIES - {"consent_peak"} for one in self.every_rule)


def evidence_kind(rule: Rule) -> tuple[object, ...]:
    """Equal for rules with the same calls as evidence."""
    above = rule.direction == "above"
    known: object = rule.metric
    if rule.metric in IN_SECONDS:
        return (known if rule.metric == "pdd_s" else "answered",)
    if rule.metric == "short_call_ratio":
        known = ("short", rule.params.short_call_ms)
    elif rule.metric == "out_of_hours_ratio":
        known = ("hours", rule.params.timezone)
    elif rule.metric == "out_of_hours_reject_ratio":
        known = ("refused", rule.params.timezone)
    elif rule.metric == "short_cancel_ratio":
        known = ("short_cancelled", rule.params.short_ring_ms)
    if above:
        # All answered calls, whether they are the metric or a part of the attempts.
        return ("answered" if rule.metric in {"answered", "asr"} else known,)
    if rule.metric in OF_COMPLAINTS:
        return ("none",)
    return ("not", known)


def late_line(reigns: Sequence[Reign], clock: int) -> int:
    """The late line, an event time: before a policy's start by the previous lateness, from then on by its own."""
    *before, last = reigns
    if not before:
        return clock - last.rules.lateness
    line = late_line(before, clock)
    return line if line < last.start else max(last.start, clock - last.rules.lateness)


def reign_of(reigns: Sequence[Reign], at: int) -> int:
    """The index of the policy that an instant belongs to."""
    return max(n for n, reign in enumerate(reigns) if n == 0 or reign.start <= at)


def is_whole(reigns: Sequence[Reign], number: int, rule: Rule, start: int) -> bool:
    """Whether a rule of that policy sees all of a window that begins at ``start``: counted, and kept since."""
    long = rule.window > TWO_DAYS
    for n in range(reign_of(reigns, start), number):
        before, after = reigns[n], reigns[n + 1]
        if start < after.start - before.kept(long) or start < after.start - before.rules.retention:
            return False
        if not before.counts(rule):
            return False
    return True


def is_evidence(reigns: Sequence[Reign], number: int, rule: Rule, at: int) -> bool:
    """Whether a call of that time can still be named as evidence by a rule of that policy."""
    long = rule.window > TWO_DAYS
    for n in range(reign_of(reigns, at), number):
        before, after = reigns[n], reigns[n + 1]
        if at < after.start - before.kept(long) or not before.keeps_evidence(rule, long):
            return False
    return True


def places_kept(reigns: Sequence[Reign], number: int, answered: bool, at: int) -> bool:
    """Whether the place of an attempt (or answered call) of that time is still known to a policy's metrics of keys."""
    for n in range(reign_of(reigns, at), number):
        before, after = reigns[n], reigns[n + 1]
        if at < after.start - before.kept(long=False) or not before.keeps_places(answered):
            return False
    return True


def forgotten(reigns: Sequence[Reign], last: int, now: int) -> bool:
    """Whether an id last seen at ``last`` is forgotten at a record at ``now``, by the retention of any policy in its
    time.
    """
    ends = [reign.start for reign in reigns[1:]]
    for n, reign in enumerate(reigns[: reign_of(reigns, now) + 1]):
        until = ends[n] if n < len(ends) and ends[n] <= now else now
        if until >= last and last + reign.rules.retention < until:
            return True
    return False
