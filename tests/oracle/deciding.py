"""Section 5: windows, rules, alerts and bans of owners, all in decision order."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from oracle import rulebook as book
from oracle.conditions import beyond, fulfilled
from oracle.hourly import HOUR, hours_of, measured_by, tenant_hour
from oracle.measures import Call, Seen, behind, measure, wilson
from oracle.policy_timeline import Reign, is_evidence, is_whole, late_line, reign_of
from oracle.reading import Read, read_files
from oracle.record_rules import STATUS_ORDER, TYPE_ORDER, RecordRules
from oracle.records import ID_FIELD
from oracle.rulebook import Rule, rulebook
from oracle.tenants import Firing, Key, Outcome, Tenant, evidence_of, holds, newest_of

_HOURLY = 1_000_000  # after all rules


def judge(
    files: Sequence[Sequence[str | bytes]],
    policy: dict[str, Any],
    *,
    not_after_ms: int | None = None,
    until_ms: int | None = None,
    enforce_from_ms: int = 0,
    switches: Sequence[tuple[int, dict[str, Any]]] = (),
) -> Outcome:
    """Evaluate files of lines. Raises ValueError where ``until_ms`` lies before the largest event time.

    Records before ``enforce_from_ms`` count and decide nothing. ``switches`` are later policies, each with the event
    time from which it applies.
    """
    reigns = [Reign(0, rulebook(policy)), *(Reign(start, rulebook(plain)) for start, plain in switches)]
    read = read_files(files, partial(late_line, reigns), not_after_ms)
    if until_ms is not None and read.largest is not None and until_ms < read.largest:
        raise ValueError("--until lies before the largest event time of the input")
    return _Run(reigns, read, until_ms, enforce_from_ms).run()


def judge_read(reigns: list[Reign], read: Read, until_ms: int | None) -> Outcome:
    """Evaluate the records, up to ``until_ms``; None: nothing can be decided yet."""
    return _Run(reigns, read, until_ms, 0).run()


class _Run(RecordRules):
    # -- decision order

    def run(self) -> Outcome:
        for record in [*self.read.calls, *self.read.others]:
            self.tenants.setdefault(record["tenant_id"], Tenant(record["tenant_id"]))
        for call in self.read.calls:
            self.tenants[call["tenant_id"]].calls.append(call)
        if self.read.largest is not None:
            self._in_order(self.read.largest)
        self._finish()
        return self.out

    def _in_order(self, largest: int) -> None:
        last_lapse = largest if self.until is None else self.until
        agenda: list[tuple[Any, ...]] = []
        for number, reign in enumerate(self.reigns):
            if number:
                steps = {rule.step for one in self.reigns[number - 1 : number + 1] for rule in one.rules.rules}
                last_end = max([largest, *((largest // step + 1) * step for step in steps)])
                if reign.start > (last_end if self.until is None else self.until):
                    break  # its time never comes
                agenda.append((reign.start, -1, number))
            for index, rule in enumerate(reign.rules.rules):
                last_end = (largest // rule.step + 1) * rule.step if self.until is None else self.until
                for tenant in self.tenants.values():
                    ends = self._ends(rule, tenant, last_end, reign.start)
                    mine = [end for end in ends if reign_of(self.reigns, end) == number]
                    agenda.extend((end, 0, index, tenant.id) for end in mine)
        for tenant in self.tenants.values():
            last_end = (largest // HOUR + 1) * HOUR if self.until is None else self.until
            agenda.extend((end, 0, _HOURLY, tenant.id) for end in hours_of(tenant) if end <= last_end)
        for r in self.read.others:
            name = r[ID_FIELD[r["type"]]]
            status = STATUS_ORDER[r.get("status") or r.get("verdict") or "received"]
            agenda.append((r["t"], 1, TYPE_ORDER[r["type"]], name, status, r["seq"], r))
        agenda.sort(key=lambda item: item[:6])
        for item in agenda:
            self._owners_until(min(item[0] - (item[1] < 1), last_lapse))
            self._lapse(min(item[0] - (item[1] < 0), last_lapse))
            if item[1] < 0:
                self._begin(item[2])
            elif item[2] == _HOURLY:
                self._measure_hour(self.tenants[item[3]], item[0])
            elif item[1] == 0:
                self._judge_window(self.rules.rules[item[2]], self.tenants[item[3]], item[0])
            else:
                self._take(item[6])
        self._owners_until(last_lapse)
        self._lapse(last_lapse)

    def _owners_until(self, until: int) -> None:
        """Bans of owners and their liftings take effect, after the lapses of each instant."""
        while (due := self.owners.next_due(until)) is not None:
            at, ban = due
            self._lapse(at)
            evidence = evidence_of(enforcement_ids=[ban.event["key"]])
            if ban.begun:
                ban.ended = True
                for tenant in self.tenants.values():
                    for decision in list(tenant.decisions.values()):
                        event = decision.event
                        mine = event["behaviour"] == "owner_banned" and event["evidence"] == evidence
                        if mine and decision.state == "pending":
                            self._take_back(tenant, decision, "reversal", at, evidence)
                continue
            ban.begun = True
            for tenant in self.tenants.values():
                other = tenant.id != ban.event["tenant_id"] and ban.owner in tenant.owners
                if other and not tenant.terminated() and at >= self.enforce_from:
                    self._decide(
                        tenant,
                        status="pending_review",
                        behaviour="owner_banned",
                        clause=ban.event["clause"],
                        tier=ban.event["tier"],
                        rule_id="owner_banned",
                        at=at,
                        freeze=True,
                        evidence=evidence,
                        cause=("enforcement", ban.event["key"]),
                        kind="ban",
                        named=ban.event["decided_ms"],
                    )

    def _begin(self, number: int) -> None:
        """Another policy applies from now on; alerts of rules that it lacks are resolved."""
        at, former = self.reigns[number].start, self.rules
        kept = {rule.id for rule in self.reigns[number].rules.rules}
        for rule in former.rules:
            if rule.id not in kept:
                for tenant in self.tenants.values():
                    self._resolve(rule, tenant, at, None)
        self.number = number

    def _ends(self, rule: Rule, tenant: Tenant, last_end: int, start: int) -> set[int]:
        """Every end whose window holds a record, and the one after (where an alert without records resolves).

        After a policy change also the ends at which an earlier alert may resolve.
        """
        times = {c["t"] for c in tenant.calls}
        times |= {r["t"] for r in self.read.others if r["type"] == "complaint" and r["tenant_id"] == tenant.id}
        ends = set(range(-(-start // rule.step) * rule.step, start + rule.window + rule.step + 1, rule.step))
        ends = ends if start else set()
        for time in times:
            first = (time // rule.step + 1) * rule.step
            ends.update(range(first, time + rule.window + rule.step + 1, rule.step))
        return {end for end in ends if end <= last_end}

    # -- windows and rules

    def _judge_window(self, base: Rule, tenant: Tenant, end: int) -> None:
        if end < self.enforce_from:
            return
        start = end - base.window
        calls = [c for c in tenant.calls if start <= c["t"] < end]
        judged = bool(calls) or any(start <= t < end for t in tenant.complaint_times)
        rule = self.rules.rule_for(base, tenant.id, end)
        exempt = self.rules.exempt(base, tenant.id, end)
        if not all(is_whole(self.reigns, self.number, one, start) for one in (base, rule)):
            return
        in_time = rule.judged(end, (c["t"] for c in tenant.calls))
        if not judged or exempt or not in_time:
            self._resolve(rule, tenant, end, None)
        if not judged or not in_time:
            return
        seen = self._seen(tenant, calls, start, end)
        num, den, value = measure(rule.metric, seen, rule.params)
        self.out.windows.append(
            {
                "tenant_id": tenant.id,
                "rule_id": rule.id,
                "metric": rule.metric,
                "window_ms": rule.window,
                "end_ms": end,
                "numerator": num,
                "denominator": den,
                "value": value,
            }
        )
        if exempt:
            return
        bound = None
        if rule.confidence is not None and den:
            bound = wilson(num, den, rule.confidence, rule.direction)
        measured = {
            "metric": rule.metric,
            "numerator": num,
            "denominator": den,
            "value": value,
            "threshold": rule.threshold,
            "bound": None if bound is None else float(f"{bound:.12g}"),
        }
        enough = den is None or den >= rule.min_denominator
        if value is None or not enough or not beyond(value, rule.recover, rule.direction):
            self._resolve(rule, tenant, end, measured)
        breach = (
            value is not None
            and enough
            and beyond(value, rule.threshold, rule.direction)
            and all(fulfilled(measure(m, seen, rule.params)[2], op, x) for m, op, x in rule.also)
            and (rule.confidence is None or (bound is not None and beyond(bound, rule.threshold, rule.direction)))
        )
        if not breach:
            return
        if rule.id not in tenant.alerts:
            tenant.alerts[rule.id] = Firing(self._alert(rule, tenant, end, "firing", measured, end, None))
        self._decide_measured(rule, tenant, end, measured, seen)

    def _measure_hour(self, tenant: Tenant, end: int) -> None:
        if end < self.enforce_from:
            return
        found = []
        for base in self.rules.rules:
            start, rule = end - base.window, self.rules.rule_for(base, tenant.id, end)
            calls = [c for c in tenant.calls if start <= c["t"] < end]
            if end % base.step or self.rules.exempt(base, tenant.id, end):
                continue
            if not calls and not any(start <= t < end for t in tenant.complaint_times):
                continue
            if not rule.judged(end, (c["t"] for c in tenant.calls)):
                continue
            if all(is_whole(self.reigns, self.number, one, start) for one in (base, rule)):
                found.append(measured_by(rule, self._seen(tenant, calls, start, end)))
        self.out.measures.append(tenant_hour(tenant.id, end, [one for one in found if one is not None]))

    def _seen(self, tenant: Tenant, calls: list[Call], start: int, end: int) -> Seen:
        first, verified = [], []
        for life in tenant.complaints:
            if life.dismissed:
                continue
            newest = max(enumerate(life.records), key=lambda item: (item[1]["updated_ms"], item[0]))[1]
            at_first = life.records[0]["t"]
            entry = {"complaint_id": newest["complaint_id"], "complainant": newest["complainant"]}
            if start <= at_first < end:
                first.append({**entry, "t": at_first})
            for record in life.records:
                if record["status"] == "verified" and start <= record["t"] < end:
                    verified.append({**entry, "t": record["t"]})
        return Seen(calls, first, verified)

    def _decide_measured(self, rule: Rule, tenant: Tenant, end: int, measured: dict[str, Any], seen: Seen) -> None:
        name = rule.behaviour
        if rule.mode == "shadow":
            if end < tenant.quiet_shadow.get(rule.id, end):
                return
            tenant.quiet_shadow[rule.id] = end + rule.cooldown
        else:
            if tenant.terminated() or end < tenant.quiet_enforce.get(name, end):
                return
            if rule.mode == "review":
                waits = any(d.state == "pending" and d.event["behaviour"] == name and d.measured == "review"
                            for d in tenant.decisions.values())  # fmt: skip
                if waits or end < tenant.quiet_review.get(name, end):
                    return
                tenant.quiet_review[name] = end + rule.cooldown
            else:
                tenant.quiet_enforce[name] = end + rule.cooldown
        calls, complaints = behind(rule.metric, rule.direction, seen, rule.params)
        calls = [c for c in calls if is_evidence(self.reigns, self.number, rule, c["t"])]
        clause, tier = book.BEHAVIOURS[name]
        decision = self._decide(
            tenant,
            status="pending_review" if rule.mode == "review" else "final",
            behaviour=name,
            clause=clause,
            tier=tier,
            rule_id=rule.id,
            at=end,
            freeze=rule.freeze,
            window={"start_ms": end - rule.window, "end_ms": end},
            measure=measured,
            evidence=evidence_of(
                call_ids=newest_of([(c["t"], c["call_id"]) for c in calls]),
                complaint_ids=newest_of([(c["t"], c["complaint_id"]) for c in complaints]),
            ),
            cause=("", ""),
            shadow=rule.mode == "shadow",
            measured=rule.mode,
        )
        firing = tenant.alerts[rule.id]
        if decision and rule.mode != "shadow":
            firing.named = decision.event["key"]
            if firing.record["updated_ms"] == end:
                firing.record["enforcement"] = firing.named

    def _resolve(self, rule: Rule, tenant: Tenant, end: int, measured: dict[str, Any] | None) -> None:
        firing = tenant.alerts.pop(rule.id, None)
        if firing is not None:
            self._alert(rule, tenant, end, "resolved", measured, firing.record["since_ms"], firing.named)

    def _alert(
        self,
        rule: Rule,
        tenant: Tenant,
        at: int,
        state: str,
        measured: dict[str, Any] | None,
        since: int,
        named: Key | None,
    ) -> dict[str, Any]:
        minor = book.BEHAVIOURS[rule.behaviour][1] == "minor"
        alert = {
            "tenant_id": tenant.id,
            "rule_id": rule.id,
            "severity": "info" if rule.mode == "shadow" else "warning" if minor else "critical",
            "state": state,
            "measure": measured,
            "since_ms": since,
            "updated_ms": at,
            "enforcement": named,
        }
        self.out.alerts.append(alert)
        return alert

    # -- the end

    def _finish(self) -> None:
        out = self.out
        out.enforcement.sort(key=lambda e: (e["decided_ms"], e["tenant_id"]))
        out.shadow.sort(key=lambda e: (e["decided_ms"], e["tenant_id"]))
        out.alerts.sort(key=lambda a: (a["updated_ms"], a["tenant_id"], a["rule_id"]))
        out.windows.sort(key=lambda w: (w["end_ms"], w["tenant_id"], w["rule_id"]))
        out.late = sorted(self.read.late, key=lambda c: (c["end_ms"], c["tenant_id"], c["call_id"]))
        out.rejected = [(file, line, reason) for _, file, line, reason in sorted(self.rejected)]
        late = len(self.read.late)
        out.summary = {
            "read": self.read.read,
            "accepted": self.read.read - len(self.rejected) - self.duplicates - late,
            "rejected": len(self.rejected),
            "duplicates": self.duplicates,
            "late": late,
            "enforcement": len(out.enforcement),
            "alerts": len(out.alerts),
        }
        out.holds = holds(out.enforcement)
