"""Early alerts by brute force: every rule, tenant and end over all records read so far, at every evaluation.

A model of all alerts of a worker, including those of the regular evaluation, from plain lists of records. Written from
the docstring of `monitor.core.alerts.early_alerts` and section 5 of the contract. It decides nothing: decisions that
are reported with an alert are not part of it.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from oracle.conditions import beyond, fulfilled
from oracle.measures import COUNTS, OF_COMPLAINTS, Seen, measure, wilson
from oracle.reading import Read
from oracle.record_rules import STATUS_ORDER
from oracle.rulebook import Rule, Rulebook

Who = tuple[str, str]  # rule, tenant


class ReportedAlert(NamedTuple):
    """A reported alert: `firing` or `resolved`."""

    rule: str
    tenant: str
    state: str
    since: int
    updated: int
    measured: tuple[int, int | None] | None


@dataclass
class Stands:
    """An active alert."""

    since: int
    early: bool


@dataclass
class At:
    """The result of a rule, as it applies to the tenant, at one end."""

    exempt: bool
    measured: tuple[int, int | None] | None = None
    breach: bool = False
    stays: bool = False


class Ahead:
    """The alerts of one partition. `read` holds the records read so far."""

    def __init__(self, rules: Rulebook) -> None:
        self.rules = rules
        self.read = Read()
        self.judged = -1
        self.stands: dict[Who, Stands] = {}
        self.taken_back: dict[Who, int] = {}
        self.reported: list[ReportedAlert] = []
        self._seen: dict[tuple[str, int, int], Seen | None] = {}
        everywhere = [*rules.rules, *(rule for rule, _ in rules.overrides.values())]
        self._about_complaints = {
            rule.window for rule in everywhere if OF_COMPLAINTS & {rule.metric, *(metric for metric, _, _ in rule.also)}
        }

    def have_read(self, read: Read) -> None:
        """Set the records read so far."""
        self.read = read
        self._seen.clear()

    def evaluate(self, until: int, step_after: int | None = None) -> None:
        """Evaluate the ends up to ``until``, or up to the first one after ``step_after``."""
        ends = set()
        for n, rule in enumerate(self.rules.rules):
            last = until if step_after is None else (step_after // rule.step + 1) * rule.step
            # After a window without a record there is no more alert to resolve.
            for t in {r["t"] for r in (*self.read.calls, *self.read.others)}:
                first = max(self.judged, t) // rule.step + 1
                most = min(last, t + rule.window + 2 * rule.step)
                ends |= {(end, n) for end in range(first * rule.step, most + 1, rule.step)}
        for end, n in sorted(ends):
            for tenant in self._tenants():
                self._evaluate(self.rules.rules[n], tenant, end)
        self.judged = max(self.judged, until)

    def _evaluate(self, rule: Rule, tenant: str, end: int) -> None:
        who, at = (rule.id, tenant), self._at(rule, tenant, end)
        stands = self.stands.get(who)
        if at.breach:
            if stands is None:
                named = self.taken_back.get(who, -1)
                since = end if named < end else named + rule.step
                self.stands[who] = Stands(since, False)
                self._tell(who, "firing", end, at)
            else:
                stands.early = False
        elif stands is not None and (not at.stays if not stands.early else stands.since <= end):
            if stands.since > end:
                self.taken_back[who] = stands.since
            self._tell(who, "resolved", end, at)
            del self.stands[who]

    def evaluate_early(self) -> None:
        """Evaluate ends before their time."""
        for rule in self.rules.rules:
            if rule.direction == "below" and rule.metric in COUNTS:
                continue
            newest = self._newest(rule)
            ends = list(self._ends(rule, newest))
            for end in ends:
                for tenant in self._tenants():
                    who = (rule.id, tenant)
                    if who in self.stands or self.taken_back.get(who, -1) >= end:
                        continue
                    at = self._at(rule, tenant, end)
                    if at.breach:
                        self.stands[who] = Stands(end, True)
                        self._tell(who, "firing", min(end, newest), at)
            for tenant in self._tenants():
                who = (rule.id, tenant)
                stands = self.stands.get(who)
                if stands is None or not stands.early or stands.since not in ends[:-1]:
                    continue
                if not any(self._at(rule, tenant, end).stays for end in ends if end >= stands.since):
                    self._tell(who, "resolved", newest, self._at(rule, tenant, ends[-1]))
                    self.taken_back[who] = stands.since
                    del self.stands[who]

    def _newest(self, rule: Rule) -> int:
        times = [c["t"] for c in self.read.calls]
        if rule.window in self._about_complaints:
            times += [r["t"] for r in self.read.others if r["type"] == "complaint"]
        return max(times, default=-1)

    def _ends(self, rule: Rule, newest: int) -> Iterator[int]:
        after = max(self.judged, newest - self.rules.lateness)
        return iter(range((after // rule.step + 1) * rule.step, (newest // rule.step + 1) * rule.step + 1, rule.step))

    def _tenants(self) -> list[str]:
        return sorted({r["tenant_id"] for r in (*self.read.calls, *self.read.others)})

    def _tell(self, who: Who, state: str, updated: int, at: At) -> None:
        self.reported.append(ReportedAlert(*who, state, self.stands[who].since, updated, at.measured))

    # -- one rule, one tenant, one end

    def _at(self, base: Rule, tenant: str, end: int) -> At:
        if self.rules.exempt(base, tenant, end):
            return At(True)
        rule = self.rules.rule_for(base, tenant, end)
        if not rule.judged(end, (c["t"] for c in self.read.calls if c["tenant_id"] == tenant)):
            return At(False)
        key = (tenant, rule.window, end)
        if key not in self._seen:
            self._seen[key] = self._window(*key)
        seen = self._seen[key]
        if seen is None:
            return At(False)
        num, den, value = measure(rule.metric, seen, rule.params)
        at = At(False, (num, den))
        if value is None or (den is not None and den < rule.min_denominator):
            return at
        at.stays = beyond(value, rule.recover, rule.direction)
        at.breach = beyond(value, rule.threshold, rule.direction)
        at.breach &= all(fulfilled(measure(m, seen, rule.params)[2], op, x) for m, op, x in rule.also)
        if rule.confidence is not None and den:
            at.breach &= beyond(wilson(num, den, rule.confidence, rule.direction), rule.threshold, rule.direction)
        return at

    def _window(self, tenant: str, window: int, end: int) -> Seen | None:
        """The content of the window; None if it has neither a call nor a complaint record."""
        start = end - window
        calls = [c for c in self.read.calls if c["tenant_id"] == tenant and start <= c["t"] < end]
        lives: list[dict[str, Any]] = []
        life_of: dict[str, dict[str, Any]] = {}
        records = [r for r in self.read.others if r["type"] == "complaint" and r["tenant_id"] == tenant]
        records.sort(key=lambda r: (r["t"], r["complaint_id"], STATUS_ORDER[r["status"]], r["seq"]))
        for r in records:
            if r["t"] >= end:
                break
            life = life_of.get(r["complaint_id"])
            if life is None or life["last"] + self.rules.retention < r["t"]:
                life = life_of[r["complaint_id"]] = {"taken": {}, "first": r["t"], "written": -1, "complainant": None}
                lives.append(life)
            if r["status"] in life["taken"]:
                continue
            life["taken"][r["status"]] = life["last"] = r["t"]
            if r["updated_ms"] >= life["written"]:
                life |= {"written": r["updated_ms"], "complainant": r["complainant"]}
        if not calls and not any(start <= t < end for life in lives for t in life["taken"].values()):
            return None
        kept = [life for life in lives if "dismissed" not in life["taken"]]
        return Seen(
            calls,
            [life for life in kept if start <= life["first"] < end],
            [life for life in kept if start <= life["taken"].get("verified", -1) < end],
        )


def sequences(reported: list[ReportedAlert]) -> dict[Who, list[ReportedAlert]]:
    """The reported alerts of each rule and tenant, in order."""
    found = defaultdict(list)
    for one in reported:
        found[one.rule, one.tenant].append(one)
    return found
